"""Validation figures of probability maps against labels with undecided pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, LabelArray


@dataclass(frozen=True, slots=True)
class StillScore:
    """One still at one threshold, undecided pixels left out.

    `dice` is None where the label has no blood; areas are shares of the decided pixels.
    """

    dice: float | None
    predicted_frac: float
    true_frac: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a set; None where no still can give them."""

    n_positive: int
    n_negative: int
    dice_median: float | None
    dice_mean: float | None
    sensitivity: float | None
    specificity: float | None
    accuracy: float | None
    negative_area_mean_frac: float | None
    area_mae_frac: float | None


def score_still(
    probability: NDArray[np.float32], label: LabelArray, threshold: float
) -> StillScore:
    """Score one (H, W) map against its label."""
    decided = label != IGNORE
    n = max(1, int(decided.sum()))
    called = (probability >= threshold) & decided
    blood = label == BLOOD
    n_called, n_blood = int(called.sum()), int(blood.sum())
    dice = 2 * int((called & blood).sum()) / (n_called + n_blood) if n_blood > 0 else None
    return StillScore(dice, n_called / n, n_blood / n)


def summarize(
    scores: Sequence[StillScore],
    presence_frac: float,
    presence_scores: Sequence[StillScore] | None = None,
) -> Summary:
    """Summarize; a still counts as "blood is there" where the called area reaches a share.

    That area is the one of `presence_scores`, the same stills at another threshold, where given.
    """
    dice = [s.dice for s in scores if s.dice is not None]
    is_positive = np.array([s.dice is not None for s in scores], bool)
    called = np.array([s.predicted_frac for s in scores])
    true = np.array([s.true_frac for s in scores])
    sure = (
        called if presence_scores is None else np.array([s.predicted_frac for s in presence_scores])
    )
    # A share of 0 asks for any blood at all: a still without one called pixel still shows none.
    is_called = (sure >= presence_frac) & (sure > 0)
    return Summary(
        int(is_positive.sum()),
        int((~is_positive).sum()),
        float(np.median(dice)) if dice else None,
        float(np.mean(dice)) if dice else None,
        _mean(is_called[is_positive]),
        _mean(~is_called[~is_positive]),
        _mean(is_called == is_positive),
        _mean(called[~is_positive]),
        _mean(np.abs(called - true)),
    )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
