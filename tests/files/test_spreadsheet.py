from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.files.spreadsheet import csv_bytes, safe_cell

DANGEROUS = [
    "=1+1",
    "+cmd",
    "-cmd|x",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=x",
    " =1",
    "＝1",
    "＋1",
    "－x",
    "＠x",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_could_start_a_formula_gets_an_apostrophe(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "0.5", "-1.25", "+3", "-1e-05", "case-1", "a=b", "x@y", "10 %", "é"]
)
def test_numbers_and_plain_text_stay_as_they_are(text):
    assert safe_cell(text) == text


@pytest.mark.parametrize("text", ["-1+1", "-1|x", "1;=2", "-1.2.3", "--1"])
def test_only_whole_numbers_are_numbers(text):
    assert (safe_cell(text) == text) is (not text.startswith("-"))


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3)))
def test_cells_come_back_as_they_were_made_safe(rows):
    content = csv_bytes(["a", "b", "c"], _encodable(rows))
    read = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    assert read == [["a", "b", "c"], *[[safe_cell(c) for c in row] for row in _encodable(rows)]]
    for row in read:
        assert not any(cell.startswith(("=", "@", "\t", "\r")) for cell in row)


def _encodable(rows):
    return [[cell.encode("utf-8", "ignore").decode() for cell in row] for row in rows]


def test_one_empty_column_is_no_empty_line():
    assert csv_bytes(["a"], [[""]]) == b'a\n""\n'


def test_the_header_is_made_safe_too():
    assert csv_bytes(["=x"], []) == b"'=x\n"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row has 1 cells; the header has 2"):
        csv_bytes(["a", "b"], [["1"]])
