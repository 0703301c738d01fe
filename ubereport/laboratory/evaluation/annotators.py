"""How far the annotators of a set agree, and whether the model does well where they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ubereport.core.arrays import BoolArray, IntArray
from ubereport.laboratory.evaluation.agreement import fleiss_kappa
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.evaluation.load import StillSet, read_still
from ubereport.laboratory.evaluation.overlap import dice
from ubereport.laboratory.evaluation.results import AnnotatorAgreement, AnnotatorPair, StillScore
from ubereport.statistics.group_bootstrap import Resampler


@dataclass(frozen=True, slots=True)
class _PairOnStill:
    """Dice of two annotators on one still, and how many of the two drew blood."""

    dice: float | None
    n_drew: int


def annotator_agreement(
    stills: StillSet, scores: Sequence[StillScore], config: StillsConfig
) -> AnnotatorAgreement:
    """Compare every two annotators, presence among all, and Dice of the model with agreement.

    Kappa of presence takes the stills that the usual number of annotators looked at (the most
    frequent number above one; the larger one of two equally frequent).

    Parameters
    ----------
    stills
        A set with several annotators.
    scores
        The model's scores on the same stills.
    config
        How to count.
    """
    pairs: dict[tuple[str, str], list[_PairOnStill]] = {
        pair: [] for pair in combinations(stills.annotators, 2)
    }
    votes: list[tuple[int, int]] = []
    for still in stills.stills:
        loaded = read_still(still)
        masks: BoolArray = loaded.masks & loaded.is_decided
        is_drawn = np.asarray(masks.any(axis=(1, 2)), dtype=np.bool_)
        votes.append((len(masks), int(is_drawn.sum())))
        for a, b in combinations(range(len(masks)), 2):
            n_drew = int(is_drawn[a]) + int(is_drawn[b])
            on_still = _PairOnStill(dice(masks[a], masks[b]), n_drew)
            pairs[still.annotators[a], still.annotators[b]].append(on_still)
    kappa, reason, n_kappa = _presence_kappa(votes)
    resampler = Resampler(
        [s.group for s in scores], config.n_resamples, config.seed, config.confidence
    )
    correlation = resampler.correlation(
        np.array([np.nan if s.dice is None else s.dice for s in scores], dtype=np.float64),
        np.array([np.nan if s.agreement is None else s.agreement for s in scores]),
    )
    return AnnotatorAgreement(
        annotators=stills.annotators,
        consensus=config.consensus.value,
        pairs=tuple(_pair(names, on_stills) for names, on_stills in pairs.items()),
        presence_kappa=kappa,
        presence_kappa_reason=reason,
        n_kappa=n_kappa,
        dice_agreement_correlation=correlation,
    )


def _presence_kappa(votes: Sequence[tuple[int, int]]) -> tuple[float | None, str, int]:
    """Return kappa, why there is none, and on how many stills it rests; votes are (of, yes)."""
    sizes = Counter(n for n, _ in votes if n > 1)
    if not sizes:
        return None, "no still has two annotators", 0
    # Fleiss' kappa wants the same number of answers of every still.
    size = max(sizes, key=lambda n: (sizes[n], n))
    counts: IntArray = np.array(
        [(yes, size - yes) for n, yes in votes if n == size], dtype=np.int64
    )
    kappa = fleiss_kappa(counts)
    reason = "" if kappa is not None else "all answers are the same"
    return kappa, reason, len(counts)


def _pair(names: tuple[str, str], on_stills: Sequence[_PairOnStill]) -> AnnotatorPair:
    dice = [one.dice for one in on_stills if one.dice is not None]
    # Where one of two drew nothing their Dice is 0, which says that they disagree on presence and
    # nothing of their outlines: both figures are told.
    both = [one.dice for one in on_stills if one.dice is not None and one.n_drew == 2]
    return AnnotatorPair(
        names[0],
        names[1],
        len(on_stills),
        len(dice),
        float(np.median(dice)) if dice else None,
        float(np.mean(dice)) if dice else None,
        len(both),
        float(np.median(both)) if both else None,
        float(np.mean(both)) if both else None,
        float(np.mean([one.n_drew != 1 for one in on_stills])) if on_stills else None,
    )
