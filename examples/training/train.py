"""Train from a committed configuration: python train.py CONFIG.toml LABELLED_DIR RUNS_DIR.

LABELLED_DIR holds handmade/ (MANIFEST.csv, masks/, ignore/) and, for box_share, wcebleedgen/.
With RANK, WORLD_SIZE and INIT_FILE set, several processes share the work and average gradients.
"""

import os
import sys
import time
from pathlib import Path

import cv2
import torch.distributed as dist

from ubereport.config import config_from_toml
from ubereport.training.boxes import read_boxed_stills
from ubereport.training.config import TrainConfig
from ubereport.training.finetune import finetune
from ubereport.training.loop import Progress
from ubereport.training.stills import read_manifest


def show(progress: Progress) -> None:
    words = f"{progress.step}/{progress.n_steps} loss {progress.loss:.4f} lr {progress.lr:.5f}"
    seconds = f"{progress.elapsed_s:.0f} s"
    print(time.strftime("%H:%M:%S"), words, seconds, progress.validation or "", flush=True)


def main() -> None:
    config_path, labelled, runs = (Path(a) for a in sys.argv[1:4])
    config = config_from_toml(config_path, TrainConfig)
    cv2.setNumThreads(1)
    rank = int(os.environ.get("RANK", "0"))
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{os.environ['INIT_FILE']}",
            rank=rank,
            world_size=int(os.environ["WORLD_SIZE"]),
        )
    stills = read_manifest(labelled / "handmade" / "MANIFEST.csv")
    boxed = ()
    if config.data.box_share > 0:
        capsule = labelled / "wcebleedgen"
        test = [p.stem for p in (capsule / "masks").glob("*.png")]
        boxed = read_boxed_stills(capsule, kept_out=test)
    finetune(config, stills, runs / config.name, show if rank == 0 else None, boxed)


if __name__ == "__main__":
    main()
