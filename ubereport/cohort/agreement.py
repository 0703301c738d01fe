"""Agreement of a surgeon's rating with the measured view: weighted kappa and Spearman."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ubereport.cohort.audit_results import Agreement, RatingCell
from ubereport.cohort.wording import list_text
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.agreement import KAPPA_METHOD, weighted_kappa
from ubereport.statistics.correlation import spearman
from ubereport.statistics.estimates import Estimate

# Own, unvalidated visibility bands over the share of impaired time: 0 below 5 %, 1 below 20 %,
# 2 below 50 %, 3 from 50 % on. No clinical grade.
BAND_EDGES = (0.05, 0.20, 0.50)
_BANDED = "impaired_share_"
_MIN_CASES = 10


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
        return Estimate(None, None, None, KAPPA_METHOD, reason, confidence)
    n_levels = len(BAND_EDGES) + 1
    table = np.zeros((n_levels, n_levels))
    np.add.at(table, (rated.astype(np.int64), bands), 1)
    return weighted_kappa(table, confidence)


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
