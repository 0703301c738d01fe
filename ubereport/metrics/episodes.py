"""Metrics of the hemostasis events; one pure function each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ubereport.core.events import HemostasisEvent, Severity
from ubereport.metrics.case_input import CaseInput, Measurement, needs_a_view
from ubereport.statistics.survival import kaplan_meier

_NO_TIME_S = 1e-6


@needs_a_view
def count(
    case: CaseInput, is_counted: Callable[[HemostasisEvent], bool] = lambda _: True
) -> Measurement:
    """Count the events that `is_counted` accepts; None without evaluable time."""
    return _of_events(case, float(sum(1 for event in case.events if is_counted(event))))


def severity_count(case: CaseInput, severity: Severity) -> Measurement:
    """Count the events of one severity band."""
    return count(case, lambda event: event.severity is severity)


@needs_a_view
def at_risk(case: CaseInput) -> Measurement:
    """Seconds at risk: evaluable time outside events, in which one could begin."""
    return _of_events(case, max(0.0, case.series.evaluable_s - _inside_s(case)))


@needs_a_view
def rate_per_10min(case: CaseInput) -> Measurement:
    """Events that began in view per ten minutes at risk.

    Time inside events is no exposure, since none can begin there: over all time the rate of a
    case would fall the longer it bleeds. Events whose onset nobody saw began outside that time.
    """
    # Evaluable seconds inside, not the span of the events: time to which nobody can look is no
    # exposure on either side.
    at_risk_s = case.series.evaluable_s - _inside_s(case)
    if at_risk_s <= _NO_TIME_S:
        reason = "no time at risk: all evaluable time lies inside events"
        return Measurement(None, len(case.events), case.coverage_frac, reason)
    n_begun = sum(1 for event in case.events if event.is_onset_observed)
    return _of_events(case, n_begun * 600 / at_risk_s)


@needs_a_view
def event_share(case: CaseInput) -> Measurement:
    """Share of the evaluable time that lies inside events."""
    # Two sums of the same durations, added up in another order, may differ by rounding.
    return _of_events(case, min(1.0, _inside_s(case) / case.series.evaluable_s))


def _inside_s(case: CaseInput) -> float:
    series = case.series
    start_s, end_s = series.time_s[series.is_valid], series.end_time_s[series.is_valid]
    return sum(
        float(np.clip(np.minimum(end_s, e.end_s) - np.maximum(start_s, e.onset_s), 0, None).sum())
        for e in case.events
    )


@needs_a_view
def peak_median(case: CaseInput) -> Measurement:
    """Median of the peak areas."""
    if not case.events:
        return _no_events(case)
    return _of_events(case, float(np.median([event.peak_area_frac for event in case.events])))


@needs_a_view
def peak_largest(case: CaseInput) -> Measurement:
    """Return the largest peak area of all events."""
    if not case.events:
        return _no_events(case)
    return _of_events(case, max(event.peak_area_frac for event in case.events))


@needs_a_view
def time_to_clear_quantile(case: CaseInput, share: float) -> Measurement:
    """Time by which `share` of the events are cleared, from the Kaplan–Meier curve."""
    curve = kaplan_meier(case.events)
    if curve.n_events == 0:
        return _no_events(case)
    value = curve.cleared_by_share_s(share)
    reason = (
        ""
        if value is not None
        else f"fewer than {100 * share:.0f} % of the events are seen to clear"
    )
    return Measurement(value, curve.n_events, case.coverage_frac, reason)


@needs_a_view
def cleared_share(case: CaseInput, time_s: float) -> Measurement:
    """Share of events cleared within `time_s` of onset, from the Kaplan–Meier curve."""
    curve = kaplan_meier(case.events)
    if curve.n_events == 0:
        return _no_events(case)
    value = curve.cleared_share_at(time_s)
    reason = "" if value is not None else f"no event was followed for {time_s:g} s"
    return Measurement(value, curve.n_events, case.coverage_frac, reason)


def _of_events(case: CaseInput, value: float) -> Measurement:
    return Measurement(value, len(case.events), case.coverage_frac)


def _no_events(case: CaseInput) -> Measurement:
    reason = "no event has an onset that was seen" if case.events else "no event"
    return Measurement(None, 0, case.coverage_frac, reason)
