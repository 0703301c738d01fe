"""Score a bundle on the final test sets: python final_figures.py MODEL LABELLED_DIR OUT.json.

Each run is a look at sets that must not steer training: count the looks and report them.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ubereport.core.config import SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.evaluation.load import StillSet, load_stills
from ubereport.laboratory.evaluation.stills import evaluate_stills, with_presence_rule
from ubereport.laboratory.evaluation.writing import stills_table
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.predictor import Predictor, open_predictor

SETS = {
    "surgblood_dev": ("surgblood_dev", "masks"),
    "wcebleedgen": ("wcebleedgen", "masks"),
    "wcebleedgen, all": ("wcebleedgen", "masks_full"),
    "cholecseg8k_blood": ("cholecseg8k_blood", "masks"),
}


def with_picture(folder: Path, masks: str, temporary: Path) -> Path:
    """Copy the masks that have a picture: one of wcebleedgen (img1736) has none here."""
    known = {p.stem for p in (folder / "images").iterdir()}
    for mask in (folder / masks).glob("*.png"):
        if mask.stem in known:
            shutil.copy(mask, temporary)
    return temporary


def clusters(folder: Path) -> dict[str, str] | None:
    """Return the cluster of near duplicates of each still, where the set says so."""
    path = folder / "near_duplicate_clusters.json"
    if not path.is_file():
        return None
    members = json.loads(path.read_text(encoding="utf-8"))
    return {f"img{number}": key for key, numbers in members.items() for number in numbers}


def scored(bundle: Bundle, predictor: Predictor, stills: StillSet) -> dict[str, Any]:
    """Score a bundle on one set, under its own rule of presence where it has one."""
    calibrated = dict(bundle.metadata.operating_characteristics)
    config = with_presence_rule(StillsConfig(), predictor.thresholds[1], calibrated)
    found = evaluate_stills(stills, predictor, bundle.metadata.name, config)
    return stills_table(found)


def opened(model: str) -> tuple[Bundle, Predictor]:
    """Open a bundle by its name or folder."""
    bundle = load_bundle(find_bundle(model, models_dir()))
    return bundle, open_predictor(bundle, SegmentationConfig())


def final_figures(bundle: Bundle, predictor: Predictor, labelled: Path) -> dict[str, Any]:
    """Return what a bundle scores on every final test set."""
    answers = {}
    for name, (place, kind) in SETS.items():
        folder = labelled / place
        with tempfile.TemporaryDirectory() as temporary:
            masks = with_picture(folder, kind, Path(temporary))
            ignore = folder / "ignore" if (folder / "ignore").is_dir() else None
            stills = load_stills(folder / "images", masks, ignore, clusters(folder))
            answers[name] = scored(bundle, predictor, stills)
    return answers


def main() -> None:
    model, labelled, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = final_figures(*opened(model), labelled)
    out.write_text(json.dumps(answers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
