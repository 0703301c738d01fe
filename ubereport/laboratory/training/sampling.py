"""Which still comes next: seeded, balanced, and a function of the step alone, so runs resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.stills import BLOOD, LabelArray, Still, StillCache

Picker = Callable[[np.random.Generator], tuple[int, tuple[float, float] | None]]
"""Picks the index of a still, and a place (x, y) that its crop shows or None."""


def draw_weights(stills: Sequence[Still], group_power: float) -> NDArray[np.float64]:
    """Return (n,) probabilities: a group of m stills has weight m ** group_power in all."""
    groups = np.array([s.group for s in stills])
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weight = (counts.astype(float) ** (group_power - 1))[inverse]
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def manual_picker(cache: StillCache, index: NDArray[np.int64], config: TrainConfig) -> Picker:
    """Pick among the manually labelled stills `index`, blood and zero masks in set shares."""
    data = config.data
    stills = cache.stills
    positive = np.array([i for i in index if stills[i].kind == "blood"], np.int64)
    zero = np.array([i for i in index if stills[i].kind == "zero"], np.int64)
    use_zero = data.has_zero_masks and len(zero) > 0
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
    places = (np.arange(batch_size) + rng.random()) / batch_size
    picks = np.searchsorted(np.cumsum(shares), places)
    return [min(int(pick), len(shares) - 1) for pick in picks]
