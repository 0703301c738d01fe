"""Score folds on what they held out: python cross_validate.py SPEC SETS LABELLED RUNS OUT.json.

SPEC is the specification of a bundle, or holds its `folds` alone (`six-folds.toml`). Every still is
looked at by weights that never saw its operation. Thresholds are calibrated on all of them, and
each entry is then counted at these; and on each fold alone, since the probabilities of networks
that were trained apart mean different things.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2

from ubereport.laboratory.training.calibrate import Calibration, CalibrationAims, calibrate
from ubereport.laboratory.training.export import HeldOutMaps
from ubereport.laboratory.training.scoring import score_still, summarize
from ubereport.laboratory.training.specification import FoldLook, look_at_folds
from ubereport.segmentation.pictures import shown_blood

ENDS = ("_low", "_high")


def found_in(looks: Sequence[FoldLook], aims: CalibrationAims) -> Calibration:
    pooled = HeldOutMaps.pooled([look.held_out for look in looks])
    return calibrate(pooled.maps, pooled.labels, pooled.groups, aims)


def described(found: Calibration) -> dict:
    rule = {"thresholds": found.thresholds, "presence": asdict(found.presence)}
    return rule | {"figures": dict(found.figures)}


def counted(look: FoldLook, found: Calibration, aims: CalibrationAims) -> dict:
    own, rule = look.held_out, found.presence if aims.is_presence_ruled else None
    pairs = list(zip(shown_blood(own.maps.copy(), rule), own.labels, strict=True))
    central = [score_still(m, label, found.thresholds[1]) for m, label in pairs]
    sure = [score_still(m, label, found.presence.probability) for m, label in pairs]
    told = {"fold": look.fold, "sets": look.sets, "n_operations": len(set(own.groups))}
    return told | asdict(summarize(central, found.presence.view_frac, sure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("specification", "sets", "labelled", "runs", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    looks, aims = look_at_folds(given.specification, given.sets, given.runs, given.labelled)
    found = found_in(looks, aims)
    folds = sorted({look.fold for look in looks})
    alone = {fold: found_in([k for k in looks if k.fold == fold], aims) for fold in folds}
    answer = {
        "pooled": described(found),
        "entries": [counted(look, found, aims) for look in looks],
        "folds": {fold: described(own) for fold, own in alone.items()},
    }
    given.out.write_text(json.dumps(answer, indent=1), encoding="utf-8")
    for name, own in [("pooled", found), *((f"fold {fold}", own) for fold, own in alone.items())]:
        print(name, {key: value for key, value in own.figures if not key.endswith(ENDS)})


if __name__ == "__main__":
    main()
