"""An evaluation of models on stills as a document: the tables and figures of the paper.

Stills, their groups and annotators appear by number: their names may hold more than a report
should show. The names stand in ``scores.csv``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ubereport.documents.cohort.number_words import (
    estimate_text,
    number_cell,
    share_cell,
    share_text,
)
from ubereport.documents.cohort.shared_sections import SOFTWARE
from ubereport.documents.page.blocks import Pair, TableBlock, columns, table_block
from ubereport.documents.page.curve_drawings import Curve, HistogramFigure, PointSet, ScatterFigure
from ubereport.documents.page.document import Document, Figure, Section
from ubereport.documents.page.drawing import Axis, Mark, Unit
from ubereport.documents.page.row_drawings import ForestFigure, ForestRow, Group, GroupFigure
from ubereport.documents.page.text import decimal, percent
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.evaluation.results import Confusion, StillsEvaluation
from ubereport.laboratory.evaluation.results import Figure as Number
from ubereport.laboratory.evaluation.stills_sections import (
    ModelResult,
    agreement_sections,
    dice_text,
    groups_section,
    method_section,
    overlay_sections,
    reliability_section,
)
from ubereport.laboratory.evaluation.summary import strata_of
from ubereport.language.speaking import N_, _, _n, paragraph
from ubereport.statistics.estimates import Estimate

_N_BINS = 10
_PERCENT_ENDS = ("_frac", "_share")
_AS_PERCENT = (N_("accuracy"), N_("sensitivity"), N_("specificity"))
_CAVEATS = (
    N_(
        "The numbers hold for stills like these. How often an image-wise call is right on a whole "
        "recording depends on how much of it shows blood."
    ),
    N_(
        "Dice and IoU exist only where the reference shows blood and hide false alarms on clean "
        "stills; read them together with the area called blood on stills without."
    ),
    N_(
        "A reference is what annotators drew, not the truth; where they differ, no model can agree "
        "with all of them."
    ),
    N_("The mask means visible blood, not an active bleeder, and is not blood loss."),
)


def stills_document(
    results: Sequence[ModelResult],
    differences: Sequence[Estimate],
    n_without_mask: int,
    config: StillsConfig,
) -> Document:
    """Lay an evaluation out; all models were scored on the same stills.

    `differences` are median differences in Dice of each model but the first, minus the first.
    """
    first = results[0].evaluation
    return Document(
        title=_("Models evaluated on stills"),
        subtitle=_(
            "{stills}: {n_positive} with blood, {n_negative} without, in {groups}; {join}",
            stills=_n("{n} still", "{n} stills", first.n),
            n_positive=first.n_positive,
            n_negative=first.n_negative,
            groups=_n("{n} group", "{n} groups", first.n_groups),
            join=", ".join(_names(results)),
        ),
        kicker=_("Evaluation"),
        software=SOFTWARE,
        lead=tuple(_lead(result.evaluation) for result in results),
        facts=_facts(first, first.model if len(results) > 1 else ""),
        caveats=_CAVEATS,
        sections=(
            _numbers_section(results, differences),
            _distribution_section(results),
            _strata_section(results, config),
            _presence_section(results),
            _area_section(results),
            reliability_section(results),
            *agreement_sections(results),
            groups_section(results),
            *overlay_sections(results),
            method_section(results, n_without_mask),
        ),
    )


def _names(results: Sequence[ModelResult]) -> list[str]:
    return [result.evaluation.model for result in results]


def _number(evaluation: StillsEvaluation, key: str) -> Estimate:
    return evaluation.figure(key).over_stills


def _lead(evaluation: StillsEvaluation) -> str:
    sentences = [f"{evaluation.model}:"]
    if evaluation.n_positive:
        sentences.append(
            _(
                "where the reference shows blood, the median Dice was {dice_text} and blood was "
                "found in {number} of the stills.",
                dice_text=dice_text(_number(evaluation, "dice_median")),
                number=share_text(_number(evaluation, "sensitivity")),
            )
        )
    if evaluation.n_negative:
        sentences.append(
            _(
                "Where it shows none, {number} of the stills were left clean, and on average "
                "{number_2} of the picture was called blood all the same.",
                number=share_text(_number(evaluation, "specificity")),
                number_2=share_text(_number(evaluation, "negative_area_mean_frac"), 1),
            )
        )
    sentences.append(
        _(
            "The area differed by {points_text} percentage points on average.",
            points_text=estimate_text(
                _number(evaluation, "area_mae_frac"), 100.0, 1, is_signed=False
            ),
        )
    )
    return paragraph(*sentences)


def _facts(evaluation: StillsEvaluation, model: str) -> tuple[Pair, ...]:
    def plain(key: str, factor: float, n_decimals: int, unit: str) -> str:
        value = _number(evaluation, key).value
        return (
            _("not available") if value is None else f"{decimal(factor * value, n_decimals)}{unit}"
        )

    of_presence = _("of presence, image-wise")
    cells = (
        (_("Dice, median"), plain("dice_median", 1, 2, ""), _("stills with blood")),
        (_("IoU, median"), plain("iou_median", 1, 2, ""), _("stills with blood")),
        (_("Sensitivity"), plain("sensitivity", 100, 0, " %"), of_presence),
        (_("Specificity"), plain("specificity", 100, 0, " %"), of_presence),
        (
            _("False area"),
            plain("negative_area_mean_frac", 100, 1, " %"),
            _("mean, stills without"),
        ),
    )
    lines = (model,) if model else ()
    return tuple(Pair(*cell, lines=lines) for cell in cells)


def _numbers_section(results: Sequence[ModelResult], differences: Sequence[Estimate]) -> Section:
    tables = [_numbers_table(result.evaluation) for result in results]
    first = results[0].evaluation.model
    if differences:
        table = table_block(
            _("Models side by side"),
            zip(results[1:], differences, strict=True),
            (_("Models"), lambda row: f"{row[0].evaluation.model} − {first}"),
            (
                _("#Median difference in Dice (95 % interval)"),
                lambda row: estimate_text(row[1], n_decimals=3, is_signed=True),
            ),
            note=_("Still by still on the same stills with blood; groups resampled."),
        )
        # Before the tables of each model: the pairs are compared still by still, which two columns
        # beside one another cannot show.
        tables.insert(0, table)
    figures = (_side_by_side(results),) if len(results) > 1 else ()
    return Section(_("All numbers"), (), figures, tuple(tables))


def _side_by_side(results: Sequence[ModelResult]) -> Figure:
    keys = {
        "dice_median": _("Dice, median"),
        "iou_median": _("IoU, median"),
        "sensitivity": _("sensitivity"),
        "specificity": _("specificity"),
    }
    rows = tuple(
        _forest_row(f"{result.evaluation.model}: {title}", estimate)
        for key, title in keys.items()
        for result in results
        for estimate in [_number(result.evaluation, key)]
    )
    return Figure(
        "models",
        _("Models side by side"),
        _("Each square is a number from 0 to 1, the bar its 95 % interval; right is better."),
        ForestFigure(rows, Axis(_("Value"), Unit.NUMBER, 0.0, 1.0)),
    )


def _forest_row(label: str, estimate: Estimate) -> ForestRow:
    return ForestRow(label, estimate.value, estimate.low, estimate.high, dice_text(estimate))


def _numbers_table(evaluation: StillsEvaluation) -> TableBlock:
    return table_block(
        evaluation.model,
        evaluation.figures,
        (_("Number"), lambda number: number.title),
        (_("#Over stills (95 % interval)"), lambda number: _cell(number, number.over_stills)),
        (_("#Over groups (95 % interval)"), lambda number: _cell(number, number.over_groups)),
        (_("#Stills"), lambda number: str(number.n)),
        (_("#Groups"), lambda number: str(number.n_groups)),
        note=_(
            "Over stills: all alike. Over groups: the mean of each group’s own number, so that a "
            "group with many stills does not count more."
        ),
    )


def _cell(number: Number, estimate: Estimate) -> str:
    if number.key.endswith(_PERCENT_ENDS) or number.key in _AS_PERCENT:
        return share_text(estimate, 1)
    return dice_text(estimate)


def _distribution_section(results: Sequence[ModelResult]) -> Section:
    figures = []
    for i, result in enumerate(results, start=1):
        # Without blood in the reference there is no overlap to speak of; what is called there
        # stands as false area.
        positive = [s for s in result.evaluation.scores if s.is_positive]
        for key, title in (("dice", _("Dice")), ("iou", "IoU")):
            values = [getattr(score, key) for score in positive]
            if values:
                figures.append(_histogram(f"{key}-{i}", title, result.evaluation.model, values))
    if not figures:
        return Section(_("Distribution of overlap"), (_("No still shows blood."),))
    return Section(_("Distribution of overlap, stills with blood"), figures=tuple(figures))


def _histogram(figure_id: str, title: str, model: str, values: Sequence[float]) -> Figure:
    counts, edges = np.histogram(values, bins=_N_BINS, range=(0.0, 1.0))
    median = float(np.median(values))
    return Figure(
        figure_id,
        f"{title}, {model}",
        _(
            "Stills with blood by their overlap with the reference; 1 is full overlap, 0 none. "
            "The line marks the median, {median}.",
            median=decimal(median, 2),
        ),
        HistogramFigure(
            tuple(float(edge) for edge in edges),
            tuple(int(count) for count in counts),
            Axis(title, Unit.NUMBER, 0.0, 1.0),
            (Mark(median, "median"),),
        ),
        is_half=True,
    )


def _strata_section(results: Sequence[ModelResult], config: StillsConfig) -> Section:
    figures, tables = [], []
    for i, result in enumerate(results, start=1):
        evaluation = result.evaluation
        groups = _stratum_groups(evaluation, config)
        if groups:
            figures.append(
                Figure(
                    f"strata-{i}",
                    _("Dice by area of blood and by agreement, {model}", model=evaluation.model),
                    _(
                        "Each mark is one still with blood. Small areas are hard: a few pixels at "
                        "the edge weigh much there."
                    ),
                    GroupFigure(groups, Axis(_("Dice"), Unit.NUMBER, 0.0, 1.0)),
                )
            )
        tables.append(_strata_table(evaluation))
    return Section(_("By area of blood and by agreement"), (), tuple(figures), tuple(tables))


def _stratum_groups(evaluation: StillsEvaluation, config: StillsConfig) -> tuple[Group, ...]:
    low, high = config.area_edges
    limit = config.high_agreement
    titles = {
        "area_small": _("Blood < {low}", low=percent(low, 0)),
        "area_medium": _("Blood {low} to {high}", low=percent(low, 0), high=percent(high, 0)),
        "area_large": _("Blood > {high}", high=percent(high, 0)),
        "agreement_high": _("Agreement ≥ {limit}", limit=decimal(limit, 2)),
        "agreement_low": _("Agreement < {limit}", limit=decimal(limit, 2)),
        "agreement_high_area_large": _(
            "≥ {limit} and > {high}", limit=decimal(limit, 2), high=percent(high, 0)
        ),
    }
    groups = []
    for stratum in evaluation.strata:
        dice = [
            s.dice
            for s in evaluation.scores
            if s.dice is not None and stratum.key in strata_of(s, config)
        ]
        if dice:
            low_q, middle, high_q = (float(v) for v in np.quantile(dice, [0.25, 0.5, 0.75]))
            groups.append(Group(titles[stratum.key], tuple(dice), middle, low_q, high_q))
    return tuple(groups)


def _strata_table(evaluation: StillsEvaluation) -> TableBlock:
    return table_block(
        evaluation.model,
        evaluation.strata,
        (_("Stills"), lambda stratum: stratum.title),
        (_("#n"), lambda stratum: str(stratum.n)),
        (_("#Dice, median"), lambda stratum: number_cell(stratum.dice_median)),
        (_("#Dice, mean"), lambda stratum: number_cell(stratum.dice_mean)),
        (_("#IoU, median"), lambda stratum: number_cell(stratum.iou_median)),
        (_("#Outline, median"), lambda stratum: number_cell(stratum.surface_dice_median)),
        (_("#Area error, points"), lambda stratum: number_cell(stratum.area_mae_frac, 1, 100)),
        (_("#Area bias, points"), lambda stratum: number_cell(stratum.area_bias_frac, 1, 100)),
        (_("#Called"), lambda stratum: share_cell(stratum.called_share)),
        note=_(
            "Stills with blood only. Called: share in which the model found any. Area error and "
            "bias (model minus reference) in percentage points of the picture."
        ),
    )


def _presence_section(results: Sequence[ModelResult]) -> Section:
    rows = tuple(
        _forest_row(f"{result.evaluation.model}: {_(key)}", _number(result.evaluation, key))
        for key in _AS_PERCENT
        for result in results
    )
    figure = Figure(
        "presence",
        _("Is there blood in the still?"),
        _(
            "Bars are 95 % Wilson intervals. Sensitivity: share of stills with blood that are "
            "called; specificity: share of stills without that are not. Accuracy depends on how "
            "many of each there are."
        ),
        ForestFigure(rows, Axis(_("Share"), Unit.NUMBER, 0.0, 1.0)),
    )
    tables = tuple(
        _confusion_table(result.evaluation.model, result.evaluation.confusion) for result in results
    )
    return Section(_("Presence of blood"), (), (figure,), tables)


def _confusion_table(model: str, confusion: Confusion) -> TableBlock:
    rows = (
        (_("Reference shows blood"), str(confusion.true_positive), str(confusion.false_negative)),
        (_("Reference shows none"), str(confusion.false_positive), str(confusion.true_negative)),
    )
    return TableBlock(
        _("Stills, {model}", model=model), columns("", _("#Called"), _("#Not called")), rows
    )


def _area_section(results: Sequence[ModelResult]) -> Section:
    figures = [
        figure
        for i, result in enumerate(results, start=1)
        for figure in _area_figures(i, result.evaluation)
    ]
    text = _("The area fraction is the number that a case report uses.")
    return Section(_("Area of blood"), (text,), tuple(figures))


def _area_figures(number: int, evaluation: StillsEvaluation) -> tuple[Figure, Figure]:
    true = [score.true_frac for score in evaluation.scores]
    predicted = [score.predicted_frac for score in evaluation.scores]
    # One scale for both axes, so that the line of equality runs at 45 degrees; not below 5 %, or
    # noise would fill the picture.
    top = min(1.0, 1.05 * max(0.05, *true, *predicted))
    # Bland and Altman: against the mean of both, since a difference against the reference alone
    # leans by itself.
    mean = tuple((a + b) / 2 for a, b in zip(true, predicted, strict=True))
    gap = tuple(b - a for a, b in zip(true, predicted, strict=True))
    bias = _number(evaluation, "area_bias_frac").value or 0.0
    lines = [Curve(_("bias"), (0.0, top), (bias, bias))]
    words = ""
    if evaluation.area_limits_frac is not None:
        low, high = evaluation.area_limits_frac
        lines += [
            Curve(_("limits of agreement"), (0.0, top), (low, low)),
            Curve("", (0.0, top), (high, high)),
        ]
        words = _(
            "Bias {bias}, limits of agreement {low} to {high} percentage points.",
            bias=decimal(100 * bias, 1),
            low=decimal(100 * low, 1),
            high=decimal(100 * high, 1),
        )
    return (
        Figure(
            f"area-{number}",
            _("Area, model against reference, {model}", model=evaluation.model),
            _("Each mark is one still; on the line both agree, above it the model calls too much."),
            ScatterFigure(
                (PointSet("stills", tuple(true), tuple(predicted)),),
                Axis(_("Area, reference"), Unit.PERCENT, 0.0, top),
                Axis(_("Area, model"), Unit.PERCENT, 0.0, top),
                (Curve(_("equal"), (0.0, top), (0.0, top)),),
            ),
        ),
        Figure(
            f"limits-{number}",
            _("Difference of area against its mean, {model}", model=evaluation.model),
            paragraph(
                _("Bland and Altman: 19 of 20 differences lie about between the outer lines."),
                words,
            ),
            ScatterFigure(
                (PointSet("stills", mean, gap),),
                Axis(_("Mean of model and reference"), Unit.PERCENT, 0.0, top),
                Axis(_("Model minus reference"), Unit.PERCENT),
                tuple(lines),
            ),
        ),
    )
