"""Which pictures of a reviewed case are labels, as a pure function of the case and its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.case import CaseRecord
from ubereport.core.events import HemostasisEvent
from ubereport.core.series import AreaSeries
from ubereport.review.journal import Journal
from ubereport.review.reviewed_case import ReviewedCase
from ubereport.review.spans import Verdict
from ubereport.review.strokes import Action, MendedMask, Stroke

_APART_S = 5.0
_MAX_CLEAR = 24
_SAME_PICTURE_S = 0.05
_OF_STRETCH = (Action.NOT_BLOOD, Action.BLOOD, Action.VIEW_LOST)


class Said(StrEnum):
    """What a person said of a picture.

    `DRAWN`: they drew its mask. `CLEAR`: it lies where they said "not blood". `CONFIRMED`: it is
    the peak of an event that they confirmed, with the mask that the model laid over it; where they
    said another area in that event, or what a stretch around its peak shows, the model's mask is no
    label.
    """

    DRAWN = "drawn"
    CLEAR = "clear"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class ReviewedMoment:
    """A picture of a case by its time on the case clock, and what was said of it.

    `mask` is the mask of a drawn one, None of the others.
    """

    time_s: float
    said: Said
    mask: MendedMask | None = None

    def __post_init__(self) -> None:
        if (self.mask is not None) != (self.said is Said.DRAWN):
            raise ValueError(f"a picture that is {self.said.value} with the mask {self.mask}")


def reviewed_moments(
    record: CaseRecord, journal: Journal, review: ReviewedCase
) -> tuple[ReviewedMoment, ...]:
    """Return the pictures of a case that `review` labels, in time order.

    What was drawn last of a picture counts, and nothing else is said of that picture. Of the time
    that a person called clear where the model had found blood, the pictures with the largest
    measured areas are taken, 5 s apart and 24 at most: neighbors show the same, and one long
    stretch must not outweigh all other cases.
    """
    strokes = {
        # By the millisecond: strokes on one picture replace one another, in the order of the
        # journal.
        round(stroke.time_s * 1000): ReviewedMoment(stroke.time_s, Said.DRAWN, stroke.mask)
        for _, stroke in journal.standing(review.reviewer)
        if stroke.mask is not None and stroke.time_s is not None
    }
    drawn_s = [moment.time_s for moment in strokes.values()]
    clear_s = _apart(record.series, _called_clear(record.series, review), drawn_s)
    standing = [stroke for _, stroke in journal.standing(review.reviewer)]
    confirmed_s = [
        event.peak_s
        for event in record.events
        if _is_confirmed(review, event.onset_s, event.end_s)
        and not any(_says_otherwise(stroke, event) for stroke in standing)
        and not _is_near(event.peak_s, drawn_s)
    ]
    moments = [
        *strokes.values(),
        *(ReviewedMoment(time_s, Said.CLEAR) for time_s in clear_s),
        *(ReviewedMoment(time_s, Said.CONFIRMED) for time_s in confirmed_s),
    ]
    return tuple(sorted(moments, key=lambda moment: moment.time_s))


def _called_clear(measured: AreaSeries, review: ReviewedCase) -> BoolArray:
    """(n,) which measured rows show blood by the model and none by the person.

    Reviewed rows are measured ones, cut; the piece that a row begins with holds its picture.
    """
    reviewed = review.series
    row = np.searchsorted(reviewed.time_s, measured.time_s + 1e-6, side="right") - 1
    # Estimated areas are left out: there a person said how much and not where.
    is_clear = reviewed.is_valid[row] & (reviewed.area_frac[row] == 0) & ~review.is_estimated[row]
    called: BoolArray = measured.is_valid & (measured.area_frac > 0) & is_clear
    return called


def _apart(series: AreaSeries, is_wanted: BoolArray, taken_s: Sequence[float]) -> list[float]:
    """Return times of wanted rows, the largest areas first, each apart from those before it."""
    rows = np.flatnonzero(is_wanted)
    chosen: list[float] = []
    # The largest false alarms first: they teach the most.
    for row in rows[np.argsort(-series.area_frac[rows], kind="stable")]:
        time_s = float(series.time_s[row])
        is_same = _is_near(time_s, taken_s) or any(abs(time_s - t) < _APART_S for t in chosen)
        if not is_same and len(chosen) < _MAX_CLEAR:
            chosen.append(time_s)
    return chosen


def _is_near(time_s: float, others_s: Sequence[float]) -> bool:
    return any(abs(time_s - other_s) < _SAME_PICTURE_S for other_s in others_s)


def _says_otherwise(stroke: Stroke, event: HemostasisEvent) -> bool:
    """Return whether a stroke says another area than the model's of an event or of its peak.

    Whether the event was confirmed before or after: confirming it takes no such word back.
    """
    if stroke.action is Action.AREA and stroke.time_s is not None:
        return event.onset_s <= stroke.time_s < event.end_s
    if stroke.action in _OF_STRETCH and stroke.stretch is not None:
        return stroke.stretch.start_s <= event.peak_s < stroke.stretch.end_s
    return False


def _is_confirmed(review: ReviewedCase, onset_s: float, end_s: float) -> bool:
    return any(
        span.verdict is Verdict.CONFIRMED and (span.onset_s, span.end_s) == (onset_s, end_s)
        for span in review.spans
    )
