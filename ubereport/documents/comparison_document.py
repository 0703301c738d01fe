"""A comparison of groups of cases as a document: the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ubereport.cohort.comparison_results import (
    AdjustedComparison,
    BalanceCell,
    BalanceRow,
    Comparison,
    Contrast,
    MetricComparison,
    PlanStatus,
    PlanUse,
    PowerNote,
)
from ubereport.cohort.reading import NOT_RANDOMIZED
from ubereport.cohort.wording import is_share
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title, known_column
from ubereport.core.metrics import Direction
from ubereport.documents.clearing_section import clearing_section
from ubereport.documents.document_parts import (
    SOFTWARE,
    axis_of,
    columns,
    difference_axis,
    difference_unit,
    drops_table,
    estimate_text,
    gap_text,
    left_out_section,
    metric_text,
    model_sections,
    names_text,
    p_cells,
    pair_text,
    short_title,
)
from ubereport.documents.lead_section import (
    lead_section,
    lead_sentences,
    love_figure,
    uses_section,
)
from ubereport.metrics.registry import metric_spec
from ubereport.report.blocks import Pair, TableBlock
from ubereport.report.document_types import (
    Axis,
    Document,
    Figure,
    ForestFigure,
    ForestRow,
    Group,
    GroupFigure,
    Section,
    Unit,
)
from ubereport.report.text import decimal, plural
from ubereport.statistics.estimates import Estimate

_SIDES = {
    Direction.LOWER_IS_BETTER: "Left is a clearer view. ",
    Direction.HIGHER_IS_BETTER: "Right is a clearer view. ",
    Direction.NEUTRAL: "",
}


def comparison_document(comparison: Comparison, config: CompareConfig) -> Document:
    """Lay a comparison out: the answer first, then what it rests on."""
    by = column_title(comparison.by)
    head, rest = lead_sentences(comparison)
    return Document(
        title=f"Groups of cases compared by {by}",
        subtitle=_subtitle(comparison),
        kicker="Comparison",
        software=SOFTWARE,
        lead=head,
        facts=_facts(comparison),
        caveats=(NOT_RANDOMIZED,),
        sections=(
            lead_section(comparison, rest),
            _balance_section(comparison),
            _primary_section(comparison),
            clearing_section(comparison.time_to_clear),
            *uses_section(comparison.use_effects),
            *_secondary_section(comparison.secondary),
            _adjusted_section(comparison.adjusted, comparison.primary),
            _power_section(comparison),
            Section(
                "To be read with care", tuple(c for c in comparison.caveats if c != NOT_RANDOMIZED)
            ),
            *model_sections(comparison.models),
            left_out_section(comparison.dropped, comparison.unread, comparison.models),
            _method_section(comparison, config),
        ),
    )


def _subtitle(comparison: Comparison) -> str:
    groups = len(comparison.primary.groups)
    return (
        f"{plural(comparison.n_cases, 'case')}, {plural(comparison.n_surgeons, 'surgeon')}, "
        f"{plural(groups, 'group')}; reference: {comparison.reference}"
    )


def _facts(comparison: Comparison) -> tuple[Pair, ...]:
    spec = metric_spec(comparison.primary.metric_key)
    n_dropped = sum(drop.n_cases for drop in comparison.dropped) + len(comparison.unread)
    medians = [
        Pair(
            f"Median, {group.group}",
            metric_text(group.median, spec),
            f"{plural(group.n_cases, 'case')} of {plural(group.n_surgeons, 'surgeon')}",
        )
        for group in comparison.primary.groups[:4]
    ]
    cases = Pair("Cases compared", str(comparison.n_cases), f"{n_dropped} left out, with reasons")
    return (cases, *medians)


def _primary_section(comparison: Comparison) -> Section:
    metric = comparison.primary
    spec = metric_spec(metric.metric_key)
    caption = (
        f"Each mark is one case. {_SIDES[spec.direction]}{spec.definition[0].upper()}"
        f"{spec.definition[1:].rstrip('.')}. Where the marks of two groups overlap widely, single "
        "cases say little about the technique."
    )
    figure = replace(_points_figure("primary", metric), caption=caption)
    return Section(
        "Primary metric",
        (f"{metric.title}: the one primary metric. {_plan_text(comparison.plan)}",),
        (figure,),
        (_groups_table(metric), _contrasts_table(metric, "Differences between groups")),
    )


def _points_figure(name: str, metric: MetricComparison) -> Figure:
    groups = tuple(
        Group(
            group.group,
            tuple(point.value for point in group.points),
            group.median,
            group.quartile_low,
            group.quartile_high,
        )
        for group in metric.groups
    )
    return Figure(
        name,
        f"{metric.title}, case by case",
        "Each mark is one case; the diamond is the median, the bar the middle half.",
        GroupFigure(groups, axis_of(metric_spec(metric.metric_key))),
        _groups_table(metric),
    )


def _plan_text(plan: PlanUse) -> str:
    seal = f"plan of {plan.written_at}, seal {plan.sha256[:12]}"
    return {
        PlanStatus.NONE: "No plan was declared before the cases were measured: exploratory.",
        PlanStatus.FOLLOWED: f"As declared ({seal}). {plan.detail}".strip(),
        PlanStatus.DEPARTED: f"Not as declared ({seal}): {plan.detail}. Exploratory.",
        PlanStatus.LATE: f"Declared too late ({seal}): {plan.detail}.",
        PlanStatus.CHANGED: f"The plan cannot be relied on ({seal}): {plan.detail}.",
    }[plan.status]


def _groups_table(metric: MetricComparison) -> TableBlock:
    spec = metric_spec(metric.metric_key)
    rows = tuple(
        (
            group.group,
            str(group.n_cases),
            str(group.n_surgeons),
            metric_text(group.median, spec),
            f"{metric_text(group.quartile_low, spec)} to {metric_text(group.quartile_high, spec)}",
            f"{metric_text(group.minimum, spec)} to {metric_text(group.maximum, spec)}",
        )
        for group in metric.groups
    )
    heads = ("Group", "#Cases", "#Surgeons", "#Median", "#Middle half", "#Smallest to largest")
    return TableBlock(metric.title, columns(*heads), rows)


def _contrasts_table(metric: MetricComparison, caption: str) -> TableBlock:
    spec = metric_spec(metric.metric_key)
    rows = tuple(
        (
            pair_text(c.group, c.reference),
            gap_text(c.shift, spec),
            estimate_text(c.cliff_delta, n_decimals=2, is_signed=True),
            c.magnitude or "–",
            *p_cells(c.test),
        )
        for c in metric.contrasts
    )
    heads = (
        "Group − other",
        "#Hodges–Lehmann shift (95 % interval)",
        "#Cliff’s delta (95 % interval)",
        "Size",
        "#p",
        "#p, Holm",
    )
    return TableBlock(caption, columns(*heads), rows, _contrast_note(metric, difference_unit(spec)))


def _contrast_note(metric: MetricComparison, unit: str) -> str:
    sizes = ", ".join(f"{group.group} {group.n_cases}" for group in metric.groups)
    texts = [f"Shift in {unit}.", f"Cases: {sizes}."]
    if metric.is_primary:
        texts.append(
            "It is the typical difference between a case of one group and a case of the other. "
            "Cliff’s delta: share of pairs in which the first is larger minus share in which it is "
            "smaller; below 0.147 negligible, below 0.33 small, below 0.474 medium."
        )
    names = dict.fromkeys(c.test.name for c in metric.contrasts if c.test.p_value is not None)
    if names:
        texts.append(f"p from the {names_text(list(names))}; Holm over {_family(metric)}.")
    texts += [
        f"No p-value for {pair_text(c.group, c.reference)}: {c.test.reason}."
        for c in metric.contrasts
        if c.test.p_value is None
    ]
    return " ".join(texts)


def _family(metric: MetricComparison) -> str:
    return next((c.test.family for c in metric.contrasts if c.test.family), "these contrasts")


def _adjusted_section(adjusted: AdjustedComparison, primary: MetricComparison) -> Section:
    spec = metric_spec(primary.metric_key)
    heading = "Adjusted estimate"
    left_out = tuple((column_title(item.column), item.reason) for item in adjusted.left_out)
    tables = []
    if left_out:
        heads = columns("Covariate", "Why it is not used", wide="Why it is not used")
        tables.append(TableBlock("Covariates left out of the model", heads, left_out))
    if adjusted.dropped:
        tables.append(drops_table("Cases left out of the model", adjusted.dropped))
    if adjusted.reason:
        return Section(heading, (f"None: {adjusted.reason}.",), tables=tuple(tables))
    factor = 100.0 if is_share(spec) else 1.0
    figure = Figure(
        "adjusted",
        "Differences with surgeon and covariates held equal",
        "Each square is an estimated difference, the bar its 95 % interval. A bar that crosses the "
        "line at 0 is compatible with no difference. Only what the manifest holds is adjusted for.",
        ForestFigure(
            tuple(
                _forest_row(pair_text(c.group, c.reference), c.difference, factor)
                for c in adjusted.contrasts
            ),
            difference_axis("Adjusted difference", spec),
        ),
    )
    held = names_text([column_title(name) for name in adjusted.covariates]) or "nothing else"
    text = (
        f"{adjusted.method[0].upper()}{adjusted.method[1:]}, on the {adjusted.scale} scale: "
        f"{plural(adjusted.n_cases, 'case')} of {plural(adjusted.n_surgeons, 'surgeon')}. "
        f"Held equal beside surgeon: {held}."
    )
    return Section(
        heading,
        (text,),
        (figure,),
        (_adjusted_table(adjusted, spec.unit, factor), *tables),
        notes=adjusted.notes,
    )


def _forest_row(label: str, estimate: Estimate, factor: float) -> ForestRow:
    def scaled(value: float | None) -> float | None:
        return None if value is None else factor * value

    text = estimate_text(estimate, factor, is_signed=True)
    return ForestRow(
        label, scaled(estimate.value), scaled(estimate.low), scaled(estimate.high), text
    )


def _adjusted_table(adjusted: AdjustedComparison, unit: str, factor: float) -> TableBlock:
    rows = []
    for c in adjusted.contrasts:
        ratio = "–" if c.ratio is None else estimate_text(c.ratio, n_decimals=2, is_signed=False)
        rows.append(
            (
                pair_text(c.group, c.reference),
                estimate_text(c.difference, factor, is_signed=True),
                ratio,
                *p_cells(c.test),
            )
        )
    ratio_name = {"logit": "Odds ratio", "log": "Ratio"}.get(adjusted.scale, "Ratio")
    in_unit = "percentage points" if factor == 100.0 else unit
    heads = (
        "Group − other",
        f"#Difference, {in_unit} (95 % interval)",
        f"#{ratio_name} (95 % interval)",
        "#p",
        "#p, Holm",
    )
    names = dict.fromkeys(c.test.name for c in adjusted.contrasts if c.test.p_value is not None)
    note = f"p from the {names_text(list(names))}." if names else ""
    return TableBlock("Adjusted differences", columns(*heads), tuple(rows), note)


def _secondary_section(metrics: Sequence[MetricComparison]) -> tuple[Section, ...]:
    if not metrics:
        return ()
    figure = Figure(
        "secondary",
        "Cliff’s delta of every secondary metric",
        f"Each group against {metrics[0].groups[0].group}: right of the line its values were "
        "larger, left of it smaller; a bar that crosses the line is compatible with no difference. "
        "The scale is the same for all metrics, from −1 to 1.",
        ForestFigure(
            tuple(
                ForestRow(
                    f"{short_title(metric.metric_key)}: {c.group}",
                    c.cliff_delta.value,
                    c.cliff_delta.low,
                    c.cliff_delta.high,
                    estimate_text(c.cliff_delta, n_decimals=2, is_signed=True),
                )
                for metric in metrics
                for c in metric.contrasts
                if c.reference == metric.groups[0].group
            ),
            Axis("Cliff’s delta", Unit.NUMBER, -1.0, 1.0),
        ),
    )
    points = tuple(_points_figure(f"secondary-{i + 1}", m) for i, m in enumerate(metrics))
    tables = tuple(
        table
        for metric in metrics
        for table in (_groups_table(metric), _contrasts_table(metric, f"{metric.title}: contrasts"))
    )
    text = (
        "Secondary metrics are looked at beside the primary one; their p-values are corrected "
        "together (Holm)."
    )
    return (Section("Secondary metrics", (text,), (figure, *points), tables),)


def _balance_section(comparison: Comparison) -> Section:
    groups = [group.group for group in comparison.primary.groups]
    heads = columns("Covariate", *(f"#{name}" for name in groups), "#Std. difference", "Alike")
    rows = tuple(_balance_cells(row) for row in comparison.balance if row.level != "False")
    table = TableBlock(
        "Covariates in each group",
        heads,
        rows,
        "Mean (SD) of a number, share of the cases at a level; n where some cases have no value. "
        "Standardized difference: the largest one between two groups; 0.25 or more is not alike.",
    )
    text = (
        "What the manifest says about the cases of each group. Groups that differ here may differ "
        "in the view for that reason alone."
    )
    if not comparison.balance:
        return Section("Balance of covariates", ("The manifest holds no covariate.",))
    love = love_figure(comparison.balance)
    return Section("Balance of covariates", (text,), () if love is None else (love,), (table,))


def _balance_cells(row: BalanceRow) -> tuple[str, ...]:
    column = known_column(row.column)
    title = column.title if column is not None else column_title(row.column)
    unit = {"mm[Hg]": "mmHg", "a": "years", "kg/m2": "kg/m²"}.get(column.unit if column else "", "")
    if unit:
        title = f"{title}, {unit}"
    level = {"True": "yes", "False": "no"}.get(row.level, row.level)
    is_percent = row.column.endswith("_frac")
    difference = row.standardized_difference
    title = f"{title[0].upper()}{title[1:]}"
    return (
        f"{title}: {level}" if level else title,
        *(
            _balance_cell(cell, is_level=bool(row.level), is_percent=is_percent)
            for cell in row.cells
        ),
        "–" if difference is None else decimal(difference, 2),
        "not alike" if row.is_unbalanced else "alike",
    )


def _balance_cell(cell: BalanceCell, *, is_level: bool, is_percent: bool) -> str:
    if cell.mean is None:
        return "–"
    if is_level:
        text = f"{decimal(100 * cell.mean, 0)} %"
    else:
        factor = 100.0 if is_percent else 1.0
        sd = "–" if cell.sd is None else decimal(factor * cell.sd, 1)
        text = f"{decimal(factor * cell.mean, 1)} ({sd})" + (" %" if is_percent else "")
    return f"{text}, n = {cell.n_known}" if cell.n_missing else text


def _power_section(comparison: Comparison) -> Section:
    spec = metric_spec(comparison.primary.metric_key)
    rows = tuple(_power_cells(note, is_share(spec)) for note in comparison.power)
    unit = difference_unit(spec)
    heads = ("Group − other", "#Cases", "#Smallest Cliff’s delta", f"#Shift, roughly, in {unit}")
    share = f"{100 * comparison.power[0].power:.0f} %" if comparison.power else "80 %"
    table = TableBlock(
        f"Smallest difference that these cases would have shown with a chance of {share}",
        columns(*heads),
        rows,
    )
    text = (
        "A smaller difference would mostly have been missed: not shown is not the same as absent."
    )
    return Section("What this many cases could show", (text,), tables=(table,) if rows else ())


def _power_cells(note: PowerNote, is_in_points: bool) -> tuple[str, ...]:
    shift = "–" if note.shift is None else decimal((100 if is_in_points else 1) * note.shift, 1)
    delta = (
        "not even complete separation" if note.cliff_delta is None else decimal(note.cliff_delta, 2)
    )
    return (
        pair_text(note.group, note.reference),
        f"{note.n_group} and {note.n_reference}",
        delta,
        shift,
    )


def _method_section(comparison: Comparison, config: CompareConfig) -> Section:
    contrasts: tuple[Contrast, ...] = comparison.primary.contrasts
    shift = contrasts[0].shift.method if contrasts else "Hodges–Lehmann shift"
    omnibus = comparison.primary.omnibus
    terms = (
        Pair("Unit", "the case; events only with clustering"),
        Pair("Shift", shift),
        Pair("Cliff’s delta", contrasts[0].cliff_delta.method if contrasts else "none"),
        Pair("Over all groups", omnibus.name if omnibus.p_value is not None else omnibus.reason),
        Pair("p-values", f"none where a group has fewer than {config.min_cases_for_p} cases"),
        Pair("Correction", "Holm, over contrasts of the primary metric; over all secondary ones"),
        Pair("Adjusted estimate", comparison.adjusted.method or comparison.adjusted.reason),
        Pair("Time to clear", f"Kaplan–Meier; {comparison.time_to_clear.clustering}"),
        Pair("Intervals", f"{100 * config.confidence:.0f} %"),
        Pair("Random draws", f"seed {config.seed}: the same library gives the same numbers"),
    )
    return Section("How it was computed", terms=terms)
