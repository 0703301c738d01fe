from __future__ import annotations

from itertools import permutations
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ubereport.statistics.ranks import (
    cliff_delta,
    cliff_magnitude,
    hodges_lehmann,
    holm,
    kruskal_wallis,
    mann_whitney,
    walsh_shift,
)

PERMEABILITY = (
    np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]),
    np.array([1.15, 0.88, 0.90, 0.74, 1.21]),
)
TIED = (
    np.array([10, 10, 20, 20, 20, 30, 30, 30, 40, 50.0]),
    np.array([10, 20, 30, 40, 40, 50.0]),
)
values = st.lists(st.floats(0, 1).map(lambda v: round(v, 2)), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("name", "pair", "tolerance"),
    # R gives tied and large samples by root finding, to 1e-4 of the shift.
    [("permeability", PERMEABILITY, 1e-12), ("tied", TIED, 1e-4)],
)
def test_shift_and_test_equal_r_on_published_data(name, pair, tolerance, reference):
    shift = hodges_lehmann(*pair)
    assert mann_whitney(*pair).p_value == pytest.approx(reference[f"{name}_p"], abs=1e-10)
    assert shift.value == pytest.approx(reference[f"{name}_shift"], abs=tolerance)
    assert shift.low == pytest.approx(reference[f"{name}_low"], abs=tolerance)
    assert shift.high == pytest.approx(reference[f"{name}_high"], abs=tolerance)


def test_exact_shift_equals_r(reference, reference_cases):
    y, group = reference_cases["y"], reference_cases["group"]
    shift = hodges_lehmann(y[group == 0], y[group == 1])
    assert shift.value == pytest.approx(reference["cases_exact_shift"], abs=1e-12)
    assert shift.low == pytest.approx(reference["cases_exact_low"], abs=1e-12)
    assert shift.high == pytest.approx(reference["cases_exact_high"], abs=1e-12)
    test = mann_whitney(y[group == 0], y[group == 1])
    assert test.name.endswith("(exact)")
    assert test.p_value == pytest.approx(reference["cases_exact_p"], abs=1e-10)


def test_normal_shift_equals_r_where_groups_are_large(reference, reference_cases, monkeypatch):
    monkeypatch.setattr("ubereport.statistics.ranks._MAX_EXACT_N", 0)
    y, group = reference_cases["y"], reference_cases["group"]
    shift = hodges_lehmann(y[group == 0], y[group == 1])
    assert shift.low == pytest.approx(reference["cases_normal_low"], abs=1e-3)
    assert shift.high == pytest.approx(reference["cases_normal_high"], abs=1e-3)
    test = mann_whitney(y[group == 0], y[group == 1])
    assert test.p_value == pytest.approx(reference["cases_normal_p"], abs=1e-10)


def test_heavily_tied_shift_equals_r(reference, reference_cases):
    y, group = np.round(reference_cases["y"]), reference_cases["group"]
    shift = hodges_lehmann(y[group == 0], y[group == 1])
    for field in ("low", "high"):
        assert getattr(shift, field) == pytest.approx(reference[f"cases_rounded_{field}"], abs=1e-3)
    test = mann_whitney(y[group == 0], y[group == 1])
    assert test.p_value == pytest.approx(reference["cases_rounded_p"], abs=1e-10)


def test_exact_interval_is_the_set_of_shifts_that_brute_force_accepts():
    x, y = np.array([3.1, 4.7, 5.2, 9.4, 8.8]), np.array([1.3, 2.9, 6.6, 0.2, 2.2])
    shift = hodges_lehmann(x, y)
    statistics = [sum(ranks[:5]) for ranks in permutations(range(10), 5)]

    def accepts(d):
        u = np.sum(np.subtract.outer(x - d, y) > 0) + 10
        tail = min(np.mean(np.array(statistics) <= u), np.mean(np.array(statistics) >= u))
        return 2 * tail > 0.05

    assert accepts(shift.low + 1e-6)
    assert accepts(shift.high - 1e-6)
    assert not accepts(shift.low - 1e-6)
    assert not accepts(shift.high + 1e-6)


def test_three_against_three_has_no_95_percent_interval():
    shift = hodges_lehmann(np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))
    assert shift.value == -3
    assert shift.low is None
    assert "too few cases for a 95% interval" in shift.reason


def test_cliff_delta_equals_the_published_example():
    # Hess and Kromrey (2004), as printed in the documentation of the R package effsize.
    delta = cliff_delta(*TIED)
    assert delta.value == pytest.approx(-0.25)
    assert delta.low == pytest.approx(-0.7265846, abs=1e-7)
    assert delta.high == pytest.approx(0.3890062, abs=1e-7)


def test_separated_groups_keep_an_interval():
    delta = cliff_delta(np.arange(10.0) + 100, np.arange(8.0))
    z2 = stats.norm.ppf(0.975) ** 2
    assert (delta.value, delta.high) == (1.0, 1.0)
    assert delta.low == pytest.approx((8 - z2) / (8 + z2))
    mirrored = cliff_delta(np.arange(8.0), np.arange(10.0) + 100)
    assert (mirrored.low, mirrored.high) == (-1.0, pytest.approx(-delta.low))


def test_a_missing_interval_says_which_one_was_asked_for():
    assert cliff_delta(np.array([1.0]), np.array([2.0, 3.0]), 0.9).confidence == 0.9


def test_one_case_has_a_delta_without_interval():
    delta = cliff_delta(np.array([1.0]), np.array([0.0, 2.0]))
    assert delta.value == 0
    assert delta.low is None
    assert "fewer than two" in delta.reason


@given(values, values)
def test_delta_is_antisymmetric_and_counts_pairs(x, y):
    a, b = np.array(x), np.array(y)
    pairs = [np.sign(i - j) for i in x for j in y]
    assert cliff_delta(a, b).value == pytest.approx(np.mean(pairs))
    assert cliff_delta(a, b).value == pytest.approx(-cliff_delta(b, a).value)


@given(values, values, st.floats(-3, 3))
def test_shift_moves_with_the_group(x, y, by):
    a, b = np.array(x), np.array(y)
    still, moved = hodges_lehmann(a, b), hodges_lehmann(a + by, b)
    assert moved.value == pytest.approx(still.value + by, abs=1e-9)
    if still.low is not None and moved.low is not None:
        assert still.low <= still.value <= still.high


@pytest.mark.parametrize(
    ("delta", "band"),
    [(0.146, "negligible"), (-0.147, "small"), (0.329, "small"), (0.33, "medium"),
     (-0.473, "medium"), (0.474, "large")],
)  # fmt: skip
def test_bands_of_cliff_delta(delta, band):
    assert cliff_magnitude(delta) == band


def test_no_p_value_under_five_cases():
    test = mann_whitney(np.arange(4.0), np.arange(30.0))
    assert test.p_value is None
    assert test.reason == "no p-value: fewer than 5 cases in a group"
    assert kruskal_wallis([np.arange(4.0), np.arange(9.0)]).p_value is None


def test_identical_values_are_no_difference():
    same = np.ones(6)
    assert mann_whitney(same, same).p_value == 1.0
    assert kruskal_wallis([same, same, same]).p_value == 1.0


def test_kruskal_wallis_equals_r(reference, reference_cases):
    y, group = reference_cases["y"], reference_cases["group"]
    test = kruskal_wallis([y[group == code] for code in range(3)])
    assert test.p_value == pytest.approx(reference["kruskal_p"], abs=1e-10)
    assert test.statistic == pytest.approx(reference["kruskal_statistic"], abs=1e-8)


def test_small_groups_stay_out_of_kruskal_wallis(reference_cases):
    y, group = reference_cases["y"], reference_cases["group"]
    three = [y[group == 0], y[group == 1], y[group == 2]]
    assert kruskal_wallis([*three, np.array([99.0, 98.0])]) == kruskal_wallis(three)


def test_holm_equals_r_and_statsmodels(reference):
    p = [0.01, 0.04, 0.03, 0.005, 0.2]
    assert holm(p) == pytest.approx([reference[f"holm_{i}"] for i in range(1, 6)])
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)
    with patch("gc.collect"):  # which statsmodels calls each time: 0.3 s in a process full of tests
        assert adjusted == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_holm_passes_over_missing_ones():
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


def test_thousands_of_pairs_have_an_interval():
    # 2 to the power of 1,200 is no float.
    differences = np.random.default_rng(1).normal(0.5, 1.0, 1200)
    found = walsh_shift(differences)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.5, abs=0.1)
    reach = 1.96 / np.sqrt(1200)
    assert found.high - found.value == pytest.approx(reach, rel=0.15)
