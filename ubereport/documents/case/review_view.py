"""What a report says of a case's review: both numbers, who changed what, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ubereport.core.case import CaseRecord
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricSpec
from ubereport.core.review import CaseReview, ReviewState
from ubereport.documents.case.case_text import CaseMetrics
from ubereport.documents.case.views import ReviewView
from ubereport.documents.page.text import clock, decimal, percent, printable
from ubereport.language.speaking import _, _n, spoken, told

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
    return (
        _(
            "{measured} measured, {after} after review by {who}: {changes}",
            measured=measured,
            after=after,
            who=_who(review),
            changes=_changes(review),
        ),
    )


def review_view(record: CaseRecord, specs: Mapping[str, MetricSpec]) -> ReviewView | None:
    """Return the section on the review; None where nobody reviewed the case."""
    review = record.review
    if review is None:
        return None
    # Events are paired by their onset: one whose onset a person moved is shown as one gone and one
    # come.
    measured = {event.onset_s: event for event in record.events}
    reviewed = {event.onset_s: event for event in review.events}
    onsets_s = sorted({*measured, *reviewed})
    return ReviewView(
        statement=_statement(review),
        notes=_notes(review),
        number_rows=_number_rows(record, review, specs),
        event_rows=tuple(
            _event_row(measured.get(onset_s), reviewed.get(onset_s))
            for onset_s in onsets_s[:_MAX_EVENT_ROWS]
        ),
        n_more_events=len(onsets_s) - _MAX_EVENT_ROWS,
    )


def _who(review: CaseReview) -> str:
    return printable(review.standing)


def _changes(review: CaseReview) -> str:
    changes = []
    if review.n_struck:
        changes.append(
            _n(
                "{n_struck} of {n} event struck",
                "{n_struck} of {n} events struck",
                review.n_events,
                n_struck=review.n_struck,
            )
        )
    if review.n_mended:
        changes.append(_n("{n} mended", "{n} mended", review.n_mended))
    if review.n_added:
        changes.append(_n("{n} added", "{n} added", review.n_added))
    if changes:
        return ", ".join(changes)
    if not review.n_events:
        return _("no event")
    return _n("all {n} event confirmed", "all {n} events confirmed", review.n_events)


def _unfinished(review: CaseReview) -> str:
    # The first that holds is told: people who differ weigh more than strokes that no longer fit,
    # and those more than events that wait.
    if review.state is ReviewState.DISPUTED:
        return _(
            "Reviewed by {names}, who differ: the measured number stands until a third person "
            "has seen the case",
            names=_names(review),
        )
    if review.n_stale:
        return _n(
            "Review by {who} must be looked at again: {n} stroke no longer fit this case; the"
            " measured number stands",
            "Review by {who} must be looked at again: {n} strokes no longer fit this case; the"
            " measured number stands",
            review.n_stale,
            who=_who(review),
        )
    return _n(
        "Review begun by {who}: {n_open} of {n} event not yet decided; the measured number stands",
        "Review begun by {who}: {n_open} of {n} events not yet decided; the measured number stands",
        review.n_events,
        who=_who(review),
        n_open=review.n_open,
    )


def _statement(review: CaseReview) -> str:
    if not review.is_complete:
        return f"{_unfinished(review)}."
    return _(
        "Reviewed whole by {who}: {changes}. Measured numbers are as the model gave them; "
        "reviewed ones follow from the same series with what the reviewer said. "
        "Comparisons and audits take the reviewed ones unless asked for the measured ones.",
        who=_who(review),
        changes=_changes(review),
    )


def _names(review: CaseReview) -> str:
    names = [printable(name) for name in review.reviewers]
    return spoken().enumeration(names)


def _notes(review: CaseReview) -> tuple[str, ...]:
    notes = []
    if review.estimated_s > 0:
        notes.append(
            _(
                "The area of {estimated} is estimated: between moments of an event at which the "
                "reviewer said it, the difference from the measured area is carried in straight "
                "lines.",
                estimated=clock(review.estimated_s),
            )
        )
    if review.event_f1 is not None:
        f1 = decimal(review.event_f1, 2)
        notes.append(
            _(
                "Agreement of the first two reviewers: F1 of their events {f1} at a temporal"
                " overlap of one half.",
                f1=f1,
            )
            if review.kappa is None
            else _(
                "Agreement of the first two reviewers: F1 of their events {f1} at a temporal"
                " overlap of one half, kappa by the second {kappa}.",
                f1=f1,
                kappa=decimal(review.kappa, 2),
            )
        )
    notes.append(
        _n(
            "The journal (review.jsonl) has {n} line; its last line is sealed by {seal}.",
            "The journal (review.jsonl) has {n} lines; its last line is sealed by {seal}.",
            review.n_lines,
            seal=review.journal_sha256[:12],
        )
    )
    return tuple(notes)


def _reviewed_metrics(
    record: CaseRecord, review: CaseReview, specs: Mapping[str, MetricSpec]
) -> CaseMetrics:
    return CaseMetrics(replace(record, metrics=review.metrics), specs)


def _number_rows(
    record: CaseRecord, review: CaseReview, specs: Mapping[str, MetricSpec]
) -> tuple[tuple[str, ...], ...]:
    measured = CaseMetrics(record, specs)
    reviewed = _reviewed_metrics(record, review, specs)
    return tuple(
        (told(specs[key].title), measured.short_text(key), reviewed.short_text(key))
        for key in _COMPARED
        if key in specs
    )


def _event_row(
    measured: HemostasisEvent | None, reviewed: HemostasisEvent | None
) -> tuple[str, ...]:
    event = measured or reviewed
    if event is None:
        raise ValueError("an event is on one side at least")
    before = "–" if measured is None else _event_words(measured)
    if reviewed is None:
        after = _("struck, or given another onset")
    elif measured == reviewed:
        after = _("unchanged")
    else:
        after = _event_words(reviewed)
    return clock(event.onset_s), before, after


def _event_words(event: HemostasisEvent) -> str:
    end = (
        _("not seen to clear") if event.is_censored else _("clear at {end}", end=clock(event.end_s))
    )
    return _("{end}, peak {peak_area}", end=end, peak_area=percent(event.peak_area_frac))
