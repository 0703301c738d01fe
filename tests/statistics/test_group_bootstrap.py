"""Intervals and correlations against scipy and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ubereport.statistics.agreement import limits_of_agreement
from ubereport.statistics.correlation import rank_correlation
from ubereport.statistics.group_bootstrap import Resampler, share_with_wilson


def test_wilson_of_a_published_example():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    share = share_with_wilson(81, 263, 0.95)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_share_of_nothing_has_a_reason():
    found = share_with_wilson(0, 0, 0.95)
    assert found.value is None
    assert found.reason


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=40))
def test_rank_correlation_agrees_with_scipy(pairs):
    x, y = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    found = rank_correlation(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_two_points_have_no_correlation():
    assert rank_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None


def test_limits_of_agreement_by_hand():
    # mean 1, standard deviation 1
    assert limits_of_agreement(np.array([0.0, 1.0, 2.0])) == pytest.approx((-0.96, 2.96))
    assert limits_of_agreement(np.array([1.0])) is None
    weighted = limits_of_agreement(np.array([0.0, 1.0]), np.array([1.0, 3.0]))
    assert weighted == pytest.approx((0.75 - 1.96 * 0.1875**0.5, 0.75 + 1.96 * 0.1875**0.5))


GROUPS = ["a"] * 3 + ["b"] * 2 + ["c"] * 5
VALUES = np.array([1.0, 2.0, 3.0, 10.0, np.nan, 4.0, 4.0, 4.0, 4.0, 9.0])


def test_over_rows_and_over_groups_weigh_differently():
    resampler = Resampler(GROUPS, 200, 1, 0.95)
    assert resampler.over_rows(VALUES, np.mean).value == pytest.approx(np.nanmean(VALUES))
    assert resampler.over_groups(VALUES, np.mean).value == pytest.approx((2 + 10 + 5) / 3)


def test_the_bootstrap_draws_whole_groups():
    """With constant groups, each resampled mean is a mean of whole-group values."""
    groups = [g for g in "abcde" for _ in range(4)]
    values = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], 4)
    found = Resampler(groups, 4000, 7, 0.95).over_rows(values, np.mean)
    # The mean of five draws from 0..4 has standard deviation sqrt(2 / 5).
    half = 1.96 * np.sqrt(2 / 5)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=0.2)


def test_the_bootstrap_is_seeded():
    first, again, other = (
        Resampler(GROUPS, 300, seed, 0.9).over_rows(VALUES, np.mean) for seed in (3, 3, 4)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_too_few_groups_give_a_value_without_interval():
    found = Resampler(["a", "a", "b"], 200, 1, 0.95).over_rows(np.array([1.0, 2.0, 3.0]), np.mean)
    assert found.value == 2.0
    assert found.low is None
    assert "2 group" in found.reason


def test_nothing_known_gives_no_value():
    resampler = Resampler(["a", "b"], 200, 1, 0.95)
    nothing = np.array([np.nan, np.nan])
    assert resampler.over_rows(nothing, np.mean).value is None
    assert resampler.over_groups(nothing, np.mean).value is None
    assert resampler.correlation(nothing, nothing).value is None


def test_correlation_leaves_out_rows_without_both_values():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    y[[3, 7]] = np.nan
    keep = ~np.isnan(y)
    found = Resampler([str(i // 3) for i in range(30)], 200, 1, 0.95).correlation(x, y)
    assert found.value == pytest.approx(stats.spearmanr(x[keep], y[keep]).statistic)
    assert found.low < found.value < found.high


def test_paired_difference_is_of_rows():
    resampler = Resampler(["a", "b", "c"], 200, 1, 0.95)
    found = resampler.paired(np.array([3.0, 5.0, 9.0]), np.array([1.0, 2.0, 3.0]), np.median)
    assert found.value == 3.0
