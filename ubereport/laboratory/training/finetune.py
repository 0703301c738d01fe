"""Fine-tune on manual masks: which stills, which are held out, which sources are mixed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ubereport.core.errors import AnnotationError, UsageError
from ubereport.laboratory.training.batches import Batches, Pool, pool_of, pools_of
from ubereport.laboratory.training.capsule import BoxedStill, box_cache
from ubereport.laboratory.training.collections import by_collection, collections_of
from ubereport.laboratory.training.config import DataConfig, TrainConfig
from ubereport.laboratory.training.labelled_stills import (
    Still,
    StillCache,
    cache_stills,
    check_recordings,
    check_split,
    check_twins,
    fold_of_groups,
    never_on_instruments,
)
from ubereport.laboratory.training.loop import Progress, check_start, is_first_process, train
from ubereport.laboratory.training.made_stills import composites, simulated_stills
from ubereport.laboratory.training.run_split import check_same_split, keep_split, split_of
from ubereport.laboratory.training.training_device import told_of, training_device
from ubereport.laboratory.training.weights import WEIGHTS_NAME, write_weights

_SIMULATION_SEED = 11


def split_indices(
    stills: Sequence[Still], config: TrainConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the stills to train on and of those held out, by group.

    The groups of each collection are dealt to folds on their own, so that adding a collection
    moves no group of another; a collection that is only looked at is held out whole. Stills whose
    label is doubted are not trained on, and held out as all others, so that figures stay honest.

    Raises
    ------
    AnnotationError
        If there are too few groups, a recording is listed under two, or a side lacks a kind of
        still that it needs.
    """
    data = config.data
    check_recordings(stills)
    folds = {
        group: fold
        for collection, own in by_collection(stills).items()
        if collection.is_split and collection.is_trained
        for group, fold in fold_of_groups(own, data.n_folds, data.split_seed).items()
    }
    is_trained = np.array([s.collection.is_trained for s in stills], bool)
    # Held out is the fold of each collection that is dealt out, and the whole of each that is only
    # looked at; without a fold nothing is.
    is_dealt_out = np.array([folds.get(s.group, -1) == data.fold for s in stills], bool)
    # A fold below zero holds nothing out, not even what is only looked at.
    is_out = (is_dealt_out | ~is_trained) & (data.fold >= 0)
    is_doubtful = np.array([s.is_doubtful for s in stills], bool)
    inside = np.flatnonzero(~is_out & is_trained & ~is_doubtful).astype(np.int64)
    out = np.flatnonzero(is_out).astype(np.int64)
    needs_zero = data.has_zero_masks and data.positive_share < 1
    check_split(
        [stills[int(i)] for i in inside], [stills[int(i)] for i in out], needs_zero=needs_zero
    )
    return inside, out


def held_out_stills(
    cache: StillCache, index: NDArray[np.int64], side_px: int, n_max: int
) -> StillCache | None:
    """Return at most `n_max` held-out stills at `side_px`, half with blood, spread over groups.

    Stills of which nothing is decided are left out.
    """
    index = cache.decided(index, side_px)
    positive = [int(i) for i in index if cache.stills[i].kind == "blood"]
    zero = [int(i) for i in index if cache.stills[i].kind == "zero"]
    # Half with blood, and more only where zero masks do not fill the other half.
    n_positive = min(len(positive), max(n_max // 2, n_max - len(zero)))
    chosen = _spread(positive, n_positive) + _spread(zero, n_max - n_positive)
    return cache.resized(chosen, side_px) if chosen else None


def _spread(items: list[int], n: int) -> list[int]:
    if len(items) <= n:
        return items
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, n)]


def finetune(
    config: TrainConfig,
    stills: Sequence[Still],
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
    boxed: Sequence[BoxedStill] = (),
) -> dict[str, Tensor]:
    """Train on manual masks, composited blood, simulated stills and boxes, in their shares.

    Blood is composited onto training stills with zero masks. The averaged weights are returned
    and written to ``average.safetensors`` in `folder`.

    Parameters
    ----------
    stills
        With manual masks; `config.data.fold` of their groups is held out.
    folder
        Of this run, with ``held_out.csv`` and ``split.json``, by which it is told from a run with
        other stills; decoded stills are kept in ``cache/`` beside it.
    boxed
        Needed where `config.data.box_share` is above 0.

    Raises
    ------
    AnnotationError
        If a mask cannot be used, a group is on both sides, no training still shows blood, or a
        share is asked for without stills to draw it from.
    ConfigError
        If `folder` holds another run or one with another split of the stills, the loss is no
        longer finite, or the device has too little memory or is lost.
    OutputError
        If the disk is full or read-only; the run goes on from its last checkpoint.
    DependencyError
        If the initial weights are not installed, or the device is absent.
    BundleError
        If the initial weights or the checkpoint do not fit.
    """
    inside, out = split_indices(stills, config)
    learned_from, looked_at = ([stills[int(i)] for i in side] for side in (inside, out))
    _check_shares(config, learned_from, boxed)
    # Before stills are decoded: a folder that holds another run is told at once.
    check_start(config, folder)
    split = split_of(learned_from, looked_at)
    check_same_split(split, folder)
    cache = cache_stills(stills, config.data.cache_side_px, folder.parent / "cache")
    check_twins(cache, inside, out)
    held_out = held_out_stills(cache, out, config.input_px, config.validation_stills)
    if is_first_process():
        keep_split(split, looked_at, folder)
    trained = never_on_instruments(cache, inside)
    beside = folder.parent / "cache"
    pools = mixed_pools(config, trained, inside, boxed, beside)
    state = train(config, Batches(pools, config), held_out, folder, on_progress)
    if is_first_process():
        write_weights(state, folder / WEIGHTS_NAME)
    return state


def mixed_pools(
    config: TrainConfig,
    cache: StillCache,
    inside: NDArray[np.int64],
    boxed: Sequence[BoxedStill],
    cache_folder: Path,
) -> list[Pool]:
    """Return the stills of each share of `config.data`; manual masks take the rest.

    Raises
    ------
    AnnotationError
        If a share is asked for without stills to draw it from.
    ConfigError
        If the device has too little memory for the stills or is lost.
    """
    _check_shares(config, [cache.stills[int(i)] for i in inside], boxed)
    data, side_px, device = config.data, config.data.cache_side_px, training_device(config.device)
    pools: list[tuple[float, StillCache]] = []
    if data.composite_share > 0:
        # Of the stills that are trained on alone: under composited blood a held-out view would be
        # learned all the same.
        ground = np.array([i for i in inside if _is_ground(cache.stills[int(i)])], np.int64)
        bloodied = composites(cache, ground, config, cache_folder, torch.get_num_threads())
        pools.append((data.composite_share, bloodied))
    if data.simulated_share > 0:
        simulated = simulated_stills(_SIMULATION_SEED, data.n_simulated, side_px, cache_folder)
        pools.append((data.simulated_share, simulated))
    if data.box_share > 0:
        pools.append((data.box_share, box_cache(boxed, side_px)))
    manual = _collection_shares(1.0 - sum(share for share, _ in pools), cache, inside, data)
    with told_of(device, "the stills that are learned from", "data.cache_side_px"):
        return [
            *pools_of(manual, cache, config, device),
            *(pool_of(s, c, np.arange(len(c.stills)), config, device) for s, c in pools),
        ]


def _is_ground(still: Still) -> bool:
    return still.kind == "zero" and still.collection.is_ground


def _collection_shares(
    share: float, cache: StillCache, inside: NDArray[np.int64], data: DataConfig
) -> list[tuple[float, NDArray[np.int64]]]:
    """Divide the draws of manual masks among the collections that have any to draw.

    Unlabelled stills are never drawn, and zero masks only where `data` asks for them: a collection
    that holds nothing else gets no share.
    """
    kinds = ("blood", "zero") if data.has_zero_masks else ("blood",)
    drawn = np.array([i for i in inside if cache.stills[int(i)].kind in kinds], np.int64)
    members = [
        (c, np.array([i for i in drawn if cache.stills[int(i)].collection == c], np.int64))
        for c in collections_of([cache.stills[int(i)] for i in drawn])
    ]
    whole = sum(collection.share for collection, _ in members)
    return [(share * collection.share / whole, index) for collection, index in members]


def check_given(config: TrainConfig, boxes: Path | None) -> None:
    """Check that what was given is what a configuration asks for.

    Raises
    ------
    UsageError
        If boxes are asked for and not given, or given and not asked for.
    """
    share = config.data.box_share
    if share > 0 and boxes is None:
        raise UsageError(
            f"data.box_share is {share:g}, but no stills with boxes are given. Name their folder "
            "with --boxes or set data.box_share = 0."
        )
    if share == 0 and boxes is not None:
        raise UsageError(
            "Stills with boxes are given, but data.box_share is 0: they would not be used. Leave "
            "--boxes out or set a share."
        )


def _check_shares(config: TrainConfig, train: Sequence[Still], boxed: Sequence[BoxedStill]) -> None:
    data = config.data
    has_zero = any(_is_ground(still) for still in train)
    for share, is_there, key, what in (
        (data.composite_share, has_zero, "composite_share", "zero masks to composite blood onto"),
        (data.box_share, bool(boxed), "box_share", "stills with boxes"),
    ):
        if share > 0 and not is_there:
            raise AnnotationError(
                f"data.{key} is above 0, but there are no {what}. Add some or set it to 0."
            )
