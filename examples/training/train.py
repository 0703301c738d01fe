"""Train from committed files: python train.py CONFIG.toml SETS.toml LABELLED_DIR RUNS_DIR.

SETS says which sets of stills under LABELLED_DIR are learned from, and their licences.
With RANK, WORLD_SIZE and INIT_FILE set, several processes share the work and average gradients.
"""

import os
import sys
import time
from pathlib import Path

import cv2
import torch.distributed as dist

from ubereport.core.config import config_from_toml
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.finetune import finetune
from ubereport.laboratory.training.loop import Progress


def show(progress: Progress) -> None:
    words = f"{progress.step}/{progress.n_steps} loss {progress.loss:.4f} lr {progress.lr:.5f}"
    seconds = f"{progress.elapsed_s:.0f} s"
    print(time.strftime("%H:%M:%S"), words, seconds, progress.validation or "", flush=True)


def main() -> None:
    config_path, sets, labelled, runs = (Path(a) for a in sys.argv[1:5])
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
    stills = read_collections(sets, labelled)
    finetune(config, stills, runs / config.name, show if rank == 0 else None)


if __name__ == "__main__":
    main()
