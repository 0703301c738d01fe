"""Train the rows of the ablation table: python ablate.py LABELLED_DIR RUNS_DIR OUT.csv [NAME...].

Every row has the same budget and the same held-out fold; the thresholds of each are calibrated by
the same rule on that fold. Each row becomes a bundle in RUNS_DIR/models, so that final_figures.py
and `ubereport evaluate` can score it. A row that was trained before is scored again, not trained.
"""

import csv
import shutil
import sys
from pathlib import Path

import cv2

from ubereport.core.config import config_from_toml
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.export import (
    BundleText,
    export_bundle,
    look_at_held_out,
    training_colors,
)
from ubereport.laboratory.training.finetune import finetune, split_indices
from ubereport.laboratory.training.hsv_targets import pretrain
from ubereport.laboratory.training.labelled_stills import cache_stills, read_manifest
from ubereport.laboratory.training.loop import Progress
from ubereport.segmentation.metadata import TrainingSet

HERE = Path(__file__).parent
ROWS = (
    "ablation-hsv",
    "ablation-composites",
    "ablation-hand",
    "ablation-hand-composites",
    "ablation-hsv-hand",
    "ablation-no-zero",
    "ablation-no-ignore",
    "ablation-hand-composites-seed2",
    "ablation-hand-composites-seed3",
    "ablation-prior-seed3",
)


def show(progress: Progress) -> None:
    print(progress.step, f"{progress.loss:.4f} {progress.elapsed_s:.0f} s", flush=True)


def text_of(name: str) -> BundleText:
    return BundleText(
        name=name,
        version="1",
        title=f"Row {name} of the ablation table",
        training_population="The training groups of fold 0 of the hand-labelled stills.",
        limits="Trained for a few minutes to compare recipes; not for reports.",
        intended_use="The ablation table.",
        evaluated_on="Fold 0 of 5 of the hand-labelled stills, held out by group.",
    )


def main() -> None:
    labelled, runs, out = (Path(a) for a in sys.argv[1:4])
    cv2.setNumThreads(1)
    stills = read_manifest(labelled / "handmade" / "MANIFEST.csv")
    rows = []
    for name in sys.argv[4:] or ROWS:
        config = config_from_toml(HERE / f"{name}.toml", TrainConfig)
        inside, held_out = split_indices(stills, config)
        if name == "ablation-hsv":
            paths = [stills[int(i)].image_path for i in inside]
            state = pretrain(config, paths, runs / name, show)
        else:
            state = finetune(config, stills, runs / name, show)
        cache = cache_stills(stills, config.data.cache_side_px, runs / "cache")
        folder = runs / "models" / f"{name}-1"
        shutil.rmtree(folder, ignore_errors=True)
        bundle = export_bundle(
            folder,
            config,
            state,
            look_at_held_out(config, state, cache, held_out),
            training_colors(cache, inside),
            text_of(name),
            [TrainingSet("hand-labelled stills of fold 0's training groups", "as ube-blood", 810)],
            f"# {name}\n\n{{figures}}\n",
        )
        figures = dict(bundle.metadata.operating_characteristics)
        rows.append({"name": name, "threshold": bundle.metadata.thresholds[1], **figures})
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
