from __future__ import annotations

import csv
import dataclasses
import io
import json

import pandas as pd
import pytest

from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import cohort_table
from ubereport.cohort.writing import (
    audit_files,
    comparison_files,
    table_files,
)
from ubereport.core.config import AuditConfig, CompareConfig

FAST = CompareConfig(n_bootstrap=100, n_permutations=100)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.fixture
def table(make_table):
    return make_table({"a": 14, "b": 12, "=cmd()": 10}, n_surgeons=3)


def test_comparison_files_say_what_the_comparison_says(table):
    comparison = compare_cohort(table, config=FAST)
    files = comparison_files(comparison)
    content = json.loads(files["comparison.json"])
    assert content["kind"] == "comparison"
    assert content["primary"]["metric_key"] == "impaired_share_20"
    assert content["primary"]["contrasts"][0]["shift"]["value"] == (
        comparison.primary.contrasts[0].shift.value
    )
    assert content["reading"] == list(comparison.reading)
    contrasts = rows_of(files["contrasts.csv"])
    assert len(contrasts) == 3 * (1 + len(comparison.secondary))
    assert float(contrasts[0]["p_value"]) == comparison.primary.contrasts[0].test.p_value
    points = rows_of(files["points.csv"])
    assert len(points) == 36 * (1 + len(comparison.secondary))


def test_one_group_told_apart_from_two_others_is_written_as_pairs(table):
    comparison = compare_cohort(table, config=FAST)
    pairs = (("a", "b"), ("a", "c"))
    row = dataclasses.replace(comparison.balance[0], apart=pairs)
    files = comparison_files(dataclasses.replace(comparison, balance=(row,)))
    assert json.loads(files["comparison.json"])["balance"][0]["apart"] == [list(p) for p in pairs]


def test_no_cell_is_a_formula(table):
    for name, content in {**comparison_files(compare_cohort(table, config=FAST)),
                          **table_files(table)}.items():  # fmt: skip
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(content.decode())) for cell in row]
            assert "=cmd()" not in cells
            assert "'=cmd()" in cells or name == "events.csv"


def test_audit_files_say_what_the_audit_says(table):
    audit = audit_cohort(table, AuditConfig(n_permutations=100))
    files = audit_files(audit)
    content = json.loads(files["audit.json"])
    assert content["kind"] == "audit"
    assert len(content["charts"]) == len(audit.charts)
    assert (
        content["cases"][0]["values"]["impaired_share_20"]
        == dict(audit.cases[0].values)["impaired_share_20"]
    )
    assert len(rows_of(files["cases.csv"])) == 36
    points = rows_of(files["charts.csv"])
    assert len(points) == sum(len(chart.points) for chart in audit.charts)
    assert {row["kind"] for row in points} == {"xmr", "u"}


def test_tables_come_back_from_csv_and_parquet(table):
    files = table_files(table)
    cases = rows_of(files["cases.csv"])
    assert [float(row["impaired_share_20"]) for row in cases] == (
        table.cases["impaired_share_20"].tolist()
    )
    assert {row["antithrombotics"] for row in cases} == {"true", "false"}
    parquet = pd.read_parquet(io.BytesIO(files["cases.parquet"]))
    assert parquet["impaired_share_20"].tolist() == table.cases["impaired_share_20"].tolist()
    assert parquet["antithrombotics"].tolist() == table.cases["antithrombotics"].tolist()
    events = pd.read_parquet(io.BytesIO(files["events.parquet"]))
    assert len(events) == len(table.events) == len(rows_of(files["events.csv"]))


def test_missing_is_an_empty_cell_and_null(make_row):
    rows = [make_row("a", {"impaired_share_20": None, "event_count": 0.0}, {"technique": None,
            "own": True}), make_row("b", {"impaired_share_20": 0.2, "event_count": 1.0},
            {"technique": "x", "own": "text"})]  # fmt: skip
    table = cohort_table(rows)
    files = table_files(table)
    first = rows_of(files["cases.csv"])[0]
    assert (first["impaired_share_20"], first["technique"], first["event_count"]) == ("", "", "0.0")
    parquet = pd.read_parquet(io.BytesIO(files["cases.parquet"]))
    assert parquet["own"].tolist() == ["True", "text"]
    assert parquet["technique"].isna().tolist() == [True, False]


def test_same_cases_same_bytes(make_table):
    first, second = (
        {**comparison_files(compare_cohort(t, config=FAST)),
         **audit_files(audit_cohort(t, AuditConfig(n_permutations=100))), **table_files(t)}
        for t in (make_table({"a": 12, "b": 12}), make_table({"a": 12, "b": 12}))
    )  # fmt: skip
    assert first == second


def test_each_result_has_its_files(table):
    names = {
        tuple(sorted(comparison_files(compare_cohort(table, config=FAST)))),
        tuple(sorted(audit_files(audit_cohort(table, AuditConfig(n_permutations=100))))),
        tuple(sorted(table_files(table))),
    }
    assert names == {
        ("comparison.json", "contrasts.csv", "points.csv"),
        ("audit.json", "cases.csv", "charts.csv"),
        ("cases.csv", "cases.parquet", "events.csv", "events.parquet"),
    }
