"""Pretrain on red masks from HSV thresholds of unlabelled stills, streamed; the paper's stage 1.

The paper's ranges are not public; these are ours, configurable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.picture_files import PICTURE_SUFFIXES, pictures_below, read_rgb
from ubereport.laboratory.training.batches import Batches, Pool
from ubereport.laboratory.training.config import HsvConfig, TrainConfig
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    LabelArray,
    squared,
)
from ubereport.laboratory.training.loop import Progress, check_start, is_first_process, train
from ubereport.laboratory.training.training_device import training_device
from ubereport.laboratory.training.weights import WEIGHTS_NAME, write_weights


def hsv_label(rgb: RgbArray, config: HsvConfig) -> LabelArray:
    """Return (H, W) uint8: BLOOD where red by the ranges, small specks and holes taken out."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    is_hue = (hue <= config.hue_low_max) | (hue >= config.hue_high_min)
    red = is_hue & (saturation >= config.min_saturation) & (value >= config.min_value)
    kernel = np.ones((config.opening_px, config.opening_px), np.uint8)
    opened = cv2.morphologyEx(red.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel)
    return np.where(closed > 0, BLOOD, CLEAN).astype(np.uint8)


def list_stills(folder: Path) -> tuple[Path, ...]:
    """Return the pictures under `folder`, sorted; hidden folders (work in progress) are left out.

    Raises
    ------
    AnnotationError
        If there is none.
    """
    paths = tuple(pictures_below(folder))
    if not paths:
        raise AnnotationError(
            f"The folder {folder.name!r} holds no pictures ({', '.join(PICTURE_SUFFIXES)}). "
            "Extract stills with `ubereport train frames` first."
        )
    return paths


def hsv_pool(paths: Sequence[Path], config: TrainConfig) -> Pool:
    """Return a pool of stills that are read when they are drawn: nothing is kept in memory.

    The label is made from the still itself, before it is turned, tinted and degraded.
    """
    device = training_device(config.device)

    def read(number: int) -> tuple[Tensor, Tensor]:
        rgb = squared(read_rgb(paths[number]), config.data.cache_side_px)
        label = hsv_label(rgb, config.hsv)
        return torch.from_numpy(rgb).to(device), torch.from_numpy(label).to(device)

    return Pool(1.0, read, lambda rng: (int(rng.integers(len(paths))), None))


def pretrain(
    config: TrainConfig,
    paths: Sequence[Path],
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Tensor]:
    """Train on HSV red masks of unlabelled stills; return and write the averaged weights.

    Parameters
    ----------
    paths
        Unlabelled stills; see `list_stills`.
    folder
        Of this run; ``average.safetensors`` there is what `finetune` starts from.

    Raises
    ------
    AnnotationError
        If a still cannot be read.
    BundleError
        If the initial weights or the checkpoint are missing, damaged or of another architecture.
    ConfigError
        If `folder` holds another run, the loss is no longer finite, or the device has too little
        memory or is lost.
    DependencyError
        If the initial weights are not installed, or the device is absent.
    OutputError
        If the disk is full or read-only; the run goes on from its last checkpoint.
    """
    check_start(config, folder)
    state = train(config, Batches([hsv_pool(paths, config)], config), None, folder, on_progress)
    if is_first_process():
        write_weights(state, folder / WEIGHTS_NAME)
    return state
