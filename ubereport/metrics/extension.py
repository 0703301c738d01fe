"""Metrics of one's own: a small function each, in a package that registers it by entry point.

They see the same frozen `CaseInput` as the program's own metrics. One that fails has no value and
says why; the case is kept.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ubereport.core.extensions import installed_extensions
from ubereport.core.metrics import Direction, MetricSpec, MetricValue
from ubereport.core.validation import json_value
from ubereport.metrics.case_input import CaseInput, Measurement, Metric

GROUP = "ubereport.metrics"
FAILED = "failed on this case"
_KEY = re.compile(r"[a-z][a-z0-9_]{0,79}")


@dataclass(frozen=True, slots=True)
class AddedMetrics:
    """Metrics of installed packages, where each comes from, and what was left out and why."""

    metrics: tuple[Metric, ...]
    origins: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]


def metric(
    *,
    title: str,
    unit: str,
    definition: str,
    direction: Direction | str = Direction.NEUTRAL,
    lower_bound: float | None = 0.0,
    upper_bound: float | None = None,
    has_band: bool = True,
) -> Callable[[Callable[[CaseInput], Measurement]], Metric]:
    """Make a metric of a function; its key in every file is the name of the function.

    Parameters
    ----------
    title, definition
        What it is called, and one sentence that says what it is.
    unit
        UCUM; "1" for a fraction or a count, "s" for seconds. A share has `upper_bound` 1.
    direction
        "lower_is_better", "higher_is_better" or "neutral".
    lower_bound, upper_bound
        Between which it lies; a value beyond them counts as a failure.
    has_band
        Whether it depends on the probability threshold and is computed at the neighbors, too.

    Examples
    --------
    >>> @metric(title="Looks", unit="1", definition="Pictures that were judged.", has_band=False)
    ... def look_count(case: CaseInput) -> Measurement:
    ...     n = int(case.series.is_valid.sum())
    ...     return Measurement(float(n), n, case.coverage_frac)
    >>> look_count.spec.key
    'look_count'
    """

    def decorate(measure: Callable[[CaseInput], Measurement]) -> Metric:
        spec = MetricSpec(
            measure.__name__, title, unit, definition, Direction(direction), lower_bound,
            upper_bound,
        )  # fmt: skip
        return Metric(spec, measure, has_band)

    return decorate


@functools.cache
def added_metrics(taken: frozenset[str]) -> AddedMetrics:
    """Return the metrics of installed packages; keys in `taken` are the program's own."""
    metrics: dict[str, Metric] = {}
    origins, problems = [], []
    for extension in installed_extensions(GROUP):
        metric, problem = extension.value, extension.problem
        if not problem and not isinstance(metric, Metric):
            problem = "it is no metric made by ubereport.metric"
        elif isinstance(metric, Metric):
            key = metric.spec.key
            if key in taken or key in metrics:
                problem = f"another metric is called {key}, too"
            elif not _KEY.fullmatch(key):
                problem = "its name is not of small letters, digits and _"
            else:
                metrics[key] = _guarded(metric, extension.origin)
                origins.append(f"{key} ({extension.origin})")
        if problem:
            problems.append((extension.told, problem))
    return AddedMetrics(tuple(metrics.values()), tuple(origins), tuple(problems))


def _guarded(metric: Metric, origin: str) -> Metric:
    """Let a metric say that it failed, by the kind of its error, instead of ending the case."""

    def measure(case: CaseInput) -> Measurement:
        try:
            answer = metric.measure(case)
            _check(answer, metric.spec)
        # A metric that leaves Python altogether must not take a night's batch along.
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- somebody else's code
            why = f"{origin} {FAILED} ({type(error).__name__})"
            return Measurement(None, 0, case.coverage_frac, why)
        return answer

    return replace(metric, measure=measure)


def _check(answer: Measurement, spec: MetricSpec) -> None:
    """Raise ValueError or AttributeError unless the answer can stand in a record."""
    value = answer.value
    # Written once as the record will be: what cannot be stored fails here, where it is known whose
    # fault it is, and not when a finished case is published.
    json_value(
        MetricValue(spec.key, spec.unit, value, answer.reason, answer.n, answer.coverage_frac)
    )
    low = -float("inf") if spec.lower_bound is None else spec.lower_bound
    high = float("inf") if spec.upper_bound is None else spec.upper_bound
    if value is not None and not low <= value <= high:
        raise ValueError(f"{spec.key} is {value}; allowed: {low} to {high}")
