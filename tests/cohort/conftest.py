"""Made-up cases for the cohort room: rows in memory, and case folders on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files.records.conftest import make_record  # noqa: F401 -- a fixture
from hypothesis import settings

from ubereport.cohort.casefile import CaseRow
from ubereport.cohort.table import CohortTable, cohort_table

# The machine may be busy: a slow draw is no failure.
settings.register_profile("cohort", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("cohort")

METRICS = ("impaired_share_20", "area_mean_frac", "coverage_frac", "evaluable_s", "event_count")
CONFIG_TOML = "[sampling]\nrate_hz = 2.0\n\n[events]\nonset_frac = 0.05\n"


def case_row(
    case_id: str,
    values: Mapping[str, float | None],
    covariates: Mapping[str, Any] | None = None,
    events: Sequence[tuple[float, float | None]] = (),
    *,
    model_sha256: str = "m1",
    settings_sha256: str = "s1",
    reasons: Mapping[str, str] | None = None,
    is_onset_observed: bool = True,
) -> CaseRow:
    """One case; `events` are (duration_s, None if censored else the same duration)."""
    identity = {
        "case_id": case_id,
        "folder": f"folder-{case_id}",
        "model_name": "ube-blood",
        "model_version": "1.0" if model_sha256 == "m1" else "2.0",
        "model_sha256": model_sha256,
        "settings_sha256": settings_sha256,
        "schema_version": "1.0",
        "ubereport_version": "0.1.0",
        "n_flags": 0,
    }
    rows = []
    for index, (duration_s, cleared_s) in enumerate(events):
        onset_s = 1000.0 * index
        clear_s = None if cleared_s is None else onset_s + cleared_s
        rows.append(
            (case_id, index, onset_s, is_onset_observed, onset_s, 0.3, onset_s + duration_s,
             clear_s, clear_s is None, "" if clear_s is not None else "view_lost", duration_s,
             cleared_s if is_onset_observed else None, 0.2, 1.0, False, "moderate")
        )  # fmt: skip
    missing = {key: "no data" for key, value in values.items() if value is None}
    return CaseRow(identity, dict(covariates or {}), dict(values), {**missing, **(reasons or {})},
                   rows)  # fmt: skip


def made_up_table(
    n_per_group: Mapping[str, int],
    *,
    seed: int = 1,
    n_surgeons: int = 6,
    shift: Mapping[str, float] | None = None,
    surgeon_sd: float = 0.0,
    case_sd: float = 0.8,
    n_events: int = 4,
) -> CohortTable:
    """Cases whose impaired share is normal on the logit, with group shifts and surgeon levels."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(0, surgeon_sd, n_surgeons)
    rows = []
    number = 0
    for group, n in n_per_group.items():
        for index in range(n):
            surgeon = index % n_surgeons
            logit = -2.5 + (shift or {}).get(group, 0.0) + levels[surgeon] + rng.normal(0, case_sd)
            share = float(1 / (1 + np.exp(-logit)))
            durations = rng.exponential(60.0, n_events)
            rows.append(
                case_row(
                    f"case{number:04d}",
                    {
                        "impaired_share_20": share,
                        "area_mean_frac": share / 3,
                        "coverage_frac": float(rng.uniform(0.8, 1.0)),
                        "evaluable_s": float(rng.uniform(2400, 4800)),
                        "event_count": float(n_events),
                        "event_rate_per_10min": n_events / 5,
                        "at_risk_s": 3000.0,
                    },
                    {
                        "date": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}",
                        "surgeon": f"S{surgeon + 1}",
                        "technique": group,
                        "procedure": "ULBD",
                        "age": float(rng.integers(40, 85)),
                        "antithrombotics": bool(rng.random() < 0.3),
                    },
                    [(float(d), float(d) if d < 150 else None) for d in durations],
                )
            )
            number += 1
    return cohort_table(rows)


def case_json_text(
    case_id: str,
    values: Mapping[str, float | None],
    n_events: int = 3,
    model_sha256: str = "a" * 64,
    config_toml: str = CONFIG_TOML,
) -> str:
    """The parts of a case.json that a cohort reads."""
    events = [
        {
            "onset_s": 100.0 * i, "is_onset_observed": True, "peak_s": 100.0 * i + 5,
            "peak_area_frac": 0.3, "end_s": 100.0 * i + 30, "clear_s": 100.0 * i + 30,
            "censor_reason": "", "mean_area_frac": 0.2, "area_time_frac_s": 6.0,
            "is_rebleed": False, "severity": "moderate", "is_censored": False,
            "time_to_clear_s": 30.0,
        }
        for i in range(n_events)
    ]  # fmt: skip
    metrics = [
        {"key": key, "unit": "1", "value": value, "reason": "" if value is not None else "no data",
         "n": 10, "coverage_frac": 0.9, "band_low": None, "band_high": None}
        for key, value in values.items()
    ]  # fmt: skip
    model = {"name": "ube-blood", "version": "1.0", "sha256": model_sha256,
             "thresholds": [0.4, 0.5, 0.6]}  # fmt: skip
    return json.dumps(
        {
            "schema_version": "1.0",
            "case_id": case_id,
            "recording": {"parts": [], "pauses": []},
            "metrics": metrics,
            "events": events,
            "flags": [{"key": "k", "level": "info", "message": "m"}],
            "key_frames": [],
            "provenance": {"ubereport_version": "0.1.0", "model": model,
                           "config_toml": config_toml, "config_sha256": "c" * 64},
        }
    )  # fmt: skip


@pytest.fixture
def make_row() -> Callable[..., CaseRow]:
    return case_row


@pytest.fixture
def make_table() -> Callable[..., CohortTable]:
    return made_up_table


@pytest.fixture
def case_text() -> Callable[..., str]:
    return case_json_text


@pytest.fixture(scope="session")
def reference() -> dict[str, float]:
    """Numbers from R; see reference/reference.R."""
    with (Path(__file__).parent / "reference" / "reference.csv").open() as file:
        return {row["name"]: float(row["value"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="session")
def reference_cases() -> dict[str, np.ndarray]:
    """The made-up cases that R saw: columns as arrays."""
    with (Path(__file__).parent / "reference" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = ("y", "age", "duration_s")
    columns: dict[str, np.ndarray] = {
        name: np.array([float(row[name]) for row in rows]) for name in numbers
    }
    columns["group"] = np.array(["abc".index(row["group"]) for row in rows])
    columns["surgeon"] = np.array([int(row["surgeon"][1:]) for row in rows])
    columns["is_cleared"] = np.array([row["is_cleared"] == "1" for row in rows])
    return columns


@pytest.fixture
def write_case_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a case folder into ``tmp_path / "library"``; returns the case folder."""

    def write(
        case_id: str,
        values: Mapping[str, float | None] | None = None,
        manifest: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Path:
        folder = tmp_path / "library" / case_id
        folder.mkdir(parents=True)
        shown = dict.fromkeys(METRICS, 0.1) if values is None else values
        (folder / "case.json").write_text(case_json_text(case_id, shown, **options))
        if manifest is not None:
            (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return write
