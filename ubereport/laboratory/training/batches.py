"""Batches of crops: which stills they show is drawn on the processor, the rest made on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ubereport.laboratory.training.augment import augment_batch, draw_matrix, draw_recoloring
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    LabelArray,
    Still,
    StillCache,
)
from ubereport.segmentation.devices import one_thread

Picker = Callable[[np.random.Generator], tuple[int, tuple[float, float] | None]]
"""Picks the index of a still, and a place (x, y) that its crop shows or None."""


def draw_weights(stills: Sequence[Still], group_power: float) -> NDArray[np.float64]:
    """Return (n,) probabilities: a group of m stills has weight m ** group_power in all."""
    groups = np.array([s.group for s in stills])
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    # An operation with ten times the stills has not ten times the news: by the power it counts for
    # less than its number, and for more than one vote.
    weight = (counts.astype(float) ** (group_power - 1))[inverse]
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def manual_picker(cache: StillCache, index: NDArray[np.int64], config: TrainConfig) -> Picker:
    """Pick among the manually labelled stills `index`, blood and zero masks in set shares."""
    data = config.data
    stills = cache.stills
    positive = np.array([i for i in index if stills[i].kind == "blood"], np.int64)
    zero = np.array([i for i in index if stills[i].kind == "zero"], np.int64)
    use_zero = data.has_zero_masks and len(zero) > 0
    # Each draw first decides between blood and none, however many there are of either; among these,
    # weights keep a recording with many stills from outweighing the others.
    weights = {
        True: draw_weights([stills[i] for i in positive], data.group_power)
        if len(positive)
        else None,
        False: draw_weights([stills[i] for i in zero], data.group_power) if use_zero else None,
    }

    def pick(rng: np.random.Generator) -> tuple[int, tuple[float, float] | None]:
        is_positive = not use_zero or bool(rng.random() < data.positive_share)
        is_positive = is_positive and len(positive) > 0
        chosen = int(rng.choice(positive if is_positive else zero, p=weights[is_positive]))
        # Most crops of a still with blood show some of it, and one in five shows whatever it shows,
        # so that clean tissue beside blood is learned too.
        has_place = is_positive and rng.random() < 0.8
        return chosen, _blood_place(np.asarray(cache.label[chosen]), rng) if has_place else None

    return pick


def _blood_place(label: LabelArray, rng: np.random.Generator) -> tuple[float, float] | None:
    places = np.flatnonzero(label == BLOOD)
    if len(places) == 0:
        return None
    y, x = divmod(int(rng.choice(places)), label.shape[1])
    return float(x), float(y)


def shares_of_batch(
    shares: Sequence[float], batch_size: int, rng: np.random.Generator
) -> list[int]:
    """Return which source each crop of a batch comes from, as even as shares (sum 1) allow."""
    # One draw for all crops (systematic sampling): each batch holds each source as often as its
    # share says, give or take one.
    places = (np.arange(batch_size) + rng.random()) / batch_size
    picks = np.searchsorted(np.cumsum(shares), places)
    # By rounding the last sum may fall short of 1, and a place behind it still needs a source.
    return [min(int(pick), len(shares) - 1) for pick in picks]


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
        # From seed and step alone, so that a run that was interrupted draws on as if it had not
        # been.
        rng = np.random.default_rng([seed, step])
        stills, matrices, recolorings = [], [], []
        for number in shares_of_batch([p.share for p in self._pools], config.batch_size, rng):
            still, center = self._pools[number].pick(rng)
            rgb, label = self._pools[number].read(still)
            stills.append((rgb, label))
            matrices.append(draw_matrix(len(rgb), config.side_px, rng, config.augment, center))
            recolorings.append(draw_recoloring(rng, config.augment))
        rgb, label = (torch.stack(pictures) for pictures in zip(*stills, strict=True))
        # Sums over threads come in any order; with one a batch is the same bytes every time.
        with one_thread():
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
    """Return a pool of the decoded stills `index`."""
    return pools_of([(share, index)], cache, config, device)[0]


def pools_of(
    shares: Sequence[tuple[float, NDArray[np.int64]]],
    cache: StillCache,
    config: TrainConfig,
    device: torch.device,
) -> list[Pool]:
    """Return a pool for each share and its stills; a graphics device takes the whole cache once."""
    # On the processor nothing is copied: what is mapped from disk may be more than memory holds.
    rgb, label = torch.from_numpy(cache.rgb).to(device), torch.from_numpy(cache.label).to(device)
    return [
        Pool(share, lambda i: (rgb[i], label[i]), manual_picker(cache, index, config))
        for share, index in shares
    ]
