"""How far two measurements of one thing agree: weighted kappa, limits of agreement."""

from __future__ import annotations

import math

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.statistics.estimates import Estimate

KAPPA_METHOD = "weighted kappa, quadratic weights, large-sample interval (Fleiss, Cohen, Everitt)"


def weighted_kappa(table: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return Cohen's kappa of a (k, k) table of counts, disagreement weighted by its square.

    Source: Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323, equation 8.
    """
    from ubereport.statistics.distributions import normal_reach  # loads SciPy

    n, k = float(table.sum()), len(table)
    share = table / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    steps = np.subtract.outer(np.arange(k), np.arange(k)).astype(np.float64)
    weight = 1 - (steps / (k - 1)) ** 2
    observed, expected = float(np.sum(weight * share)), float(rows @ weight @ columns)
    # Everybody gave one answer throughout: agreement by chance is whole, and kappa 0 / 0.
    if math.isclose(expected, 1.0):
        reason = "all ratings and all measurements are alike"
        return Estimate(None, None, None, KAPPA_METHOD, reason, confidence)
    kappa = (observed - expected) / (1 - expected)
    marginal = np.add.outer(weight @ columns, rows @ weight)
    spread = np.sum(share * (weight - marginal * (1 - kappa)) ** 2)
    variance = (spread - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    reach = normal_reach(confidence) * math.sqrt(max(float(variance), 0.0))
    low, high = max(kappa - reach, -1.0), min(kappa + reach, 1.0)
    return Estimate(kappa, low, high, KAPPA_METHOD, "", confidence)


def limits_of_agreement(
    differences: FloatArray, weights: FloatArray | None = None
) -> tuple[float, float] | None:
    """Return mean ± 1.96 standard deviations (Bland and Altman); None for fewer than two.

    With `weights`, such as seconds that a difference lasts, both are weighted; they count
    everything there is, so that the deviation is that of a population.
    """
    if len(differences) < 2:
        return None
    bias = float(np.average(differences, weights=weights))
    if weights is None:
        spread = float(differences.std(ddof=1))
    else:
        spread = float(np.sqrt(np.average((differences - bias) ** 2, weights=weights)))
    return bias - 1.96 * spread, bias + 1.96 * spread
