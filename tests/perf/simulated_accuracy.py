"""How right a bundle is on simulated recordings that nobody tuned on.

    python tests/perf/simulated_accuracy.py --models hsv-red ube-blood --out /tmp/accuracy

Makes recordings of fixed seeds, measures each with each bundle, holds series and events against the
truth, prints one table and writes accuracy.json. Recordings and measured series are kept in --out
and reused, so that a run that was stopped goes on and another bundle costs its own time only;
`--view-changed` measures again after an edit in the room `view`; events are always found anew.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.opened_case import open_case
from ubereport.analysis.pipeline import analyze_case
from ubereport.core.config import AnalysisConfig
from ubereport.core.progress import silent
from ubereport.files.kept_files import KeptFiles
from ubereport.files.records.tables import series_from_parquet, series_parquet
from ubereport.files.resources import models_dir
from ubereport.laboratory.evaluation.recordings import (
    RECORDING_KEYS,
    evaluate_recording,
    over_recordings,
)
from ubereport.laboratory.evaluation.truth import read_truth
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.recording import simulate
from ubereport.metrics.event_detection import detect_events
from ubereport.segmentation.bundle import find_bundle, load_bundle

FIRST_SEED = 9001


def make(seed: int, minutes: float, rate_hz: int, folder: Path) -> None:
    target = folder / f"seed-{seed}"
    if not (target / "done").exists():
        simulate(seed, minutes, target, SimulationConfig(rate_hz=rate_hz))
        (target / "done").touch()


def measure(seed: int, model: str, folder: Path) -> None:
    """Keep the series of one recording and one bundle as Parquet."""
    kept = series_path(seed, model, folder)
    if kept.exists():
        return
    torch.set_num_threads(1)
    config = AnalysisConfig()
    config = replace(
        config,
        segmentation=replace(config.segmentation, model=model, n_threads=1),
        records=replace(config.records, is_frames_kept=False),
    )
    parts = sorted((folder / f"seed-{seed}").glob("recording*.mp4"))
    work = folder / "work" / f"{Path(model).name}-{seed}"
    with open_case(parts, config, silent, n_threads=1) as opened:
        chunks = KeptFiles(work, opened.fingerprint)
        record = analyze_case(opened, f"seed-{seed}", Checkpoint(chunks), silent).record
    chunks.discard()
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(series_parquet(record.series))


def series_path(seed: int, model: str, folder: Path) -> Path:
    bundle = load_bundle(find_bundle(model, models_dir())).metadata
    return folder / f"{bundle.name}-{bundle.version}" / f"seed-{seed}.parquet"


def evaluate(seed: int, model: str, folder: Path):
    series = series_from_parquet(series_path(seed, model, folder).read_bytes())
    config = AnalysisConfig().events
    truth = read_truth(folder / f"seed-{seed}" / "truth")
    return evaluate_recording(series, detect_events(series, config), truth, config.max_gap_s)


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
            "true_s": round(true_s, 1),
            "found_s": round(found_s, 1),
            "precision": both_s / found_s if found_s else None,
            "recall": both_s / true_s if true_s else None,
        }
        for name, (true_s, found_s, both_s) in seconds.items()
        if true_s or found_s
    }


def pooled_events(evaluations) -> dict[str, float | int | None]:
    scores = [evaluation.event_score(0.5) for evaluation in evaluations]
    n_true, n_found, n_both = (
        sum(getattr(s, key) for s in scores) for key in ("n_true", "n_found", "n_matched")
    )
    f1 = 2 * n_both / (n_true + n_found) if n_true + n_found else None
    return {"n_true": n_true, "n_found": n_found, "n_matched": n_both, "f1": f1}


def tell(model: str, result, seeds, evaluations) -> None:
    print(model)
    for key, e in result["mean_over_recordings"].items():
        numbers = [f"{v:.4f}" if v is not None else "–" for v in e.values()]
        print(f"  {key:24} {numbers[0]}  [{numbers[1]}, {numbers[2]}]")
    print(f"  all events together, IoU 0.5: {result['events_together']}")
    for name, row in result["reasons"].items():
        print(f"  lost: {name:16} {row}")
    for seed, e in zip(seeds, evaluations, strict=True):
        score = e.event_score(0.5)
        print(
            f"  seed {seed}: MAE {e.area_mae_frac:.4f} bias {e.area_bias_frac:+.4f} events "
            f"{score.n_matched} of {score.n_true}, {score.n_found} found"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["hsv-red", "ube-blood"])
    parser.add_argument("--n", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--frame-rate", type=int, default=5, help="of the recordings, in Hz")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--view-changed", action="store_true", help="forget measured series")
    options = parser.parse_args()
    seeds = [FIRST_SEED + i for i in range(options.n)]
    out = options.out
    results = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        make_one = partial(make, minutes=options.minutes, rate_hz=options.frame_rate, folder=out)
        list(pool.map(make_one, seeds))
        for model in options.models:
            if options.view_changed:
                for seed in seeds:
                    series_path(seed, model, out).unlink(missing_ok=True)
            list(pool.map(partial(measure, model=model, folder=out), seeds))
            evaluations = [evaluate(seed, model, out) for seed in seeds]
            estimates = over_recordings(evaluations)
            results[Path(model).name] = {
                "mean_over_recordings": {
                    key: {"value": e.value, "low": e.low, "high": e.high}
                    for key, e in ((key, estimates[key]) for key in RECORDING_KEYS)
                },
                "events_together": pooled_events(evaluations),
                "reasons": reasons_table(evaluations),
            }
            tell(model, results[Path(model).name], seeds, evaluations)
    (out / "accuracy.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
