"""What a report says of a case's review: both numbers, who changed what, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ubereport.core.case import CaseRecord
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricSpec
from ubereport.core.review import CaseReview, ReviewState
from ubereport.report.blocks import Column, TableBlock
from ubereport.report.case_text import CaseMetrics
from ubereport.report.text import clock, decimal, percent, plural, printable
from ubereport.report.views import ReviewView

_COMPARED = (
    "impaired_share_20",
    "impaired_share_5",
    "impaired_s_20",
    "area_mean_frac",
    "event_count",
    "event_rate_per_10min",
    "time_to_clear_median_s",
    "cleared_60s_share",
    "coverage_frac",
)
_MAX_EVENT_ROWS = 60


def review_headline(record: CaseRecord, specs: Mapping[str, MetricSpec]) -> tuple[str, ...]:
    """Return the lines that stand under the headline: what it is after review, or how far."""
    review = record.review
    if review is None:
        return ()
    if not review.is_complete:
        return (_unfinished(review),)
    key = "impaired_share_20"
    after = _reviewed_metrics(record, review, specs).short_text(key)
    measured = CaseMetrics(record, specs).short_text(key)
    return (f"{measured} measured, {after} after review by {_who(review)}: {_changes(review)}",)


def review_view(record: CaseRecord, specs: Mapping[str, MetricSpec]) -> ReviewView | None:
    """Return the section on the review; None where nobody reviewed the case."""
    review = record.review
    if review is None:
        return None
    return ReviewView(
        statement=_statement(review),
        is_complete=review.is_complete,
        notes=_notes(review),
        numbers=_numbers(record, review, specs),
        events=_events(record, review),
    )


def _who(review: CaseReview) -> str:
    return printable(review.standing)


def _changes(review: CaseReview) -> str:
    counts = (
        (review.n_struck, f"of {plural(review.n_events, 'event')} struck"),
        (review.n_mended, "mended"),
        (review.n_added, "added"),
    )
    told = [f"{n} {what}" for n, what in counts if n]
    if not told:
        return (
            f"all {plural(review.n_events, 'event')} confirmed" if review.n_events else "no event"
        )
    return ", ".join(told)


def _unfinished(review: CaseReview) -> str:
    if review.state is ReviewState.DISPUTED:
        return (
            f"Reviewed by {_names(review)}, who differ: the measured number stands until a third"
            " person has seen the case"
        )
    if review.n_stale:
        return (
            f"Review by {_who(review)} must be looked at again: {plural(review.n_stale, 'stroke')}"
            " no longer fit this case; the measured number stands"
        )
    return (
        f"Review begun by {_who(review)}: {review.n_open} of {plural(review.n_events, 'event')}"
        " not yet decided; the measured number stands"
    )


def _statement(review: CaseReview) -> str:
    if not review.is_complete:
        return f"{_unfinished(review)}."
    return (
        f"Reviewed whole by {_who(review)}: {_changes(review)}. Measured numbers are as the model"
        " gave them; reviewed ones follow from the same series with what the reviewer said."
        " Comparisons and audits take the reviewed ones unless asked for the measured ones."
    )


def _names(review: CaseReview) -> str:
    names = [printable(name) for name in review.reviewers]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(review: CaseReview) -> tuple[str, ...]:
    notes = []
    if review.event_f1 is not None:
        kappa = "" if review.kappa is None else f", kappa by the second {decimal(review.kappa, 2)}"
        notes.append(
            "Agreement of the first two reviewers: F1 of their events"
            f" {decimal(review.event_f1, 2)} at a temporal overlap of one half{kappa}."
        )
    notes.append(
        f"The journal (review.jsonl) has {plural(review.n_lines, 'line')}; its last line is sealed"
        f" by {review.journal_sha256[:12]}."
    )
    return tuple(notes)


def _reviewed_metrics(
    record: CaseRecord, review: CaseReview, specs: Mapping[str, MetricSpec]
) -> CaseMetrics:
    return CaseMetrics(replace(record, metrics=review.metrics), specs)


def _numbers(record: CaseRecord, review: CaseReview, specs: Mapping[str, MetricSpec]) -> TableBlock:
    measured = CaseMetrics(record, specs)
    reviewed = _reviewed_metrics(record, review, specs)
    rows = tuple(
        (specs[key].title, measured.short_text(key), reviewed.short_text(key))
        for key in _COMPARED
        if key in specs
    )
    after = "After review" if review.is_complete else "With what was said so far"
    columns = (
        Column("Metric", is_wide=True),
        Column("Measured", is_number=True),
        Column(after, is_number=True),
    )
    return TableBlock("Numbers before and after the review", columns, rows)


def _events(record: CaseRecord, review: CaseReview) -> TableBlock:
    """List every event on either side, in time order, with what became of it."""
    measured = {event.onset_s: event for event in record.events}
    reviewed = {event.onset_s: event for event in review.events}
    rows = tuple(
        _event_row(measured.get(onset_s), reviewed.get(onset_s))
        for onset_s in sorted({*measured, *reviewed})[:_MAX_EVENT_ROWS]
    )
    columns = (
        Column("Onset"),
        Column("Measured", is_wide=True),
        Column("After review", is_wide=True),
    )
    n_more = len({*measured, *reviewed}) - len(rows)
    note = "" if n_more <= 0 else f"{plural(n_more, 'more event')} in case.json."
    return TableBlock("Events before and after the review", columns, rows, note=note)


def _event_row(
    measured: HemostasisEvent | None, reviewed: HemostasisEvent | None
) -> tuple[str, ...]:
    event = measured or reviewed
    if event is None:
        raise ValueError("an event is on one side at least")
    before = "–" if measured is None else _event_words(measured)
    if reviewed is None:
        after = "struck, or given another onset"
    elif measured == reviewed:
        after = "unchanged"
    else:
        after = _event_words(reviewed)
    return clock(event.onset_s), before, after


def _event_words(event: HemostasisEvent) -> str:
    end = "not seen to clear" if event.is_censored else f"clear at {clock(event.end_s)}"
    return f"{end}, peak {percent(event.peak_area_frac)}"
