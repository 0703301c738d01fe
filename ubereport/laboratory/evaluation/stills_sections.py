"""Parts of an evaluation of stills: annotators, pictures worth looking at, rules of counting."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.case import ModelSummary
from ubereport.documents.cohort.number_words import estimate_text, number_cell, share_cell
from ubereport.documents.page.blocks import Image, Pair, TableBlock, columns, table_block
from ubereport.documents.page.curve_drawings import Curve, PointSet, ScatterFigure
from ubereport.documents.page.document import Figure, ImageStrip, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import Group, GroupFigure
from ubereport.documents.page.text import decimal, percent
from ubereport.laboratory.evaluation.examples import Examples
from ubereport.laboratory.evaluation.reliability import N_BINS, Reliability
from ubereport.laboratory.evaluation.results import (
    AnnotatorAgreement,
    AnnotatorPair,
    StillsEvaluation,
)
from ubereport.language.speaking import _, _n
from ubereport.statistics.estimates import Estimate
from ubereport.video.picture_scaling import display_size, encode_jpeg, to_model_size

_STRIP_WIDTH_PX = 480
_MAX_GROUPS = 30
_MODELS_A_TABLE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Overlays:
    """Stills worth looking at, and the (H, W, 3) overlay of each by name."""

    examples: Examples
    pictures: Mapping[str, RgbArray]


@dataclass(frozen=True, slots=True, eq=False)
class ModelResult:
    """One model on the set."""

    model: ModelSummary
    evaluation: StillsEvaluation
    overlays: Overlays


def dice_text(estimate: Estimate) -> str:
    """Return an overlap or a correlation with its interval, to two decimals."""
    return estimate_text(estimate, n_decimals=2, is_signed=False)


def agreement_sections(results: Sequence[ModelResult]) -> tuple[Section, ...]:
    """Return how far annotators agree, and the model with them; none for one annotator."""
    agreement = results[0].evaluation.agreement
    if agreement is None:
        return ()
    sets = []
    for result in results:
        pairs = [
            (s.agreement, s.dice)
            for s in result.evaluation.scores
            if s.agreement is not None and s.dice is not None
        ]
        sets.append(
            PointSet(
                result.evaluation.model, tuple(a for a, _ in pairs), tuple(d for _, d in pairs)
            )
        )
    figures = (
        Figure(
            "agreement",
            _("Dice of the model against agreement of the annotators"),
            _(
                "Each mark is one still with blood. To the left the annotators themselves "
                "disagree; a low Dice there is no fault of the model alone."
            ),
            ScatterFigure(
                tuple(sets),
                Axis(_("Mean pairwise Dice of the annotators"), Unit.NUMBER, 0.0, 1.0),
                Axis(_("Dice of the model"), Unit.NUMBER, 0.0, 1.0),
            ),
        ),
    )
    correlations = tuple(
        (result.evaluation.model, dice_text(own.dice_agreement_correlation))
        for result in results
        for own in [result.evaluation.agreement]
        if own is not None
    )
    table = TableBlock(
        _("Correlation of Dice with agreement (Spearman)"),
        columns(_("Model"), _("#Correlation (95 % interval)")),
        correlations,
    )
    return (
        Section(
            _("Agreement of the annotators"),
            (_kappa_text(agreement),),
            figures,
            (_pairs_table(agreement), table),
        ),
    )


def _kappa_text(agreement: AnnotatorAgreement) -> str:
    n = len(agreement.annotators)
    head = _(
        "{annotators}; the reference is their {consensus}.",
        annotators=_n("{n} annotator", "{n} annotators", n),
        consensus=_consensus(agreement),
    )
    if agreement.presence_kappa is None:
        return _(
            "{head} No kappa of presence: {presence_kappa_reason}.",
            head=head,
            presence_kappa_reason=agreement.presence_kappa_reason,
        )
    return _(
        "{head} Fleiss’ kappa of presence {presence_kappa} on {stills}.",
        head=head,
        presence_kappa=decimal(agreement.presence_kappa, 2),
        stills=_n("{n} still", "{n} stills", agreement.n_kappa),
    )


def _consensus(agreement: AnnotatorAgreement) -> str:
    words = {"majority": _("majority"), "staple": _("STAPLE consensus")}
    return words.get(agreement.consensus, agreement.consensus)


def _pairs_table(agreement: AnnotatorAgreement) -> TableBlock:
    # By number: names of annotators are names of people and stand in no report.
    number = {name: i for i, name in enumerate(agreement.annotators, start=1)}

    def pair_text(pair: AnnotatorPair) -> str:
        return _("{number} and {number_2}", number=number[pair.first], number_2=number[pair.second])

    def count_text(value: float | None, n: int) -> str:
        return f"{number_cell(value)} ({n})"

    return table_block(
        _("Every two annotators"),
        agreement.pairs,
        (_("Annotators"), pair_text),
        (_("#Stills"), lambda p: str(p.n)),
        (_("#Dice, median, either drew"), lambda p: count_text(p.dice_median, p.n_drawn)),
        (_("#Dice, median, both drew"), lambda p: count_text(p.both_dice_median, p.n_both)),
        (_("#Same answer on presence"), lambda p: share_cell(p.presence_agreement)),
        note=_("Annotators by number in order of their folders’ names; in brackets the stills."),
    )


def overlay_sections(results: Sequence[ModelResult]) -> tuple[Section, ...]:
    """Return the best, middle and worst stills and the largest false alarms as pictures."""
    text = _(
        "Green: model and reference agree. Orange: missed. Blue: called by the model only. Gray: "
        "undecided. White outline: reference; black outline: model."
    )
    figures = tuple(
        figure for i, result in enumerate(results, start=1) for figure in _strips(i, result)
    )
    return (Section(_("Stills to look at"), (text,), figures),) if figures else ()


def _strips(number: int, result: ModelResult) -> list[Figure]:
    examples = result.overlays.examples
    kinds = (
        ("best", _("Best"), examples.best, _("Where the overlap is largest, left first.")),
        ("median", _("Middle"), examples.median, _("What a typical still with blood looks like.")),
        ("worst", _("Worst"), examples.worst, _("Where the overlap is smallest, left first.")),
        ("alarms", _("False alarms"), examples.false_alarms,
         _("Stills without blood, largest first.")),
    )  # fmt: skip
    return [
        Figure(
            f"{key}-{number}",
            f"{title}, {result.evaluation.model}",
            caption,
            _strip(names, result),
        )
        for key, title, names, caption in kinds
        if names
    ]


def _strip(names: Sequence[str], result: ModelResult) -> ImageStrip:
    # By place and not by name: names of files may tell whose operation it was.
    scores = {score.name: (i, score) for i, score in enumerate(result.evaluation.scores, start=1)}
    images, captions = [], []
    for name in names:
        place, score = scores[name]
        images.append(
            Image(
                _jpeg_uri(result.overlays.pictures[name]), _("Still {place}, overlay", place=place)
            )
        )
        rating = (
            _("no blood") if score.dice is None else _("Dice {dice}", dice=decimal(score.dice, 2))
        )
        captions.append(
            _(
                "Still {place}: {rating}; model {predicted}, reference {true}",
                place=place,
                rating=rating,
                predicted=percent(score.predicted_frac),
                true=percent(score.true_frac),
            )
        )
    return ImageStrip(tuple(images), tuple(captions))


def _jpeg_uri(rgb: RgbArray) -> str:
    """Encode a picture, at most `_STRIP_WIDTH_PX` wide, without any metadata."""
    height, width = rgb.shape[:2]
    small = to_model_size(rgb[None], *display_size(width, height, _STRIP_WIDTH_PX))[0]
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(small)).decode("ascii")


def reliability_section(results: Sequence[ModelResult]) -> Section:
    """Return what share of pixels is blood where a probability is told, group by group."""
    text = _(
        "The masks and areas use one threshold and need no honest probability; the bands around "
        "a report’s numbers move it."
    )
    figures = tuple(
        Figure(
            f"reliability-{i}",
            _("Probability told against blood seen, {model}", model=result.evaluation.model),
            _(
                "Each mark is one group of stills in one tenth of the probability; on the "
                "diagonal the model means what it says, below it calls too eagerly."
            ),
            reliability_drawing(result.evaluation.reliability),
        )
        for i, result in enumerate(results, start=1)
    )
    tables = tuple(_reliability_table(result.evaluation) for result in results)
    return Section(_("Are the probabilities honest?"), (text,), figures, tables)


def reliability_drawing(reliability: Reliability) -> ScatterFigure:
    """Draw every group's tenths, their means over groups, and the diagonal."""
    pairs = [
        pair for group in reliability.groups for pair in _told_and_seen(group.told, group.seen)
    ]
    mean = _told_and_seen(reliability.told, reliability.seen)
    return ScatterFigure(
        (
            PointSet(
                _("groups"), tuple(told for told, _ in pairs), tuple(seen for _, seen in pairs)
            ),
        ),
        Axis(_("Probability told"), Unit.NUMBER, 0.0, 1.0),
        Axis(_("Share of pixels with blood"), Unit.NUMBER, 0.0, 1.0),
        (
            Curve(_("mean of groups"), tuple(t for t, _ in mean), tuple(s for _, s in mean)),
            Curve(_("honest"), (0.0, 1.0), (0.0, 1.0)),
        ),
    )


def _told_and_seen(
    told: Sequence[float | None], seen: Sequence[float | None]
) -> list[tuple[float, float]]:
    pairs = zip(told, seen, strict=True)
    return [(t, s) for t, s in pairs if t is not None and s is not None]


def _reliability_table(evaluation: StillsEvaluation) -> TableBlock:
    reliability = evaluation.reliability

    def tenth_text(i: int) -> str:
        low, high = (decimal(edge / N_BINS, 1) for edge in (i, i + 1))
        return _("{N_BINS} to {N_BINS_2}", N_BINS=low, N_BINS_2=high)

    def n_groups(i: int) -> int:
        return sum(group.seen[i] is not None for group in reliability.groups)

    return table_block(
        _("Tenths of the probability, {model}", model=evaluation.model),
        range(len(reliability.told)),
        (_("Probability"), tenth_text),
        (_("#Groups"), lambda i: str(n_groups(i))),
        (_("#Told"), lambda i: number_cell(reliability.told[i])),
        (_("#Seen"), lambda i: number_cell(reliability.seen[i])),
        note=_(
            "Means over groups with 100 pixels or more in a tenth. Over all pixels the "
            "probability is off by {error} points (expected calibration error, groups alike).",
            error=decimal(100 * reliability.error, 1),
        ),
    )


def groups_section(results: Sequence[ModelResult]) -> Section:
    """Return the numbers of each group of stills, which stand before those over all stills."""
    groups = {
        result.evaluation.model: tuple(
            group.dice_median for group in result.evaluation.groups if group.dice_median is not None
        )
        for result in results
    }
    marks = tuple(
        Group(model, dice, *(float(q) for q in np.quantile(dice, [0.5, 0.25, 0.75])))
        for model, dice in groups.items()
        if dice
    )
    figure = Figure(
        "groups",
        _("Median Dice of each group"),
        _(
            "Each mark is one group of stills, such as one recording: its median Dice where the "
            "reference shows blood."
        ),
        GroupFigure(marks, Axis(_("Dice"), Unit.NUMBER, 0.0, 1.0)),
    )
    n = len(results[0].evaluation.groups)
    text = _(
        "{groups}, by number in the order of their names; names: groups.csv.",
        groups=_n("{n} group", "{n} groups", n),
    )
    # Three columns a model: more than two models make a table wider than the page.
    parts = [results[i : i + _MODELS_A_TABLE] for i in range(0, len(results), _MODELS_A_TABLE)]
    tables = tuple(_groups_table(part) for part in parts) if n > 1 else ()
    return Section(_("Group by group"), (text,), (figure,) if marks else (), tables)


def _groups_table(results: Sequence[ModelResult]) -> TableBlock:
    per_group = zip(*(result.evaluation.groups for result in results), strict=True)
    rows = tuple(
        (
            str(i),
            str(same[0].n_positive),
            str(same[0].n_negative),
            *(number_cell(group.dice_median) for group in same),
            *(number_cell(group.negative_area_mean_frac, 1, 100) for group in same),
            *(number_cell(group.area_mae_frac, 1, 100) for group in same),
        )
        for i, same in enumerate(per_group, start=1)
        if i <= _MAX_GROUPS
    )
    models = [result.evaluation.model for result in results]
    heads = columns(
        _("Group"), _("#With blood"), _("#Without"),
        *(_("#Dice, {model}", model=model) for model in models),
        *(_("#False area %, {model}", model=model) for model in models),
        *(_("#Area error, {model}", model=model) for model in models),
    )  # fmt: skip
    n_more = len(results[0].evaluation.groups) - _MAX_GROUPS
    note = _(
        "Dice: median of stills with blood. False area: mean of stills without. Area error: mean, "
        "in percentage points."
    )
    if n_more > 0:
        note = _(
            "The first {MAX_GROUPS}; {groups} more in groups.csv. {note}",
            MAX_GROUPS=_MAX_GROUPS,
            groups=_n("{n} group", "{n} groups", n_more),
            note=note,
        )
    return TableBlock(_("Numbers of each group"), heads, rows, note)


def _rules(results: Sequence[ModelResult]) -> list[str]:
    """Return the rules once, and by model where models count differently."""
    notes = []
    for each in zip(*(result.evaluation.rules for result in results), strict=True):
        # Most rules are the same for all models; repeated, the one that differs would be
        # overlooked.
        if len(set(each)) == 1:
            notes.append(each[0])
            continue
        notes += [f"{r.evaluation.model}: {rule}" for r, rule in zip(results, each, strict=True)]
    return notes


def method_section(results: Sequence[ModelResult], n_without_mask: int) -> Section:
    """Return the models and the rules of counting."""
    terms = []
    for result in results:
        model = result.model
        thresholds = " / ".join(decimal(t, 2) for t in model.thresholds)
        terms.append(
            Pair(
                result.evaluation.model,
                _(
                    "{architecture}, {input_width_px} × {input_height_px} px, probability "
                    "threshold {thresholds} (of {thresholds_2}); bundle {sha256}",
                    architecture=model.architecture,
                    input_width_px=model.input_width_px,
                    input_height_px=model.input_height_px,
                    thresholds=decimal(model.thresholds[1], 2),
                    thresholds_2=thresholds,
                    sha256=model.sha256[:10],
                ),
                _(
                    "Training population: {training_population} Limits: {limits}",
                    training_population=model.training_population,
                    limits=model.limits,
                ),
            )
        )
    notes = _rules(results)
    if n_without_mask:
        notes.append(
            _(
                "{pictures} without a mask left out.",
                pictures=_n("{n} picture", "{n} pictures", n_without_mask),
            )
        )
    notes.append(
        _("Stills are numbered in the order of their names; scores.csv has one row a still.")
    )
    return Section(_("How it was counted"), terms=tuple(terms), notes=tuple(notes))
