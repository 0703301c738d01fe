"""Score folds on what they held out: python cross_validate.py LABELLED RUNS OUT.json.

Every still of the hand-labelled set is looked at by the one fold that never saw its operation.
Thresholds are calibrated once on all of them; each fold is then counted at these.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2

from ubereport.core.config import config_from_toml
from ubereport.laboratory.training.calibrate import calibrate
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.export import HeldOutMaps, look_at_held_out
from ubereport.laboratory.training.finetune import split_indices
from ubereport.laboratory.training.scoring import score_still, summarize
from ubereport.laboratory.training.stills import StillCache, cache_stills, read_manifest
from ubereport.laboratory.training.weights import load_weights, read_checkpoint

HERE = Path(__file__).parent
FOLDS = ("fold0", "fold1", "fold2", "fold3", "fold4")


def look(name: str, cache: StillCache, runs: Path, input_px: int) -> HeldOutMaps:
    config = config_from_toml(HERE / f"{name}.toml", TrainConfig)
    config = replace(config, input_px=input_px)
    state = load_weights(runs / name / "average.safetensors")
    return look_at_held_out(config, state, cache, split_indices(cache.stills, config)[1])


def scores_at(held_out: HeldOutMaps, threshold: float) -> list:
    pairs = zip(held_out.maps, held_out.labels, strict=True)
    return [score_still(probability, label, threshold) for probability, label in pairs]


def main() -> None:
    labelled, runs, out = (Path(a) for a in sys.argv[1:4])
    input_px = int(sys.argv[4]) if len(sys.argv) > 4 else 256
    cv2.setNumThreads(1)
    stills = read_manifest(labelled / "handmade" / "MANIFEST.csv")
    cache = cache_stills(stills, 384, runs / "cache")
    trained = [n for n in FOLDS if (runs / n / "average.safetensors").is_file()]
    looks = {name: look(name, cache, runs, input_px) for name in trained}
    found = calibrate(*pooled(HeldOutMaps.pooled([looks[n] for n in FOLDS if n in looks])))
    answer = {
        "input_px": input_px,
        "thresholds": found.thresholds,
        "pooled": dict(found.figures),
        "each": {name: figures(held_out, found) for name, held_out in looks.items()},
        "curves": {name: curve(runs / name) for name in trained},
    }
    out.write_text(json.dumps(answer, indent=1), encoding="utf-8")
    for key, value in found.figures:
        print(key, value)


def pooled(held_out: HeldOutMaps) -> tuple:
    return held_out.maps, held_out.labels, held_out.groups


def figures(held_out: HeldOutMaps, found: object) -> dict:
    central = scores_at(held_out, found.thresholds[1])
    sure = scores_at(held_out, found.presence_probability)
    return asdict(summarize(central, found.presence_frac, sure))


def curve(folder: Path) -> list:
    state = read_checkpoint(folder / "checkpoint")
    return [] if state is None else [dict(row) for row in state.history]


if __name__ == "__main__":
    main()
