"""Train from committed files: python train.py CONFIG.toml SETS.toml LABELLED_DIR RUNS_DIR.

SETS says which sets of stills under LABELLED_DIR are learned from, and their licences. --fold,
--seed, --px, --steps and --initial replace what CONFIG says; each fold, seed and size has a folder
of its own.
With RANK, WORLD_SIZE and INIT_FILE set, several processes share the work and average gradients.
"""

import argparse
import dataclasses
import os
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


def run_config(
    path: Path,
    fold: int | None,
    seed: int | None,
    px: int | None,
    steps: int | None = None,
    initial: str | None = None,
) -> TrainConfig:
    """Read CONFIG for one fold, seed and input size; its name says which, None leaves as it is."""
    config = config_from_toml(path, TrainConfig)
    data = config.data if fold is None else dataclasses.replace(config.data, fold=fold)
    marks = [f"{m}{v}" for m, v in (("px", px), ("fold", fold), ("seed", seed)) if v is not None]
    return dataclasses.replace(
        config,
        name="-".join([config.name, *marks]),
        data=data,
        seed=config.seed if seed is None else seed,
        steps=config.steps if steps is None else steps,
        initial=config.initial if initial is None else initial,
        side_px=config.side_px if px is None else px,
        input_px=config.input_px if px is None else px,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "sets", "labelled", "runs"):
        parser.add_argument(name, type=Path)
    for name in ("--fold", "--seed", "--px", "--steps"):
        parser.add_argument(name, type=int)
    parser.add_argument("--initial")
    given = parser.parse_args()
    config = run_config(given.config, given.fold, given.seed, given.px, given.steps, given.initial)
    cv2.setNumThreads(1)
    rank = int(os.environ.get("RANK", "0"))
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{os.environ['INIT_FILE']}",
            rank=rank,
            world_size=int(os.environ["WORLD_SIZE"]),
        )
    stills = read_collections(given.sets, given.labelled)
    finetune(config, stills, given.runs / config.name, show if rank == 0 else None)


if __name__ == "__main__":
    main()
