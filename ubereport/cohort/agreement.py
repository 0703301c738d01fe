"""Agreement of a surgeon's rating with the measured view: weighted kappa and Spearman."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from ubereport.cohort.audit_results import Agreement, RatingCell
from ubereport.cohort.wording import list_text
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.estimates import Estimate

__all__ = ["BAND_EDGES", "rating_agreement", "spearman", "weighted_kappa"]

# Own, unvalidated visibility bands over the share of impaired time: 0 below 5 %, 1 below 20 %,
# 2 below 50 %, 3 from 50 % on. No clinical grade.
BAND_EDGES = (0.05, 0.20, 0.50)
_BANDED = "impaired_share_"
_MIN_CASES = 10
_KAPPA_METHOD = "weighted kappa, quadratic weights, large-sample interval (Fleiss, Cohen, Everitt)"
_SPEARMAN_METHOD = "Spearman correlation, interval by Bonett and Wright"


def rating_agreement(
    ratings: Sequence[float], values: Sequence[float], column: str, spec: MetricSpec,
    confidence: float = 0.95,
) -> Agreement:  # fmt: skip
    """Compare ratings, larger meaning worse, with a metric; bands are for impaired shares only.

    Parameters
    ----------
    ratings, values
        n each, only cases that have both.
    column
        Manifest column of the rating; spoken of in the reading.
    """
    rated = np.asarray(ratings, dtype=np.float64)
    measured = np.asarray(values, dtype=np.float64)
    bands = np.digitize(measured, BAND_EDGES)
    cells = tuple(
        RatingCell(int(rating), band, int(np.sum((rated == rating) & (bands == band))))
        for rating in np.unique(rated)
        for band in range(len(BAND_EDGES) + 1)
    )
    kappa = _kappa_of_bands(rated, bands, spec, confidence)
    rho = spearman(rated, measured, confidence)
    return Agreement(
        column,
        spec.key,
        len(rated),
        BAND_EDGES,
        cells,
        kappa,
        rho,
        _reading(rho, kappa, column, spec),
    )


def _kappa_of_bands(
    rated: FloatArray, bands: IntArray, spec: MetricSpec, confidence: float
) -> Estimate:
    reason = ""
    if not spec.key.startswith(_BANDED):
        title = f"{spec.title[0].lower()}{spec.title[1:]}"
        reason = f"the bands are those of the impaired share; {title} has none"
    elif len(rated) < _MIN_CASES:
        reason = f"fewer than {_MIN_CASES} rated cases"
    elif not set(rated.tolist()) <= set(range(len(BAND_EDGES) + 1)):
        reason = "the rating is not on the scale 0 (clear) to 3 (bad); only ranks are compared"
    if reason:
        return Estimate(None, None, None, _KAPPA_METHOD, reason, confidence)
    n_levels = len(BAND_EDGES) + 1
    table = np.zeros((n_levels, n_levels))
    np.add.at(table, (rated.astype(np.int64), bands), 1)
    return weighted_kappa(table, confidence)


def weighted_kappa(table: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return Cohen's kappa of a (k, k) table of counts, disagreement weighted by its square.

    Source: Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323, equation 8.
    """
    n, k = float(table.sum()), len(table)
    share = table / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    steps = np.subtract.outer(np.arange(k), np.arange(k)).astype(np.float64)
    weight = 1 - (steps / (k - 1)) ** 2
    observed, expected = float(np.sum(weight * share)), float(rows @ weight @ columns)
    if math.isclose(expected, 1.0):
        reason = "all ratings and all measurements are alike"
        return Estimate(None, None, None, _KAPPA_METHOD, reason, confidence)
    kappa = (observed - expected) / (1 - expected)
    marginal = np.add.outer(weight @ columns, rows @ weight)
    spread = np.sum(share * (weight - marginal * (1 - kappa)) ** 2)
    variance = (spread - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt(max(float(variance), 0.0))
    low, high = max(kappa - reach, -1.0), min(kappa + reach, 1.0)
    return Estimate(kappa, low, high, _KAPPA_METHOD, "", confidence)


def spearman(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the rank correlation with an interval by Fisher's z and Bonett and Wright's error.

    Source: Bonett and Wright, Psychometrika 2000;65:23: standard error
    ``sqrt((1 + r² / 2) / (n − 3))``.
    """
    reason = ""
    if len(x) < _MIN_CASES:
        reason = f"fewer than {_MIN_CASES} cases with both"
    elif np.ptp(x) == 0 or np.ptp(y) == 0:
        reason = "one of the two is the same in all cases"
    if reason:
        return Estimate(None, None, None, _SPEARMAN_METHOD, reason, confidence)
    r = float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    if abs(r) > 1 - 1e-12:
        return Estimate(r, None, None, _SPEARMAN_METHOD, "perfect order: no interval", confidence)
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt((1 + r**2 / 2) / (len(x) - 3))
    low, high = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    return Estimate(r, low, high, _SPEARMAN_METHOD, "", confidence)


def _reading(rho: Estimate, kappa: Estimate, column: str, spec: MetricSpec) -> str:
    if rho.value is None:
        return f"{column} against {spec.title}: no figure, {rho.reason}."
    parts = [_estimate_text("Spearman", rho)]
    if kappa.value is not None:
        parts.append(_estimate_text("weighted kappa", kappa))
    text = f"{column} against {spec.title}: {list_text(parts)}."
    if kappa.value is None:
        text += f" No weighted kappa: {kappa.reason}."
    return text


def _estimate_text(name: str, estimate: Estimate) -> str:
    text = f"{name} {estimate.value:.2f}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ({estimate.confidence:.0%} interval {estimate.low:.2f} to {estimate.high:.2f})"
    return text.replace("%", " %").replace("-", "−")
