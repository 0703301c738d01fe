"""case.json: its JSON Schema, and the record as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ubereport.core.case import (
    SCHEMA_VERSION,
    CaseRecord,
    Flag,
    KeyFrame,
    PartJoin,
    PartSummary,
    Provenance,
    joined_parts,
)
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.review import CaseReview
from ubereport.core.series import AreaSeries
from ubereport.core.validation import (
    LEFT_OUT_WHEN_EMPTY,
    Sha256,
    Tally,
    json_schema,
    json_value,
    read_json_value,
    validated,
)
from ubereport.files.atomic import check_relative_name
from ubereport.files.names import validate_case_id
from ubereport.files.records.tables import series_sha256

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: Mapping[str, Migration] = {}
"""From a schema version to the function that makes the next version of it."""


@dataclass(frozen=True, slots=True)
class RecordingContent:
    """The recording: its parts, pauses between them on the case clock, and a recorder's cuts."""

    parts: Annotated[tuple[PartSummary, ...], Field(min_length=1)]
    pauses: tuple[Interval, ...]
    joins: Annotated[tuple[PartJoin, ...], LEFT_OUT_WHEN_EMPTY] = ()


@dataclass(frozen=True, slots=True)
class SeriesContent:
    """Where the series lies; the digest is of the content of its columns, not of the file."""

    file: Literal["series.parquet"]
    n_rows: Tally
    sha256: Sha256


@validated(error=CaseRecordError, remedy="Analyze the recording again.", is_open=True)
class CaseContent:
    """case.json of a case folder: everything of a record but the rows of its series.

    For research and departmental quality review; not a medical device, not for diagnosis, not for
    judging one person.
    """

    schema_version: Literal["1.0"]
    case_id: Annotated[str, Field(min_length=1)]
    recording: RecordingContent
    series: SeriesContent
    metrics: tuple[MetricValue, ...]
    events: tuple[HemostasisEvent, ...]
    flags: tuple[Flag, ...]
    key_frames: tuple[KeyFrame, ...]
    provenance: Provenance
    review: Annotated[CaseReview | None, LEFT_OUT_WHEN_EMPTY] = None


_ALIKE = (
    *("schema_version", "case_id", "metrics", "events"),
    *("flags", "key_frames", "provenance", "review"),
)
"""What a record holds as its case.json does."""


def case_schema() -> dict[str, Any]:
    """Return the JSON Schema of case.json; ``case.schema.json`` publishes it."""
    return {
        "$id": f"urn:ubereport:case:{SCHEMA_VERSION}",
        **json_schema(CaseContent),
        "title": "ubereport case record",
    }


def case_json(record: CaseRecord) -> bytes:
    """Return case.json: everything of the record but the rows of the series.

    Floats are written so that reading gives back the same bits; the bytes depend on the record
    only.

    Raises
    ------
    ValueError
        If the record has a number that is not finite, or could not be read again.
    """
    alike: dict[str, Any] = {name: getattr(record, name) for name in _ALIKE}
    content = CaseContent(
        recording=RecordingContent(record.parts, record.pauses, record.joins),
        series=SeriesContent("series.parquet", len(record.series), series_sha256(record.series)),
        **alike,
    )
    text = json.dumps(json_value(content), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def parse_case_json(content: bytes) -> CaseContent:
    """Return the checked content of case.json, older schema versions migrated.

    Raises
    ------
    CaseRecordError
        If it is no JSON, was made by a newer version, or a value cannot be used.
    """
    return read_json_value(read_tree(content), CaseContent)


def read_tree(content: bytes) -> dict[str, Any]:
    """Return case.json as a tree of the current schema version that is not checked against it.

    Raises
    ------
    CaseRecordError
        If it is no JSON or was made by a newer version.
    """
    try:
        # Python's reader takes NaN and Infinity, which are no JSON and would be numbers without a
        # value.
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
    # Step by step, so that each migration needs to know one version only.
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


def record_of(content: CaseContent, series: AreaSeries) -> CaseRecord:
    """Return the record that `case_json` wrote as `content`, with its `series`.

    Raises
    ------
    CaseRecordError
        If the series is not the one that the record was made with, or a name cannot be used.
    """
    # Both files of a case must be of one run: events of one series over the areas of another look
    # plausible.
    if content.series.sha256 != series_sha256(series):
        raise CaseRecordError(
            "series.parquet is not the series that case.json was made with. Bring both files back"
            " from one backup or analyze the recording again."
        )
    try:
        validate_case_id(content.case_id)
        for frame in content.key_frames:
            check_relative_name(frame.raw_path)
            check_relative_name(frame.overlay_path)
    except (ValueError, UsageError) as error:
        raise CaseRecordError(
            f"case.json holds a name that cannot be used ({error}). Analyze the recording again."
        ) from error
    recording = content.recording
    return CaseRecord(
        parts=recording.parts,
        pauses=recording.pauses,
        joins=recording.joins,
        series=replace(series, joined_parts=joined_parts(recording.joins)),
        **{name: getattr(content, name) for name in _ALIKE},
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _ordered(version: str) -> tuple[int, int]:
    try:
        major, minor = version.split(".")
        return int(major), int(minor)
    except ValueError:
        raise CaseRecordError(
            f"case.json has schema_version {version[:20]!r}; need a number like 1.0."
        ) from None
