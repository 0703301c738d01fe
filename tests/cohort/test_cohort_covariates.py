from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.core.covariates import (
    KNOWN_COLUMNS,
    ColumnKind,
    covariates_json,
    known_column,
    read_covariates,
    require_column,
)
from ubereport.core.errors import CaseRecordError, UsageError

ROW = {
    "date": "2026-03-14",
    "surgeon": "S2",
    "technique": "bone wax",
    "levels": 1,
    "antithrombotics": True,
    "pump_pressure_mmhg": 30.0,
    "hb_drop_g_dl": None,
    "clarity_rating": 2,
    "my_column": "x",
}


def test_a_row_comes_back(tmp_path):
    (tmp_path / "manifest.json").write_text(covariates_json(ROW))
    assert read_covariates(tmp_path) == ROW


def test_the_bytes_do_not_depend_on_the_order():
    assert covariates_json(ROW) == covariates_json(dict(reversed(ROW.items())))


def test_a_case_without_manifest_has_no_covariates(tmp_path):
    assert read_covariates(tmp_path) == {}


def test_empty_text_is_missing_and_zero_is_not():
    stored = json.loads(covariates_json({"drain_ml": 0.0, "technique": "", "hematoma": 0}))
    assert stored == {"drain_ml": 0.0, "technique": None, "hematoma": False}


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("date", "14.03.2026", "an ISO date"),
        ("date", "2026-02-30", "an ISO date"),
        ("date", "20260301", "an ISO date"),
        ("age", "67", "a finite number or null"),
        ("age", True, "a finite number or null"),
        ("map_mmhg", float("nan"), "a finite number"),
        ("antithrombotics", "yes", "true or false or null"),
        ("clarity_rating", 1.5, "a whole number"),
        ("technique", ["RF"], "text or null"),
        ("own_column", {"a": 1}, "text, a finite number, true or false or null"),
        ("own_column", float("inf"), "text, a finite number"),
    ],
)
def test_values_of_another_kind_are_refused(column, value, allowed):
    with pytest.raises(CaseRecordError, match=f"{column} = .*takes {allowed}"):
        covariates_json({column: value})


@pytest.mark.parametrize("column", ["files", "path", "patient_id", "name"])
def test_names_and_paths_are_refused(column):
    with pytest.raises(CaseRecordError, match=f"{column} may identify"):
        covariates_json({column: "x"})


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff\xfe", b'"text"'])
def test_damaged_manifests_are_told(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(CaseRecordError, match=r"manifest\.json of .* Run the batch again"):
        read_covariates(tmp_path)


def test_a_stored_value_of_the_wrong_kind_is_told(tmp_path):
    (tmp_path / "manifest.json").write_text('{"age": "old"}')
    with pytest.raises(CaseRecordError, match="age = 'old'"):
        read_covariates(tmp_path)


def test_unknown_column_proposes_the_near_one():
    with pytest.raises(UsageError, match=r"techniqe is no column here\. Did you mean technique"):
        require_column("techniqe", ["technique", "surgeon"], "column")
    with pytest.raises(UsageError, match=r"zzz is no metric here\. Allowed: a, b\."):
        require_column("zzz", ["b", "a"], "metric")


def test_known_columns_have_units_where_they_measure():
    names = [column.name for column in KNOWN_COLUMNS]
    assert len(set(names)) == len(names)
    for column in KNOWN_COLUMNS:
        assert bool(column.unit) == (
            column.kind in (ColumnKind.NUMBER, ColumnKind.RATING, ColumnKind.TIMES)
        )
    assert known_column("no such") is None


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text() | st.booleans() | st.integers()))
def test_any_plain_row_of_own_columns_is_kept(tmp_path_factory, row):
    folder = tmp_path_factory.mktemp("case")
    (folder / "manifest.json").write_text(covariates_json(row), encoding="utf-8")
    assert read_covariates(folder) == {k: None if v == "" else v for k, v in row.items()}
