"""What a review brings on simulated recordings: strokes against the error of the area.

    python -m tests.perf.simulated_review --models ube-blood hsv-red --out /tmp/review

Measures the example and recordings of fixed seeds (as `simulated_accuracy.py` makes them), lets a
reviewer who sees the truth decide every event and say areas, and holds series and events against
the truth after so many strokes. Areas are said at the picture that is furthest off ("worst"), or
evenly along the events ("even"), to a precision, and with an eye that errs by a share of the area.
Each stroke goes through the journal, as on the page. Prints one row a setting; cases are kept.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.perf.simulated_accuracy import FIRST_SEED, make
from ubereport.batch.case import CaseRequest, run_case
from ubereport.core.config import AnalysisConfig, SegmentationConfig
from ubereport.core.intervals import Interval
from ubereport.core.progress import silent
from ubereport.laboratory.evaluation.recordings import evaluate_recording
from ubereport.laboratory.evaluation.truth import RecordingTruth, read_truth
from ubereport.review.desk.case_desk import CaseDesk, Saying
from ubereport.review.strokes import Action

EXAMPLE = Path(__file__).parents[2] / "examples" / "simulated_case"
WHO = "SIM"
SHOWN = (0, 5, 10, 15, 20, 25, 30, 35, 40)
SETTINGS = (("worst", 0.01, 0.0), ("worst", 0.05, 0.0), ("worst", 0.05, 0.1), ("even", 0.05, 0.1))
Judge = Callable[[float], float]


def measured(recording: Path, model: str, out: Path) -> Path:
    """Return the case folder of a recording, measured once."""
    config = AnalysisConfig(segmentation=SegmentationConfig(model=model))
    parts = tuple(sorted(recording.glob("recording*.mp4")))
    return run_case(CaseRequest(parts, out / model, recording.name, config), silent).folder


def true_areas(desk: CaseDesk, truth: RecordingTruth) -> np.ndarray:
    """(n,) true area of each measured picture; NaN where either side lost the view."""
    series = desk.record.series
    row = np.searchsorted(truth.time_s, series.time_s + 1e-6, side="right") - 1
    return np.where(series.is_valid & truth.is_valid[row], truth.area_frac[row], np.nan)


def decide(desk: CaseDesk, truth: RecordingTruth) -> int:
    """Confirm, strike and add events as the truth has them; return how many strokes that took."""
    max_gap_s = desk.config.events.max_gap_s
    missed = [truth.event_interval(event, max_gap_s) for event in truth.events]
    n_strokes = 0
    for event in desk.record.events:
        span = Interval(event.onset_s, event.end_s)
        alike = [true for true in missed if span.iou(true) >= 0.5]
        missed = [true for true in missed if true not in alike]
        action = Action.CONFIRM if alike else Action.STRIKE
        desk.say(Saying(action, WHO, (event.onset_s, event.end_s)))
        n_strokes += 1
    for true in missed:
        # `+` where it begins, `e` where it clears.
        desk.say(Saying(Action.ADD, WHO, stretch=(true.start_s, true.end_s)))
        n_strokes += 2
    return n_strokes


def worst(desk: CaseDesk, true: np.ndarray, said_s: set[float]) -> float | None:
    """Return the picture of an event whose area is furthest off; None where none is by a point."""
    review = desk.reviewed(desk.journal(), WHO)
    time_s = desk.record.series.time_s
    row = np.searchsorted(review.series.time_s, time_s + 1e-6, side="right") - 1
    off = np.abs(review.series.area_frac[row] - true)
    inside = np.zeros(len(off), dtype=bool)
    for event in review.events:
        inside |= (time_s >= event.onset_s) & (time_s < event.end_s)
    off = np.where(inside & ~np.isin(time_s, list(said_s)), np.nan_to_num(off), 0)
    return float(time_s[np.argmax(off)]) if off.max() >= 0.01 else None


def evenly(desk: CaseDesk, true: np.ndarray, n: int) -> list[float]:
    """Return n pictures spread evenly over the time of the events."""
    review, time_s = desk.reviewed(desk.journal(), WHO), desk.record.series.time_s
    inside = np.zeros(len(time_s), dtype=bool)
    for event in review.events:
        inside |= (time_s >= event.onset_s) & (time_s < event.end_s)
    rows = np.flatnonzero(inside & ~np.isnan(true))
    chosen = np.linspace(0, len(rows), n + 2)[1:-1].astype(int)
    return [float(time_s[rows[k]]) for k in np.unique(chosen)]


def say_area(desk: CaseDesk, true: np.ndarray, time_s: float, judge: Judge) -> None:
    row = np.searchsorted(desk.record.series.time_s, time_s + 1e-6, side="right") - 1
    desk.say(Saying(Action.AREA, WHO, time_s=time_s, area_frac=judge(float(true[row]))))


def eye(precision: float, error_sd: float) -> Judge:
    noise = np.random.default_rng(1)

    def judge(area_frac: float) -> float:
        seen = area_frac * (1 + error_sd * noise.standard_normal())
        return float(np.clip(round(seen / precision) * precision, 0, 1))

    return judge


def errors(case: Path, truth: RecordingTruth, setting: tuple[str, float, float]) -> list[str]:
    """Return a cell for each of `SHOWN`: area error in points and F1 at IoU 0.5.

    A dash until every event is decided.
    """
    placement, precision, error_sd = setting
    cells = {0: cell(CaseDesk(case), truth)}
    for n_wanted in SHOWN[1:] if placement == "even" else SHOWN[-1:]:
        with tempfile.TemporaryDirectory() as folder:
            desk = CaseDesk(Path(shutil.copytree(case, Path(folder) / case.name)))
            true, judge = true_areas(desk, truth), eye(precision, error_sd)
            n_strokes, said_s = decide(desk, truth), set[float]()
            if placement == "even":
                if n_wanted >= n_strokes:
                    for time_s in evenly(desk, true, n_wanted - n_strokes):
                        say_area(desk, true, time_s, judge)
                    cells[n_wanted] = cell(desk, truth)
                continue
            for n_so_far in range(n_strokes, n_wanted + 1):
                cells[n_so_far] = cell(desk, truth)
                time_s = worst(desk, true, said_s)
                if time_s is not None:
                    say_area(desk, true, time_s, judge)
                    said_s.add(time_s)
    return [cells.get(n_shown, "–") for n_shown in SHOWN]


def cell(desk: CaseDesk, truth: RecordingTruth) -> str:
    review = desk.reviewed(desk.journal(), WHO)
    found = evaluate_recording(review.series, review.events, truth, desk.config.events.max_gap_s)
    return f"{100 * found.area_mae_frac:5.2f} (F1 {found.event_score(0.5).f1:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["ube-blood", "hsv-red"])
    parser.add_argument("--n", type=int, default=4, help="simulated recordings beside the example")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    recordings = [EXAMPLE]
    for seed in range(FIRST_SEED, FIRST_SEED + options.n):
        make(seed, 3.0, 5, options.out)
        recordings.append(options.out / f"seed-{seed}")
    print("model recording setting | " + " | ".join(map(str, SHOWN)))
    for model in options.models:
        for recording in recordings:
            case, truth = measured(recording, model, options.out), read_truth(recording / "truth")
            for setting in SETTINGS:
                told = " | ".join(errors(case, truth, setting))
                print(f"{model} {recording.name} {setting} | {told}", flush=True)


if __name__ == "__main__":
    main()
