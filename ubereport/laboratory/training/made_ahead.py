"""Composites made ahead by all cores, for training on a device that draws only whole stills."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.composite import add_blood, add_red_decoys
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.sampling import draw_weights
from ubereport.laboratory.training.stills import BLOOD, LabelArray, Still, StillCache

_SEED = 77
_DECOY_SHARE, _BLOOD_SHARE = 0.35, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """Stills that blood is laid on, and how often each is taken."""

    cache: StillCache
    index: NDArray[np.int64]
    weights: NDArray[np.float64]


def composites_ahead(
    cache: StillCache,
    index: NDArray[np.int64],
    config: TrainConfig,
    folder: Path,
    n_processes: int,
) -> StillCache:
    """Lay blood, decoys or both on `config.data.n_composites` whole stills, or map them from disk.

    What is made depends on the stills and the configuration, not on how many processes make it.

    Parameters
    ----------
    index
        Of the stills without blood that are the ground.

    Raises
    ------
    AnnotationError
        If a process ends early.
    """
    stills = [cache.stills[int(i)] for i in index]
    n = config.data.n_composites
    ground = _Ground(cache, index, draw_weights(stills, config.data.group_power))
    digest = hashlib.sha256(f"{n}|{cache.rgb.shape}|{config.data.group_power}".encode())
    for i in index:
        digest.update(np.asarray(cache.rgb[i]).tobytes())
        digest.update(np.asarray(cache.label[i]).tobytes())
    stem = folder / f"composites-{digest.hexdigest()[:20]}"
    rgb_path, label_path = stem.with_suffix(".rgb.npy"), stem.with_suffix(".label.npy")
    if not label_path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _make(ground, n, n_processes, rgb_path, label_path)
    rgb, label = np.load(rgb_path, mmap_mode="r"), np.load(label_path, mmap_mode="r")
    made = tuple(
        Still(f"composite_{k}", Path(f"composite_{k}"), None, None, f"composite_{k}",
              "blood" if (label[k] == BLOOD).any() else "zero")
        for k in range(n)
    )  # fmt: skip
    return StillCache(made, rgb, label)


def _make(ground: _Ground, n: int, n_processes: int, rgb_path: Path, label_path: Path) -> None:
    """Let processes that share the decoded stills each fill their part of two files."""
    side = ground.cache.rgb.shape[1]
    partial_path = label_path.with_name(f"partial-{label_path.name}")
    rgb = np.lib.format.open_memmap(rgb_path, "w+", np.uint8, (n, side, side, 3))
    label = np.lib.format.open_memmap(partial_path, "w+", np.uint8, (n, side, side))
    parts = [range(k, n, n_processes) for k in range(n_processes)]
    if n_processes == 1 or "fork" not in get_all_start_methods():
        for part in parts:
            _fill(ground, part, rgb, label)
    else:
        # Forked, not sent: what is decoded takes gigabytes.
        context = get_context("fork")
        workers = [context.Process(target=_fill, args=(ground, p, rgb, label)) for p in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode != 0 for worker in workers):
            raise AnnotationError(
                "Composites could not be made: a process ended early. Free memory and start the "
                "same command again."
            )
    rgb.flush()
    label.flush()
    partial_path.rename(label_path)


def _fill(ground: _Ground, part: range, rgb: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
    for k in part:
        rgb[k], label[k] = _composite(ground, k)


def _composite(ground: _Ground, k: int) -> tuple[RgbArray, LabelArray]:
    rng = np.random.default_rng([_SEED, k])
    chosen = ground.index[int(rng.choice(len(ground.index), p=ground.weights))]
    picture, mask = np.asarray(ground.cache.rgb[chosen]), np.asarray(ground.cache.label[chosen])
    if rng.random() < _DECOY_SHARE:
        picture, mask = add_red_decoys(picture, mask, rng)
    if rng.random() < _BLOOD_SHARE:
        picture, mask = add_blood(picture, mask, rng)
    return picture, mask
