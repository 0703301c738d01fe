"""One case folder read for a cohort: ``case.json`` and ``manifest.json``, never the series."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ubereport.cohort.comparison_results import NO_MODEL_FACTS, ModelFacts
from ubereport.core.case import SCHEMA_VERSION
from ubereport.core.covariates import MANIFEST_NAME, CovariateValue, read_covariates
from ubereport.core.errors import CaseRecordError
from ubereport.core.held_out import HeldOutOperation
from ubereport.files.records.listing import numbers_word
from ubereport.files.records.schema import MIGRATIONS, migrate
from ubereport.files.records.store import is_review_standing

CASE_NAME = "case.json"
_SIGNS_OF_A_CASE = (CASE_NAME, MANIFEST_NAME, "series.parquet", "events.csv")
# The sections of an analysis configuration that change the numbers of a case.
_MEASURING_SECTIONS = ("sampling", "view", "validity", "events", "metrics")
FIXED_COLUMNS = (
    "case_id", "folder", "model_name", "model_version", "model_sha256", "settings_sha256",
    "schema_version", "ubereport_version", "n_flags", "numbers",
)  # fmt: skip
EVENT_COLUMNS = (
    "case_id", "event_index", "onset_s", "is_onset_observed", "peak_s", "peak_area_frac", "end_s",
    "clear_s", "is_censored", "censor_reason", "duration_s", "time_to_clear_s", "mean_area_frac",
    "area_time_frac_s", "is_rebleed", "severity",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What one case folder gives: `identity` has `FIXED_COLUMNS`, `events` `EVENT_COLUMNS`.

    `bands` holds a metric at the strict and the lenient threshold of the bundle, smaller first.
    `is_reviewed` says that values and events are those after a person's review.
    """

    identity: dict[str, Any]
    covariates: dict[str, CovariateValue]
    values: dict[str, float | None]
    reasons: dict[str, str]
    events: list[tuple[Any, ...]]
    bands: dict[str, tuple[float, float]] = field(default_factory=dict)
    model: ModelFacts = NO_MODEL_FACTS
    is_reviewed: bool = False

    @property
    def case_id(self) -> str:
        """The pseudonymous case id."""
        return str(self.identity["case_id"])


def looks_like_case(folder: Path) -> bool:
    """Whether `folder` is, or was meant to become, a case; links out of the tree never are."""
    # Hidden folders are work in progress; a link may lead out of the library, or to a case that is
    # in it already.
    if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
        return False
    return any((folder / name).is_file() for name in _SIGNS_OF_A_CASE)


def read_case_row(folder: Path, *, is_measured: bool = False) -> CaseRow:
    """Read the case in `folder`: its reviewed numbers where one review stands, else the measured.

    `is_measured` takes the measured ones everywhere.

    Raises
    ------
    CaseRecordError
        If the case is half written, damaged, of another schema, or its manifest row is unusable.
    """
    record = _load(folder)
    covariates = read_covariates(folder)
    try:
        identity = _identity(record, folder)
        is_reviewed = not is_measured and is_review_standing(record.get("review"), folder)
        numbers = record["review"] if is_reviewed else record
        identity["numbers"] = numbers_word(is_reviewed)
        metrics = {str(entry["key"]): entry for entry in numbers["metrics"]}
        values = {key: entry["value"] for key, entry in metrics.items()}
        reasons = {
            key: str(entry["reason"]) for key, entry in metrics.items() if entry["value"] is None
        }
        bands = {
            key: (float(entry["band_low"]), float(entry["band_high"]))
            for key, entry in metrics.items()
            if entry.get("band_low") is not None and entry.get("band_high") is not None
        }
        model = _model_facts(json.dumps(record["provenance"]["model"], sort_keys=True))
        events = [_event_row(identity["case_id"], *item) for item in enumerate(numbers["events"])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CaseRecordError(
            f"{CASE_NAME} lacks or misuses {error}. Analyze the case again."
        ) from None
    # A department may call a column as a metric is called; one would silently replace the other.
    names = {*values, *FIXED_COLUMNS}
    named = {f"manifest_{k}" if k in names else k: v for k, v in covariates.items()}
    return CaseRow(identity, named, values, reasons, events, bands, model, is_reviewed)


def _load(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / CASE_NAME).read_bytes())
    except FileNotFoundError:
        raise CaseRecordError(
            f"There is no {CASE_NAME}: the case was not finished. Run the batch again."
        ) from None
    except (OSError, ValueError):
        raise CaseRecordError(f"{CASE_NAME} is cut off or damaged. Run the batch again.") from None
    if not isinstance(record, dict) or not isinstance(record.get("schema_version"), str):
        raise CaseRecordError(f"{CASE_NAME} holds no case. Run the batch again.")
    return migrate(record, MIGRATIONS, SCHEMA_VERSION)


def _identity(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    provenance = record["provenance"]
    model = provenance["model"]
    thresholds = tuple(float(t) for t in model["thresholds"])
    return {
        "case_id": str(record["case_id"]),
        "folder": folder.name,
        "model_name": str(model["name"]),
        "model_version": str(model["version"]),
        "model_sha256": str(model["sha256"]),
        "settings_sha256": _settings_sha256(
            str(provenance["config_toml"]), thresholds, json.dumps(model.get("presence"))
        ),
        "schema_version": str(record["schema_version"]),
        "ubereport_version": str(provenance["ubereport_version"]),
        "n_flags": sum(1 for flag in record["flags"] if flag["level"] != "info"),
    }


@lru_cache(maxsize=64)
def _model_facts(model_json: str) -> ModelFacts:
    """Read what a record tells of its model; parsed once for all cases of a library."""
    model = json.loads(model_json)
    figures = {str(name): float(value) for name, value in dict(
        model.get("operating_characteristics", ())).items()}  # fmt: skip
    return ModelFacts(
        title=str(model.get("title", "")),
        training_population=str(model.get("training_population", "")),
        limits=str(model.get("limits", "")),
        evaluated_on=str(model.get("evaluated_on", "")),
        sensitivity=figures.get("sensitivity"),
        specificity=figures.get("specificity"),
        operations=tuple(
            HeldOutOperation(**operation) for operation in model.get("held_out_operations", ())
        ),
    )


@lru_cache(maxsize=64)
def _settings_sha256(config_toml: str, thresholds: tuple[float, ...], presence: str) -> str:
    """Digest of what, beside the model, decides the numbers of a case."""
    config = tomllib.loads(config_toml)
    sections = {name: config.get(name) for name in _MEASURING_SECTIONS}
    # Whether a recorder paused between its files is true of a case, and no way of measuring.
    if isinstance(events := sections["events"], dict):
        sections["events"] = {k: v for k, v in events.items() if k != "is_continuous"}
    text = json.dumps([sections, thresholds, presence], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _event_row(case_id: str, index: int, event: Mapping[str, Any]) -> tuple[Any, ...]:
    onset_s, clear_s = float(event["onset_s"]), event["clear_s"]
    is_onset_seen = bool(event.get("is_onset_observed", True))
    reason = str(event["censor_reason"] or "")
    to_clear_s = float(clear_s) - onset_s if clear_s is not None and is_onset_seen else None
    return (
        case_id, index, onset_s, is_onset_seen, event["peak_s"], event["peak_area_frac"],
        event["end_s"], clear_s, clear_s is None, reason, float(event["end_s"]) - onset_s,
        to_clear_s, event["mean_area_frac"], event["area_time_frac_s"], bool(event["is_rebleed"]),
        str(event.get("severity", "")),
    )  # fmt: skip
