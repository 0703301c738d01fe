"""case.json: the published JSON Schema, and the record as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from ubereport.core.case import (
    SCHEMA_VERSION,
    CaseRecord,
    Flag,
    KeyFrame,
    PartSummary,
    Provenance,
)
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.review import CaseReview
from ubereport.core.series import AreaSeries
from ubereport.files.atomic import check_relative_name
from ubereport.files.names import validate_case_id
from ubereport.records.codec import from_json_value, to_json_value
from ubereport.records.tables import series_sha256

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: Mapping[str, Migration] = {}
"""From a schema version to the function that makes the next version of it."""


@cache
def case_schema() -> dict[str, Any]:
    """Return the JSON Schema of case.json, as published beside this file."""
    text = Path(__file__).with_name("case.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def case_json(record: CaseRecord) -> bytes:
    """Return case.json: everything of the record but the rows of the series.

    Floats are written so that reading gives back the same bits; the bytes depend on the record
    only.

    Raises
    ------
    ValueError
        If the record has a number that is not finite, or does not agree with the schema.
    """
    content = {
        "schema_version": record.schema_version,
        "case_id": record.case_id,
        "recording": {
            "parts": to_json_value(record.parts, tuple[PartSummary, ...]),
            "pauses": to_json_value(record.pauses, tuple[Interval, ...]),
        },
        "series": {
            "file": "series.parquet",
            "n_rows": len(record.series),
            "sha256": series_sha256(record.series),
        },
        "metrics": to_json_value(record.metrics, tuple[MetricValue, ...]),
        "events": [_event_json(event) for event in record.events],
        "flags": to_json_value(record.flags, tuple[Flag, ...]),
        "key_frames": to_json_value(record.key_frames, tuple[KeyFrame, ...]),
        "provenance": to_json_value(record.provenance, Provenance),
    }
    if record.review is not None:
        review = to_json_value(record.review, CaseReview)
        content["review"] = review | {"events": [_event_json(e) for e in record.review.events]}
    if (fault := _fault(content)) is not None:
        raise ValueError(f"the record does not agree with its schema: {fault}")
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def parse_case_json(content: bytes) -> dict[str, Any]:
    """Return case.json as a checked tree of the current schema version, older ones migrated.

    Raises
    ------
    CaseRecordError
        If it is no JSON, was made by a newer version, or does not agree with the schema.
    """
    current = read_tree(content)
    if (fault := _fault(current)) is not None:
        raise CaseRecordError(
            f"case.json does not agree with schema {SCHEMA_VERSION}: {fault}. Analyze the recording"
            " again."
        )
    return current


def read_tree(content: bytes) -> dict[str, Any]:
    """Return case.json as a tree of the current schema version that is not checked against it.

    Raises
    ------
    CaseRecordError
        If it is no JSON or was made by a newer version.
    """
    try:
        raw = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CaseRecordError(
            f"case.json is no JSON ({error}). Analyze the recording again or bring the file back"
            " from a backup."
        ) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("schema_version"), str):
        raise CaseRecordError("case.json has no schema_version; this is no case folder.")
    return migrate(raw, MIGRATIONS, SCHEMA_VERSION)


def migrate(
    raw: dict[str, Any], migrations: Mapping[str, Migration], current: str
) -> dict[str, Any]:
    """Bring `raw` to the schema version `current`, one migration after the other.

    Raises
    ------
    CaseRecordError
        If `raw` is newer than `current`, or no migration leads from it.
    """
    version = str(raw["schema_version"])
    if _ordered(version) > _ordered(current):
        raise CaseRecordError(
            f"case.json has schema {version}; this version of ubereport reads up to {current}."
            " Install a newer ubereport."
        )
    while version != current:
        if version not in migrations:
            raise CaseRecordError(
                f"case.json has schema {version}, which this version of ubereport cannot bring to"
                f" {current}. Analyze the recording again."
            )
        raw = migrations[version](raw)
        if _ordered(str(raw["schema_version"])) <= _ordered(version):
            raise ValueError(f"the migration from {version} does not lead to a later version")
        version = str(raw["schema_version"])
    return raw


def record_of(tree: dict[str, Any], series: AreaSeries) -> CaseRecord:
    """Return the record that `case_json` wrote as `tree`, with its `series`.

    Raises
    ------
    CaseRecordError
        If the series is not the one that the record was made with, or values contradict each
        other.
    """
    if tree["series"]["sha256"] != series_sha256(series):
        raise CaseRecordError(
            "series.parquet is not the series that case.json was made with. Bring both files back"
            " from one backup or analyze the recording again."
        )
    try:
        for frame in tree["key_frames"]:
            check_relative_name(frame["raw_path"])
            check_relative_name(frame["overlay_path"])
        return CaseRecord(
            case_id=validate_case_id(tree["case_id"]),
            parts=from_json_value(tree["recording"]["parts"], tuple[PartSummary, ...]),
            pauses=from_json_value(tree["recording"]["pauses"], tuple[Interval, ...]),
            series=series,
            events=from_json_value(tree["events"], tuple[HemostasisEvent, ...]),
            metrics=from_json_value(tree["metrics"], tuple[MetricValue, ...]),
            flags=from_json_value(tree["flags"], tuple[Flag, ...]),
            key_frames=from_json_value(tree["key_frames"], tuple[KeyFrame, ...]),
            provenance=from_json_value(tree["provenance"], Provenance),
            schema_version=tree["schema_version"],
            review=from_json_value(tree["review"], CaseReview) if "review" in tree else None,
        )
    except (ValueError, TypeError, KeyError, OverflowError, UsageError) as error:
        raise CaseRecordError(
            f"case.json contradicts itself ({error}). Analyze the recording again."
        ) from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _event_json(event: HemostasisEvent) -> dict[str, Any]:
    fields: dict[str, Any] = to_json_value(event, HemostasisEvent)
    return fields | {
        "is_censored": event.is_censored,
        "time_to_clear_s": event.time_to_clear_s,
    }


def _fault(content: dict[str, Any]) -> str | None:
    """Return where and how `content` disagrees with the schema; None if it agrees."""
    error = best_match(Draft202012Validator(case_schema()).iter_errors(content))
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


def _ordered(version: str) -> tuple[int, int]:
    try:
        major, minor = version.split(".")
        return int(major), int(minor)
    except ValueError:
        raise CaseRecordError(
            f"case.json has schema_version {version[:20]!r}; need a number like 1.0."
        ) from None
