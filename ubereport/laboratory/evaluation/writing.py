"""Evaluations as JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from ubereport.files.spreadsheet import csv_bytes
from ubereport.laboratory.evaluation.recordings import RECORDING_KEYS, recording_value
from ubereport.laboratory.evaluation.results import RecordingEvaluation, StillsEvaluation

_SUMMARY_KEYS = (
    "dice_median",
    "dice_mean",
    "iou_median",
    "accuracy",
    "sensitivity",
    "specificity",
    "negative_area_mean_frac",
    "area_mae_frac",
    "area_bias_frac",
)


def stills_summary(evaluation: StillsEvaluation) -> dict[str, float | int | None]:
    """Return what ``evaluate stills --json`` prints: the agreed keys, None where undefined."""
    summary: dict[str, float | int | None] = {
        "n": evaluation.n,
        "n_positive": evaluation.n_positive,
        "n_negative": evaluation.n_negative,
    }
    for key in _SUMMARY_KEYS:
        summary[key] = evaluation.figure(key).over_stills.value
    return summary


def stills_table(evaluation: StillsEvaluation) -> dict[str, Any]:
    """Return the whole evaluation as a tree of JSON values, the agreed keys at the top."""
    table = asdict(evaluation)
    stills = {"rules": table.pop("rules"), "stills": table.pop("scores")}
    return {"model": evaluation.model, **stills_summary(evaluation), **table, **stills}


def recording_summary(evaluation: RecordingEvaluation) -> dict[str, float | None]:
    """Return what ``evaluate recording --json`` prints, None where undefined."""
    return {key: recording_value(evaluation, key) for key in RECORDING_KEYS}


def recording_table(evaluation: RecordingEvaluation) -> dict[str, Any]:
    """Return the whole evaluation as a tree of JSON values, the agreed keys at the top."""
    table = asdict(evaluation)
    for row in table["reasons"]:
        row["reason"] = "any" if row["reason"] is None else row["reason"].value
    return {**recording_summary(evaluation), **table}


def models_csv(kind: type, rows: Mapping[str, Sequence[Any]]) -> bytes:
    """Return one line for each `kind` of each model; missing values are empty cells."""
    names = [f.name for f in fields(kind)]
    cells = (
        [model, *(_cell(getattr(row, name)) for name in names)]
        for model, own in rows.items()
        for row in own
    )
    return csv_bytes(["model", *names], cells)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def json_bytes(table: Mapping[str, Any]) -> bytes:
    """Return a tree of JSON values as text."""
    text = json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()
