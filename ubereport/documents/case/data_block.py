"""The machine-readable part of an HTML report: plain seconds under stable ids."""

from __future__ import annotations

import json
from typing import Any

from ubereport.core.arrays import FloatArray
from ubereport.core.case import CaseRecord
from ubereport.core.config import EventConfig
from ubereport.core.events import HemostasisEvent
from ubereport.documents.case.timeline_drawing import LEFT, RIGHT
from ubereport.documents.page.marks import LOSS_WORDS
from ubereport.language.speaking import _

DATA_SCHEMA = "ubereport-case-report/1"


def event_id(index: int) -> str:
    """Return the id of the event with 0-based `index`, in HTML and in the data block alike."""
    return f"event-{index + 1}"


def stills_id(index: int) -> str:
    """Return the id of the pictures of the event with 0-based `index`."""
    return f"{event_id(index)}-stills"


def case_data_json(record: CaseRecord, config: EventConfig) -> str:
    """Serialize what playing a recording beside the report and correcting events will need.

    Times are seconds on the case clock, areas fractions; null is missing. The text is plain JSON:
    whoever puts it into a page escapes it for that place.
    """
    document: dict[str, Any] = {
        "schema": DATA_SCHEMA,
        "case_id": record.case_id,
        "parts": [
            {
                "index": k,
                "start_s": part.start_s,
                "duration_s": part.duration_s,
                "sha256": part.sha256,
            }
            for k, part in enumerate(record.parts)
        ],
        "event_config": {
            "onset_frac": config.onset_frac,
            "offset_frac": config.offset_frac,
            "min_duration_s": config.min_duration_s,
            "clear_hold_s": config.clear_hold_s,
            "max_gap_s": config.max_gap_s,
        },
        "series": {
            "time_s": _rounded(record.series.time_s),
            "duration_s": _rounded(record.series.duration_s),
            "area_frac": _rounded(record.series.area_frac),
            "reason": [str(reason) for reason in record.series.reason],
        },
        "events": [_event(k, event) for k, event in enumerate(record.events)],
        "key_frames": [
            {"event": event_id(f.event_index), "kind": str(f.kind), "time_s": f.time_s}
            for f in record.key_frames
        ],
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def timeline_words_json() -> str:
    """Serialize what the script of the page says about a moment, and where its first and last lie.

    Names in braces are filled in by the script.
    """
    words = {
        "left_frac": LEFT,
        "right_frac": 1 - RIGHT,
        "name": _("Moment on the case clock"),
        "hint": _(
            "Point at the timeline, or focus it and press ← → (page keys: events; Enter: pictures)."
        ),
        "obscured": _("{area} of the view obscured"),
        "lost": _("lost: {reason}"),
        "event": _("event {number}"),
        "open": _("See it in the recording"),
        "reasons": {str(reason): _(words) for reason, words in LOSS_WORDS.items()},
    }
    return json.dumps(words, ensure_ascii=True, separators=(",", ":"))


def _rounded(values: FloatArray) -> list[float | None]:
    # Four digits are a tenth of a millisecond and a hundredth of a percent: more than anybody sees,
    # and the page stays short.
    return [None if value != value else round(value, 4) for value in values.tolist()]


def _event(index: int, event: HemostasisEvent) -> dict[str, Any]:
    return {
        "id": event_id(index),
        "onset_s": event.onset_s,
        "is_onset_observed": event.is_onset_observed,
        "peak_s": event.peak_s,
        "peak_area_frac": event.peak_area_frac,
        "end_s": event.end_s,
        "clear_s": event.clear_s,
        "censor_reason": str(event.censor_reason),
        "is_rebleed": event.is_rebleed,
    }
