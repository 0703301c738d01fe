"""The measured view against what surgeons rated, and against what happened after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ubereport.cohort.audit_results import Agreement, OutcomeRelation, RatingCell
from ubereport.cohort.wording import list_text, p_text
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.covariates import ColumnKind, CovariateColumn
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.agreement import KAPPA_METHOD, weighted_kappa
from ubereport.statistics.correlation import spearman, spearman_p_value
from ubereport.statistics.estimates import Estimate, TestResult
from ubereport.statistics.ranks import cliff_delta, holm, mann_whitney

# Own, unvalidated visibility bands over the share of impaired time: 0 below 5 %, 1 below 20 %,
# 2 below 50 %, 3 from 50 % on. No clinical grade.
BAND_EDGES = (0.05, 0.20, 0.50)
_BANDED = "impaired_share_"
_MIN_RATED = 10
_MIN_CASES = 5


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
        _rating_reading(rho, kappa, column, spec),
    )


def _kappa_of_bands(
    rated: FloatArray, bands: IntArray, spec: MetricSpec, confidence: float
) -> Estimate:
    reason = ""
    if not spec.key.startswith(_BANDED):
        title = f"{spec.title[0].lower()}{spec.title[1:]}"
        reason = f"the bands are those of the impaired share; {title} has none"
    elif len(rated) < _MIN_RATED:
        reason = f"fewer than {_MIN_RATED} rated cases"
    elif not set(rated.tolist()) <= set(range(len(BAND_EDGES) + 1)):
        reason = "the rating is not on the scale 0 (clear) to 3 (bad); only ranks are compared"
    if reason:
        return Estimate(None, None, None, KAPPA_METHOD, reason, confidence)
    n_levels = len(BAND_EDGES) + 1
    table = np.zeros((n_levels, n_levels))
    np.add.at(table, (rated.astype(np.int64), bands), 1)
    return weighted_kappa(table, confidence)


def _rating_reading(rho: Estimate, kappa: Estimate, column: str, spec: MetricSpec) -> str:
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


def outcome_relation(
    outcome: Sequence[float], values: Sequence[float], column: CovariateColumn, spec: MetricSpec,
    confidence: float = 0.95,
) -> OutcomeRelation:  # fmt: skip
    """Relate a metric to an outcome over the n cases that have both.

    A number: Spearman's correlation. A flag: Cliff's delta of the metric, cases with against
    cases without, and the Mann–Whitney test.
    """
    y, x = np.asarray(outcome, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if column.kind is ColumnKind.FLAG:
        measure = "Cliff's delta, cases with against cases without"
        estimate, test = _of_flag(y, x, confidence)
    else:
        measure = "Spearman correlation"
        estimate = spearman(x, y, confidence)
        test = TestResult(measure, None, reason=estimate.reason or "no p-value")
        if estimate.value is not None:
            test = TestResult(measure, spearman_p_value(x, y), estimate.value)
    return OutcomeRelation(column.name, spec.key, len(y), measure, estimate, test, "")


def _of_flag(
    outcome: FloatArray,
    values: FloatArray,
    confidence: float,
) -> tuple[Estimate, TestResult]:
    present, absent = values[outcome == 1], values[outcome == 0]
    test = mann_whitney(present, absent, _MIN_CASES)
    if min(len(present), len(absent)) < 2:
        reason = f"{len(present)} cases with and {len(absent)} without: too few"
        return Estimate(None, None, None, "Cliff's delta", reason, confidence), test
    return cliff_delta(present, absent, confidence), test


def with_holm_outcomes(
    relations: Sequence[OutcomeRelation], titles: dict[str, str]
) -> tuple[OutcomeRelation, ...]:
    """Correct the p-values of all relations together and put each into a sentence."""
    adjusted = holm([relation.test.p_value for relation in relations])
    n = sum(p is not None for p in adjusted)
    family = "outcome relations, 1 test" if n == 1 else f"outcome relations, {n} tests"
    corrected = [
        replace(r, test=replace(r.test, p_holm=p, family=family))
        for r, p in zip(relations, adjusted, strict=True)
    ]
    return tuple(replace(r, reading=_outcome_reading(r, titles)) for r in corrected)


def _outcome_reading(relation: OutcomeRelation, titles: dict[str, str]) -> str:
    head = (
        f"{titles.get(relation.column, relation.column)} and "
        f"{titles.get(relation.metric_key, relation.metric_key)}, {relation.n_cases} cases: "
    )
    estimate = relation.estimate
    if estimate.value is None:
        return f"{head}no figure, {estimate.reason}."
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = (
            f" ({100 * estimate.confidence:.0f} % interval {estimate.low:+.2f} to "
            f"{estimate.high:+.2f})"
        )
    p_value = relation.test.p_holm
    certainty = relation.test.reason if p_value is None else p_text(p_value)
    text = f"{head}{relation.measure} {estimate.value:+.2f}{interval}; {certainty}."
    return text.replace("-", "−")
