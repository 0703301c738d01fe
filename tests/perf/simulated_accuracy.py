"""How right a bundle is on simulated recordings that nobody tuned on.

    python tests/perf/simulated_accuracy.py --models hsv-red ube-blood --out /tmp/accuracy

Makes recordings of fixed seeds (kept in --out and reused), analyzes each without its report, holds
series and events against the truth, prints one table and writes accuracy.json.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.opening import open_case
from ubereport.analysis.pipeline import analyze_case
from ubereport.analysis.progress import silent
from ubereport.config import AnalysisConfig
from ubereport.evaluation.recordings import RECORDING_KEYS, evaluate_recording, over_recordings
from ubereport.evaluation.truth import read_truth
from ubereport.resources import models_dir
from ubereport.simulation.recording import simulate

FIRST_SEED = 9001


def recording(seed: int, minutes: float, folder: Path) -> Path:
    target = folder / f"seed-{seed}"
    if not (target / "done").exists():
        simulate(seed, minutes, target)
        (target / "done").touch()
    return target


def analyze(folder: Path, model: str, work: Path):
    config = AnalysisConfig()
    config = replace(
        config,
        segmentation=replace(config.segmentation, model=model),
        records=replace(config.records, is_frames_kept=False),
    )
    opened = open_case(sorted(folder.glob("recording*.mp4")), config, models_dir(), silent)
    checkpoint = Checkpoint(work, opened.fingerprint)
    record = analyze_case(opened, folder.name, checkpoint, silent).record
    checkpoint.discard()
    truth = read_truth(folder / "truth")
    return evaluate_recording(record.series, record.events, truth, config.events.max_gap_s)


def reasons_table(evaluations) -> dict[str, dict[str, float | None]]:
    seconds: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for score in evaluation.reasons:
            name = "any loss" if score.reason is None else str(score.reason)
            row = seconds.setdefault(name, [0.0, 0.0, 0.0])
            for i, value in enumerate((score.true_s, score.found_s, score.both_s)):
                row[i] += value
    return {
        name: {
            "true_s": true_s,
            "precision": both_s / found_s if found_s else None,
            "recall": both_s / true_s if true_s else None,
        }
        for name, (true_s, found_s, both_s) in seconds.items()
        if true_s or found_s
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["hsv-red", "ube-blood"])
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only-make", action="store_true")
    options = parser.parse_args()
    folders = [recording(FIRST_SEED + i, options.minutes, options.out) for i in range(options.n)]
    if options.only_make:
        return
    results = {}
    for model in options.models:
        started = time.perf_counter()
        evaluations = [analyze(folder, model, options.out / "work") for folder in folders]
        estimates = over_recordings(evaluations)
        results[model] = {
            "wall_s": round(time.perf_counter() - started, 1),
            "mean_over_recordings": {
                key: {"value": e.value, "low": e.low, "high": e.high}
                for key, e in estimates.items()
            },
            "reasons": reasons_table(evaluations),
        }
        print(model)
        for key in RECORDING_KEYS:
            e = estimates[key]
            numbers = [f"{v:.4f}" if v is not None else "–" for v in (e.value, e.low, e.high)]
            print(f"  {key:24} {numbers[0]}  [{numbers[1]}, {numbers[2]}]")
        for name, row in results[model]["reasons"].items():
            print(f"  lost: {name:16} {row}")
    (options.out / "accuracy.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
