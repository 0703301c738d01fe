from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ubereport.statistics.quantiles import weighted_quantile


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7, 10, 40])
def test_equal_weights_give_the_averaged_inverse_distribution(share, n):
    values = np.random.default_rng(n).random(n)
    expected = np.quantile(values, share, method="averaged_inverted_cdf")
    assert weighted_quantile(values, np.full(n, 0.3), share) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_weights_count_like_repetition(share):
    rng = np.random.default_rng(3)
    values, weights = rng.random(30), rng.integers(0, 6, 30)
    repeated = np.repeat(values, weights)
    expected = np.quantile(repeated, share, method="averaged_inverted_cdf")
    assert weighted_quantile(values, weights * 0.1, share) == pytest.approx(expected)


def test_the_median_of_an_even_number_is_the_ordinary_one():
    assert weighted_quantile(np.array([4.0, 1.0, 3.0, 2.0]), np.full(4, 0.5), 0.5) == 2.5


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match=r"share of 1\.2"):
        weighted_quantile(np.ones(2), np.ones(2), 1.2)
    with pytest.raises(ValueError, match="weight above 0"):
        weighted_quantile(np.ones(2), np.zeros(2), 0.5)
    with pytest.raises(ValueError, match="weight above 0"):
        weighted_quantile(np.array([]), np.array([]), 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_weights_without_ties_give_the_quantile_of_scipy(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.random(40), rng.random(40)
    for share in (0.1, 0.5, 0.9):
        theirs = stats.quantile(values, share, method="averaged_inverted_cdf", weights=weights)
        assert weighted_quantile(values, weights, share) == float(theirs)


def test_rounding_of_durations_decides_no_tie():
    values, weights = np.arange(40.0), np.full(40, 0.1)
    assert weighted_quantile(values, weights, 0.25) == 9.5
