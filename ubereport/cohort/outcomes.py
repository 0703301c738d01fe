"""The measured view against what happened after: outcome columns of the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ubereport.cohort.audit_results import OutcomeRelation
from ubereport.cohort.wording import p_text
from ubereport.core.arrays import FloatArray
from ubereport.core.covariates import ColumnKind, CovariateColumn
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.correlation import spearman, spearman_p_value
from ubereport.statistics.estimates import Estimate, TestResult
from ubereport.statistics.ranks import cliff_delta, holm, mann_whitney

_MIN_CASES = 5


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
    return tuple(replace(r, reading=_reading(r, titles)) for r in corrected)


def _reading(relation: OutcomeRelation, titles: dict[str, str]) -> str:
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
