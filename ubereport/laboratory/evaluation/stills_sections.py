"""Parts of an evaluation of stills: annotators, pictures worth looking at, rules of counting."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.analysis.key_frames import display_size, encode_jpeg, to_model_size
from ubereport.core.arrays import RgbArray
from ubereport.core.case import ModelSummary
from ubereport.documents.document_parts import (
    DASH,
    columns,
    estimate_text,
)
from ubereport.laboratory.evaluation.examples import Examples
from ubereport.laboratory.evaluation.reliability import N_BINS, Reliability
from ubereport.laboratory.evaluation.results import (
    AnnotatorAgreement,
    StillsEvaluation,
)
from ubereport.report.blocks import Image, Pair, TableBlock
from ubereport.report.document_types import (
    Axis,
    Curve,
    Figure,
    Group,
    GroupFigure,
    ImageStrip,
    PointSet,
    ScatterFigure,
    Section,
    Unit,
)
from ubereport.report.text import decimal, percent, plural
from ubereport.statistics.estimates import Estimate

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
            "Dice of the model against agreement of the annotators",
            "Each mark is one still with blood. To the left the annotators themselves disagree; a "
            "low Dice there is no fault of the model alone.",
            ScatterFigure(
                tuple(sets),
                Axis("Mean pairwise Dice of the annotators", Unit.NUMBER, 0.0, 1.0),
                Axis("Dice of the model", Unit.NUMBER, 0.0, 1.0),
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
        "Correlation of Dice with agreement (Spearman)",
        columns("Model", "#Correlation (95 % interval)"),
        correlations,
    )
    return (
        Section(
            "Agreement of the annotators",
            (_kappa_text(agreement),),
            figures,
            (_pairs_table(agreement), table),
        ),
    )


def _kappa_text(agreement: AnnotatorAgreement) -> str:
    n = len(agreement.annotators)
    head = f"{plural(n, 'annotator')}; the reference is their {_consensus(agreement)}."
    if agreement.presence_kappa is None:
        return f"{head} No kappa of presence: {agreement.presence_kappa_reason}."
    return (
        f"{head} Fleiss’ kappa of presence {decimal(agreement.presence_kappa, 2)} on "
        f"{plural(agreement.n_kappa, 'still')}."
    )


def _consensus(agreement: AnnotatorAgreement) -> str:
    return {"staple": "STAPLE consensus"}.get(agreement.consensus, agreement.consensus)


def _pairs_table(agreement: AnnotatorAgreement) -> TableBlock:
    number = {name: i for i, name in enumerate(agreement.annotators, start=1)}

    def text(value: float | None) -> str:
        return DASH if value is None else decimal(value, 2)

    rows = tuple(
        (
            f"{number[pair.first]} and {number[pair.second]}",
            str(pair.n),
            f"{text(pair.dice_median)} ({pair.n_drawn})",
            f"{text(pair.both_dice_median)} ({pair.n_both})",
            DASH if pair.presence_agreement is None else percent(pair.presence_agreement, 0),
        )
        for pair in agreement.pairs
    )
    heads = columns(
        "Annotators", "#Stills", "#Dice, median, either drew", "#Dice, median, both drew",
        "#Same answer on presence",
    )  # fmt: skip
    note = "Annotators by number in order of their folders’ names; in brackets the stills."
    return TableBlock("Every two annotators", heads, rows, note)


def overlay_sections(results: Sequence[ModelResult]) -> tuple[Section, ...]:
    """Return the best, middle and worst stills and the largest false alarms as pictures."""
    text = (
        "Green: model and reference agree. Orange: missed. Blue: called by the model only. Gray: "
        "undecided. White outline: reference; black outline: model."
    )
    figures = tuple(
        figure for i, result in enumerate(results, start=1) for figure in _strips(i, result)
    )
    return (Section("Stills to look at", (text,), figures),) if figures else ()


def _strips(number: int, result: ModelResult) -> list[Figure]:
    examples = result.overlays.examples
    kinds = (
        ("best", "Best", examples.best, "Where the overlap is largest, left first."),
        ("median", "Middle", examples.median, "What a typical still with blood looks like."),
        ("worst", "Worst", examples.worst, "Where the overlap is smallest, left first."),
        ("alarms", "False alarms", examples.false_alarms, "Stills without blood, largest first."),
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
    scores = {score.name: (i, score) for i, score in enumerate(result.evaluation.scores, start=1)}
    images, captions = [], []
    for name in names:
        place, score = scores[name]
        images.append(Image(_jpeg_uri(result.overlays.pictures[name]), f"Still {place}, overlay"))
        rating = "no blood" if score.dice is None else f"Dice {decimal(score.dice, 2)}"
        captions.append(
            f"Still {place}: {rating}; model {percent(score.predicted_frac)}, reference "
            f"{percent(score.true_frac)}"
        )
    return ImageStrip(tuple(images), tuple(captions))


def _jpeg_uri(rgb: RgbArray) -> str:
    """Encode a picture, at most `_STRIP_WIDTH_PX` wide, without any metadata."""
    height, width = rgb.shape[:2]
    small = to_model_size(rgb[None], *display_size(width, height, _STRIP_WIDTH_PX))[0]
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(small)).decode("ascii")


def reliability_section(results: Sequence[ModelResult]) -> Section:
    """Return what share of pixels is blood where a probability is told, group by group."""
    text = (
        "The masks and areas use one threshold and need no honest probability; the bands around "
        "a report’s numbers move it."
    )
    figures = tuple(
        Figure(
            f"reliability-{i}",
            f"Probability told against blood seen, {result.evaluation.model}",
            "Each mark is one group of stills in one tenth of the probability; on the diagonal the "
            "model means what it says, below it calls too eagerly.",
            reliability_drawing(result.evaluation.reliability),
        )
        for i, result in enumerate(results, start=1)
    )
    tables = tuple(_reliability_table(result.evaluation) for result in results)
    return Section("Are the probabilities honest?", (text,), figures, tables)


def reliability_drawing(found: Reliability) -> ScatterFigure:
    """Draw every group's tenths, their means over groups, and the diagonal."""
    each = [pair for group in found.groups for pair in _told_and_seen(group.told, group.seen)]
    mean = _told_and_seen(found.told, found.seen)
    return ScatterFigure(
        (PointSet("groups", tuple(told for told, _ in each), tuple(seen for _, seen in each)),),
        Axis("Probability told", Unit.NUMBER, 0.0, 1.0),
        Axis("Share of pixels with blood", Unit.NUMBER, 0.0, 1.0),
        (
            Curve("mean of groups", tuple(t for t, _ in mean), tuple(s for _, s in mean)),
            Curve("honest", (0.0, 1.0), (0.0, 1.0)),
        ),
    )


def _told_and_seen(
    told: Sequence[float | None], seen: Sequence[float | None]
) -> list[tuple[float, float]]:
    pairs = zip(told, seen, strict=True)
    return [(t, s) for t, s in pairs if t is not None and s is not None]


def _reliability_table(evaluation: StillsEvaluation) -> TableBlock:
    found = evaluation.reliability
    rows = tuple(
        (
            f"{decimal(i / N_BINS, 1)} to {decimal((i + 1) / N_BINS, 1)}",
            str(sum(group.seen[i] is not None for group in found.groups)),
            DASH if told is None else decimal(told, 2),
            DASH if seen is None else decimal(seen, 2),
        )
        for i, (told, seen) in enumerate(zip(found.told, found.seen, strict=True))
    )
    note = (
        "Means over groups with 100 pixels or more in a tenth. Over all pixels the probability is "
        f"off by {decimal(100 * found.error, 1)} points (expected calibration error, groups alike)."
    )
    heads = columns("Probability", "#Groups", "#Told", "#Seen")
    return TableBlock(f"Tenths of the probability, {evaluation.model}", heads, rows, note)


def groups_section(results: Sequence[ModelResult]) -> Section:
    """Return the numbers of each group of stills, which stand before those over all stills."""
    groups = {
        result.evaluation.model: tuple(
            group.dice_median for group in result.evaluation.groups if group.dice_median is not None
        )
        for result in results
    }
    drawn = tuple(
        Group(model, dice, *(float(q) for q in np.quantile(dice, [0.5, 0.25, 0.75])))
        for model, dice in groups.items()
        if dice
    )
    figure = Figure(
        "groups",
        "Median Dice of each group",
        "Each mark is one group of stills, such as one recording: its median Dice where the "
        "reference shows blood.",
        GroupFigure(drawn, Axis("Dice", Unit.NUMBER, 0.0, 1.0)),
    )
    n = len(results[0].evaluation.groups)
    text = f"{plural(n, 'group')}, by number in the order of their names; names: groups.csv."
    parts = [results[i : i + _MODELS_A_TABLE] for i in range(0, len(results), _MODELS_A_TABLE)]
    tables = tuple(_groups_table(part) for part in parts) if n > 1 else ()
    return Section("Group by group", (text,), (figure,) if drawn else (), tables)


def _groups_table(results: Sequence[ModelResult]) -> TableBlock:
    def text(value: float | None, factor: float, n_decimals: int) -> str:
        return DASH if value is None else decimal(factor * value, n_decimals)

    per_group = zip(*(result.evaluation.groups for result in results), strict=True)
    rows = tuple(
        (
            str(i),
            str(same[0].n_positive),
            str(same[0].n_negative),
            *(text(group.dice_median, 1, 2) for group in same),
            *(text(group.negative_area_mean_frac, 100, 1) for group in same),
            *(text(group.area_mae_frac, 100, 1) for group in same),
        )
        for i, same in enumerate(per_group, start=1)
        if i <= _MAX_GROUPS
    )
    models = [result.evaluation.model for result in results]
    heads = columns(
        "Group", "#With blood", "#Without", *(f"#Dice, {model}" for model in models),
        *(f"#False area %, {model}" for model in models),
        *(f"#Area error, {model}" for model in models),
    )  # fmt: skip
    n_more = len(results[0].evaluation.groups) - _MAX_GROUPS
    note = (
        "Dice: median of stills with blood. False area: mean of stills without. Area error: mean, "
        "in percentage points."
    )
    if n_more > 0:
        note = f"The first {_MAX_GROUPS}; {plural(n_more, 'group')} more in groups.csv. {note}"
    return TableBlock("Numbers of each group", heads, rows, note)


def _rules(results: Sequence[ModelResult]) -> list[str]:
    """Return the rules once, and by model where models count differently."""
    notes = []
    for each in zip(*(result.evaluation.rules for result in results), strict=True):
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
                f"{model.architecture}, {model.input_width_px} × {model.input_height_px} px, "
                f"probability threshold {decimal(model.thresholds[1], 2)} (of {thresholds}); "
                f"bundle {model.sha256[:10]}",
                f"Training population: {model.training_population} Limits: {model.limits}",
            )
        )
    notes = _rules(results)
    if n_without_mask:
        notes.append(f"{plural(n_without_mask, 'picture')} without a mask left out.")
    notes.append("Stills are numbered in the order of their names; scores.csv has one row a still.")
    return Section("How it was counted", terms=tuple(terms), notes=tuple(notes))
