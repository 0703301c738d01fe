"""Quantiles of values that stand for stretches of time of different length."""

from __future__ import annotations

import numpy as np

from ubereport.core.arrays import FloatArray


def weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    """Return the value below which `share` of the weight lies.

    Where a value ends exactly at `share`, the mean of it and the next one is returned, so that
    the median of equal weights is the ordinary median (definition 2 of Hyndman and Fan, Am Stat
    1996;50:361, with weights).

    Parameters
    ----------
    values, weights
        (n,) float64; weights are not negative and not all zero.
    share
        0..1.

    Raises
    ------
    ValueError
        If there is no weight at all, or `share` lies outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share of {share}; allowed: 0 to 1")
    counted = weights > 0
    if not counted.any():
        raise ValueError("a quantile needs at least one value with a weight above 0")
    order = np.argsort(values[counted], kind="stable")
    ordered = values[counted][order]
    below = np.cumsum(weights[counted][order])
    # Sums of durations such as 0.1 s miss by rounding the share that they stand for, which would
    # decide between one value and the mean of two.
    target, rounding = share * below[-1], 1e-9 * below[-1]
    last = len(ordered) - 1
    lower = min(int(np.searchsorted(below, target - rounding)), last)
    upper = min(int(np.searchsorted(below, target + rounding)), last)
    return float((ordered[lower] + ordered[upper]) / 2)
