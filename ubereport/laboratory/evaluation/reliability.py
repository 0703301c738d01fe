"""Whether probabilities may be taken at their word: the share of blood where one is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.segmentation.pictures import ProbabilityArray

N_BINS = 10
_MIN_BIN_PIXELS = 100


@dataclass(frozen=True, slots=True)
class GroupReliability:
    """One group of stills: probability told and share of blood seen, bin by bin.

    None in a bin with fewer than 100 pixels. `error` is the expected calibration error: the mean
    distance of the two over the pixels of the bins that are told.
    """

    group: str
    told: tuple[float | None, ...]
    seen: tuple[float | None, ...]
    error: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Every group, and means over groups of what is told and seen: None in a bin that none fills.

    `error` is the mean of the groups' errors, so that a group with many stills counts no more.
    """

    groups: tuple[GroupReliability, ...]
    told: tuple[float | None, ...]
    seen: tuple[float | None, ...]
    error: float


def bin_sums(
    probability: ProbabilityArray, is_blood: BoolArray, is_decided: BoolArray
) -> FloatArray:
    """Return (10, 3) sums over the decided pixels of (H, W) maps, by tenths of the probability.

    Columns: pixels, their probabilities, pixels with blood. Sums of stills add up to their group's.
    """
    likelihood, truth = probability[is_decided].astype(np.float64), is_blood[is_decided]
    # A probability of exactly 1 belongs into the last bin.
    index = np.minimum((likelihood * N_BINS).astype(np.int64), N_BINS - 1)
    columns = (np.ones_like(likelihood), likelihood, truth.astype(np.float64))
    return np.stack([np.bincount(index, weight, N_BINS) for weight in columns], axis=1)


def reliability(sums: Mapping[str, FloatArray]) -> Reliability:
    """Compare what was told with what was seen, from the `bin_sums` of each group.

    Raises
    ------
    ValueError
        If there is no group.
    """
    if not sums:
        raise ValueError("no group of stills to compare probabilities with")
    return over_groups([_group(name, sums[name]) for name in sorted(sums)])


def over_groups(groups: Sequence[GroupReliability]) -> Reliability:
    """Return one or more groups with the means over them."""
    return Reliability(
        tuple(groups),
        _means([group.told for group in groups]),
        _means([group.seen for group in groups]),
        float(np.mean([group.error for group in groups])),
    )


def _group(name: str, sums: FloatArray) -> GroupReliability:
    # A tenth with hardly a pixel says nothing and is left out, also of the error: the gap between
    # what was told and what was seen, each tenth weighed by its pixels.
    n, told, seen = sums.T
    is_filled = n >= _MIN_BIN_PIXELS
    mean_told, mean_seen = told / np.maximum(n, 1), seen / np.maximum(n, 1)
    gap = np.abs(mean_told - mean_seen)
    return GroupReliability(
        name,
        tuple(float(v) if ok else None for v, ok in zip(mean_told, is_filled, strict=True)),
        tuple(float(v) if ok else None for v, ok in zip(mean_seen, is_filled, strict=True)),
        float((n * gap * is_filled).sum() / max(1.0, n.sum())),
    )


def _means(rows: list[tuple[float | None, ...]]) -> tuple[float | None, ...]:
    columns = [
        [value for value in column if value is not None] for column in zip(*rows, strict=True)
    ]
    return tuple(float(np.mean(column)) if column else None for column in columns)
