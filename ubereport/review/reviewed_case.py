"""A case as people left it: pure functions from the measured case and its journal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.errors import ReviewError
from ubereport.core.events import CensorReason, HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries, Threshold
from ubereport.metrics.event_detection import is_rebleed_after, severity_of
from ubereport.metrics.registry import compute_metrics
from ubereport.metrics.smoothing import ROUNDING_S, smooth_area
from ubereport.review.estimated_areas import SaidAreas, with_estimates
from ubereport.review.journal import Journal
from ubereport.review.reviewed_series import (
    area_marked,
    cut_rows,
    lost_marked,
    row_at,
    sample_marked,
)
from ubereport.review.spans import EventSpan, StaleStroke, Verdict, measured_spans, stroke_spans
from ubereport.review.strokes import Action, Stroke

_HEADLINE_FRAC = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Series and spans after one reviewer's standing strokes; fields as in `ReviewedCase`.

    `said` tells of which time of the series the area is a person's word.
    """

    series: AreaSeries
    said: SaidAreas
    spans: tuple[EventSpan, ...]
    stale: tuple[StaleStroke, ...]
    is_finished: bool


@dataclass(frozen=True, slots=True, eq=False)
class ReviewedCase:
    """What one reviewer made of a case.

    Parameters
    ----------
    reviewer
        Whose review it is.
    series, events, metrics
        As after the review. Metrics that rest on events alone have a band without width: a person
        decided which they are, so that the same ones stand at every threshold of the model.
    is_estimated
        (n,) rows of the series whose area nobody said and no model measured: it is carried from
        moments of the same event at which the person said it (`estimated_areas`).
    spans
        All events that were ever under review, the struck ones too.
    stale
        Strokes that no longer fit the measured case and must be looked at again.
    is_finished
        Whether the reviewer said that the whole case was seen.
    """

    reviewer: str
    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    metrics: tuple[MetricValue, ...]
    is_estimated: BoolArray
    spans: tuple[EventSpan, ...]
    stale: tuple[StaleStroke, ...]
    is_finished: bool

    @property
    def estimated_s(self) -> float:
        """Seconds whose area is estimated."""
        return float(self.series.duration_s[self.is_estimated].sum())

    @property
    def n_open(self) -> int:
        """How many measured events nothing was said of yet."""
        return sum(span.verdict is Verdict.OPEN for span in self.spans)

    @property
    def is_complete(self) -> bool:
        """Whether its numbers may stand for the case: everything decided, nothing stale.

        A case without events is complete where the reviewer said that it was seen whole.
        """
        if self.stale or self.n_open:
            return False
        return self.is_finished or any(span.is_measured for span in self.spans)

    def count(self, verdict: Verdict) -> int:
        """How many events have `verdict`."""
        return sum(span.verdict is verdict for span in self.spans)

    def metric(self, key: str) -> MetricValue:
        """Return the metric called `key`; raise KeyError if there is none of that name."""
        return next(value for value in self.metrics if value.key == key)


def reviewed_by(
    reviewer: str,
    journal: Journal,
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    event_config: EventConfig,
    metric_config: MetricConfig,
) -> ReviewedCase:
    """Replay one reviewer's standing strokes on the measured case.

    Strokes are replayed in the order in which they were made, so that a later one holds where two
    speak of the same time. One that no longer fits (the case was measured anew, by another model)
    changes nothing and is listed as stale.
    """
    replay = replayed(reviewer, journal, series, events)
    reviewed, is_estimated = with_estimates(
        replay.series, series, replay.spans, replay.said, events, event_config
    )
    # Events that nobody touched keep the very numbers of the record, not ones measured again that
    # differ by rounding.
    counted = _as_measured(_events(reviewed, replay.spans, event_config), events)
    # A person decided on events: at every threshold of the model the same ones stand.
    by_threshold = dict.fromkeys(Threshold, counted)
    return ReviewedCase(
        reviewer=reviewer,
        series=reviewed,
        events=counted,
        metrics=compute_metrics(reviewed, by_threshold, event_config, metric_config),
        is_estimated=is_estimated,
        spans=replay.spans,
        stale=replay.stale,
        is_finished=replay.is_finished,
    )


def replayed(
    reviewer: str, journal: Journal, series: AreaSeries, events: Sequence[HemostasisEvent]
) -> Replay:
    """Replay one reviewer's standing strokes, without measuring what came of them."""
    # Strokes are played in the order in which they were made, each on what the ones before left.
    # One that finds nothing it speaks of (the case was measured anew) is set aside and told, never
    # guessed at.
    spans = measured_spans(events)
    # Nobody says of a picture what lies on instruments: reviewed areas are areas of the view.
    reviewed, said = replace(series, area_frac_of_tissue=None), SaidAreas()
    stale: list[StaleStroke] = []
    is_finished = False
    for line, stroke in journal.standing(reviewer):
        try:
            after = stroke_spans(spans, stroke)
        except ReviewError:
            stale.append(StaleStroke(line, stroke.action, _where_s(stroke)))
            continue
        struck = _struck(spans, after) if stroke.action is Action.STRIKE else ()
        reviewed = _stroke_series(reviewed, stroke, struck)
        said = _stroke_said(said, stroke, struck, reviewed)
        spans = after
        is_finished = is_finished or stroke.action is Action.FINISH
    reviewed = _with_bounds(reviewed, spans)
    # Last of all, since any later stroke may have called the time of an event lost.
    spans = tuple(_struck_where_lost(reviewed, span) for span in spans)
    return Replay(reviewed, said, spans, tuple(stale), is_finished)


def open_spans_by_effect(case: ReviewedCase) -> tuple[EventSpan, ...]:
    """Return the events that nothing was said of, those first that move the headline most."""
    waiting = [span for span in case.spans if span.verdict is Verdict.OPEN]
    return tuple(sorted(waiting, key=lambda span: (-_weight(case.series, span), span.onset_s)))


def headline_effect_s(series: AreaSeries, span: EventSpan) -> float:
    """Return the seconds with at least 20 % of the view obscured that lie inside an event."""
    is_impaired = series.is_valid & (series.area_frac >= _HEADLINE_FRAC)
    return float(np.sum(_inside_s(series, span.interval)[is_impaired]))


def _weight(series: AreaSeries, span: EventSpan) -> float:
    """Headline seconds first; among events without any, the one that adds most area."""
    inside_s = _inside_s(series, span.interval)
    # A thousandth of it puts events without headline seconds in order, and hardly ever passes one
    # that has some.
    area_time = float(np.sum(inside_s * np.nan_to_num(series.area_frac)))  # lost rows weigh 0
    return headline_effect_s(series, span) + 1e-3 * area_time


def _inside_s(series: AreaSeries, interval: Interval) -> FloatArray:
    """(n,) seconds of each row inside `interval`; 0 where the view was lost."""
    overlap_s = np.minimum(series.end_time_s, interval.end_s) - np.maximum(
        series.time_s, interval.start_s
    )
    return np.where(series.is_valid, np.maximum(overlap_s, 0.0), 0.0)


def _where_s(stroke: Stroke) -> float:
    interval = stroke.event or stroke.stretch
    if interval is not None:
        return interval.start_s
    return 0.0 if stroke.time_s is None else stroke.time_s


def _struck(before: tuple[EventSpan, ...], after: tuple[EventSpan, ...]) -> tuple[Interval, ...]:
    """Return where events stood before and stand no more."""
    return tuple(
        old.interval
        for old in before
        if old.is_standing
        and not any(new.is_standing and new.interval == old.interval for new in after)
    )


def _stroke_series(series: AreaSeries, stroke: Stroke, struck: tuple[Interval, ...]) -> AreaSeries:
    """Return the series after one stroke; an event that was struck shows no blood."""
    for interval in struck:
        series = area_marked(series, interval, 0.0)
    if stroke.stretch is not None and stroke.action is Action.NOT_BLOOD:
        return area_marked(series, stroke.stretch, 0.0)
    if stroke.stretch is not None and stroke.action is Action.VIEW_LOST:
        return lost_marked(series, stroke.stretch)
    if stroke.area_frac is None:
        return series
    if stroke.stretch is not None:
        return area_marked(series, stroke.stretch, stroke.area_frac)
    if stroke.time_s is not None:
        return sample_marked(series, stroke.time_s, stroke.area_frac)
    return series


def _stroke_said(
    said: SaidAreas, stroke: Stroke, struck: tuple[Interval, ...], series: AreaSeries
) -> SaidAreas:
    """Note of which time a stroke says the area; an added event has none until it is said."""
    for interval in struck:
        said = said.with_stretch(interval)
    if stroke.stretch is not None:
        if stroke.action is Action.ADD:
            return said.without(stroke.stretch)
        return said.with_stretch(stroke.stretch)
    if stroke.area_frac is None or stroke.time_s is None:
        return said
    row = row_at(series, stroke.time_s)
    if row is None or not series.is_valid[row]:
        return said
    said = said.with_stretch(Interval(float(series.time_s[row]), float(series.end_time_s[row])))
    return said.with_moment(stroke.time_s) if stroke.action is Action.AREA else said


def _with_bounds(series: AreaSeries, spans: Sequence[EventSpan]) -> AreaSeries:
    """Cut rows at the moments that a person set, so that events begin and end with rows."""
    times_s = [t for span in spans if span.is_standing for t in (span.onset_s, span.end_s)]
    return cut_rows(series, times_s) if times_s else series


def _struck_where_lost(series: AreaSeries, span: EventSpan) -> EventSpan:
    """Strike an event whose whole time was called lost."""
    is_seen = not span.is_standing or len(_rows_inside(series, span)) > 0
    return span if is_seen else replace(span, verdict=Verdict.STRUCK)


def _rows_inside(series: AreaSeries, span: EventSpan) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.flatnonzero(_inside_s(series, span.interval) > ROUNDING_S)


def _events(
    series: AreaSeries, spans: Sequence[EventSpan], config: EventConfig
) -> tuple[HemostasisEvent, ...]:
    """Measure the standing spans."""
    smoothed = smooth_area(series, config)
    events: list[HemostasisEvent] = []
    for span in spans:
        if span.is_standing:
            events.append(_event(series, smoothed, span, events, config))
    return tuple(events)


def _as_measured(
    counted: Sequence[HemostasisEvent], measured: Sequence[HemostasisEvent]
) -> tuple[HemostasisEvent, ...]:
    """Return `counted` with the measured event, digit for digit, where nothing about it changed.

    Summed over cut rows instead of runs, the same area differs in its last digits.
    """
    by_bounds = {(event.onset_s, event.end_s): event for event in measured}
    kept: list[HemostasisEvent] = []
    for event in counted:
        before = by_bounds.get((event.onset_s, event.end_s))
        is_same = (
            before is not None
            and before.is_onset_observed == event.is_onset_observed
            and before.clear_s == event.clear_s
            and math.isclose(before.area_time_frac_s, event.area_time_frac_s, rel_tol=1e-9)
            and math.isclose(before.peak_area_frac, event.peak_area_frac, rel_tol=1e-9)
        )
        kept.append(replace(before, is_rebleed=event.is_rebleed) if before and is_same else event)
    return tuple(kept)


def _event(
    series: AreaSeries,
    smoothed: FloatArray,
    span: EventSpan,
    before: Sequence[HemostasisEvent],
    config: EventConfig,
) -> HemostasisEvent:
    rows = _rows_inside(series, span)
    duration_s = _inside_s(series, span.interval)[rows]
    area_frac = series.area_frac[rows]
    # The same choice as where events are detected (of equal smoothed areas the larger raw one): an
    # event whose bounds were mended around its peak keeps it.
    peak = rows[int(np.lexsort((-area_frac, -smoothed[rows]))[0])]
    area_time_frac_s = float(np.sum(area_frac * duration_s))
    is_cleared = span.censor_reason is CensorReason.NONE
    return HemostasisEvent(
        onset_s=span.onset_s,
        is_onset_observed=span.is_onset_observed,
        peak_s=min(max(float(series.time_s[peak]), span.onset_s), span.end_s),
        peak_area_frac=float(smoothed[peak]),
        end_s=span.end_s,
        clear_s=span.end_s if is_cleared else None,
        censor_reason=span.censor_reason,
        mean_area_frac=area_time_frac_s / float(duration_s.sum()),
        area_time_frac_s=area_time_frac_s,
        is_rebleed=is_rebleed_after(
            before, span.onset_s, config, is_onset_observed=span.is_onset_observed
        ),
        severity=severity_of(float(smoothed[peak]), config),
    )
