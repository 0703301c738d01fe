"""Scores of stills as the tables of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.evaluation.config import Consensus, StillsConfig
from ubereport.laboratory.evaluation.reliability import Reliability
from ubereport.laboratory.evaluation.results import (
    AnnotatorAgreement,
    Confusion,
    Figure,
    GroupScore,
    StillScore,
    StillsEvaluation,
    Stratum,
)
from ubereport.statistics.agreement import limits_of_agreement
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.group_bootstrap import Resampler, share_with_wilson

Statistic = Callable[[FloatArray], float]
_CONSENSUS_RULES = {
    Consensus.MAJORITY: "Several annotators: the reference is what most of them drew; pixels on "
    "which they split evenly are undecided, as are those that anyone left undecided.",
    Consensus.STAPLE: "Several annotators: the reference is their STAPLE consensus (probability of "
    "blood at least 0.5); pixels that anyone left undecided are undecided.",
}


def summarize(
    scores: Sequence[StillScore],
    model: str,
    grouping: str,
    reliability: Reliability,
    agreement: AnnotatorAgreement | None,
    config: StillsConfig,
) -> StillsEvaluation:
    """Turn scores of stills into figures, strata and groups.

    Raises
    ------
    AnnotationError
        If there is no score.
    """
    if not scores:
        raise AnnotationError("There is no still to evaluate. Name folders with pictures.")
    columns = _Columns(scores)
    resampler = _resampler(scores, config)
    difference = columns.predicted - columns.true
    return StillsEvaluation(
        model=model,
        n=len(scores),
        n_positive=int(columns.is_positive.sum()),
        n_negative=int((~columns.is_positive).sum()),
        n_groups=len(resampler.names),
        figures=(
            *_area_figures(columns, resampler),
            *_presence_figures(columns, resampler, config),
        ),
        confusion=_confusion(columns),
        area_limits_frac=limits_of_agreement(difference),
        strata=_strata(scores, config),
        groups=tuple(
            _group(str(name), [scores[i] for i in rows])
            for name, rows in zip(resampler.names, resampler.rows, strict=True)
        ),
        reliability=reliability,
        agreement=agreement,
        rules=_rules(grouping, config),
        scores=tuple(scores),
    )


def paired_difference(
    first: StillsEvaluation, second: StillsEvaluation, config: StillsConfig
) -> Estimate:
    """Return the median difference in Dice, first minus second model, on the same stills.

    Raises
    ------
    ValueError
        If the two were not evaluated on the same stills.
    """
    # Pairs are by place in the list; by chance equal lengths would give differences between unlike
    # stills.
    if [s.name for s in first.scores] != [s.name for s in second.scores]:
        raise ValueError("models are compared on the same stills in the same order")
    a, b = _Columns(first.scores), _Columns(second.scores)
    return _resampler(first.scores, config).paired(a.dice, b.dice, _median)


class _Columns:
    """Scores as arrays; NaN where a still has no such score."""

    def __init__(self, scores: Sequence[StillScore]) -> None:
        self.is_positive: BoolArray = np.array([s.is_positive for s in scores], dtype=np.bool_)
        self.is_called: BoolArray = np.array([s.is_called for s in scores], dtype=np.bool_)
        self.true = _column([s.true_frac for s in scores])
        self.predicted = _column([s.predicted_frac for s in scores])
        self.dice = _column([s.dice for s in scores])
        self.iou = _column([s.iou for s in scores])
        self.surface_dice = _column([s.surface_dice for s in scores])
        self.surface_distance = _column([s.surface_distance_frac for s in scores])


def _column(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _resampler(scores: Sequence[StillScore], config: StillsConfig) -> Resampler:
    return Resampler([s.group for s in scores], config.n_resamples, config.seed, config.confidence)


def _median(values: FloatArray) -> float:
    return float(np.median(values))


def _mean(values: FloatArray) -> float:
    return float(np.mean(values))


def _area_figures(columns: _Columns, resampler: Resampler) -> tuple[Figure, ...]:
    # False area has a meaning only where there is no blood; elsewhere it is hidden in the overlap.
    negative_area = np.where(columns.is_positive, np.nan, columns.predicted)
    difference = columns.predicted - columns.true
    rows: list[tuple[str, str, FloatArray, Statistic]] = [
        ("dice_median", "Dice, median, stills with blood", columns.dice, _median),
        ("dice_mean", "Dice, mean, stills with blood", columns.dice, _mean),
        ("iou_median", "IoU, median, stills with blood", columns.iou, _median),
        ("iou_mean", "IoU, mean, stills with blood", columns.iou, _mean),
        (
            "surface_dice_median",
            "Outline within tolerance, median, stills with blood",
            columns.surface_dice,
            _median,
        ),
        (
            "surface_distance_median_frac",
            "Distance of outlines over the diagonal, median",
            columns.surface_distance,
            _median,
        ),
        (
            "negative_area_mean_frac",
            "Area called blood, mean, stills without blood",
            negative_area,
            _mean,
        ),
        ("area_bias_frac", "Area, model minus reference, mean", difference, _mean),
        ("area_mae_frac", "Area, absolute error, mean", np.abs(difference), _mean),
    ]
    return tuple(
        _figure(key, title, values, statistic, resampler) for key, title, values, statistic in rows
    )


def _figure(
    key: str, title: str, values: FloatArray, statistic: Statistic, resampler: Resampler
) -> Figure:
    has_value = ~np.isnan(values)
    return Figure(
        key,
        title,
        "1",
        resampler.over_rows(values, statistic),
        resampler.over_groups(values, statistic),
        int(has_value.sum()),
        sum(bool(has_value[rows].any()) for rows in resampler.rows),
    )


def _presence_figures(
    columns: _Columns, resampler: Resampler, config: StillsConfig
) -> tuple[Figure, ...]:
    everyone = np.ones(len(columns.is_positive), dtype=np.bool_)
    is_right = columns.is_called == columns.is_positive
    rows = [
        ("accuracy", "Accuracy of presence", everyone),
        ("sensitivity", "Sensitivity of presence", columns.is_positive),
        ("specificity", "Specificity of presence", ~columns.is_positive),
    ]
    figures: list[Figure] = []
    for key, title, is_counted in rows:
        values = np.where(is_counted, is_right.astype(np.float64), np.nan)
        figure = _figure(key, title, values, _mean, resampler)
        # Wilson and not the bootstrap: with all stills right the bootstrap's interval would have no
        # width.
        share = share_with_wilson(
            int(is_right[is_counted].sum()), int(is_counted.sum()), config.confidence
        )
        figures.append(
            Figure(key, title, "1", share, figure.over_groups, figure.n, figure.n_groups)
        )
    false_alarm = np.where(columns.is_positive, np.nan, columns.is_called.astype(np.float64))
    title = "Share of stills without blood that are called"
    figures.append(_figure("negative_called_share", title, false_alarm, _mean, resampler))
    return tuple(figures)


def _confusion(columns: _Columns) -> Confusion:
    true, called = columns.is_positive, columns.is_called
    return Confusion(
        int((true & called).sum()),
        int((true & ~called).sum()),
        int((~true & called).sum()),
        int((~true & ~called).sum()),
    )


def strata_of(score: StillScore, config: StillsConfig) -> tuple[str, ...]:
    """Return the keys of the strata that a still with blood belongs to."""
    low, high = config.area_edges
    is_large = score.true_frac > high
    # By the reference and not by the model, whose errors would otherwise move stills between
    # strata.
    area = "area_small" if score.true_frac < low else "area_large" if is_large else "area_medium"
    if score.agreement is None:
        return (area,)
    if score.agreement < config.high_agreement:
        return area, "agreement_low"
    return (area, "agreement_high", *(("agreement_high_area_large",) if is_large else ()))


def _strata(scores: Sequence[StillScore], config: StillsConfig) -> tuple[Stratum, ...]:
    low, high = config.area_edges
    limit = config.high_agreement
    titles = {
        "area_small": f"Blood below {low:.0%} of the picture",
        "area_medium": f"Blood {low:.0%} to {high:.0%}",
        "area_large": f"Blood above {high:.0%}",
        "agreement_high": f"Annotators agree (Dice ≥ {limit:.2f})",
        "agreement_low": f"Annotators disagree (Dice < {limit:.2f})",
        "agreement_high_area_large": f"Annotators agree and blood above {high:.0%}",
    }
    positive = [s for s in scores if s.is_positive]
    is_rated = any(s.agreement is not None for s in positive)
    return tuple(
        _stratum(key, title, [s for s in positive if key in strata_of(s, config)])
        for key, title in titles.items()
        if is_rated or key.startswith("area")
    )


def _stratum(key: str, title: str, scores: Sequence[StillScore]) -> Stratum:
    if not scores:
        return Stratum(key, title, 0, None, None, None, None, None, None, None)
    columns = _Columns(scores)
    difference = columns.predicted - columns.true
    return Stratum(
        key,
        title,
        len(scores),
        _median(columns.dice),
        _mean(columns.dice),
        _median(columns.iou),
        _median(columns.surface_dice),
        _mean(np.abs(difference)),
        _mean(difference),
        float(columns.is_called.mean()),
    )


def _group(name: str, scores: Sequence[StillScore]) -> GroupScore:
    columns = _Columns(scores)
    negative = columns.predicted[~columns.is_positive]
    difference = columns.predicted - columns.true
    has_blood = bool(columns.is_positive.any())
    return GroupScore(
        name,
        int(columns.is_positive.sum()),
        len(negative),
        float(np.nanmedian(columns.dice)) if has_blood else None,
        float(np.nanmedian(columns.iou)) if has_blood else None,
        _mean(negative) if len(negative) else None,
        _mean(np.abs(difference)),
        _mean(difference),
    )


def _rules(grouping: str, config: StillsConfig) -> tuple[str, ...]:
    return (
        "Dice, IoU and outlines are taken on stills whose reference shows blood; a model that "
        "draws nothing there scores 0. Stills without blood have no Dice: the area called blood "
        "on them is reported instead.",
        "Undecided pixels count neither for nor against, and belong to no area.",
        f"A still counts as called where at least {config.presence_frac or 0:.2%} of its decided "
        f"pixels reach probability {config.presence_probability or 0:.2f}; its reference shows "
        "blood with the first pixel.",
        f"Outlines agree up to {config.surface_tolerance_frac:.1%} of the picture's diagonal.",
        f"Groups of stills: {grouping}. Intervals of {config.confidence:.0%} resample whole groups "
        "where at least three have data; those of accuracy, sensitivity and specificity over "
        "stills are Wilson's and take stills as independent.",
        _CONSENSUS_RULES[config.consensus],
    )
