"""Score folds on what they held out: python cross_validate.py SPEC SETS LABELLED RUNS OUT.json.

SPEC is the specification of a bundle, or holds its `folds` alone (`folds-6.toml`). Every still is
looked at by weights that never saw its operation; thresholds are calibrated once on all of them,
and each fold is then counted at these.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cv2

from ubereport.laboratory.training.calibrate import Calibration, calibrate
from ubereport.laboratory.training.export import HeldOutMaps
from ubereport.laboratory.training.scoring import score_still, summarize
from ubereport.laboratory.training.specification import look_at_folds
from ubereport.segmentation.pictures import shown_blood


def figures(held_out: HeldOutMaps, found: Calibration, *, is_presence_ruled: bool) -> dict:
    maps = shown_blood(held_out.maps.copy(), found.presence) if is_presence_ruled else held_out.maps
    pairs = list(zip(maps, held_out.labels, strict=True))
    central = [score_still(m, label, found.thresholds[1]) for m, label in pairs]
    sure = [score_still(m, label, found.presence.probability) for m, label in pairs]
    n_operations = len(set(held_out.groups))
    return {"n_operations": n_operations} | asdict(
        summarize(central, found.presence.view_frac, sure)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("specification", "sets", "labelled", "runs", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    looks, aims = look_at_folds(given.specification, given.sets, given.runs, given.labelled)
    pooled = HeldOutMaps.pooled(list(looks.values()))
    found = calibrate(pooled.maps, pooled.labels, pooled.groups, aims)
    ruled = aims.is_presence_ruled
    answer = {
        "thresholds": found.thresholds,
        "presence": asdict(found.presence),
        "pooled": dict(found.figures),
        "each": {name: figures(own, found, is_presence_ruled=ruled) for name, own in looks.items()},
    }
    given.out.write_text(json.dumps(answer, indent=1), encoding="utf-8")
    for key, value in found.figures:
        print(key, value)


if __name__ == "__main__":
    main()
