"""A comparison of groups of cases as a document: the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ubereport.cohort.caveats import NOT_RANDOMIZED
from ubereport.cohort.comparison_results import (
    AdjustedComparison,
    Comparison,
    MetricComparison,
    PlanStatus,
    PlanUse,
)
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.documents.cohort.clearing_section import clearing_section
from ubereport.documents.cohort.comparison_sections import (
    balance_section,
    lead_section,
    lead_sentences,
    method_section,
    power_section,
    uses_section,
)
from ubereport.documents.cohort.number_words import (
    axis_of,
    capitalized,
    delta_text,
    difference_axis,
    difference_unit,
    estimate_text,
    gap_text,
    metric_text,
    names_text,
    p_cell,
    pair_text,
    short_title,
)
from ubereport.documents.cohort.shared_sections import (
    SOFTWARE,
    drops_table,
    forest_row,
    left_out_section,
    model_sections,
)
from ubereport.documents.page.blocks import Pair, TableBlock, table_block
from ubereport.documents.page.document import Document, Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestFigure, Group, GroupFigure
from ubereport.documents.page.text import DASH, span_text
from ubereport.language.speaking import N_, _, _n, moment, paragraph, told
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import Estimate

_SIDES = {
    Direction.LOWER_IS_BETTER: N_("Left is a clearer view. "),
    Direction.HIGHER_IS_BETTER: N_("Right is a clearer view. "),
    Direction.NEUTRAL: "",
}


def comparison_document(comparison: Comparison, config: CompareConfig) -> Document:
    """Lay a comparison out: the answer first, then what it rests on."""
    by = column_title(comparison.by)
    head, rest = lead_sentences(comparison, config)
    return Document(
        title=_("Groups of cases compared by {by}", by=by),
        subtitle=_subtitle(comparison),
        kicker=_("Comparison"),
        software=SOFTWARE,
        lead=head,
        facts=_facts(comparison),
        caveats=(NOT_RANDOMIZED,),
        # First whether anything can be said at all, then whether the groups are alike, then the
        # numbers: a difference is read in the light of both.
        sections=(
            lead_section(comparison, rest),
            balance_section(comparison),
            _primary_section(comparison),
            clearing_section(comparison.time_to_clear),
            *uses_section(comparison.use_effects),
            *_secondary_section(comparison.secondary),
            _adjusted_section(comparison.adjusted, comparison.primary),
            power_section(comparison),
            Section(
                _("To be read with care"),
                tuple(c for c in comparison.caveats if c != NOT_RANDOMIZED),
            ),
            *model_sections(comparison.models),
            left_out_section(comparison.dropped, comparison.unread, comparison.models),
            method_section(comparison, config),
        ),
    )


def _subtitle(comparison: Comparison) -> str:
    groups = len(comparison.primary.groups)
    return _(
        "{cases}, {surgeons}, {groups}; reference: {reference}",
        cases=_n("{n} case", "{n} cases", comparison.n_cases),
        surgeons=_n("{n} surgeon", "{n} surgeons", comparison.n_surgeons),
        groups=_n("{n} group", "{n} groups", groups),
        reference=comparison.reference,
    )


def _facts(comparison: Comparison) -> tuple[Pair, ...]:
    spec = metric_spec(comparison.primary.metric_key)
    n_dropped = sum(drop.n_cases for drop in comparison.dropped) + len(comparison.unread)
    medians = [
        Pair(
            _("Median, {group}", group=group.group),
            metric_text(group.median, spec),
            _(
                "{cases} of {surgeons}",
                cases=_n("{n} case", "{n} cases", group.n_cases),
                surgeons=_n("{n} surgeon", "{n} surgeons", group.n_surgeons),
            ),
        )
        for group in comparison.primary.groups[:4]
    ]
    cases = Pair(
        _("Cases compared"),
        str(comparison.n_cases),
        _("{n_dropped} left out, with reasons", n_dropped=n_dropped) if n_dropped else "",
    )
    return (cases, *medians)


def _primary_section(comparison: Comparison) -> Section:
    metric = comparison.primary
    spec = metric_spec(metric.metric_key)
    caption = _(
        "Each mark is one case. {side}{definition} Where the marks of two groups "
        "overlap widely, single cases say little about the technique.",
        side=_SIDES[spec.direction] and _(_SIDES[spec.direction]),
        definition=told(spec.definition[0].upper() + spec.definition[1:]),
    )
    figure = replace(_points_figure("primary", metric), caption=caption)
    return Section(
        _("Primary metric"),
        (
            _(
                "{title}: the one primary metric. {plan_text}",
                title=metric.title,
                plan_text=_plan_text(comparison.plan),
            ),
        ),
        (figure,),
        (_groups_table(metric), _contrasts_table(metric, _("Differences between groups"))),
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
        _("{title}, case by case", title=metric.title),
        _("Each mark is one case; the diamond is the median, the bar the middle half."),
        GroupFigure(groups, axis_of(metric_spec(metric.metric_key))),
        _groups_table(metric),
    )


def _plan_text(plan: PlanUse) -> str:
    seal = _(
        "plan of {written_at}, seal {sha256}",
        written_at=moment(plan.written_at) if plan.written_at else "",
        sha256=plan.sha256[:12],
    )
    return {
        PlanStatus.NONE: _("No plan was declared before the cases were measured: exploratory."),
        PlanStatus.FOLLOWED: _(
            "As declared ({seal}). {detail}", seal=seal, detail=plan.detail
        ).strip(),
        PlanStatus.DEPARTED: _(
            "Not as declared ({seal}): {detail}. Exploratory.", seal=seal, detail=plan.detail
        ),
        PlanStatus.LATE: _("Declared too late ({seal}): {detail}.", seal=seal, detail=plan.detail),
        PlanStatus.CHANGED: _(
            "The plan cannot be relied on ({seal}): {detail}.", seal=seal, detail=plan.detail
        ),
    }[plan.status]


def _groups_table(metric: MetricComparison) -> TableBlock:
    spec = metric_spec(metric.metric_key)

    def span(low: float | None, high: float | None) -> str:
        return span_text(metric_text(low, spec), metric_text(high, spec))

    return table_block(
        metric.title,
        metric.groups,
        (_("Group"), lambda group: group.group),
        (_("#Cases"), lambda group: str(group.n_cases)),
        (_("#Surgeons"), lambda group: str(group.n_surgeons)),
        (_("#Median"), lambda group: metric_text(group.median, spec)),
        (_("#Middle half"), lambda group: span(group.quartile_low, group.quartile_high)),
        (_("#Smallest to largest"), lambda group: span(group.minimum, group.maximum)),
    )


def _contrasts_table(metric: MetricComparison, caption: str) -> TableBlock:
    spec = metric_spec(metric.metric_key)
    return table_block(
        caption,
        metric.contrasts,
        (_("Group − other"), lambda c: pair_text(c.group, c.reference)),
        (_("#Hodges–Lehmann shift (95 % interval)"), lambda c: gap_text(c.shift, spec)),
        (_("#Cliff’s delta (95 % interval)"), lambda c: delta_text(c.cliff_delta)),
        (_("Size"), lambda c: c.magnitude or DASH),
        (_("#p"), lambda c: p_cell(c.test.p_value)),
        (_("#p, Holm"), lambda c: p_cell(c.test.p_holm)),
        note=_contrast_note(metric, difference_unit(spec)),
    )


def _contrast_note(metric: MetricComparison, unit: str) -> str:
    sizes = ", ".join(f"{group.group} {group.n_cases}" for group in metric.groups)
    texts = [_("Shift in {unit}.", unit=unit), _("Cases: {sizes}.", sizes=sizes)]
    # Explained where it first occurs; below the secondary metrics it would be read a dozen times.
    if metric.is_primary:
        texts.append(
            _(
                "It is the typical difference between a case of one group and a case of the "
                "other. Cliff’s delta: share of pairs in which the first is larger minus share in "
                "which it is smaller; below 0.147 negligible, below 0.33 small, below 0.474 "
                "medium."
            )
        )
    # Named in the order in which they were used and each once: with few cases several tests may
    # stand in one table.
    names = dict.fromkeys(c.test.name for c in metric.contrasts if c.test.p_value is not None)
    if names:
        texts.append(
            _(
                "p from the {list}; Holm over {family}.",
                list=names_text(list(names)),
                family=_family(metric),
            )
        )
    texts += [
        _(
            "No p-value for {pair_text}: {reason}.",
            pair_text=pair_text(c.group, c.reference),
            reason=c.test.reason,
        )
        for c in metric.contrasts
        if c.test.p_value is None
    ]
    return paragraph(*texts)


def _family(metric: MetricComparison) -> str:
    return next((c.test.family for c in metric.contrasts if c.test.family), _("these contrasts"))


def _adjusted_section(adjusted: AdjustedComparison, primary: MetricComparison) -> Section:
    spec = metric_spec(primary.metric_key)
    heading = _("Adjusted estimate")
    tables = []
    if adjusted.left_out:
        tables.append(
            table_block(
                _("Covariates left out of the model"),
                adjusted.left_out,
                (_("Covariate"), lambda item: column_title(item.column)),
                ("*" + _("Why it is not used"), lambda item: item.reason),
            )
        )
    if adjusted.dropped:
        tables.append(drops_table(_("Cases left out of the model"), adjusted.dropped))
    if adjusted.reason:
        text = _("None: {reason}.", reason=adjusted.reason)
        return Section(heading, (text,), tables=tuple(tables))
    # A difference of shares is told in percentage points: a percent of a percent would be read two
    # ways.
    factor = 100.0 if spec.is_share else 1.0
    figure = Figure(
        "adjusted",
        _("Differences with surgeon and covariates held equal"),
        _(
            "Each square is an estimated difference, the bar its 95 % interval. A bar that "
            "crosses the line at 0 is compatible with no difference. Only what the manifest holds "
            "is adjusted for."
        ),
        ForestFigure(
            tuple(
                forest_row(pair_text(c.group, c.reference), c.difference, factor)
                for c in adjusted.contrasts
            ),
            difference_axis(_("Adjusted difference"), spec),
        ),
    )
    covariates = names_text([column_title(name) for name in adjusted.covariates])
    text = _(
        "{method}, on the {scale} scale: {cases} of {surgeons}. Held equal beside surgeon: {held}.",
        method=capitalized(told(adjusted.method)),
        scale=adjusted.scale,
        cases=_n("{n} case", "{n} cases", adjusted.n_cases),
        surgeons=_n("{n} surgeon", "{n} surgeons", adjusted.n_surgeons),
        held=covariates or _("nothing else"),
    )
    return Section(
        heading,
        (text,),
        (figure,),
        (_adjusted_table(adjusted, spec, factor), *tables),
        notes=adjusted.notes,
    )


def _adjusted_table(adjusted: AdjustedComparison, spec: MetricSpec, factor: float) -> TableBlock:
    ratio_name = {"logit": _("Odds ratio"), "log": _("Ratio")}.get(adjusted.scale, "Ratio")
    names = dict.fromkeys(c.test.name for c in adjusted.contrasts if c.test.p_value is not None)

    def ratio_text(ratio: Estimate | None) -> str:
        return DASH if ratio is None else estimate_text(ratio, n_decimals=2, is_signed=False)

    return table_block(
        _("Adjusted differences"),
        adjusted.contrasts,
        (_("Group − other"), lambda c: pair_text(c.group, c.reference)),
        (
            _("#Difference, {in_unit} (95 % interval)", in_unit=difference_unit(spec)),
            lambda c: estimate_text(c.difference, factor, is_signed=True),
        ),
        (
            _("#{ratio_name} (95 % interval)", ratio_name=ratio_name),
            lambda c: ratio_text(c.ratio),
        ),
        (_("#p"), lambda c: p_cell(c.test.p_value)),
        (_("#p, Holm"), lambda c: p_cell(c.test.p_holm)),
        note=_("p from the {list}.", list=names_text(list(names))) if names else "",
    )


def _secondary_section(metrics: Sequence[MetricComparison]) -> tuple[Section, ...]:
    if not metrics:
        return ()
    figure = Figure(
        "secondary",
        _("Cliff’s delta of every secondary metric"),
        _(
            "Each group against {group}: right of the line its values were larger, left of it "
            "smaller; a bar that crosses the line is compatible with no difference. The scale "
            "is the same for all metrics, from −1 to 1.",
            group=metrics[0].groups[0].group,
        ),
        ForestFigure(
            tuple(
                forest_row(
                    f"{short_title(metric.metric_key)}: {c.group}", c.cliff_delta, n_decimals=2
                )
                for metric in metrics
                for c in metric.contrasts
                # Against the reference alone, so that one sentence says what all rows are compared
                # with; every pair stands in the tables.
                if c.reference == metric.groups[0].group
            ),
            Axis(_("Cliff’s delta"), Unit.NUMBER, -1.0, 1.0),
        ),
    )
    points = tuple(_points_figure(f"secondary-{i + 1}", m) for i, m in enumerate(metrics))
    tables = tuple(
        table
        for metric in metrics
        for table in (
            _groups_table(metric),
            _contrasts_table(metric, _("{title}: contrasts", title=metric.title)),
        )
    )
    text = _(
        "Secondary metrics are looked at beside the primary one; their p-values are corrected "
        "together (Holm)."
    )
    return (Section(_("Secondary metrics"), (text,), (figure, *points), tables),)
