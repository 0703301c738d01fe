"""Fine-tune on manual masks: which stills, which are held out, which sources are mixed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from ubereport.training.config import TrainConfig
from ubereport.training.loop import HeldOut, Progress, train
from ubereport.training.sampling import Source, manual_source
from ubereport.training.stills import (
    Still,
    StillCache,
    cache_stills,
    check_split,
    fold_of_groups,
)

__all__ = ["finetune", "held_out_stills", "split_indices"]


def split_indices(
    stills: Sequence[Still], config: TrainConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the stills to train on and of those held out, by group.

    Raises
    ------
    AnnotationError
        If there are too few groups, or no training still shows blood.
    """
    data = config.data
    folds = fold_of_groups(stills, data.n_folds, data.split_seed)
    is_out = np.array([folds[s.group] == data.fold for s in stills], bool)
    inside, out = (
        np.flatnonzero(~is_out).astype(np.int64),
        np.flatnonzero(is_out).astype(np.int64),
    )
    check_split([stills[int(i)] for i in inside], [stills[int(i)] for i in out])
    return inside, out


def held_out_stills(
    cache: StillCache, index: NDArray[np.int64], side_px: int, n_max: int
) -> HeldOut | None:
    """Return at most `n_max` held-out stills at `side_px`, half with blood, spread over groups."""
    positive = [int(i) for i in index if cache.stills[i].kind == "blood"]
    zero = [int(i) for i in index if cache.stills[i].kind == "zero"]
    n_positive = min(len(positive), max(n_max // 2, n_max - len(zero)))
    chosen = _spread(positive, n_positive) + _spread(zero, n_max - n_positive)
    if not chosen:
        return None
    size = (side_px, side_px)
    rgb = [cv2.resize(cache.rgb[i], size, interpolation=cv2.INTER_AREA) for i in chosen]
    label = [cv2.resize(cache.label[i], size, interpolation=cv2.INTER_NEAREST) for i in chosen]
    return HeldOut(np.stack(rgb).astype(np.uint8), np.stack(label).astype(np.uint8))


def _spread(items: list[int], n: int) -> list[int]:
    if len(items) <= n:
        return items
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, n)]


def finetune(
    config: TrainConfig,
    stills: Sequence[Still],
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
    extra_sources: Sequence[tuple[float, Source]] = (),
) -> dict[str, Tensor]:
    """Train on manual masks and return the averaged weights; they are also written to `folder`.

    Parameters
    ----------
    folder
        Of this run; decoded stills are kept in ``cache/`` beside it.
    extra_sources
        Shares of all draws and what draws them; manual masks take what is left of 1.

    Raises
    ------
    AnnotationError
        If a mask cannot be used, a group is on both sides or no training still shows blood.
    ConfigError
        If `folder` holds another run, or the loss is no longer finite.
    BundleError
        If the initial weights or the checkpoint do not fit.
    """
    inside, out = split_indices(stills, config)
    cache = cache_stills(stills, config.data.cache_side_px, folder.parent / "cache")
    held_out = held_out_stills(cache, out, config.input_px, config.validation_stills)
    rest = 1.0 - sum(share for share, _ in extra_sources)
    sources = [(rest, manual_source(cache, inside, config)), *extra_sources]
    state = train(config, sources, held_out, folder, on_progress)
    save_file(dict(state), folder / "average.safetensors")
    return state
