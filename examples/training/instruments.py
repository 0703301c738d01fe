"""Give a bundle its second output: python instruments.py SPEC.toml LABELLED_DIR MODELS_DIR OUT_DIR.

SPEC names the bundle, the sets with masks of instruments, the fold of operations that is held out,
and what the card says. The network that finds blood is only looked through: its weights, and every
probability of blood, stay the same bits. --steps and --views shorten a trial.
"""

import argparse
import dataclasses
import time
import tomllib
from pathlib import Path

import cv2
import torch

from ubereport.laboratory.training.instrument_bundle import bundle_with_instruments
from ubereport.laboratory.training.instruments import BranchTraining


def show(step: int, loss: float) -> None:
    if step % 100 == 0:
        print(time.strftime("%H:%M:%S"), step, f"loss {loss:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("specification", "labelled", "models", "out"):
        parser.add_argument(name, type=Path)
    for name in ("--steps", "--views"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    training = BranchTraining(**tomllib.loads(given.specification.read_text())["training"])
    if given.steps is not None:
        training = dataclasses.replace(training, steps=given.steps)
    if given.views is not None:
        training = dataclasses.replace(training, n_views=given.views)
    bundle = bundle_with_instruments(
        given.specification, given.labelled, given.models, given.out, training, show
    )
    for name, value in bundle.metadata.instruments.figures:
        print(name, value)


if __name__ == "__main__":
    main()
