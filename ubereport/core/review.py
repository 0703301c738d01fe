"""What people made of a measured case, as its record carries it beside the measured numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricValue
from ubereport.core.validation import Frac, Sha256, Tally


class ReviewState(StrEnum):
    """How far a case is reviewed.

    `PARTIAL`: not every event is decided. `DISPUTED`: two reviewers differ and nobody has settled
    it. `COMPLETE`: one review stands, and its numbers may be used instead of the measured ones.
    """

    PARTIAL = "partial"
    DISPUTED = "disputed"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class CaseReview:
    """A case's review, summed up.

    Parameters
    ----------
    state
        How far it is.
    reviewers
        Everybody who said something, in the order in which they began.
    standing
        Whose numbers these are: the review that stands, or while there is none the first one.
    n_events, n_open, n_confirmed, n_struck, n_mended, n_added, n_stale
        Measured events, those not yet decided, and what became of the others; events that only a
        person saw; strokes that no longer fit the case.
    n_lines, journal_sha256
        Length of the journal and digest of its last line, which seals all of it.
    event_f1, kappa
        Agreement of the first two who finished; None where only one did, or it cannot be rated.
    events, metrics
        As after the review that `standing` made.
    estimated_s
        Seconds whose area in those metrics is neither measured nor said, but estimated between
        moments of an event at which the reviewer said it.
    """

    state: ReviewState
    reviewers: Annotated[tuple[str, ...], Field(min_length=1)]
    standing: str
    n_events: Tally
    n_open: Tally
    n_confirmed: Tally
    n_struck: Tally
    n_mended: Tally
    n_added: Tally
    n_stale: Tally
    n_lines: Tally
    journal_sha256: Sha256
    event_f1: Frac | None
    kappa: Annotated[float, Field(ge=-1, le=1)] | None
    events: tuple[HemostasisEvent, ...]
    metrics: tuple[MetricValue, ...]
    estimated_s: Annotated[float, Field(ge=0)] = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether the reviewed numbers may stand for the case."""
        return self.state is ReviewState.COMPLETE

    def metric(self, key: str) -> MetricValue:
        """Return the reviewed metric called `key`; raise KeyError if there is none."""
        for value in self.metrics:
            if value.key == key:
                return value
        raise KeyError(key)
