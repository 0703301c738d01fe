"""A case's journal summed up for its record: who said how much, and the numbers after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ubereport.core.case import CaseRecord, Flag, FlagLevel
from ubereport.core.config import AnalysisConfig, EventConfig, MetricConfig, config_from_toml
from ubereport.core.errors import ReviewError
from ubereport.core.review import CaseReview, ReviewState
from ubereport.core.series import AreaSeries
from ubereport.files.records.store import read_case
from ubereport.files.records.store import standing_review as stored_review
from ubereport.review.agreement import agreement_of, standing_review
from ubereport.review.journal import Journal, read_journal
from ubereport.review.reviewed_case import ReviewedCase, reviewed_by
from ubereport.review.spans import Verdict

_DAMAGED = "review_damaged"


def reviewed_record(
    record: CaseRecord, folder: Path, events: EventConfig, metrics: MetricConfig
) -> CaseRecord:
    """Return `record` with what the journal in its folder says today.

    A damaged journal leaves no reviewed numbers and a warning that names the line; measured
    numbers stand either way.
    """
    flags = tuple(flag for flag in record.flags if flag.key != _DAMAGED)
    try:
        journal = read_journal(folder, record.case_id)
    except ReviewError as error:
        damaged = Flag(_DAMAGED, FlagLevel.WARNING, str(error))
        return replace(record, review=None, flags=(damaged, *flags))
    return replace(record, review=summarized_review(record, journal, events, metrics), flags=flags)


def summarized_review(
    record: CaseRecord, journal: Journal, events: EventConfig, metrics: MetricConfig
) -> CaseReview | None:
    """Sum up what people said of a case; None where nobody said anything."""
    if not journal.strokes:
        return None
    reviews = [
        reviewed_by(name, journal, record.series, record.events, events, metrics)
        for name in journal.reviewers
    ]
    standing = standing_review(reviews, record.series)
    shown = reviews[0] if standing is None else standing
    event_f1, kappa = _agreement(reviews, record.series)
    return CaseReview(
        state=_state(reviews, standing),
        reviewers=journal.reviewers,
        standing=shown.reviewer,
        n_events=sum(span.is_measured for span in shown.spans),
        n_open=shown.n_open,
        n_confirmed=shown.count(Verdict.CONFIRMED),
        n_struck=shown.count(Verdict.STRUCK),
        n_mended=shown.count(Verdict.MENDED),
        n_added=shown.count(Verdict.ADDED),
        n_stale=len(shown.stale),
        n_lines=len(journal.strokes),
        journal_sha256=journal.head_sha256,
        event_f1=event_f1,
        kappa=kappa,
        events=shown.events,
        metrics=shown.metrics,
        estimated_s=shown.estimated_s,
    )


def standing_series(folder: Path) -> AreaSeries:
    """Return the series that the numbers of a case rest on, as its reviewer left it if one stands.

    Raises
    ------
    CaseRecordError
        If the record is missing or damaged.
    ReviewError
        If the journal is damaged.
    """
    record = read_case(folder)
    review = stored_review(record, folder)
    if review is None:
        return record.series
    settings = config_from_toml(record.provenance.config_toml, AnalysisConfig)
    return reviewed_by(
        review.standing,
        read_journal(folder, record.case_id),
        record.series,
        record.events,
        settings.events,
        settings.metrics,
    ).series


def _state(reviews: Sequence[ReviewedCase], standing: ReviewedCase | None) -> ReviewState:
    if standing is not None:
        return ReviewState.COMPLETE
    n_complete = sum(review.is_complete for review in reviews)
    return ReviewState.DISPUTED if n_complete > 1 else ReviewState.PARTIAL


def _agreement(
    reviews: Sequence[ReviewedCase], measured: AreaSeries
) -> tuple[float | None, float | None]:
    complete = [review for review in reviews if review.is_complete]
    if len(complete) < 2:
        return None, None
    agreement = agreement_of(complete[0], complete[1], measured)
    return agreement.event_f1, agreement.kappa
