"""Evaluations as JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from ubereport.files.spreadsheet import csv_bytes
from ubereport.laboratory.evaluation.results import (
    Figure,
    GroupScore,
    RecordingEvaluation,
    StillScore,
    StillsEvaluation,
)
from ubereport.statistics.estimates import Estimate

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


def stills_json(evaluation: StillsEvaluation) -> bytes:
    """Return the whole evaluation as JSON, the agreed keys at the top."""
    table = {
        "model": evaluation.model,
        **stills_summary(evaluation),
        "n_groups": evaluation.n_groups,
        "figures": [_figure(figure) for figure in evaluation.figures],
        "confusion": asdict(evaluation.confusion),
        "area_limits_frac": evaluation.area_limits_frac,
        "strata": [asdict(stratum) for stratum in evaluation.strata],
        "groups": [asdict(group) for group in evaluation.groups],
        "reliability": asdict(evaluation.reliability),
        "agreement": None if evaluation.agreement is None else asdict(evaluation.agreement),
        "rules": evaluation.rules,
        "stills": [asdict(score) for score in evaluation.scores],
    }
    return _json(table)


def recording_summary(evaluation: RecordingEvaluation) -> dict[str, float | None]:
    """Return what ``evaluate recording --json`` prints, None where undefined."""
    return {
        "area_mae_frac": evaluation.area_mae_frac,
        "area_bias_frac": evaluation.area_bias_frac,
        "event_f1_10": evaluation.event_score(0.1).f1,
        "event_f1_25": evaluation.event_score(0.25).f1,
        "event_f1_50": evaluation.event_score(0.5).f1,
        "onset_error_median_s": evaluation.onset_error_median_s,
        "clear_error_median_s": evaluation.clear_error_median_s,
        "false_events_per_hour": evaluation.false_events_per_hour,
        "lost_precision": evaluation.reasons[-1].precision,
        "lost_recall": evaluation.reasons[-1].recall,
    }


def recording_json(evaluation: RecordingEvaluation) -> bytes:
    """Return the whole evaluation as JSON, the agreed keys at the top."""
    table = asdict(evaluation)
    for row in table["reasons"]:
        row["reason"] = "any" if row["reason"] is None else row["reason"].value
    return _json({**recording_summary(evaluation), **table})


def scores_csv(scores: Sequence[StillScore]) -> bytes:
    """Return one row a still; missing values are empty cells."""
    names = [f.name for f in fields(StillScore)]
    return _csv(names, ([getattr(score, name) for name in names] for score in scores))


def strata_csv(evaluation: StillsEvaluation) -> bytes:
    """Return one row a stratum; missing values are empty cells."""
    rows = [asdict(stratum) for stratum in evaluation.strata]
    names = list(rows[0])
    return _csv(names, ([row[name] for name in names] for row in rows))


def groups_csv(evaluation: StillsEvaluation) -> bytes:
    """Return one row a group of stills; missing values are empty cells."""
    names = [f.name for f in fields(GroupScore)]
    return _csv(names, ([getattr(group, name) for name in names] for group in evaluation.groups))


def _figure(figure: Figure) -> dict[str, Any]:
    row = {key: value for key, value in asdict(figure).items() if not key.startswith("over_")}
    return {
        **row,
        "over_stills": _estimate(figure.over_stills),
        "over_groups": _estimate(figure.over_groups),
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)


def _json(table: Mapping[str, Any]) -> bytes:
    text = json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def _csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    return csv_bytes(names, ([_cell(value) for value in row] for row in rows))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
