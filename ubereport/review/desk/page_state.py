"""What the review page is told of a case: plain values for JSON, nothing that names a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ubereport.core.events import HemostasisEvent
from ubereport.core.series import AreaSeries
from ubereport.documents.page.marks import LOSS_WORDS
from ubereport.language.speaking import _, told
from ubereport.metrics.registry import metric_spec
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.journal import Journal
from ubereport.review.reviewed_case import ReviewedCase, headline_effect_s, open_spans_by_effect
from ubereport.review.spans import EventSpan, Verdict
from ubereport.review.strokes import Action

_SECONDS_PER_EVENT = 6.0
_SHOWN_METRICS = (
    "impaired_share_20",
    "impaired_share_5",
    "area_mean_frac",
    "event_count",
    "coverage_frac",
)


def case_facts(desk: CaseDesk) -> dict[str, Any]:
    """Return what does not change while a case is reviewed: clock, parts, thresholds, series."""
    record, events = desk.record, desk.config.events
    return {
        "case_id": record.case_id,
        "duration_s": desk.end_s,
        "model": f"{record.provenance.model.name} {record.provenance.model.version}",
        "onset_frac": events.onset_frac,
        "offset_frac": events.offset_frac,
        "impaired_frac": 0.2,
        "loss_words": {reason.value: _(words) for reason, words in LOSS_WORDS.items()},
        "series": series_columns(record.series),
        "key_frames_s": [frame.time_s for frame in record.key_frames],
    }


def review_state(desk: CaseDesk, journal: Journal, reviewer: str) -> dict[str, Any]:
    """Return what a reviewer has made of a case so far, and what is left to do."""
    review = desk.reviewed(journal, reviewer)
    waiting = open_spans_by_effect(review)
    return {
        "reviewer": reviewer,
        "n_lines": len(journal.strokes),
        "events": _events(desk, review),
        "order": [[span.onset_s, span.end_s] for span in waiting],
        "n_events": sum(span.is_measured for span in review.spans),
        "n_open": review.n_open,
        "minutes_left": math.ceil(review.n_open * _SECONDS_PER_EVENT / 60),
        "is_complete": review.is_complete,
        "stale": [
            {"line": stroke.line, "action": stroke.action.value, "time_s": stroke.time_s}
            for stroke in review.stale
        ],
        "metrics": [_metric_pair(desk, review, key) for key in _SHOWN_METRICS],
        "reviewed_series": series_columns(review.series),
        "is_estimated": review.is_estimated.tolist(),
        "estimated_s": round(review.estimated_s, 1),
        "judged_s": [
            stroke.time_s
            for _, stroke in journal.standing(reviewer)
            if stroke.action in (Action.AREA, Action.MASK)
        ],
        "can_undo": bool(journal.standing(reviewer)),
        "parts": [
            {
                "start_s": summary.start_s,
                "end_s": summary.start_s + summary.duration_s,
                "state": part_file.state.value,
            }
            for summary, part_file in zip(desk.record.parts, desk.parts, strict=True)
        ],
        "others": [name for name in journal.reviewers if name != reviewer],
    }


def series_columns(series: AreaSeries) -> dict[str, list[Any]]:
    """Return the columns that a timeline draws; areas are None where the view was lost."""
    areas = [
        round(area, 5) if is_valid else None
        for area, is_valid in zip(series.area_frac.tolist(), series.is_valid.tolist(), strict=True)
    ]
    return {
        "time_s": np.round(series.time_s, 3).tolist(),
        "duration_s": np.round(series.duration_s, 3).tolist(),
        "area_frac": areas,
        "reason": [reason.value for reason in series.reason],
    }


def _events(desk: CaseDesk, review: ReviewedCase) -> list[dict[str, Any]]:
    # Of a struck event the record's stands in, since nothing of it is measured any more.
    by_onset = {event.onset_s: event for event in (*desk.record.events, *review.events)}
    return [_event(desk, span, by_onset.get(span.onset_s)) for span in review.spans]


def _event(desk: CaseDesk, span: EventSpan, event: HemostasisEvent | None) -> dict[str, Any]:
    return {
        "onset_s": span.onset_s,
        "end_s": span.end_s,
        "peak_s": span.onset_s if event is None else event.peak_s,
        "peak_area_frac": None if event is None else event.peak_area_frac,
        "verdict": span.verdict.value,
        "is_measured": span.is_measured,
        "is_cleared": span.censor_reason.value == "",
        "effect_s": round(headline_effect_s(desk.record.series, span), 1),
        "is_open": span.verdict is Verdict.OPEN,
    }


def _metric_pair(desk: CaseDesk, review: ReviewedCase, key: str) -> dict[str, Any]:
    spec = metric_spec(key)
    return {
        "key": key,
        "title": told(spec.title),
        "is_share": spec.upper_bound == 1.0,
        "measured": desk.record.metric(key).value,
        "reviewed": review.metric(key).value,
    }
