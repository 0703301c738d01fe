"""Make the example cohort: 84 simulated cases as records, three of them with a recording.

    python examples/cohort/make_cohort.py --out /tmp/cohort
    ubereport compare /tmp/cohort --by technique --out /tmp/comparison
    ubereport audit /tmp/cohort --out /tmp/audit

The recordings lie in ``OUT.recordings``; ``ubereport analyze OUT.recordings/EX-004.mp4 --model
hsv-red --rate 0.5 --sampling uniform --out DIR`` measures the areas of that record again.

Nothing in it was ever a patient. What is planted is written in ``TRUTH.md``; the same seed gives
the same library. Events, metrics and flags are derived from each series by the program itself.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ubereport.analysis.derived_numbers import derive
from ubereport.batch.case import rerender_case
from ubereport.core.covariates import CovariateValue, covariates_json
from ubereport.core.config import AnalysisConfig, config_sha256, config_to_toml
from ubereport.core.case import (
    CaseRecord,
    FieldSummary,
    ModelSummary,
    PartSummary,
    Provenance,
    ReaderUse,
)
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.names import folder_name
from ubereport.files.records.store import write_case
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

TECHNIQUES = ("RF coagulation", "bone wax", "gelatin-thrombin matrix")
SURGEONS = ("S1", "S2", "S3", "S4")
N_CASES = 84
SEED = 20260301
STEP_S = 2.0
FIRST_RECORDED, N_RECORDINGS = 4, 3
WIDTH_PX, HEIGHT_PX, RATE_HZ = 160, 120, 1


@dataclass(frozen=True)
class Truth:
    """What is planted. Rates are multiplied by exp of the sums of these effects."""

    clear_mean_s: float = 24.0
    clear_ratio_gelatin: float = 0.40
    clear_ratio_antithrombotics: float = 1.40
    events_per_10min: float = 8.0
    rate_ratio_antithrombotics: float = 1.20
    surgeon_level: dict[str, float] = field(
        default_factory=lambda: {"S1": 0.0, "S2": 0.20, "S3": -0.15, "S4": 0.05}
    )
    case_sd: float = 0.20
    # The made-up model finds this much more or less blood from operation to operation.
    model_found_sd: float = 0.03
    # Agents are first used this many seconds into the case, and have no effect before.
    first_use_s: tuple[int, int] = (60, 600)
    # Share of cases with antithrombotics, and with gelatin where they have them or not.
    antithrombotics_share: float = 0.35
    gelatin_share_with: float = 0.55
    gelatin_share_without: float = 0.18
    # S4 learns: the first cases have longer events.
    learner: str = "S4"
    learning_cases: int = 8
    learning_ratio: float = 6.0
    learning_rate_ratio: float = 2.0
    # Special causes, by case number in order of date.
    pump_failure_case: int = 30
    pump_failure_ratio: float = 20.0
    pump_failure_area_ratio: float = 4.0
    bad_month_cases: tuple[int, ...] = tuple(range(50, 59))
    bad_month_rate_ratio: float = 2.5
    dark_case: int = 66
    # Missing.
    technique_missing: tuple[int, ...] = (13, 57)
    surgeon_missing: tuple[int, ...] = (21,)
    no_view_case: int = 36
    old_model_cases: tuple[int, ...] = (1, 2, 3)
    half_written_case: int = 84


TRUTH = Truth()


@dataclass(frozen=True)
class Case:
    """One simulated case before its series is drawn; `number` counts from 1 in order of date."""

    number: int
    covariates: dict[str, CovariateValue]
    log_clear: float
    log_rate: float
    first_use_s: float = 0.0
    log_clear_after_use: float = 0.0

    @property
    def case_id(self) -> str:
        return f"EX-{self.number:03d}"


def plan_cases(rng: np.random.Generator, n_cases: int) -> list[Case]:
    """Draw who was operated on by whom, when, how, and what that does to the bleeding."""
    cases = []
    n_by_learner = 0
    for number in range(1, n_cases + 1):
        surgeon = SURGEONS[(number + int(rng.integers(0, 2))) % len(SURGEONS)]
        n_by_learner += surgeon == TRUTH.learner
        has_thinner = bool(rng.random() < TRUTH.antithrombotics_share)
        wish = TRUTH.gelatin_share_with if has_thinner else TRUTH.gelatin_share_without
        others = TECHNIQUES[int(rng.random() < 0.4)]
        technique = TECHNIQUES[2] if rng.random() < wish else others
        log_clear = TRUTH.surgeon_level[surgeon] + rng.normal(0, TRUTH.case_sd)
        log_rate = rng.normal(0, TRUTH.case_sd)
        log_effect = np.log(TRUTH.clear_ratio_gelatin) * (technique == TECHNIQUES[2])
        use_s = draw_uses(np.random.default_rng([SEED, 0, number]), technique)
        log_clear += np.log(TRUTH.clear_ratio_antithrombotics) * has_thinner
        log_rate += np.log(TRUTH.rate_ratio_antithrombotics) * has_thinner
        is_learning = surgeon == TRUTH.learner and n_by_learner <= TRUTH.learning_cases
        log_clear += np.log(TRUTH.learning_ratio) * is_learning
        log_rate += np.log(TRUTH.learning_rate_ratio) * is_learning
        log_clear += np.log(TRUTH.pump_failure_ratio) * (number == TRUTH.pump_failure_case)
        log_rate += np.log(TRUTH.bad_month_rate_ratio) * (number in TRUTH.bad_month_cases)
        row = draw_covariates(rng, number, has_thinner)
        row["surgeon"] = None if number in TRUTH.surgeon_missing else surgeon
        row["technique"] = None if number in TRUTH.technique_missing else technique
        row["use_start"] = ";".join(str(s) for s in use_s)
        cases.append(
            Case(number, row, float(log_clear), float(log_rate), use_s[0], float(log_effect))
        )
    return cases


def draw_uses(rng: np.random.Generator, technique: str) -> list[int]:
    """When the technique was used, in seconds on the case clock: RF from the start, agents later."""
    if technique == TECHNIQUES[0]:
        return [0]
    first = int(rng.integers(*TRUTH.first_use_s))
    return [first] if rng.random() < 0.6 else [first, first + int(rng.integers(300, 1200))]


def draw_covariates(
    rng: np.random.Generator, number: int, has_thinner: bool
) -> dict[str, CovariateValue]:
    day = np.datetime64("2025-03-03") + 5 * (number - 1) + int(rng.integers(0, 3))
    is_pressure_known = rng.random() > 0.08
    return {
        "date": str(day),
        "procedure": "ULBD" if rng.random() < 0.75 else "discectomy",
        "levels": int(rng.choice([1, 1, 1, 2])),
        "age": int(np.clip(rng.normal(66, 11), 28, 90)),
        "sex": "f" if rng.random() < 0.5 else "m",
        "antithrombotics": has_thinner,
        "pump_pressure_mmhg": float(rng.choice([25, 30, 35])),
        "map_mmhg": float(np.round(rng.normal(82, 7))) if is_pressure_known else None,
    }


def draw_series(rng: np.random.Generator, case: Case) -> AreaSeries:
    """Draw a(t) every two seconds: events that rise and fall, lost stretches, noise."""
    n = int(rng.integers(2100, 3000) / STEP_S)
    time_s = np.arange(n) * STEP_S
    area = np.abs(rng.normal(0.004, 0.002, n))
    gap_s = 600 / (TRUTH.events_per_10min * np.exp(case.log_rate))
    at_s = float(rng.exponential(gap_s))
    while at_s < n * STEP_S:
        log_clear = case.log_clear + case.log_clear_after_use * (at_s >= case.first_use_s)
        length_s = 6 + rng.exponential(TRUTH.clear_mean_s * np.exp(log_clear))
        area = np.maximum(area, event_shape(time_s - at_s, length_s, 0.08 + 0.6 * rng.beta(2, 3.5)))
        at_s += length_s + 8 + float(rng.exponential(gap_s))
    if case.number == TRUTH.pump_failure_case:
        area = TRUTH.pump_failure_area_ratio * area
    reason = draw_losses(rng, case, n)
    area = np.round(np.clip(area + rng.normal(0, 0.001, n), 0, 1), 4)
    is_valid = np.array([r is LossReason.NONE for r in reason])
    return AreaSeries(
        time_s=time_s,
        duration_s=np.full(n, STEP_S),
        part_index=np.zeros(n, dtype=np.int64),
        area_frac=np.where(is_valid, area, np.nan),
        area_frac_lenient=np.where(is_valid, np.round(np.minimum(1.12 * area, 1), 4), np.nan),
        area_frac_strict=np.where(is_valid, np.round(0.9 * area, 4), np.nan),
        is_valid=is_valid,
        reason=tuple(reason),
    )


def event_shape(since_s: np.ndarray, length_s: float, peak: float) -> np.ndarray:
    """Rise in 4 s, slow fall to 60 % of the peak, clear within 3 s."""
    slow = peak * (1 - 0.4 * since_s / length_s)
    shape = np.where(since_s < 4, peak * since_s / 4, slow)
    end = 0.6 * peak * np.clip(1 - (since_s - length_s) / 3, 0, 1)
    return np.clip(np.where(since_s > length_s, end, shape), 0, 1)


def draw_losses(rng: np.random.Generator, case: Case, n: int) -> list[LossReason]:
    reason = [LossReason.NONE] * n
    n_losses = int(rng.integers(1, 5)) * (16 if case.number == TRUTH.dark_case else 1)
    for _ in range(n_losses):
        start, length = int(rng.integers(0, n)), int(rng.integers(15, 80) / STEP_S)
        kind = rng.choice([LossReason.BLURRED, LossReason.OUT_OF_BODY, LossReason.BLACK])
        reason[start : start + length] = [LossReason(kind)] * len(reason[start : start + length])
    if case.number == TRUTH.no_view_case:
        reason = [LossReason.BLACK] * n
    return reason


def record_of(case: Case, series: AreaSeries, config: AnalysisConfig) -> CaseRecord:
    derived = derive(series, config.events, config.metrics)
    return CaseRecord(
        case_id=case.case_id,
        parts=(part_of(case, series),),
        pauses=(),
        series=series,
        events=derived.events,
        metrics=derived.metrics,
        flags=derived.flags,
        key_frames=(),
        provenance=provenance_of(case, config),
    )


def part_of(case: Case, series: AreaSeries) -> PartSummary:
    n_frames = int(25 * series.recorded_s)
    return PartSummary(
        sha256=f"{case.number:064x}", size_bytes=1000 * n_frames, container="mp4", codec="h264",
        pixel_format="yuv420p", width_px=1280, height_px=720, rotation_deg=0, is_interlaced=False,
        color_matrix="bt709", color_range="tv", average_rate_hz=25.0, start_s=0.0,
        duration_s=series.recorded_s, found_duration_s=series.recorded_s,
        declared_duration_s=series.recorded_s, found_n_frames=n_frames, declared_n_frames=n_frames,
        gaps=(), n_samples=len(series), n_undecoded=0, n_corrupt=0,
        field_of_view=FieldSummary("circle", 280, 0, 1000, 720, 0.97),
    )  # fmt: skip


def made_up_operations() -> tuple[HeldOutOperation, ...]:
    """What the made-up model erred on unseen operations: alike to within a few percent."""
    rng = np.random.default_rng([SEED, 1])
    found = []
    for number in range(20):
        painted = round(float(np.clip(rng.normal(0.006, 0.003), 0.0005, 0.02)), 4)
        share = round(float(rng.normal(0.88, TRUTH.model_found_sd)), 3)
        measured = round(0.08 * share + 0.92 * painted, 4)
        found.append(
            HeldOutOperation(f"made-up-{number + 1}", 30, 15, 0.08, measured, painted, share,
                             round(measured - 0.08, 4))
        )  # fmt: skip
    return tuple(found)


def provenance_of(case: Case, config: AnalysisConfig) -> Provenance:
    is_old = case.number in TRUTH.old_model_cases
    model = ModelSummary(
        name="example-blood", version="0.9" if is_old else "1.0", title="Example, no real model",
        sha256=("0" if is_old else "1") * 64, architecture="none", input_height_px=256,
        input_width_px=256, thresholds=(0.4, 0.5, 0.6), training_population="none: simulated areas",
        limits="Example only.",
        operating_characteristics=(("sensitivity", 0.93), ("specificity", 0.90)),
        evaluated_on="20 made-up operations", held_out_operations=made_up_operations(),
    )  # fmt: skip
    return Provenance(
        ubereport_version="0.1.0", library_versions=(), model=model,
        config_toml=config_to_toml(config), config_sha256=config_sha256(config), device="cpu",
        precision="float32", sampling="uniform, 0.5 Hz (simulated)",
        readers=(ReaderUse(0, "simulated", 0.0, 1.0, "no recording"),), decode_failures=(),
    )  # fmt: skip


def add_outcomes(rng: np.random.Generator, case: Case, record: CaseRecord) -> None:
    """Ratings and outcomes that follow the measured view, with noise; some are missing."""
    impaired = record.metric("impaired_share_20").value
    closing = record.metric("closing_area_mean_frac").value
    row = case.covariates
    row["clarity_rating"] = row["hb_drop_g_dl"] = row["drain_ml"] = row["hematoma"] = None
    if impaired is None or closing is None:
        return
    if rng.random() > 0.1:
        felt = impaired * float(np.exp(rng.normal(0, 0.35)))
        row["clarity_rating"] = int(np.digitize(felt, (0.05, 0.20, 0.50)))
    row["hb_drop_g_dl"] = float(np.round(max(0.2, 1.2 + 3 * impaired + rng.normal(0, 0.5)), 1))
    row["drain_ml"] = float(np.round(max(5.0, 60 + 500 * closing + rng.normal(0, 25))))
    row["hematoma"] = bool(rng.random() < 0.1 + 1.5 * min(closing, 0.3))


def write_recording(series: AreaSeries, path: Path) -> None:
    """Draw a series as a recording: blood over that share of a pale view, black where lost."""
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "12", "g": "10"}
    with VideoWriter(path, EncoderSpec(WIDTH_PX, HEIGHT_PX, RATE_HZ, options=options)) as writer:
        for second in range(round(series.recorded_s * RATE_HZ)):
            index = int(second / RATE_HZ / STEP_S)
            # The pattern moves, so that no picture is taken for a frozen or a blurred one.
            wave = 50 * (((columns + second) // 6 + rows // 6) % 2)
            view = np.stack([190 - wave, 180 - wave, 165 - wave], axis=2).astype(np.uint8)
            if not series.is_valid[index]:
                view[:] = 0
            else:
                n_red = round(float(series.area_frac[index]) * rows.size)
                view.reshape(-1, 3)[rows.size - n_red :] = (150, 18, 20)
            writer.write(view)


def make_cohort(
    out: Path, n_cases: int = N_CASES, seed: int = SEED, n_recordings: int = 0
) -> list[Case]:
    """Write the library into `out`, which must be new or empty; returns the planned cases.

    From the fourth case on, `n_recordings` get a recording beside `out` and a report.
    """
    rng = np.random.default_rng(seed)
    cases = plan_cases(rng, n_cases)
    config = AnalysisConfig()
    out.mkdir(parents=True, exist_ok=True)
    for case in cases:
        series = draw_series(np.random.default_rng([seed, case.number]), case)
        record = record_of(case, series, config)
        add_outcomes(rng, case, record)
        folder = out / folder_name(case.case_id)
        manifest = covariates_json(case.covariates).encode()
        write_case(record, folder, {"manifest.json": manifest})
        if case.number == TRUTH.half_written_case:
            (folder / "case.json").unlink()
        if FIRST_RECORDED <= case.number < FIRST_RECORDED + n_recordings:
            write_recording(series, out.with_name(f"{out.name}.recordings") / f"{case.case_id}.mp4")
            rerender_case(folder, lambda events: events, None)
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=N_CASES)
    parser.add_argument("--recordings", type=int, default=N_RECORDINGS)
    parser.add_argument("--force", action="store_true", help="replace what lies in OUT")
    options = parser.parse_args()
    if options.force:
        shutil.rmtree(options.out, ignore_errors=True)
    cases = make_cohort(options.out, options.cases, n_recordings=options.recordings)
    print(f"{len(cases)} simulated cases. What is planted: TRUTH.md beside this script.")


if __name__ == "__main__":
    main()
