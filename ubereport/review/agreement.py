"""Two reviewers of one case: how far they agree, and whose review stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries
from ubereport.review.reviewed_case import ReviewedCase
from ubereport.statistics.agreement import weighted_kappa

_MIN_IOU = 0.5
_BIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """How far two reviewers of a case agree.

    Parameters
    ----------
    reviewers
        Both of them.
    event_f1
        Of their events at a temporal IoU of 0.5; None where neither has any.
    kappa
        Cohen's kappa of "inside an event", second by second of evaluable time; None where both
        say the same throughout, which kappa cannot rate.
    n_first, n_second, n_matched
        Events of each, and of both.
    """

    reviewers: tuple[str, str]
    event_f1: float | None
    kappa: float | None
    n_first: int
    n_second: int
    n_matched: int

    @property
    def is_full(self) -> bool:
        """Whether both have the same events."""
        return self.n_first == self.n_second == self.n_matched


def agreement_of(
    first: ReviewedCase, second: ReviewedCase, measured: AreaSeries
) -> ReviewerAgreement:
    """Compare two reviews of one case, over the evaluable time of the measured series."""
    events = [
        [Interval(event.onset_s, event.end_s) for event in case.events] for case in (first, second)
    ]
    n_matched = _n_matched(events[0], events[1])
    n_total = len(events[0]) + len(events[1])
    # Second by second and not event by event: two events of one reviewer and one long event of the
    # other may say nearly the same.
    inside = [_is_inside(measured, case_events) for case_events in events]
    return ReviewerAgreement(
        reviewers=(first.reviewer, second.reviewer),
        event_f1=2 * n_matched / n_total if n_total else None,
        kappa=_kappa(inside[0], inside[1]),
        n_first=len(events[0]),
        n_second=len(events[1]),
        n_matched=n_matched,
    )


def standing_review(reviews: Sequence[ReviewedCase], measured: AreaSeries) -> ReviewedCase | None:
    """Return the review whose numbers stand for the case, or None while there is none.

    `reviews` come in the order in which the reviewers began; only complete ones count. One alone
    stands. Two that have the same events stand by the first. Where they differ nothing stands
    until a third person has seen the case: that view settles it.
    """
    complete = [review for review in reviews if review.is_complete]
    if len(complete) >= 3:
        return complete[-1]
    if len(complete) == 2 and not agreement_of(complete[0], complete[1], measured).is_full:
        return None
    return complete[0] if complete else None


def _n_matched(first: Sequence[Interval], second: Sequence[Interval]) -> int:
    """Count the pairs of events that overlap by half or more, each event in one pair at most."""
    # Events of one reviewer are disjoint, so an overlap above one half has one partner, and one of
    # exactly a half (an event split in its middle) two that have no other: the first is as good.
    # SciPy's assignment would answer alike, and every report would wait for it to load.
    left = list(second)
    for event in first:
        partner = next((other for other in left if event.iou(other) >= _MIN_IOU), None)
        if partner is not None:
            left.remove(partner)
    return len(second) - len(left)


def _is_inside(series: AreaSeries, events: Sequence[Interval]) -> BoolArray:
    """(k,) whether each evaluable second of the case lies inside an event."""
    end_s = float(series.end_time_s[-1]) if len(series) else 0.0
    middle_s = np.arange(0.0, end_s, _BIN_S) + _BIN_S / 2
    row = np.clip(np.searchsorted(series.time_s, middle_s, side="right") - 1, 0, None)
    is_seen = (
        series.is_valid[row]
        & (middle_s < series.end_time_s[row])
        & (middle_s >= series.time_s[row])
    )
    is_inside = np.zeros(len(middle_s), dtype=np.bool_)
    for event in events:
        is_inside |= (middle_s >= event.start_s) & (middle_s < event.end_s)
    seconds: BoolArray = is_inside[is_seen]
    return seconds


def _kappa(first: BoolArray, second: BoolArray) -> float | None:
    if len(first) == 0:
        return None
    # Of two categories every weighting of disagreement gives Cohen's kappa.
    table = np.bincount(2 * first.astype(np.int64) + second, minlength=4).reshape(2, 2)
    return weighted_kappa(table.astype(np.float64)).value
