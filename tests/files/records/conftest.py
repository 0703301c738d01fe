from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ubereport.core.case import (
    CaseRecord,
    CutEvidence,
    EndPictures,
    FieldSummary,
    Flag,
    FlagLevel,
    KeyFrame,
    KeyFrameKind,
    ModelSummary,
    PartJoin,
    PartSummary,
    Provenance,
    ReaderUse,
)
from ubereport.core.config import AnalysisConfig, config_sha256, config_to_toml
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.presence import PresenceRule
from ubereport.core.review import CaseReview, ReviewState
from ubereport.core.series import AreaSeries, LossReason


def close_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the system refuse whoever looks into `folder`, as an account without the right to.

    Tests may run as root, who may look into every folder.
    """

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def refused(path: Any, *rest: Any, **named: Any) -> Any:
            if not isinstance(path, int) and folder in Path(os.fsdecode(path)).parents:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return call(path, *rest, **named)

        return refused

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


def _part(start_s: float, duration_s: float, sha256: str) -> PartSummary:
    return PartSummary(
        sha256=sha256,
        size_bytes=1_234_567,
        container="mov,mp4",
        codec="h264",
        pixel_format="yuv420p",
        width_px=1920,
        height_px=1080,
        rotation_deg=0,
        is_interlaced=False,
        color_matrix="bt709",
        color_range="tv",
        average_rate_hz=30000 / 1001,
        start_s=start_s,
        duration_s=duration_s,
        found_duration_s=duration_s,
        declared_duration_s=None,
        found_n_frames=300,
        declared_n_frames=301,
        gaps=(Interval(start_s + 0.1, start_s + 0.30000000000000004),),
        n_samples=20,
        n_undecoded=1,
        n_corrupt=0,
        field_of_view=FieldSummary("circle", 400, 20, 1500, 1060, 0.93),
    )


def _series() -> AreaSeries:
    reasons = [LossReason.NONE] * 20 + [LossReason.PAUSE] + [LossReason.NONE] * 19
    reasons += [LossReason.OUT_OF_BODY]
    duration_s = np.array([0.5] * 20 + [30.0] + [1.0] * 20)
    is_valid = np.array([r is LossReason.NONE for r in reasons])
    area = np.where(is_valid, np.linspace(0.0, 1.0, 41) ** 3 / 3, np.nan)
    return AreaSeries(
        time_s=np.cumsum(duration_s) - duration_s,
        duration_s=duration_s,
        part_index=[0] * 20 + [-1] + [1] * 20,
        area_frac=area,
        area_frac_lenient=area * 1.1,
        area_frac_strict=area * 0.9,
        is_valid=is_valid,
        reason=tuple(reasons),
    )


def _provenance() -> Provenance:
    model = ModelSummary(
        name="ube-blood",
        version="0.1",
        title="U-Net++ “ube-blood”",
        sha256="b" * 64,
        architecture="unetplusplus-timm-efficientnet_lite0",
        input_height_px=256,
        input_width_px=256,
        thresholds=(0.3, 0.5, 0.7),
        training_population="simulated recordings",
        limits="has seen no UBE recording",
        operating_characteristics=(("sensitivity", 0.1 + 0.2), ("dice_median", 0.79)),
        evaluated_on="held-out simulated recordings",
        licence="MIT",
        instruments_sha256="d" * 64,
        presence=PresenceRule(probability=0.97, view_frac=0.002),
        held_out_operations=(
            HeldOutOperation("gyn_001", 12, 5, 0.04, 0.035, 0.002, 0.8, -0.005),
            HeldOutOperation("gyn_002", 9, 0, 0.0, 0.001, 0.001, None, 0.001),
        ),
    )
    return Provenance(
        ubereport_version="0.1.0",
        library_versions=(("torch", "2.14.0"), ("numpy", "2.4.1")),
        model=model,
        config_toml=config_to_toml(AnalysisConfig()),
        config_sha256=config_sha256(AnalysisConfig()),
        device="cpu",
        precision="float32",
        sampling="2 pictures a second",
        readers=(ReaderUse(0, "decord", 0.0, 10.0, "exact for this codec"),),
        decode_failures=("part 2: damaged packet at 41.3 s",),
    )


@pytest.fixture(scope="session")
def make_record() -> Callable[..., CaseRecord]:
    """Build a record that uses every field, changed where asked."""

    def build(**changes: Any) -> CaseRecord:
        events = (
            HemostasisEvent(
                onset_s=1.5,
                is_onset_observed=True,
                peak_s=2.0,
                peak_area_frac=1 / 3,
                end_s=7.25,
                clear_s=7.25,
                censor_reason=CensorReason.NONE,
                mean_area_frac=0.2,
                area_time_frac_s=1.15,
                is_rebleed=False,
                severity=Severity.MODERATE,
            ),
            HemostasisEvent(
                onset_s=40.0,
                is_onset_observed=False,
                peak_s=58.5,
                peak_area_frac=0.6,
                end_s=59.5,
                clear_s=None,
                censor_reason=CensorReason.RECORDING_ENDED,
                mean_area_frac=0.5,
                area_time_frac_s=9.75,
                is_rebleed=True,
                severity=Severity.MAJOR,
            ),
        )
        values: dict[str, Any] = {
            "case_id": "case-3f9a2c41d0",
            "parts": (_part(0.0, 10.0, "a" * 64), _part(40.0, 20.0, "c" * 64)),
            "pauses": (Interval(10.0, 40.0),),
            "joins": (
                PartJoin(0, CutEvidence.EQUAL_SIZES, EndPictures.DIFFER, 9.5, 0.30000000000000004),
            ),
            "series": _series(),
            "events": events,
            "metrics": (
                MetricValue("impaired_share_20", "1", 0.1 + 0.2, "", 39, 0.975, 0.1, 1 / 3),
                MetricValue("time_to_clear_median_s", "s", None, "no event", 0, None),
            ),
            "flags": (Flag("low_coverage", FlagLevel.CAUTION, "Only 60 % could be evaluated."),),
            "key_frames": (
                KeyFrame(0, KeyFrameKind.ONSET, 1.5, 0.06, "frames/001.png", "frames/001-o.png"),
            ),
            "provenance": _provenance(),
            "review": CaseReview(
                state=ReviewState.COMPLETE,
                reviewers=("KT", "MS"),
                standing="KT",
                n_events=2,
                n_open=0,
                n_confirmed=0,
                n_struck=1,
                n_mended=1,
                n_added=0,
                n_stale=0,
                n_lines=3,
                journal_sha256="e" * 64,
                event_f1=1.0,
                kappa=None,
                events=events[:1],
                metrics=(MetricValue("event_count", "1", 1.0, "", 1, 0.975),),
            ),
        }
        return CaseRecord(**(values | changes))

    return build


@pytest.fixture(scope="session")
def record(make_record: Callable[..., CaseRecord]) -> CaseRecord:
    return make_record()


@pytest.fixture(scope="session")
def frames() -> dict[str, bytes]:
    return {"frames/001.png": b"\x89PNG raw", "frames/001-o.png": b"\x89PNG overlay"}
