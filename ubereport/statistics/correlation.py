"""Spearman's rank correlation, with its interval and its test."""

from __future__ import annotations

import math

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.statistics.estimates import Estimate

_MIN_CASES = 10
_METHOD = "Spearman correlation, interval by Bonett and Wright"


def rank_correlation(x: FloatArray, y: FloatArray) -> float | None:
    """Return Spearman's correlation, ties at their mean rank; None where one does not vary."""
    from scipy import stats  # evaluations are loaded without it

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def spearman(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the rank correlation with an interval by Fisher's z and Bonett and Wright's error.

    Source: Bonett and Wright, Psychometrika 2000;65:23: standard error
    ``sqrt((1 + r² / 2) / (n − 3))``.
    """
    from ubereport.statistics.distributions import normal_reach

    if len(x) < _MIN_CASES:
        reason = f"fewer than {_MIN_CASES} cases with both"
        return Estimate(None, None, None, _METHOD, reason, confidence)
    r = rank_correlation(x, y)
    if r is None:
        reason = "one of the two is the same in all cases"
        return Estimate(None, None, None, _METHOD, reason, confidence)
    # Fisher's z of a perfect order is infinite, and so would be both limits.
    if abs(r) > 1 - 1e-12:
        return Estimate(r, None, None, _METHOD, "perfect order", confidence)
    reach = normal_reach(confidence) * math.sqrt((1 + r**2 / 2) / (len(x) - 3))
    low, high = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    return Estimate(r, low, high, _METHOD, "", confidence)


def spearman_p_value(x: FloatArray, y: FloatArray) -> float:
    """Return the two-sided p-value of no rank correlation."""
    from scipy import stats

    return float(stats.spearmanr(x, y).pvalue)
