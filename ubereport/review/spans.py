"""The events of a case as a reviewer left them: measured spans, and what strokes made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ubereport.core.errors import ReviewError
from ubereport.core.events import CensorReason, HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.review.strokes import Action, Stroke

SAME_S = 1e-6
"""Times closer than this are one moment."""
MIN_IOU = 0.5
"""A stroke still speaks of an event that was measured anew if they overlap by this much."""
_COVERED = 0.5
"""An event is struck with the stretch that was called clear or lost if it covers this share."""


class Verdict(StrEnum):
    """What a reviewer made of an event; `OPEN` until something was said."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    STRUCK = "struck"
    MENDED = "mended"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class EventSpan:
    """An event under review: when it began and ended, and what was said of it.

    `is_measured` is False for one that only a person saw. A struck span is kept, so that a page
    can show what was taken out.
    """

    onset_s: float
    end_s: float
    is_onset_observed: bool
    censor_reason: CensorReason
    verdict: Verdict
    is_measured: bool

    def __post_init__(self) -> None:
        if not self.onset_s < self.end_s:
            raise ValueError(f"an event from {self.onset_s} to {self.end_s} s has no length")

    @property
    def interval(self) -> Interval:
        """Onset to end."""
        return Interval(self.onset_s, self.end_s)

    @property
    def is_standing(self) -> bool:
        """Whether it counts as an event."""
        return self.verdict is not Verdict.STRUCK


@dataclass(frozen=True, slots=True)
class StaleStroke:
    """A line of the journal that speaks of something no longer there, and must be looked at again.

    `line` is its number; `time_s` where to look.
    """

    line: int
    action: Action
    time_s: float


def measured_spans(events: Sequence[HemostasisEvent]) -> tuple[EventSpan, ...]:
    """Return the events of a case as spans of which nothing was said yet."""
    return tuple(
        EventSpan(e.onset_s, e.end_s, e.is_onset_observed, e.censor_reason, Verdict.OPEN, True)
        for e in events
        if e.end_s > e.onset_s
    )


def find_span(spans: Sequence[EventSpan], event: Interval) -> EventSpan | None:
    """Return the standing span that `event` speaks of: the same one, else the one most alike.

    Alike is an overlap of at least half of what both cover, as after another model measured the
    same recording; None where there is none.
    """
    standing = [span for span in spans if span.is_standing]
    nearest = max(standing, key=lambda span: span.interval.iou(event), default=None)
    if nearest is None or nearest.interval.iou(event) < MIN_IOU:
        return None
    return nearest


def stroke_spans(spans: tuple[EventSpan, ...], stroke: Stroke) -> tuple[EventSpan, ...]:
    """Return the spans after one stroke, in time order; strokes on pictures change none.

    Raises
    ------
    ReviewError
        If the stroke speaks of no event that stands, or would put one event over another.
    """
    if stroke.stretch is not None:
        return _stroke_stretch(spans, stroke, stroke.stretch)
    if stroke.event is None:
        return spans
    span = find_span(spans, stroke.event)
    if span is None:
        raise ReviewError(
            f"There is no event at {stroke.event.start_s:.1f} s any more. Load the page again and"
            " choose the event from the list."
        )
    return _replaced(spans, span, _on_event(spans, span, stroke))


def _on_event(
    spans: tuple[EventSpan, ...], span: EventSpan, stroke: Stroke
) -> tuple[EventSpan, ...]:
    """Return what becomes of `span`; a stroke with a time needs one that fits it."""
    action, time_s = stroke.action, stroke.time_s
    if action is Action.CONFIRM:
        # Confirming what was mended or added says nothing new and must not hide that a person
        # changed it.
        verdict = Verdict.CONFIRMED if span.verdict is Verdict.OPEN else span.verdict
        return (replace(span, verdict=verdict),)
    if action is Action.STRIKE:
        return (replace(span, verdict=Verdict.STRUCK),)
    if action is Action.MERGE:
        return (_merged(spans, span),)
    if time_s is None:
        raise ValueError(f"{action.value} needs a time")
    if action is Action.SET_ONSET:
        return (_with_onset(spans, span, time_s),)
    if action is Action.SET_CLEAR:
        return (_with_clearing(spans, span, time_s),)
    return _split(span, time_s)


def _with_onset(spans: Sequence[EventSpan], span: EventSpan, time_s: float) -> EventSpan:
    if time_s >= span.end_s:
        raise ReviewError(
            f"The event ends at {span.end_s:.1f} s; its onset must lie before. Go back in time and"
            " set the onset there."
        )
    before = [s for s in spans if s.is_standing and s.end_s <= span.onset_s + SAME_S]
    if before and time_s < before[-1].end_s:
        raise ReviewError(
            f"The event before it ends at {before[-1].end_s:.1f} s. Set the onset after that, or"
            " merge the two."
        )
    # Who sets an onset has seen it, even where the measured event began inside a loss.
    return replace(span, onset_s=time_s, is_onset_observed=True, verdict=_mended(span))


def _with_clearing(spans: Sequence[EventSpan], span: EventSpan, time_s: float) -> EventSpan:
    if time_s <= span.onset_s:
        raise ReviewError(
            f"The event begins at {span.onset_s:.1f} s; its clearing must lie after. Go on in time"
            " and set the clearing there."
        )
    after = [s for s in spans if s.is_standing and s.onset_s >= span.end_s - SAME_S]
    if after and time_s > after[0].onset_s:
        raise ReviewError(
            f"The next event begins at {after[0].onset_s:.1f} s. Set the clearing before that, or"
            " merge the two."
        )
    return replace(span, end_s=time_s, censor_reason=CensorReason.NONE, verdict=_mended(span))


def _merged(spans: Sequence[EventSpan], span: EventSpan) -> EventSpan:
    after = [s for s in spans if s.is_standing and s.onset_s >= span.end_s - SAME_S]
    if not after:
        raise ReviewError(
            f"No event follows the one at {span.onset_s:.1f} s. Choose an event that another one"
            " follows."
        )
    # Spans are kept in time order, so that the first behind is the next.
    follower = after[0]
    return EventSpan(
        span.onset_s,
        follower.end_s,
        span.is_onset_observed,
        follower.censor_reason,
        Verdict.MENDED if span.is_measured or follower.is_measured else Verdict.ADDED,
        span.is_measured or follower.is_measured,
    )


def _split(span: EventSpan, time_s: float) -> tuple[EventSpan, ...]:
    if not span.onset_s < time_s < span.end_s:
        raise ReviewError(
            f"The event lasts from {span.onset_s:.1f} to {span.end_s:.1f} s. Go to a moment inside"
            " it and split there."
        )
    # Who splits has seen the view clear there: the first event ends with a clearing, the second
    # begins with an onset that was seen, and the outer ends stay as they were.
    first = replace(span, end_s=time_s, censor_reason=CensorReason.NONE, verdict=_mended(span))
    second = replace(span, onset_s=time_s, is_onset_observed=True, verdict=_mended(span))
    return first, second


def _stroke_stretch(
    spans: tuple[EventSpan, ...], stroke: Stroke, stretch: Interval
) -> tuple[EventSpan, ...]:
    if stroke.action is Action.ADD:
        return _with_added(spans, stretch)
    if stroke.action is Action.BLOOD:
        return spans
    return tuple(
        replace(span, verdict=Verdict.STRUCK)
        if span.is_standing and _is_covered(span, stretch)
        else span
        for span in spans
    )


def _is_covered(span: EventSpan, stretch: Interval) -> bool:
    return span.interval.intersection_s(stretch) >= _COVERED * span.interval.duration_s


def _with_added(spans: tuple[EventSpan, ...], stretch: Interval) -> tuple[EventSpan, ...]:
    for span in spans:
        if span.is_standing and span.interval.intersection_s(stretch) > SAME_S:
            raise ReviewError(
                f"There is an event from {span.onset_s:.1f} to {span.end_s:.1f} s already. Move its"
                " onset or clearing, or add the missed one outside of it."
            )
    added = EventSpan(stretch.start_s, stretch.end_s, True, CensorReason.NONE, Verdict.ADDED, False)
    return tuple(sorted((*spans, added), key=lambda span: span.onset_s))


def _mended(span: EventSpan) -> Verdict:
    return Verdict.MENDED if span.is_measured else Verdict.ADDED


def _replaced(
    spans: tuple[EventSpan, ...], span: EventSpan, made: tuple[EventSpan, ...]
) -> tuple[EventSpan, ...]:
    """Return `spans` with `span`, and what a merged one swallowed, replaced by `made`."""
    # Only a merged span ends later and covers another: a clearing that was moved ends before the
    # next.
    is_merged = len(made) == 1 and made[0].is_standing and made[0].end_s > span.end_s
    swallowed = [
        other
        for other in spans
        if is_merged
        and other is not span
        and other.is_standing
        and other.interval.intersection_s(made[0].interval) > SAME_S
    ]
    kept = [other for other in spans if other is not span and other not in swallowed]
    return tuple(sorted((*kept, *made), key=lambda other: (other.onset_s, other.end_s)))
