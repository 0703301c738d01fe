"""Batches from stills in a device's memory: picked on the processor, made on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ubereport.laboratory.training.augment_tensors import augment_batch
from ubereport.laboratory.training.augmentation import draw_matrix, draw_recoloring
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.sampling import Picker, shares_of_batch
from ubereport.laboratory.training.stills import StillCache


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Decoded stills, their share of the draws, and what picks one of them."""

    share: float
    cache: StillCache
    pick: Picker


@dataclass(frozen=True, slots=True, eq=False)
class TensorBatch:
    """`planes` (n, 3, S, S) float32 levels of 0..255 and `label` (n, S, S) uint8."""

    planes: Tensor
    label: Tensor


class DeviceBatches:
    """Every still is uploaded once; a batch costs a few dozen numbers a crop after that.

    Parameters
    ----------
    pools
        Stills of one side length; shares sum to 1.
    config
        What is drawn; a batch depends on its step and the seed alone, on one kind of device.
    device
        Where stills lie and batches are made.
    """

    def __init__(self, pools: Sequence[Pool], config: TrainConfig, device: torch.device) -> None:
        side_px = config.data.cache_side_px
        self._config, self._side_px = config, side_px
        self._shares = [pool.share for pool in pools]
        self._picks = [pool.pick for pool in pools]
        self._first = np.cumsum([0, *(len(pool.cache.stills) for pool in pools)])
        self._rgb = torch.cat([_uploaded(pool.cache.rgb, side_px, device) for pool in pools])
        self._label = torch.cat([_uploaded(pool.cache.label, side_px, device) for pool in pools])

    def draw(self, step: int, seed: int) -> TensorBatch:
        """Return the batch of a step."""
        config = self._config
        rng = np.random.default_rng([seed, step])
        index, matrices, recolorings = [], [], []
        for pool in shares_of_batch(self._shares, config.batch_size, rng):
            still, center = self._picks[pool](rng)
            index.append(int(self._first[pool]) + still)
            matrices.append(draw_matrix(self._side_px, config.side_px, rng, config.augment, center))
            recolorings.append(draw_recoloring(rng, config.augment))
        at = torch.tensor(index, device=self._rgb.device)
        made = augment_batch(self._rgb[at], self._label[at], config.side_px, matrices, recolorings)
        return TensorBatch(*made)


def _uploaded(pictures: NDArray[np.uint8], side_px: int, device: torch.device) -> Tensor:
    """Upload (n, S, S, ...) pictures in pieces, each scaled to `side_px` where it differs."""
    parts = []
    for start in range(0, len(pictures), 256):
        piece = np.array(pictures[start : start + 256])
        if piece.shape[1] != side_px:
            how = cv2.INTER_NEAREST if piece.ndim == 3 else cv2.INTER_LINEAR
            size = (side_px, side_px)
            piece = np.stack([cv2.resize(p, size, interpolation=how) for p in piece])
        parts.append(torch.from_numpy(piece).to(device))
    return torch.cat(parts)
