"""Thresholds and operating characteristics from stills of groups that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import FloatArray
from ubereport.core.errors import AnnotationError
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.presence import PresenceRule
from ubereport.laboratory.evaluation.reliability import bin_sums, reliability
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, LabelArray
from ubereport.laboratory.training.scoring import StillScore, Summary, score_still, summarize
from ubereport.segmentation.pictures import shown_blood
from ubereport.statistics.group_bootstrap import Resampler

# Finer toward 1: what keeps clean views clean lies there, and higher for averages of several
# networks, whose answers are surer.
_GRID = (*(round(0.05 * i, 2) for i in range(2, 19)), 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99)
# Where a rule of presence keeps clean views clean, the threshold that is left to choose decides how
# far a region is drawn, in smaller steps.
_GRID_IN_SHOWN = tuple(round(0.02 * i, 2) for i in range(5, 50))
# On the logit scale the neighbors are as far away at every threshold; a fixed step of probability
# would leave 0..1 near its ends.
_NEIGHBOR_LOGIT = 1.0
_FIGURES = (
    "dice_median",
    "dice_mean",
    "sensitivity",
    "specificity",
    "accuracy",
    "negative_area_mean_frac",
    "area_mae_frac",
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds (lenient, central, strict) and what was measured at the central one.

    `presence` says from when on a still counts as "blood is there"; `figures` are names and values
    with the ends of 95 % intervals.
    """

    thresholds: tuple[float, float, float]
    presence: PresenceRule
    summary: Summary
    figures: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class CalibrationAims:
    """What thresholds are held to.

    Parameters
    ----------
    max_clean_area_frac
        Share of clean stills that may be painted: by default 1 %, well below the area at which an
        event closes.
    is_presence_ruled
        Whether the bundle will mark nothing in pictures that show no blood by its rule of
        presence: thresholds are then chosen, and everything measured, under that rule.
    min_sensitivity
        Share of stills with blood that a rule of presence should find; where none finds as many,
        nothing is asked.
    """

    max_clean_area_frac: float = 0.01
    is_presence_ruled: bool = False
    min_sensitivity: float = 0.0


DEFAULT_AIMS = CalibrationAims()


def calibrate(
    maps: NDArray[np.float32],
    labels: NDArray[np.uint8],
    groups: Sequence[str],
    aims: CalibrationAims = DEFAULT_AIMS,
    *,
    presence_grid: Sequence[float] = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01),
) -> Calibration:
    """Choose thresholds on held-out stills.

    The central one has the best mean Dice on stills with blood among those that paint at most
    `aims.max_clean_area_frac` of clean stills. If none does, it is the least painting one that
    finds blood. Its neighbors lie one logit away. Presence takes the share of `presence_grid` and
    the probability with the best balanced accuracy among those that are sensitive enough. Stills
    without a decided pixel say nothing and are left out.

    Parameters
    ----------
    maps, labels
        (n, H, W) probabilities and labels of the same stills.
    groups
        (n,) group of each still: what the bootstrap draws.
    aims
        What thresholds are held to.

    Raises
    ------
    AnnotationError
        If no still has blood or none is without.
    """
    is_decided = np.array([(label != IGNORE).any() for label in labels], bool)
    if not is_decided.all():
        maps, labels = maps[is_decided], labels[is_decided]
        groups = [group for group, is_kept in zip(groups, is_decided, strict=True) if is_kept]
    has_blood = np.array([(label == BLOOD).any() for label in labels], bool)
    if not has_blood.any() or has_blood.all():
        raise AnnotationError(
            f"{int(has_blood.sum())} of {len(labels)} held-out stills show blood; thresholds need "
            "stills with and without. Hold out other groups."
        )
    # Every threshold of the grid is scored once; what follows only chooses among these.
    scores = {t: _scores(maps, labels, t) for t in _GRID}
    presence, grid = _best_presence(scores, presence_grid, aims), _GRID
    if aims.is_presence_ruled:
        # A copy, since the rule writes into what it is given. Everything is scored again under it:
        # figures are to be those of the bundle as it will run.
        maps, grid = shown_blood(maps.copy(), presence), _GRID_IN_SHOWN
        scores = {t: _scores(maps, labels, t) for t in {*grid, presence.probability}}
    central = _best_threshold({t: scores[t] for t in grid}, aims)
    chosen, sure = scores[central], scores[presence.probability]
    logit = np.log(central / (1 - central))
    lenient, strict = (
        float(1 / (1 + np.exp(-(logit + d)))) for d in (-_NEIGHBOR_LOGIT, _NEIGHBOR_LOGIT)
    )
    return Calibration(
        (round(lenient, 4), central, round(strict, 4)),
        presence,
        summarize(chosen, presence.view_frac, sure),
        (
            *_figures(chosen, sure, groups, presence),
            ("calibration_error", _calibration_error(maps, labels, groups)),
        ),
    )


def errors_by_operation(
    maps: NDArray[np.float32],
    labels: NDArray[np.uint8],
    groups: Sequence[str],
    threshold: float,
) -> tuple[HeldOutOperation, ...]:
    """Return what was erred on each group of held-out stills, undecided pixels left out.

    Stills without a decided pixel say nothing and are left out.
    """
    rows: dict[str, list[tuple[int, int, int, int]]] = {}
    for probability, label, group in zip(maps, labels, groups, strict=True):
        decided = label != IGNORE
        called, blood = (probability >= threshold) & decided, label == BLOOD
        counts = (decided.sum(), blood.sum(), (called & blood).sum(), (called & ~blood).sum())
        if counts[0] > 0:
            rows.setdefault(group, []).append(tuple(int(n) for n in counts))  # type: ignore[arg-type]
    return tuple(_operation(group, np.array(rows[group], float)) for group in sorted(rows))


def _operation(group: str, counts: NDArray[np.float64]) -> HeldOutOperation:
    """Sum up (n, 4) counts of pixels: decided, blood, blood called, clean called."""
    n_decided, n_blood, n_found, n_painted = counts.T
    true = float((n_blood / n_decided).mean())
    measured = float(((n_found + n_painted) / n_decided).mean())
    n_clean = float((n_decided - n_blood).sum())
    figures = {
        "true_area_frac": true,
        "measured_area_frac": measured,
        "painted_clean_frac": float(n_painted.sum()) / max(1.0, n_clean),
        "area_bias_frac": measured - true,
    }
    # Over all blood of the operation, so that a still with a few pixels of it does not count like a
    # flooded one.
    blood_share = float(n_found.sum() / n_blood.sum()) if n_blood.any() else None
    return HeldOutOperation(
        operation=group,
        n_stills=len(counts),
        n_with_blood=int((n_blood > 0).sum()),
        blood_found_share=None if blood_share is None else float(f"{blood_share:.4g}"),
        **{key: float(f"{value:.4g}") for key, value in figures.items()},
    )


def _calibration_error(
    maps: NDArray[np.float32], labels: NDArray[np.uint8], groups: Sequence[str]
) -> float:
    """Return the mean over groups of how far probabilities are off, undecided pixels left out."""
    sums: dict[str, FloatArray] = {}
    for probability, label, group in zip(maps, labels, groups, strict=True):
        own = bin_sums(probability, label == BLOOD, label != IGNORE)
        sums[group] = sums.get(group, 0.0) + own
    return float(f"{reliability(sums).error:.4g}")


def _scores(
    maps: NDArray[np.float32], labels: Sequence[LabelArray] | NDArray[np.uint8], threshold: float
) -> list[StillScore]:
    return [score_still(m, label, threshold) for m, label in zip(maps, labels, strict=True)]


def _best_threshold(scores: dict[float, list[StillScore]], aims: CalibrationAims) -> float:
    # Of the thresholds that paint little enough on clean stills, the one with the best overlap. If
    # none does, the one that paints least.
    summaries = {t: summarize(s, 0.0) for t, s in scores.items()}
    area = {t: f.negative_area_mean_frac for t, f in summaries.items()}
    dice = {t: f.dice_mean for t, f in summaries.items()}
    # A network whose answers never get high would else be given a threshold that finds nothing.
    finding = [t for t in summaries if dice[t]] or list(summaries)
    allowed = [t for t in finding if (area[t] or 0.0) <= aims.max_clean_area_frac]
    if not allowed:
        return min(finding, key=lambda t: (area[t] or 0.0, -t))
    return max(allowed, key=lambda t: dice[t] or 0.0)


def _best_presence(
    scores: dict[float, list[StillScore]], presence_grid: Sequence[float], aims: CalibrationAims
) -> PresenceRule:
    """Return the rule; of equals the largest share at the lowest probability."""
    rules = [
        (PresenceRule(t, share), summarize(scores[t], share))
        for t in sorted(scores)
        for share in sorted(presence_grid, reverse=True)
    ]
    # Of two rules that are right as often, the one that misses blood costs a reader more.
    sensitive = [r for r in rules if (r[1].sensitivity or 0.0) >= aims.min_sensitivity] or rules
    return max(sensitive, key=lambda rule: _balanced_accuracy(rule[1]))[0]


def _balanced_accuracy(summary: Summary) -> float:
    parts = (summary.sensitivity, summary.specificity)
    return sum(p for p in parts if p is not None)


def _figures(
    scores: Sequence[StillScore],
    presence_scores: Sequence[StillScore],
    groups: Sequence[str],
    presence: PresenceRule,
) -> tuple[tuple[str, float], ...]:
    share = presence.view_frac
    summary = summarize(scores, share, presence_scores)
    resampler = Resampler(groups, n_resamples=1000, seed=0, confidence=0.95)
    draws = [
        summarize([scores[i] for i in drawn], share, [presence_scores[i] for i in drawn])
        for drawn in resampler.drawn_rows()
    ]
    figures: list[tuple[str, float]] = [
        ("presence_area_frac", share),
        ("presence_probability", presence.probability),
    ]
    for key in _FIGURES:
        value = getattr(summary, key)
        drawn_values = [v for v in (getattr(d, key) for d in draws) if v is not None]
        if value is not None:
            low, high = np.percentile(drawn_values, (2.5, 97.5))
            figures += [(key, value), (f"{key}_low", float(low)), (f"{key}_high", float(high))]
    counts = (("n_positive", summary.n_positive), ("n_negative", summary.n_negative))
    figures += [(name, float(n)) for name, n in counts]
    return tuple((name, float(f"{value:.4g}")) for name, value in figures)
