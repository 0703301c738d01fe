"""Stills that are made, with exact masks, before a run: simulated ones, and blood on real ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.simulation.simulated_stills import simulate_stills
from ubereport.laboratory.training.batches import draw_weights
from ubereport.laboratory.training.composite import add_blood, add_red_decoys
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    LabelArray,
    Still,
    StillCache,
    mapped,
    stacked,
)

_COMPOSITE_SEED = 77
_DECOY_SHARE, _BLOOD_SHARE = 0.35, 0.8
_STILLS_A_SITE = 4


def simulated_stills(seed: int, n: int, side_px: int, folder: Path) -> StillCache:
    """Simulate `n` stills of `side_px`, or map them from `folder` where they were drawn before.

    Raises
    ------
    UsageError
        As `simulation.simulate_stills`.
    """

    def make() -> tuple[RgbArray, LabelArray]:
        stills = simulate_stills(seed, n, side_px, side_px)
        labelled = ((rgb, np.where(mask, BLOOD, CLEAN).astype(np.uint8)) for rgb, mask, _ in stills)
        return stacked(labelled, n, side_px)

    rgb, label = mapped(folder / f"simulated-{seed}-{n}-{side_px}", make)
    return StillCache(_stills("simulated", label, _STILLS_A_SITE), rgb, label)


def composites(
    cache: StillCache,
    index: NDArray[np.int64],
    config: TrainConfig,
    folder: Path,
    n_processes: int,
) -> StillCache:
    """Lay blood, decoys or both on `config.data.n_composites` whole stills, or map them from disk.

    What is made depends on the stills and the configuration, not on how many processes make it.
    Blood is laid on before a batch changes white balance, sharpness and noise, so that nothing but
    the blood tells where it is.

    Parameters
    ----------
    index
        Of the stills without blood that are the ground.

    Raises
    ------
    AnnotationError
        If a process ends early.
    """
    n, group_power = config.data.n_composites, config.data.group_power
    # Named by what it is made of: the same stills and settings find it again, others never do.
    digest = hashlib.sha256(f"{n}|{cache.rgb.shape}|{group_power}".encode())
    for i in index:
        digest.update(np.asarray(cache.rgb[i]).tobytes())
        digest.update(np.asarray(cache.label[i]).tobytes())
    weights = draw_weights([cache.stills[int(i)] for i in index], group_power)
    dataset = _Composites(cache, index, weights, n)
    rgb, label = mapped(
        folder / f"composites-{digest.hexdigest()[:20]}", lambda: _all_of(dataset, n_processes)
    )
    return StillCache(_stills("composite", label, 1), rgb, label)


@dataclass(frozen=True, slots=True, eq=False)
class _Composites(Dataset[tuple[RgbArray, LabelArray]]):
    """Composites by number; `index` are the stills that blood is laid on, drawn by `weights`."""

    cache: StillCache
    index: NDArray[np.int64]
    weights: NDArray[np.float64]
    n: int

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, number: int) -> tuple[RgbArray, LabelArray]:
        # A generator of its own for each number: which process makes it, and when, changes nothing.
        rng = np.random.default_rng([_COMPOSITE_SEED, number])
        chosen = self.index[int(rng.choice(len(self.index), p=self.weights))]
        picture, mask = np.asarray(self.cache.rgb[chosen]), np.asarray(self.cache.label[chosen])
        # Drawn apart, so that decoys stand with blood and without it, and red alone tells nothing.
        if rng.random() < _DECOY_SHARE:
            picture = add_red_decoys(picture, rng)
        if rng.random() < _BLOOD_SHARE:
            picture, mask = add_blood(picture, mask, rng)
        return picture, mask


def _all_of(made: _Composites, n_processes: int) -> tuple[RgbArray, LabelArray]:
    # Forked, not sent: what is decoded takes gigabytes.
    n_workers = n_processes if n_processes > 1 and "fork" in get_all_start_methods() else 0
    context = "fork" if n_workers else None
    loader = DataLoader(
        made, batch_size=None, num_workers=n_workers, multiprocessing_context=context
    )
    side_px = made.cache.rgb.shape[1]
    try:
        return stacked(loader, made.n, side_px)
    except (RuntimeError, MemoryError):
        raise AnnotationError(
            "Composites could not be made: a process ended early. Free memory and start the same "
            "command again."
        ) from None


def _stills(name: str, label: LabelArray, n_together: int) -> tuple[Still, ...]:
    """Name stills of (n, S, S) labels; `n_together` following each other are one group."""
    return tuple(
        Still(
            f"{name}_{i}",
            Path(f"{name}_{i}"),
            None,
            None,
            f"{name}_{i // n_together}",
            "blood" if (mask == BLOOD).any() else "zero",
        )
        for i, mask in enumerate(label)
    )
