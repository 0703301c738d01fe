"""List stills whose label several networks contradict together, the most contradicted first.

    python disagreements.py MANIFEST.csv ONLY.csv OUT.csv MODEL MODEL...

ONLY names the stills to look at, such as ``held_out.csv`` of a run: of operations that none of the
networks was trained on. A decided pixel counts where every network calls it and the label does not
(`added_frac`), or where the label has blood and every network is below its lenient threshold
(`missed_frac`). Stills whose label a person then doubts go to `doubtful-*.csv`.
"""

import csv
import sys
from pathlib import Path

import cv2
import numpy as np

from ubereport.core.config import SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.laboratory.evaluation.load import read_groups
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    IGNORE,
    Still,
    read_label,
    read_manifest,
)
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.predictor import Predictor, open_predictor


def contradiction(still: Still, predictors: list[Predictor]) -> tuple[float, float]:
    rgb = read_rgb(still.image_path)
    label = read_label(still, *rgb.shape[:2])
    sure, possible = [], []
    for predictor in predictors:
        size = (predictor.input_width_px, predictor.input_height_px)
        seen = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        small = predictor.probabilities(seen[None])[0]
        probability = cv2.resize(small, label.shape[::-1], interpolation=cv2.INTER_LINEAR)
        sure.append(probability >= predictor.thresholds[1])
        possible.append(probability >= predictor.thresholds[0])
    added = np.all(sure, axis=0) & (label != BLOOD) & (label != IGNORE)
    missed = ~np.any(possible, axis=0) & (label == BLOOD)
    n_decided = max(1, int((label != IGNORE).sum()))
    return float(added.sum()) / n_decided, float(missed.sum()) / n_decided


def main() -> None:
    manifest, only, out = (Path(a) for a in sys.argv[1:4])
    bundles = [load_bundle(find_bundle(name, models_dir())) for name in sys.argv[4:]]
    predictors = [open_predictor(bundle, SegmentationConfig()) for bundle in bundles]
    names = set(read_groups(only))
    stills = [still for still in read_manifest(manifest) if still.name in names]
    rows = [(still.name, still.group, *contradiction(still, predictors)) for still in stills]
    rows.sort(key=lambda row: -(row[2] + row[3]))
    with out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("name", "group", "added_frac", "missed_frac"))
        table.writerows((n, g, f"{a:.5f}", f"{m:.5f}") for n, g, a, m in rows)


if __name__ == "__main__":
    main()
