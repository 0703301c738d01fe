"""Few cohorts of each scenario of ``tests/perf/verdict_simulation.py``; the table has 500 each."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "perf" / "verdict_simulation.py"
N = 40


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("verdict_simulation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
@pytest.mark.parametrize("n_surgeons", [2, 4, 6])
def test_nested_surgeons_name_nobody(script, n_surgeons):
    row = script.run(f"nested, {n_surgeons} surgeons", N)
    assert row["directed"] == 0.0
    # What this is for: ranks alone would have called many of these cohorts different.
    assert row["unadjusted p < 0.05"] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["confounding by indication", "areas 1.2 times in one group", "6 % false area in one group"],
)
def test_no_effect_is_seldom_given_a_direction(script, name):
    # 5 of 40 is three standard errors above the 5 % allowed.
    assert script.run(name, N)["directed"] <= 5 / N


@pytest.mark.slow
def test_an_effect_is_found_and_its_absence_covered(script):
    assert script.run("effect x 0.5, model errs alike", N)["directed"] >= 0.8
    assert script.run("no effect, model errs alike", N)["whole interval holds 0"] >= 0.85
