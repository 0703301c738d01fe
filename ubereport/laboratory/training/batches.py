"""Batches of crops: which stills they show is picked on the processor, all else on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ubereport.laboratory.training.augment import augment_batch
from ubereport.laboratory.training.augmentation import draw_matrix, draw_recoloring
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.sampling import Picker, manual_picker, shares_of_batch
from ubereport.laboratory.training.stills import CLEAN, IGNORE, StillCache


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Labelled stills and their share of the draws.

    Parameters
    ----------
    share
        Of all draws; those of all pools sum to 1.
    read
        Gives the still of a number: (S, S, 3) and (S, S) uint8 on the device.
    pick
        Picks a number, and a place that the crop shows.
    """

    share: float
    read: Callable[[int], tuple[Tensor, Tensor]]
    pick: Picker


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`planes` (n, 3, S, S) float32 levels of 0..255 and `label` (n, S, S) uint8."""

    planes: Tensor
    label: Tensor


class Batches:
    """Batches of a run; one depends on its step and the seed alone, on one kind of device.

    Parameters
    ----------
    pools
        Stills of one side length; shares sum to 1.
    config
        What is drawn.
    """

    def __init__(self, pools: Sequence[Pool], config: TrainConfig) -> None:
        self._pools, self._config = tuple(pools), config

    def draw(self, step: int, seed: int) -> Batch:
        """Return the batch of a step."""
        config = self._config
        rng = np.random.default_rng([seed, step])
        stills, matrices, recolorings = [], [], []
        for number in shares_of_batch([p.share for p in self._pools], config.batch_size, rng):
            still, center = self._pools[number].pick(rng)
            rgb, label = self._pools[number].read(still)
            stills.append((rgb, label))
            matrices.append(draw_matrix(len(rgb), config.side_px, rng, config.augment, center))
            recolorings.append(draw_recoloring(rng, config.augment))
        rgb, label = (torch.stack(pictures) for pictures in zip(*stills, strict=True))
        planes, label = augment_batch(rgb, label, config.side_px, matrices, recolorings)
        if not config.data.has_ignore:
            label[label == IGNORE] = CLEAN
        return Batch(planes, label)


def pool_of(
    share: float,
    cache: StillCache,
    index: NDArray[np.int64],
    config: TrainConfig,
    device: torch.device,
) -> Pool:
    """Return a pool of the decoded stills `index`; a graphics device takes the whole cache once."""
    # On the processor nothing is copied: what is mapped from disk may be more than memory holds.
    rgb, label = torch.from_numpy(cache.rgb).to(device), torch.from_numpy(cache.label).to(device)
    return Pool(share, lambda i: (rgb[i], label[i]), manual_picker(cache, index, config))
