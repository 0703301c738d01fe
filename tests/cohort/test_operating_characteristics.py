"""A reduced run of simulate_operating_characteristics.py; the full one runs by hand."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import pytest
from scipy import stats

N_COHORTS = 50


@pytest.fixture(scope="module")
def rows_of():
    path = Path(__file__).with_name("simulate_operating_characteristics.py")
    spec = importlib.util.spec_from_file_location("operating_characteristics", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield functools.cache(lambda scenario: module.SCENARIOS[scenario](N_COHORTS, 11))
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    "scenario", ["primary", "family", "mixed_8", "fixed_4", "events_8", "events_4"]
)
def test_statistics_keep_their_promises(rows_of, scenario):
    for row in rows_of(scenario):
        if "bias" in row.name:
            # 50 estimates of an effect whose own error is about a third of it.
            assert abs(row.value) < 0.15, row
        elif "not claimed" not in row.name:
            # Among 50 cohorts, 2.6 standard errors around 5 or 95 percent.
            nominal = 0.95 if "cover" in row.name else 0.05
            n_hits = round(row.value * row.n)
            chance = stats.binomtest(n_hits, row.n, nominal).pvalue
            assert chance > 0.01, row


def test_naive_intervals_are_overconfident_and_ours_are_not(rows_of):
    share, naive, *_ = rows_of("events_8")
    assert naive.value < share.value - 0.04


def test_surgeons_who_prefer_a_technique_fool_the_unadjusted_test(rows_of):
    (naive,) = [row for row in rows_of("mixed_8") if "unadjusted" in row.name]
    (ours,) = [row for row in rows_of("mixed_8") if "preferences: rejected" in row.name]
    assert naive.value > 0.3
    assert ours.value < 0.15
