"""A reduced run of simulate_operating_characteristics.py; the full one runs by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from scipy import stats

N_COHORTS = 60


@pytest.fixture(scope="module")
def simulation():
    path = Path(__file__).with_name("simulate_operating_characteristics.py")
    spec = importlib.util.spec_from_file_location("operating_characteristics", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    "scenario", ["primary", "family", "mixed_8", "fixed_4", "events_8", "events_4"]
)
def test_statistics_keep_their_promises(simulation, scenario):
    for row in simulation.SCENARIOS[scenario](N_COHORTS, 11):
        if "bias" in row.name:
            # 60 estimates of an effect whose own error is about a third of it.
            assert abs(row.value) < 0.15, row
        elif "not claimed" not in row.name:
            # Among 60 cohorts, 2.6 standard errors around 5 or 95 percent.
            nominal = 0.95 if "cover" in row.name else 0.05
            n_hits = round(row.value * row.n)
            chance = stats.binomtest(n_hits, row.n, nominal).pvalue
            assert chance > 0.01, row


def test_naive_intervals_are_overconfident_and_ours_are_not(simulation):
    share, naive, *_ = simulation.event_rows(N_COHORTS, 5, 8)
    assert naive.value < 0.9 < share.value + 0.02


def test_surgeons_who_prefer_a_technique_fool_the_unadjusted_test(simulation):
    rows = {row.name.strip(): row for row in simulation.adjusted_rows(N_COHORTS, 5, 8)}
    (naive,) = [row for name, row in rows.items() if "unadjusted" in name]
    (ours,) = [row for name, row in rows.items() if "preferences: rejected" in name]
    assert naive.value > 0.3
    assert ours.value < 0.15
