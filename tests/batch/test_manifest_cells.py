"""Numbers of a manifest: two ways to read one, bounds of the known columns."""

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.batch.manifest import read_manifest
from ubereport.batch.manifest_cells import parse_cell
from ubereport.core.covariates import (
    KNOWN_COLUMNS,
    ColumnKind,
    covariates_json,
    known_column,
    read_covariates,
)
from ubereport.core.errors import ManifestError

DRAIN, AGE, DROP = (known_column(name) for name in ("drain_ml", "age", "hb_drop_g_dl"))
RATING = known_column("clarity_rating")


def problem(cell, column):
    with pytest.raises(ManifestError) as refused:
        parse_cell(cell, column)
    return str(refused.value)


@pytest.mark.parametrize("column", [DRAIN, None], ids=["known", "own"])
@pytest.mark.parametrize(
    ("cell", "whole", "decimal"),
    [
        ("1,200", "1200", "1.2"),
        ("1.200", "1200", "1.2"),
        (" 12.340 ", "12340", "12.34"),
        ("1.234", "1234", "1.2340"),
        ("999,000", "999000", "999"),
        ("-1,250", "-1250", "-1.25"),
        ("+1,250", "+1250", "+1.25"),
    ],
)
def test_three_digits_after_the_only_comma_or_point_are_asked_about(cell, whole, decimal, column):
    told = problem(cell, column)
    assert told == (f"{cell.strip()!r} may be {whole} or {decimal} → write {whole} or {decimal}")


@given(st.integers(1, 999), st.integers(0, 999), st.sampled_from(",."), st.sampled_from(["", "-"]))
def test_what_is_proposed_is_taken_and_means_what_it_says(before, after, mark, sign):
    told = problem(f"{sign}{before}{mark}{after:03}", DROP)
    whole, decimal = told.partition(" → write ")[2].split(" or ")
    factor = -1 if sign else 1
    assert parse_cell(whole, DROP) == factor * (before * 1000 + after)
    assert parse_cell(decimal, DROP) == pytest.approx(factor * (before + after / 1000), abs=1e-12)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0,125", 0.125),
        ("0.125", 0.125),
        ("-0.125", -0.125),
        ("1,20", 1.2),
        ("1.2000", 1.2),
        ("1200", 1200),
        ("1200.500", 1200.5),
        (",125", 0.125),
        ("1.200e1", 12.0),
    ],
)
def test_what_can_be_read_in_one_way_only_is_read(cell, value):
    assert parse_cell(cell, DROP) == value
    assert parse_cell(cell, None) == value


@pytest.mark.parametrize("cell", ["1,200,000", "1.200.000", "1.200,5", "1,200.5", "1 200", "1'200"])
def test_other_marks_between_thousands_are_no_number(cell):
    assert "is no number" in problem(cell, DRAIN)
    assert parse_cell(cell, None) == cell


def test_a_grade_with_a_point_before_three_digits_is_asked_about():
    assert "may be 2000 or 2 → write 2000 or 2" in problem("2.000", RATING)


def test_numbers_of_a_spreadsheet_stay_what_they_are(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a")
    book = openpyxl.Workbook()
    book.active.append(["case_id", "files", "drain_ml", "own", "levels"])
    book.active.append(["C1", "a.mp4", 1.234, 12.345, 2])
    book.save(tmp_path / "cases.xlsx")
    (case,) = read_manifest(tmp_path / "cases.xlsx").cases
    assert case.covariates == {"drain_ml": 1.234, "own": 12.345, "levels": 2}


def test_text_in_a_spreadsheet_is_asked_about(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a")
    book = openpyxl.Workbook()
    book.active.append(["case_id", "files", "drain_ml"])
    book.active.append(["C1", "a.mp4", "1,200"])
    book.save(tmp_path / "cases.xlsx")
    with pytest.raises(ManifestError, match=r"cases.xlsx:2:drain_ml: '1,200' may be 1200 or 1.2 "):
        read_manifest(tmp_path / "cases.xlsx")


@pytest.mark.parametrize(
    ("name", "cell", "told"),
    [
        ("clarity_rating", "11", "'11' is not from 0 to 3 → write a number from 0 to 3"),
        ("clarity_rating", "4", "is not from 0 to 3"),
        ("clarity_rating", "-1", "is not from 0 to 3"),
        ("clarity_rating", 4, "'4' is not from 0 to 3"),
        ("age", "-5", "'-5' is not from 0 to 120"),
        ("age", "121", "is not from 0 to 120"),
        ("map_mmhg", "-80", "'-80' is below 0 → write 0 or more"),
        ("pump_pressure_mmhg", "-0.5", "is below 0"),
        ("levels", "-1", "is below 0"),
        ("bmi", -1.0, "'-1.0' is below 0"),
        ("drain_ml", "-10", "is below 0"),
        ("operating_time_min", "-99", "is below 0"),
    ],
)
def test_what_a_known_column_cannot_be_is_refused(name, cell, told):
    assert told in problem(cell, known_column(name))
    assert problem(cell, known_column(name)).endswith("leave the cell empty if it is not known")


@pytest.mark.parametrize(
    "column",
    [c for c in KNOWN_COLUMNS if c.kind in (ColumnKind.NUMBER, ColumnKind.RATING)],
    ids=lambda column: column.name,
)
def test_bounds_themselves_are_taken(column):
    for bound in (column.lowest, column.highest):
        if bound is not None:
            assert parse_cell(f"{bound:g}", column) == bound


def test_hemoglobin_may_have_risen_and_own_columns_have_no_bounds():
    assert parse_cell("-1.5", DROP) == -1.5
    assert parse_cell("-99", None) == -99


def test_a_library_stays_readable_whatever_was_typed_before(tmp_path):
    row = {"age": -5, "clarity_rating": 11, "map_mmhg": -80.0}
    (tmp_path / "manifest.json").write_text(covariates_json(row))
    assert read_covariates(tmp_path) == row
