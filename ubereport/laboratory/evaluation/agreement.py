"""Several annotators of one still: how far they agree, and one reference from all of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.laboratory.evaluation.overlap import dice

_MAX_ROUNDS = 200
_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class StapleResult:
    """A consensus and how each annotator stands to it.

    Parameters
    ----------
    probability
        (H, W) that a pixel is blood; 0 where undecided.
    sensitivity, specificity
        (k,) of each annotator against the consensus.
    """

    probability: FloatArray
    sensitivity: FloatArray
    specificity: FloatArray


def pairwise_dice(masks: BoolArray, is_decided: BoolArray) -> dict[tuple[int, int], float]:
    """Return the Dice of every pair of (k, H, W) masks of which at least one shows blood."""
    overlaps = {
        (a, b): dice(masks[a] & is_decided, masks[b] & is_decided)
        for a, b in combinations(range(len(masks)), 2)
    }
    return {pair: value for pair, value in overlaps.items() if value is not None}


def majority(masks: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Return the (H, W) majority of (k, H, W) masks, and where it is decided.

    Pixels on which an even number of annotators is split in halves are undecided.
    """
    votes = masks.sum(axis=0)
    return votes * 2 > len(masks), votes * 2 != len(masks)


def staple(masks: BoolArray, is_decided: BoolArray) -> StapleResult:
    """Estimate a consensus together with each annotator's sensitivity and specificity.

    Expectation maximization with the mean of all votes as prior share of blood, fixed, and 0.99
    as the first guess of every sensitivity and specificity. Pixels with the same votes are
    counted together, so that the cost does not depend on the picture's size.

    Source: Warfield, Zou, Wells, IEEE Trans Med Imaging 2004;23:903.

    Parameters
    ----------
    masks
        (k, H, W), k at least 2.
    is_decided
        (H, W); other pixels are left out.

    Raises
    ------
    ValueError
        If there are fewer than two masks, or more than 30.
    """
    k = len(masks)
    if not 2 <= k <= 30:
        raise ValueError(f"STAPLE takes 2 to 30 annotators, got {k}")
    # Expectation and maximization in turn: from what annotators are trusted with, how likely each
    # pixel is blood; from that, how often each annotator finds blood and clean. Pixels with the
    # same votes answer alike, so that a picture is as many rows as there are patterns of votes, not
    # pixels.
    code = np.zeros(masks.shape[1:], dtype=np.int64)
    for bit, mask in enumerate(masks):
        code |= mask.astype(np.int64) << bit
    patterns, counts = np.unique(code[is_decided], return_counts=True)
    votes = ((patterns[:, None] >> np.arange(k)) & 1).astype(np.float64)
    probability = np.zeros(masks.shape[1:])
    prior = float(counts @ votes.mean(axis=1) / max(1, counts.sum()))
    if prior in (0.0, 1.0):
        probability[is_decided] = prior
        return StapleResult(probability, np.ones(k), np.ones(k))
    sensitivity, specificity = np.full(k, 0.99), np.full(k, 0.99)
    is_blood = np.zeros(len(patterns))
    for _ in range(_MAX_ROUNDS):
        before = np.concatenate([sensitivity, specificity])
        is_blood = _expected(votes, prior, sensitivity, specificity)
        sensitivity = (counts * is_blood) @ votes / (counts @ is_blood)
        specificity = (counts * (1 - is_blood)) @ (1 - votes) / (counts @ (1 - is_blood))
        if np.abs(np.concatenate([sensitivity, specificity]) - before).max() < _TOLERANCE:
            break
    probability[is_decided] = is_blood[np.searchsorted(patterns, code[is_decided])]
    return StapleResult(probability, sensitivity, specificity)


def _expected(
    votes: FloatArray, prior: float, sensitivity: FloatArray, specificity: FloatArray
) -> FloatArray:
    """Return the probability of blood for each vote pattern."""
    if_blood = prior * np.where(votes == 1, sensitivity, 1 - sensitivity).prod(axis=1)
    if_clean = (1 - prior) * np.where(votes == 1, 1 - specificity, specificity).prod(axis=1)
    total = if_blood + if_clean
    return np.asarray(np.divide(if_blood, total, out=np.full(len(votes), prior), where=total > 0))


def fleiss_kappa(counts: IntArray) -> float | None:
    """Return Fleiss' kappa of (n, c) counts: how many annotators put each of n stills into class.

    None where all answers fall into one class, so that chance explains everything.
    Source: Fleiss, Psychol Bull 1971;76:378.

    Raises
    ------
    ValueError
        If rows have different totals, or fewer than two annotators.
    """
    totals = counts.sum(axis=1)
    if len(counts) == 0 or np.any(totals != totals[0]) or totals[0] < 2:
        raise ValueError("every still needs the same number of annotators, at least two")
    k = float(totals[0])
    observed = float(((counts.astype(np.float64) ** 2).sum(axis=1) - k).mean() / (k * (k - 1)))
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares**2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else None
