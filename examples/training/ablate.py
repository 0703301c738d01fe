"""Train the rows of the ablation table: python ablate.py LABELLED_DIR RUNS_DIR OUT.csv [NAME...].

Every row has the same budget and the same held-out fold; the threshold of each is calibrated by
the same rule on that fold. A row that was trained before is scored again, not trained again.
"""

import csv
import sys
from pathlib import Path

import cv2

from ubereport.config import config_from_toml
from ubereport.segmentation.network import build_network, load_state
from ubereport.training.calibrate import calibrate
from ubereport.training.config import TrainConfig
from ubereport.training.export import held_out_maps
from ubereport.training.finetune import finetune, split_indices
from ubereport.training.hsv_targets import pretrain
from ubereport.training.loop import Progress, network_spec
from ubereport.training.stills import cache_stills, read_manifest

HERE = Path(__file__).parent
ROWS = (
    "ablation-hsv",
    "ablation-composites",
    "ablation-hand",
    "ablation-hand-composites",
    "ablation-hsv-hand",
    "ablation-no-zero",
    "ablation-no-ignore",
)


def show(progress: Progress) -> None:
    print(progress.step, f"{progress.loss:.4f} {progress.elapsed_s:.0f} s", flush=True)


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
        network = build_network(network_spec(config))
        load_state(network, state)
        cache = cache_stills(stills, config.data.cache_side_px, runs / "cache")
        maps, labels = held_out_maps(network, cache, held_out, config.input_px, flip=False)
        found = calibrate(maps, labels, [stills[int(i)].group for i in held_out])
        rows.append({"name": name, "threshold": found.thresholds[1], **dict(found.figures)})
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
