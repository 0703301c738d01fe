"""The table of hazards names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = {
    int(match[1]): re.findall(r"`([\w/.]+)::(\w+)`", line)
    for line in (TESTS / "HAZARDS.md").read_text(encoding="utf-8").splitlines()
    if (match := re.match(r"\| (\d+) \|", line))
}


def test_no_row_is_missing():
    assert {*range(1, 10), *range(11, 20), 21, 22, 25, 26, 28, 29, *range(31, 38)} <= set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_every_hazard_has_its_tests(row):
    assert ROWS[row]
    for file, name in ROWS[row]:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, name
