"""Hemostasis events: from blood in view to a clear view, by hysteresis on the smoothed area."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.config import EventConfig
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.series import AreaSeries
from ubereport.metrics.smoothing import ROUNDING_S, Runs, runs_of_stretch

_MIN_LOOKS = 2


@dataclass(frozen=True, slots=True)
class _Span:
    """Runs ``[first, stop)`` of a stretch; `stop` is the run that the clearing starts with."""

    first: int
    stop: int
    is_cleared: bool


def detect_events(series: AreaSeries, config: EventConfig) -> tuple[HemostasisEvent, ...]:
    """Return the hemostasis events of a case, in time order and disjoint.

    An event opens where the smoothed area (`smooth_area`) reaches ``onset_frac`` and stays at or
    above it for ``min_duration_s``. It closes where the smoothed area falls below
    ``offset_frac`` and stays below it for ``clear_hold_s``; the first moment of that stay is the
    clearing. Between the two thresholds an open event stays open. Onset, peak and clearing are
    starts of samples.

    - A stay needs at least two samples, however long one of them stands for (a keyframe may stand
      for ten seconds).
    - Both stays are counted in evaluable seconds. The view may be lost for up to ``max_gap_s``
      without ending a stay or an event. A longer loss (`CensorReason.VIEW_LOST`), the change to
      the next part (`CensorReason.PART_ENDED`; the pause there may be longer than anybody knows)
      and the end of the recording (`CensorReason.RECORDING_ENDED`) censor the event, also while
      ``clear_hold_s`` is not yet complete. A stay above the onset threshold that is cut short in
      this way is no event.
    - An event that is open at the first evaluable moment of a part, or after such a long loss,
      has an onset that nobody saw.
    - Peak and severity are those of the smoothed area, so that one odd sample cannot raise them;
      mean area and area-time are those of the area as measured.
    - A re-bleed starts within ``rebleed_window_s`` of the latest clearing that was seen, also
      where an event without one lies between.

    Parameters
    ----------
    series
        The area of the case; samples may differ in duration.
    config
        Thresholds and times.
    """
    events: list[HemostasisEvent] = []
    for rows in series.stretches(config.max_gap_s, config.is_continuous):
        runs = runs_of_stretch(series, rows, config)
        ending = _ending(series, int(rows[-1]), config)
        for span in _spans(runs, config):
            events.append(_event(runs, span, ending, events, config))
    return tuple(events)


def severity_of(peak_area_frac: float, config: EventConfig) -> Severity:
    """Return the band of an event by its peak area."""
    if peak_area_frac >= config.major_frac:
        return Severity.MAJOR
    if peak_area_frac >= config.moderate_frac:
        return Severity.MODERATE
    return Severity.MINOR


def is_rebleed_after(
    before: Sequence[HemostasisEvent],
    onset_s: float,
    config: EventConfig,
    *,
    is_onset_observed: bool,
) -> bool:
    """Tell whether an event is a re-bleed, given the events `before` it in time order."""
    # Blood that is there when a lost view comes back may be the bleed that was open before.
    if not is_onset_observed and before and before[-1].is_censored:
        return False
    cleared_s = [event.clear_s for event in before if event.clear_s is not None]
    if not cleared_s:
        return False
    return onset_s - cleared_s[-1] <= config.rebleed_window_s + ROUNDING_S


def _spans(runs: Runs, config: EventConfig) -> Iterator[_Span]:
    is_above = (runs.smoothed_frac >= config.onset_frac).tolist()
    is_below = (runs.smoothed_frac < config.offset_frac).tolist()
    looks = list(zip(runs.duration_s.tolist(), runs.n_looks.tolist(), strict=True))
    # Hysteresis: an event opens with a long enough stay above the onset threshold and is closed by
    # a long enough one below the lower offset threshold; what happens between the two changes
    # nothing.
    at = 0
    while (first := _find_stay(is_above, looks, at, config.min_duration_s)) is not None:
        stop = _find_stay(is_below, looks, first + 1, config.clear_hold_s)
        # Open to the end of the stretch: what follows in it, another rise for instance, belongs to
        # this event.
        if stop is None:
            yield _Span(first, len(runs), is_cleared=False)
            return
        yield _Span(first, stop, is_cleared=True)
        # From the run after the one that the clearing starts with; that one lies below the offset
        # and cannot open anything.
        at = stop + 1


def _find_stay(
    is_inside: list[bool], looks: list[tuple[float, int]], at: int, stay_s: float
) -> int | None:
    """Return the first run from `at` on with which a stay of at least `stay_s` begins.

    One picture is no stay, however long it stands for: `looks` holds each run's seconds and how
    many samples it is made of.
    """
    first: int | None = None
    held_s, n_looks = 0.0, 0
    for i in range(at, len(is_inside)):
        if not is_inside[i]:
            first, held_s, n_looks = None, 0.0, 0
            continue
        if first is None:
            first = i
        held_s += looks[i][0]
        n_looks += looks[i][1]
        if held_s >= stay_s - ROUNDING_S and n_looks >= _MIN_LOOKS:
            return first
    return None


def _event(
    runs: Runs,
    span: _Span,
    ending: CensorReason,
    before: list[HemostasisEvent],
    config: EventConfig,
) -> HemostasisEvent:
    inside = slice(span.first, span.stop)
    smoothed, area_frac = runs.smoothed_frac[inside], runs.area_frac[inside]
    duration_s = runs.duration_s[inside]
    # Of equal smoothed areas the sample that itself shows most blood is the picture to keep.
    peak = int(np.lexsort((-area_frac, -smoothed))[0])
    onset_s = float(runs.start_s[span.first])
    clear_s = float(runs.start_s[span.stop]) if span.is_cleared else None
    # The first run of a stretch has nothing before it: blood was there when the view came.
    is_onset_observed = span.first > 0
    area_time_frac_s = float(np.sum(area_frac * duration_s))
    return HemostasisEvent(
        onset_s=onset_s,
        is_onset_observed=is_onset_observed,
        peak_s=float(runs.start_s[span.first + peak]),
        peak_area_frac=float(smoothed[peak]),
        end_s=float(runs.end_s[-1]) if clear_s is None else clear_s,
        clear_s=clear_s,
        censor_reason=CensorReason.NONE if span.is_cleared else ending,
        mean_area_frac=area_time_frac_s / float(duration_s.sum()),
        area_time_frac_s=area_time_frac_s,
        is_rebleed=is_rebleed_after(before, onset_s, config, is_onset_observed=is_onset_observed),
        severity=severity_of(float(smoothed[peak]), config),
    )


def _ending(series: AreaSeries, row: int, config: EventConfig) -> CensorReason:
    """Return what ends the stretch of view whose last row is `row`."""
    n_pauses = series.paused_before(config.is_continuous)
    # What is lost counts up to the next pause, or to the end of the recording. Where that is too
    # short to end a view, the part ended, or the recording if nothing comes after it.
    next_row = int(np.searchsorted(n_pauses, n_pauses[row], side="right"))
    is_last = next_row == len(n_pauses)
    until_s = series.end_time_s[-1] if is_last else series.time_s[next_row]
    if until_s - series.end_time_s[row] > config.max_gap_s + ROUNDING_S:
        return CensorReason.VIEW_LOST
    return CensorReason.RECORDING_ENDED if is_last else CensorReason.PART_ENDED
