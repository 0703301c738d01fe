"""Score folds on what they held out: python cross_validate.py CONFIG SETS LABELLED RUNS OUT.json.

The runs are those of `train.py` with --fold and --seed (and --px); the weights of several seeds are
averaged. Every still is looked at by the one fold that never saw its operation; thresholds are
calibrated once on all of them, and each fold is then counted at these.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cv2
from train import run_config

from ubereport.laboratory.training.calibrate import Calibration, CalibrationAims, calibrate
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.export import HeldOutMaps, average_states, look_at_held_out
from ubereport.laboratory.training.finetune import split_indices
from ubereport.laboratory.training.labelled_stills import StillCache, cache_stills
from ubereport.laboratory.training.scoring import score_still, summarize
from ubereport.laboratory.training.weights import load_weights


def look(given: argparse.Namespace, fold: int, cache: StillCache) -> HeldOutMaps:
    configs = [run_config(given.config, fold, seed, given.px) for seed in given.seeds]
    paths = [given.runs / config.name / "average.safetensors" for config in configs]
    state = average_states([load_weights(path) for path in paths])
    return look_at_held_out(configs[0], state, cache, split_indices(cache.stills, configs[0])[1])


def figures(held_out: HeldOutMaps, found: Calibration) -> dict:
    pairs = list(zip(held_out.maps, held_out.labels, strict=True))
    central = [score_still(m, label, found.thresholds[1]) for m, label in pairs]
    sure = [score_still(m, label, found.presence.probability) for m, label in pairs]
    return asdict(summarize(central, found.presence.view_frac, sure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "sets", "labelled", "runs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--px", type=int)
    parser.add_argument("--max-clean-area", type=float, default=0.003)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    side_px = run_config(given.config, None, None, None).data.cache_side_px
    stills = read_collections(given.sets, given.labelled)
    cache = cache_stills(stills, side_px, given.runs / "cache")
    looks = {fold: look(given, fold, cache) for fold in given.folds}
    pooled = HeldOutMaps.pooled(list(looks.values()))
    aims = CalibrationAims(given.max_clean_area)
    found = calibrate(pooled.maps, pooled.labels, pooled.groups, aims)
    answer = {
        "thresholds": found.thresholds,
        "pooled": dict(found.figures),
        "each": {fold: figures(held_out, found) for fold, held_out in looks.items()},
    }
    given.out.write_text(json.dumps(answer, indent=1), encoding="utf-8")
    for key, value in found.figures:
        print(key, value)


if __name__ == "__main__":
    main()
