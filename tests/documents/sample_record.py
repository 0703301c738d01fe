"""Case records for the tests of the reports, made from planned events by plain arithmetic.

Loaded by path (see conftest.py), because tests are no packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ubereport.core.case import (
    CaseRecord,
    FieldSummary,
    Flag,
    FlagLevel,
    KeyFrame,
    KeyFrameKind,
    ModelSummary,
    PartSummary,
    Provenance,
    ReaderUse,
)
from ubereport.core.config import AnalysisConfig, config_sha256, config_to_toml
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries, LossReason

PERIOD_S = 0.5
SHA = "3f5a9c0e7b1d2468" * 4


@dataclass(frozen=True)
class Planned:
    """One planned event: when, how large, how it ends."""

    onset_s: float
    peak_s: float
    end_s: float
    peak_frac: float
    censor: CensorReason = CensorReason.NONE
    is_rebleed: bool = False
    is_onset_observed: bool = True


LOST = (
    (0.0, 40.0, LossReason.OUT_OF_BODY),
    (610.0, 655.0, LossReason.BLURRED),
    (1090.0, 1098.0, LossReason.WHITE_OUT),
    (1500.0, 1620.0, LossReason.OUT_OF_BODY),
    (2400.0, 2520.0, LossReason.PAUSE),
    (3002.0, 3030.0, LossReason.CORRUPT),
    (3400.0, 3408.0, LossReason.FROZEN),
    (3555.0, 3620.0, LossReason.BLACK),
    (4260.0, 4350.0, LossReason.GAP),
)

PLANNED = (
    Planned(150, 162, 185, 0.14),
    Planned(402, 430, 494, 0.38),
    Planned(530, 548, 604, 0.22, is_rebleed=True),
    Planned(900, 940, 1090, 0.57, censor=CensorReason.VIEW_LOST),
    Planned(1700, 1712, 1731, 0.11),
    Planned(2150, 2190, 2301, 0.44),
    Planned(2710, 2722, 2768, 0.27),
    Planned(3620, 3650, 3712, 0.33, is_onset_observed=False),
    Planned(4090, 4150, 4260, 0.24, censor=CensorReason.RECORDING_ENDED),
)


def events_of(planned: Sequence[Planned]) -> tuple[HemostasisEvent, ...]:
    return tuple(
        HemostasisEvent(
            onset_s=p.onset_s,
            is_onset_observed=p.is_onset_observed,
            peak_s=p.peak_s,
            peak_area_frac=p.peak_frac,
            end_s=p.end_s,
            clear_s=None if p.censor else p.end_s,
            censor_reason=p.censor,
            mean_area_frac=round(p.peak_frac * 0.5 + 0.025, 6),
            area_time_frac_s=round((p.peak_frac * 0.5 + 0.025) * (p.end_s - p.onset_s), 6),
            is_rebleed=p.is_rebleed,
            severity=Severity.MAJOR
            if p.peak_frac >= 0.5
            else Severity.MODERATE
            if p.peak_frac >= 0.2
            else Severity.MINOR,
        )
        for p in planned
    )


def series_of(
    end_s: float,
    planned: Sequence[Planned],
    lost: Sequence[tuple[float, float, LossReason]],
    part_starts_s: Sequence[float] = (0.0,),
) -> AreaSeries:
    """Sample triangles over a faint background at 2 Hz; lost stretches without picture are rows."""
    time_s = np.arange(0.0, end_s, PERIOD_S)
    reason = np.array([LossReason.NONE] * len(time_s), dtype=object)
    keep = np.ones(len(time_s), dtype=bool)
    gaps = []
    for start_s, stop_s, why in lost:
        inside = (time_s >= start_s) & (time_s < stop_s)
        reason[inside] = why
        if why in (LossReason.GAP, LossReason.PAUSE):
            keep &= ~inside
            gaps.append((start_s, stop_s - start_s, why))
    area = 0.006 + 0.004 * np.sin(time_s / 37.0)
    for p in planned:
        shape = np.interp(
            time_s,
            [p.onset_s - 2, p.onset_s, p.peak_s, p.end_s, p.end_s + 2],
            [0.0, 0.05, p.peak_frac, 0.025, 0.0],
        )
        wave = 1 - 0.15 * np.abs(np.sin(time_s / 3.1)) * (np.abs(time_s - p.peak_s) > 1)
        area = np.maximum(area, shape * wave)
    rows = [
        (t, PERIOD_S, a, r) for t, a, r in zip(time_s[keep], area[keep], reason[keep], strict=True)
    ]
    rows += [(start_s, span_s, 0.0, why) for start_s, span_s, why in gaps]
    rows.sort(key=lambda row: row[0])
    reasons = tuple(row[3] for row in rows)
    is_valid = np.array([r is LossReason.NONE for r in reasons])
    areas = np.where(is_valid, np.round([row[2] for row in rows], 6), np.nan)
    starts_s = np.array([row[0] for row in rows])
    part = np.searchsorted(part_starts_s, starts_s, side="right") - 1
    part[[r is LossReason.PAUSE for r in reasons]] = -1
    return AreaSeries(
        time_s=starts_s,
        duration_s=np.array([row[1] for row in rows]),
        part_index=part,
        area_frac=areas,
        area_frac_lenient=np.minimum(areas * 1.2, 1.0),
        area_frac_strict=areas * 0.8,
        is_valid=is_valid,
        reason=reasons,
    )


def _share(series: AreaSeries, area: np.ndarray, threshold: float) -> float | None:
    valid = series.is_valid
    if not valid.any():
        return None
    at_least = valid & (np.nan_to_num(area, nan=-1.0) >= threshold)
    return float(series.duration_s[at_least].sum() / series.evaluable_s)


def product_limit(events: Sequence[HemostasisEvent]) -> list[tuple[float, float]]:
    """Walk through the follow-up times once: (time, share not yet cleared)."""
    ordered = sorted(events, key=lambda e: (e.duration_s, e.is_censored))
    left, steps = 1.0, []
    for k, event in enumerate(ordered):
        if not event.is_censored:
            left *= 1 - 1 / (len(ordered) - k)
            steps.append((event.duration_s, left))
    return steps


def metrics_of(
    series: AreaSeries, events: Sequence[HemostasisEvent], closing_s: float = 180.0
) -> tuple[MetricValue, ...]:
    """Compute every metric the plain way; what cannot be computed says why."""
    coverage = series.coverage_frac
    n = int(series.is_valid.sum())
    areas = (series.area_frac, series.area_frac_lenient, series.area_frac_strict)
    weight = series.duration_s[series.is_valid]
    observed = [e for e in events if e.is_onset_observed]
    values: list[MetricValue] = []

    def add(
        key: str,
        unit: str,
        per_area: Callable[[np.ndarray], float | None],
        why: str,
        count: int = n,
    ) -> None:
        value, *others = (per_area(area) for area in areas)
        ends = [v for v in (value, *others) if v is not None]
        is_band = value is not None and min(ends) < max(ends)
        values.append(
            MetricValue(
                key,
                unit,
                value,
                "" if value is not None else why,
                count,
                coverage,
                min(ends) if is_band else None,
                max(ends) if is_band else None,
            )
        )

    def fixed(key: str, unit: str, value: float | None, why: str, count: int = n) -> None:
        add(key, unit, lambda _: value, why, count)

    def weighted_mean(area: np.ndarray) -> float | None:
        return float(np.average(area[series.is_valid], weights=weight)) if n else None

    def quantile(q: float) -> Callable[[np.ndarray], float | None]:
        return lambda area: float(np.quantile(area[series.is_valid], q)) if n else None

    def longest(area: np.ndarray) -> float | None:
        best = run = 0.0
        for duration, is_high in zip(series.duration_s, area >= 0.2, strict=True):
            run = run + duration if is_high else 0.0
            best = max(best, run)
        return best if n else None

    closing = np.flatnonzero(series.is_valid)[-int(closing_s / PERIOD_S) :]
    none = "no evaluable time"
    fixed("coverage_frac", "1", coverage, "nothing was recorded")
    fixed("recorded_s", "s", series.recorded_s, "")
    fixed("evaluable_s", "s", series.evaluable_s, "")
    for name, threshold in (("5", 0.05), ("20", 0.2), ("50", 0.5)):
        add(f"impaired_share_{name}", "1", lambda a, t=threshold: _share(series, a, t), none)  # type: ignore[misc]
    add(
        "impaired_s_20",
        "s",
        lambda a: None if not n else float(_share(series, a, 0.2) or 0.0) * series.evaluable_s,
        none,
    )
    add("area_mean_frac", "1", weighted_mean, none)
    add("area_median_frac", "1", quantile(0.5), none)
    add("area_p90_frac", "1", quantile(0.9), none)
    add(
        "area_time_frac_min",
        "min",
        lambda a: None if not n else float((a[series.is_valid] * weight).sum() / 60),
        none,
    )
    add("longest_run_20_s", "s", longest, none)
    add("closing_area_mean_frac", "1", lambda a: float(a[closing].mean()) if n else None, none)
    add("closing_share_5", "1", lambda a: float((a[closing] >= 0.05).mean()) if n else None, none)
    count = len(events)
    fixed("event_count", "1", float(count) if n else None, none)
    fixed(
        "event_rate_per_10min",
        "/(10.min)",
        count / series.evaluable_s * 600 if n else None,
        none,
    )
    few = "no event whose onset and clearing were both seen"
    steps = product_limit(observed)
    half = [t for t, left in steps if left <= 0.5]
    fixed("time_to_clear_median_s", "s", half[0] if half else None, few, count)
    for limit in (60, 180):
        left = [share for t, share in steps if t <= limit] or [1.0]
        share = 1 - left[-1] if observed else None
        fixed(f"cleared_{limit}s_share", "1", share, few, count)
    fixed("rebleed_count", "1", float(sum(e.is_rebleed for e in events)) if n else None, none)
    return tuple(values)


MODEL = ModelSummary(
    name="ube-blood",
    version="0.3.0",
    title="U-Net++ for visible blood in endoscopic views",
    sha256=SHA,
    architecture="U-Net++, encoder timm-efficientnet-lite0",
    input_height_px=256,
    input_width_px=448,
    thresholds=(0.35, 0.5, 0.65),
    training_population="12 open laparoscopic recordings (4 hospitals) and 400 simulated views",
    limits=(
        "Has seen no recording of unilateral biportal endoscopy. Red, inflamed tissue and the glow "
        "of the radiofrequency probe may be called blood."
    ),
    operating_characteristics=(
        ("sensitivity", 0.93),
        ("sensitivity_low", 0.88),
        ("sensitivity_high", 0.96),
        ("specificity", 0.60),
        ("dice_median", 0.79),
        ("presence_probability", 0.7),
        ("n_positive", 120.0),
        ("area_mae_frac", 0.031),
    ),
    evaluated_on="180 stills of 9 recordings never trained on",
)

FLAGS = (
    Flag(
        "truncated",
        FlagLevel.WARNING,
        "Part 2 ends 90 s before its declared length; the missing tail counts as lost time.",
    ),
    Flag(
        "corrupt",
        FlagLevel.CAUTION,
        "56 samples of part 2 were damaged and are left out of every number.",
    ),
    Flag(
        "unstable_threshold",
        FlagLevel.CAUTION,
        "The headline moves by more than 5 percentage points between neighboring thresholds.",
    ),
    Flag("reader_changed", FlagLevel.INFO, "Part 2 was finished by the second reader."),
)


def part_of(start_s: float, duration_s: float, *, is_damaged: bool, n_samples: int) -> PartSummary:
    lost_s = 90.0 if is_damaged else 0.0
    return PartSummary(
        sha256=SHA[::-1] if is_damaged else SHA,
        size_bytes=round(duration_s * 1_250_000),
        container="mov,mp4",
        codec="h264",
        pixel_format="yuv420p",
        width_px=1920,
        height_px=1080,
        rotation_deg=0,
        is_interlaced=False,
        color_matrix="bt709",
        color_range="tv",
        average_rate_hz=29.97,
        start_s=start_s,
        duration_s=duration_s,
        found_duration_s=duration_s - lost_s,
        declared_duration_s=duration_s,
        found_n_frames=round((duration_s - lost_s) * 29.97),
        declared_n_frames=round(duration_s * 29.97),
        gaps=(),
        n_samples=n_samples,
        n_undecoded=0,
        n_corrupt=56 if is_damaged else 0,
        field_of_view=FieldSummary("circle", 420, 0, 1500, 1080, 0.97),
    )


def provenance() -> Provenance:
    config = AnalysisConfig()
    return Provenance(
        ubereport_version="0.1.0",
        library_versions=(("av", "18.0.0"), ("decord", "0.6.0"), ("numpy", "2.4.0")),
        model=MODEL,
        config_toml=config_to_toml(config),
        config_sha256=config_sha256(config),
        device="cpu",
        precision="bf16",
        sampling="uniform, 2 Hz",
        readers=(
            ReaderUse(0, "decord", 0.0, 2400.0, "exact on this format and faster"),
            ReaderUse(1, "decord", 2520.0, 3002.0, "exact on this format and faster"),
            ReaderUse(1, "pyav", 3002.0, 4350.0, "decord stopped at 0:50:02"),
        ),
        decode_failures=("decord: part 2 stopped after 0:08:02 of its own time",),
    )


def key_frames_of(events: Sequence[HemostasisEvent]) -> tuple[KeyFrame, ...]:
    frames = []
    for index, event in enumerate(events):
        moments = [(KeyFrameKind.ONSET, event.onset_s, 0.05)]
        moments.append((KeyFrameKind.PEAK, event.peak_s, event.peak_area_frac))
        if event.clear_s is not None:
            moments.append((KeyFrameKind.CLEAR, event.clear_s, 0.02))
        frames += [
            KeyFrame(
                index,
                kind,
                time_s,
                area,
                f"frames/event_{index + 1:03d}_{kind}_raw.jpg",
                f"frames/event_{index + 1:03d}_{kind}_overlay.jpg",
            )
            for kind, time_s, area in moments
        ]
    return tuple(frames)


def case_record(
    *,
    case_id: str = "UBE-2026-017",
    end_s: float = 4350.0,
    planned: Sequence[Planned] = PLANNED,
    lost: Sequence[tuple[float, float, LossReason]] = LOST,
    flags: Sequence[Flag] = FLAGS,
    n_key_frame_events: int = 12,
) -> CaseRecord:
    """Build a record; the usual one has two parts, a pause, losses of eight kinds and 9 events."""
    pause = next(((a, b) for a, b, why in lost if why is LossReason.PAUSE), None)
    starts_s = (0.0,) if pause is None else (0.0, pause[1])
    series = series_of(end_s, planned, lost, starts_s)
    events = events_of(planned)
    if pause is None:
        parts = (part_of(0.0, end_s, is_damaged=False, n_samples=len(series)),)
    else:
        parts = (
            part_of(0.0, pause[0], is_damaged=False, n_samples=round(pause[0] * 2)),
            part_of(pause[1], end_s - pause[1], is_damaged=True, n_samples=round(pause[0])),
        )
    return CaseRecord(
        case_id=case_id,
        parts=parts,
        pauses=() if pause is None else (Interval(*pause),),
        series=series,
        events=events,
        metrics=metrics_of(series, events),
        flags=tuple(flags),
        key_frames=key_frames_of(events[:n_key_frame_events]),
        provenance=provenance(),
    )


def no_events() -> CaseRecord:
    return case_record(planned=(), flags=())


def nothing_evaluable() -> CaseRecord:
    lost = ((0.0, 600.0, LossReason.BLACK),)
    return case_record(end_s=600.0, planned=(), lost=lost)


def four_hours() -> CaseRecord:
    planned = tuple(
        Planned(k * 178.0 + 20, k * 178.0 + 34, k * 178.0 + 60 + 11 * (k % 9), 0.1 + 0.07 * (k % 8))
        for k in range(80)
    )
    lost = tuple(
        (k * 900.0, k * 900.0 + 12 + 3 * k, reason)
        for k, reason in enumerate((LossReason.OUT_OF_BODY, LossReason.BLURRED) * 8)
    )
    return case_record(end_s=14400.0, planned=planned, lost=lost)


def twenty_seconds() -> CaseRecord:
    return case_record(
        end_s=20.0, planned=(Planned(4, 6, 14, 0.3),), lost=((17.0, 18.0, LossReason.BLURRED),)
    )


def long_flags() -> CaseRecord:
    text = "The picture of this part is unusual in several ways that a reader has to know. " * 8
    flags = [Flag(f"long_{k}", level, f"{k}: {text}") for k, level in enumerate(FlagLevel)] * 4
    return replace(case_record(), flags=tuple(flags))


def write_key_frames(record: CaseRecord, folder: Path, width_px: int = 640) -> Path:
    """Write a still of each key frame under `folder` (the case folder) and return it."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    height_px = width_px * 3 // 4
    y, x = np.mgrid[0:height_px, 0:width_px]
    inside = np.hypot(x - width_px / 2, y - height_px / 2) < height_px * 0.49
    noise = np.random.default_rng(7).normal(0, 6, (height_px // 4, width_px // 4, 3))
    texture = cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    bone = np.array([150, 190, 222]) + 18 * np.sin(x / 47.0 + y / 31.0)[..., None] + texture
    for frame in record.key_frames:
        picture = np.where(inside[..., None], bone, 4)
        radius = height_px * 0.49 * np.sqrt(frame.area_frac)
        blood = inside & (np.hypot(x - width_px * 0.45, y - height_px * 0.56) < radius)
        picture[blood] = np.array([28, 24, 150]) + texture[blood]
        raw = np.clip(picture, 0, 255).astype(np.uint8)
        overlay = raw.copy()
        contours, _ = cv2.findContours(
            blood.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(overlay, contours, -1, (255, 220, 0), 3)
        for path, still in ((frame.raw_path, raw), (frame.overlay_path, overlay)):
            cv2.imwrite(str(folder / path), still, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return folder
