"""What a metric is computed from, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricSpec
from ubereport.core.series import AreaSeries

P = ParamSpec("P")
NOTHING_RECORDED = "nothing was recorded"
NO_EVALUABLE_TIME = "no evaluable time"
TISSUE_NOT_MEASURED = "area over tissue was not measured"
NO_TISSUE_IN_VIEW = "instruments filled the view"


@dataclass(frozen=True, slots=True)
class CaseInput:
    """One case at one probability threshold, as every metric sees it.

    `coverage_frac` is that of the series, counted once for all metrics.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.as_input().series.coverage_frac  # doctest: +SKIP
    """

    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    event_config: EventConfig
    metric_config: MetricConfig
    coverage_frac: float | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The answer of a metric: a value, or None and the reason; see `MetricValue`.

    Examples
    --------
    >>> Measurement(None, 0, 0.9, "no events").reason
    'no events'
    """

    value: float | None
    n: int
    coverage_frac: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the registry.

    `has_band` tells whether its value depends on the probability threshold and is therefore
    computed again at the neighboring ones.
    """

    spec: MetricSpec
    measure: Callable[[CaseInput], Measurement]
    has_band: bool = True


def needs_a_view(
    measure: Callable[Concatenate[CaseInput, P], Measurement],
) -> Callable[Concatenate[CaseInput, P], Measurement]:
    """Let a metric say, of a case without evaluable time, why it has no value there."""

    @wraps(measure)
    def answer(case: CaseInput, /, *args: P.args, **kwargs: P.kwargs) -> Measurement:
        if case.series.is_valid.any():
            return measure(case, *args, **kwargs)
        reason = NOTHING_RECORDED if case.coverage_frac is None else NO_EVALUABLE_TIME
        return Measurement(None, 0, case.coverage_frac, reason)

    return answer
