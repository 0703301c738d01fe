"""Areas of an event between the moments at which a person said them: estimates, told as such.

A person who says "about 70 % here" of a picture in an event says more than of that picture: the
model was wrong around it, too. So the difference between what was said and what was measured is
carried along the event, in straight lines from one said moment to the next. The shape in between
stays the model's; where a person set the bounds, the area there is what the definition of an event
says of them; an event that only a person saw has no measured shape, and its area runs in straight
lines. Whatever a person said of a time stays as said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import EventConfig
from ubereport.core.events import CensorReason, HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries
from ubereport.review.reviewed_series import AREAS, row_at, rows_begun_in
from ubereport.review.spans import SAME_S, EventSpan


@dataclass(frozen=True, slots=True)
class SaidAreas:
    """Of which time a person said the area.

    Parameters
    ----------
    stretches
        All of it: stretches, and the time of pictures that were drawn on or judged by eye.
    moments_s
        When a picture was judged by eye. An event with such a moment is estimated between all that
        was said in it; a drawn mask by itself speaks for its own picture, since it often mends what
        is wrong there alone.
    """

    stretches: tuple[Interval, ...] = ()
    moments_s: tuple[float, ...] = ()

    def with_stretch(self, stretch: Interval) -> SaidAreas:
        """Return it with a stretch whose area was said, in place of what was said of it before."""
        others = self.without(stretch)
        return SaidAreas((*others.stretches, stretch), others.moments_s)

    def with_moment(self, time_s: float) -> SaidAreas:
        """Return it with a moment from which the area is carried along its event."""
        return SaidAreas(self.stretches, (*self.moments_s, time_s))

    def without(self, stretch: Interval) -> SaidAreas:
        """Return it with nothing said of `stretch` any more."""
        kept: list[Interval] = []
        for said in self.stretches:
            if said.end_s <= stretch.start_s or said.start_s >= stretch.end_s:
                kept.append(said)
                continue
            if said.start_s < stretch.start_s:
                kept.append(Interval(said.start_s, stretch.start_s))
            if said.end_s > stretch.end_s:
                kept.append(Interval(stretch.end_s, said.end_s))
        moments_s = tuple(t for t in self.moments_s if not stretch.contains(t))
        return SaidAreas(tuple(kept), moments_s)


def with_estimates(
    series: AreaSeries,
    measured: AreaSeries,
    spans: Sequence[EventSpan],
    said: SaidAreas,
    events: Sequence[HemostasisEvent],
    config: EventConfig,
) -> tuple[AreaSeries, BoolArray]:
    """Estimate the areas of events in which a person said some; return the series and which rows.

    Parameters
    ----------
    series
        As the strokes left it, cut at the bounds of `spans`.
    measured
        As the model gave it.
    spans
        The events, of which the standing ones with a said moment are estimated.
    said
        Of which time the area is a person's word and stays.
    events
        The measured events, whose bounds the model set.
    config
        Whose onset and offset thresholds say what the area is where a person set a bound.
    """
    # Rows were cut meanwhile: for each piece the measured row that it is a piece of.
    # Looked up a hair later than it begins: a piece that rounding put just before its row would
    # else be taken for the row before.
    model = np.searchsorted(measured.time_s, series.time_s + SAME_S, side="right") - 1
    is_said = np.zeros(len(series), dtype=np.bool_)
    for stretch in said.stretches:
        is_said |= rows_begun_in(series, stretch)
    areas: dict[str, Any] = {name: getattr(series, name).copy() for name in AREAS}
    is_estimated = np.zeros(len(series), dtype=np.bool_)
    for span in spans:
        if not span.is_standing or not any(map(span.interval.contains, said.moments_s)):
            continue
        is_inside = series.is_valid & rows_begun_in(series, span.interval)
        anchors = _bounds(span, measured, events, config)
        for row in np.flatnonzero(is_inside & is_said):
            # Differences and not ratios: where the model found next to nothing a ratio has no bound
            # (decision on areas said of one picture).
            shape = measured.area_frac[model[row]] if span.is_measured else 0.0
            anchors[float(series.time_s[row])] = series.area_frac[row] - shape
        rows = np.flatnonzero(is_inside & ~is_said)
        offset = _lines(anchors, series.time_s[rows])
        # One offset for all three thresholds: a person says one area, and how far the lenient and
        # the strict one lie from it stays the model's.
        for name, area in areas.items():
            shape_of_rows = getattr(measured, name)[model[rows]] if span.is_measured else 0.0
            area[rows] = np.clip(shape_of_rows + offset, 0.0, 1.0)
        is_estimated[rows] = True
    return replace(series, **areas), is_estimated


def _bounds(
    span: EventSpan, measured: AreaSeries, events: Sequence[HemostasisEvent], config: EventConfig
) -> dict[float, float]:
    """Return what to add to the model's area where the event begins and clears, as far as known.

    Nothing where the model set the bound and the person let it stand.
    """
    by_model_s = {bound_s for event in events for bound_s in (event.onset_s, event.end_s)}
    bounds: list[tuple[float, float]] = []
    if span.is_onset_observed:
        bounds.append((span.onset_s, config.onset_frac))
    if span.censor_reason is CensorReason.NONE:
        bounds.append((span.end_s, config.offset_frac))
    offsets: dict[float, float] = {}
    for time_s, area_frac in bounds:
        row = row_at(measured, time_s)
        if not span.is_measured:
            offsets[time_s] = area_frac
        # The model set this bound and nobody moved it: there it was right, so nothing is added.
        elif time_s in by_model_s:
            offsets[time_s] = 0.0
        elif row is not None and measured.is_valid[row]:
            offsets[time_s] = area_frac - float(measured.area_frac[row])
    return offsets


def _lines(anchors: dict[float, float], time_s: FloatArray) -> FloatArray:
    at_s = np.array(sorted(anchors))
    lines: FloatArray = np.interp(time_s, at_s, [anchors[t] for t in at_s])
    return lines
