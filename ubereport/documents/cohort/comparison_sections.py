"""Sections of a comparison: the estimates that lead, how alike groups are, what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ubereport.cohort.comparison_results import (
    BalanceRow,
    Comparison,
    Contrast,
    Lead,
    OtherEstimate,
    PowerNote,
    UseEffect,
    Verdict,
)
from ubereport.cohort.reading import lead_reading
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import CALENDAR_TIME, column_title, known_column
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.documents.cohort.number_words import (
    difference_axis,
    difference_unit,
    estimate_text,
    gap_text,
    level_text,
    number_cell,
    pair_text,
)
from ubereport.documents.cohort.shared_sections import forest_row
from ubereport.documents.page.blocks import Pair, TableBlock, table_block
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestFigure, ForestRow
from ubereport.documents.page.text import DASH, decimal
from ubereport.language.speaking import N_, _, _n, _p, spoken, told
from ubereport.metrics.registry import metric_spec

_VERDICTS = {
    Verdict.LOWER: N_("lower"),
    Verdict.HIGHER: N_("higher"),
    Verdict.EQUIVALENT: N_("alike within the margin"),
    Verdict.NOT_SHOWN: N_("no difference shown"),
    Verdict.DESCRIPTIVE: N_("described only"),
}
_LOVE_LIMIT = 0.25
_MAX_LOVE_ROWS = 24


def lead_sentences(
    comparison: Comparison, config: CompareConfig
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what stands at the head of the page, and what its first section goes on with.

    The head has what stands against all directions, and the contrasts with the reference.
    """
    # A reading begins with one sentence for all pairs, or none; one for each pair follows, those of
    # the reference first, then what would undo each finding. What is over is that first sentence.
    sentences = lead_reading(comparison, config)
    n_leads = len(comparison.leads)
    n_common = len(sentences) - n_leads - sum(lead.tipping is not None for lead in comparison.leads)
    n_head = n_common or len(comparison.primary.groups) - 1
    return sentences[:n_head], sentences[n_head:]


def lead_section(comparison: Comparison, rest: tuple[str, ...]) -> Section:
    """Return the forest of the estimates that lead, with what else was tried."""
    spec = metric_spec(comparison.primary.metric_key)
    factor = 100.0 if spec.is_share else 1.0
    rows = [
        forest_row(pair_text(lead.group, lead.reference), lead.with_error, factor)
        for lead in comparison.leads
    ]
    tried = [
        (f"{other.group}, {_short(other)}", other.difference)
        for other in comparison.other_estimates
        if other.reference == comparison.reference
    ]
    others = [forest_row(label, difference, factor) for label, difference in tried]
    # A picture shows estimates; why one is missing is said in whole words, not cut short beside it.
    shown = tuple(row for row in (*rows, *others) if row.value is not None)
    missing = [
        _("{label}: {text}.", label=label, text=estimate_text(difference, is_signed=True))
        for label, difference in tried
        if difference.value is None
    ]
    figure = Figure(
        "lead",
        _("Differences, the model’s own error included"),
        _(
            "First the adjusted differences (first-named less second-named) with intervals for "
            "chance and for what the model may err in one group; then the same by other ways of "
            "making groups alike, with intervals for chance alone. A bar that crosses 0 shows no "
            "difference."
        ),
        ForestFigure(shown, difference_axis(_("Difference"), spec), sides=_sides(spec)),
    )
    table = _verdict_table(comparison, spec, is_drawn=bool(shown))
    tables = (table,) if table.rows else ()
    return Section(_("What may be said"), (*rest, *missing), (figure,) if shown else (), tables)


def _short(other: OtherEstimate) -> str:
    return _("matched") if "pairs" in other.method else _("weighted")


def _sides(spec: MetricSpec) -> tuple[str, str]:
    words = (_("first has the clearer view"), _("first has the worse view"))
    return {
        Direction.LOWER_IS_BETTER: words,
        Direction.HIGHER_IS_BETTER: words[::-1],
        Direction.NEUTRAL: (_("first is lower"), _("first is higher")),
    }[spec.direction]


def _verdict_table(comparison: Comparison, spec: MetricSpec, *, is_drawn: bool) -> TableBlock:
    title = _("The same without the model’s error") if is_drawn else _("Differences, chance alone")
    return table_block(
        title,
        comparison.leads,
        (_("Group − other"), lambda lead: pair_text(lead.group, lead.reference)),
        (_("Finding"), lambda lead: _(_VERDICTS[lead.verdict])),
        (_("#Chance alone"), lambda lead: gap_text(lead.difference, spec)),
        (_("#Strict threshold"), lambda lead: _threshold_cell(lead, "strict", spec)),
        (_("#Lenient threshold"), lambda lead: _threshold_cell(lead, "lenient", spec)),
        (_("#E-value"), lambda lead: number_cell(lead.e_value, 1)),
        note=_(
            "Adjusted differences with 95 % intervals for chance, at the bundle’s own threshold "
            "and at its neighbors. E-value: how many times likelier something unmeasured would "
            "have to be in one group, and to go with the outcome, to explain the difference alone."
        ),
    )


def _threshold_cell(lead: Lead, name: str, spec: MetricSpec) -> str:
    differences = [t.difference for t in lead.at_thresholds if t.threshold == name]
    return gap_text(differences[0], spec) if differences else _("not measured")


def love_figure(balance: Sequence[BalanceRow]) -> Figure | None:
    """Return the standardized differences of all covariates as points; None without any."""
    rows = sorted(
        (row for row in balance if row.level != "False" and _size(row) is not None),
        key=lambda row: (not row.is_total, -(row.standardized_difference or 0.0)),
    )[:_MAX_LOVE_ROWS]
    if not rows:
        return None
    total = list(dict.fromkeys(column_title(row.column) for row in rows if row.is_total))
    caption = _(
        "Each square is the largest difference between two groups, in standard deviations. "
        "Right of the line ({LOVE_LIMIT}) the groups are not alike.",
        LOVE_LIMIT=decimal(_LOVE_LIMIT, 2),
    )
    if total:
        caption = _(
            "NOTHING IN COMMON: {list_text}. {caption}",
            list_text=spoken().enumeration(total),
            caption=caption,
        )
    return Figure(
        "balance",
        _("How alike the groups are"),
        caption,
        ForestFigure(
            tuple(
                ForestRow(
                    covariate_title(row), row.standardized_difference, None, None,
                    _("nothing in common") if row.is_total else decimal(_size(row) or 0.0, 2),
                )
                for row in rows
            ),
            Axis(_("Standardized difference"), Unit.NUMBER, low=0.0),
            reference=_LOVE_LIMIT,
            sides=(_("alike"), _("not alike")),
        ),
    )  # fmt: skip


def _size(row: BalanceRow) -> float | None:
    is_endless = row.is_total and row.standardized_difference is None
    return 9.9 if is_endless else row.standardized_difference


def covariate_title(row: BalanceRow, unit: str = "") -> str:
    """Name a covariate, with its unit and the level that a row is of."""
    column = known_column(row.column)
    title = column.title if column is not None else column_title(row.column)
    title = told(f"{title[0].upper()}{title[1:]}") + (f", {told(unit)}" if unit else "")
    level = level_text(row.level)
    return f"{title}: {level}" if level else title


def uses_section(effects: Sequence[UseEffect]) -> tuple[Section, ...]:
    """Return before and after the first use within cases; nothing without use times."""
    if not effects:
        return ()
    spec = metric_spec("impaired_share_20")
    table = table_block(
        _("Share of time with 20 % or more obscured, within cases"),
        effects,
        (_("Group"), lambda effect: effect.group),
        (_("#Cases"), lambda effect: str(effect.n_cases)),
        (_("#Median before"), lambda effect: f"{decimal(100 * effect.before_median, 1)} %"),
        (_("#Median after"), lambda effect: f"{decimal(100 * effect.after_median, 1)} %"),
        (_("#After − before (95 % interval)"), lambda effect: gap_text(effect.difference, spec)),
        note=_("Percentage points. Cases with a minute or more on either side."),
    )
    n_cases = _n("{n} case", "{n} cases", sum(effect.n_cases for effect in effects))
    text = _(
        "In {n_cases} the technique was first used after a minute or more. The view "
        "changes in the course of a case with any technique, and an agent is used when it "
        "bleeds: these are no contrasts of techniques.",
        n_cases=n_cases,
    )
    return (Section(_("Before and after the first use"), (text,), tables=(table,)),)


def balance_section(comparison: Comparison) -> Section:
    """Return how alike the groups are."""
    heading = _("Balance of covariates")
    if not comparison.balance:
        return Section(heading, (_("The manifest holds no covariate."),))
    text = _(
        "What the manifest says about the cases of each group. Groups that differ here may differ "
        "in the view for that reason alone."
    )
    groups = enumerate(group.group for group in comparison.primary.groups)
    table = table_block(
        _("Covariates in each group"),
        (row for row in comparison.balance if row.level != "False"),
        (_("Covariate"), lambda row: covariate_title(row, _covariate_unit(row.column))),
        *((f"#{name}", partial(_balance_cell, place=place)) for place, name in groups),
        (_("#Std. difference"), lambda row: number_cell(row.standardized_difference)),
        (_("Alike"), _alike),
        note=_(
            "Mean (SD) of a number, share of the cases at a level; n where some cases have no "
            "value. Standardized difference: the largest one between two groups; 0.25 or more is "
            "not alike."
        ),
    )
    love = love_figure(comparison.balance)
    return Section(heading, (text,), () if love is None else (love,), (table,))


def _covariate_unit(name: str) -> str:
    if name == CALENDAR_TIME:
        return "days"
    column = known_column(name)
    return {"mm[Hg]": "mmHg", "a": "years", "kg/m2": "kg/m²"}.get(column.unit if column else "", "")


def _alike(row: BalanceRow) -> str:
    if row.is_unbalanced:
        return _("not alike")
    # Values that differ without any spread: in a few cases nobody knows what that means.
    return _("too few to tell") if row.standardized_difference is None else _("alike")


def _balance_cell(row: BalanceRow, place: int) -> str:
    cell = row.cells[place]
    if cell.mean is None:
        return DASH
    if row.level:
        text = f"{decimal(100 * cell.mean, 0)} %"
    else:
        is_percent = row.column.endswith("_frac")
        factor = 100.0 if is_percent else 1.0
        sd = number_cell(cell.sd, 1, factor)
        text = f"{decimal(factor * cell.mean, 1)} ({sd})" + (" %" if is_percent else "")
    return f"{text}, n = {cell.n_known}" if cell.n_missing else text


def power_section(comparison: Comparison) -> Section:
    """Return what this many cases could have shown."""
    spec = metric_spec(comparison.primary.metric_key)
    factor = 100.0 if spec.is_share else 1.0
    share = f"{100 * comparison.power[0].power:.0f} %" if comparison.power else "80 %"
    table = table_block(
        _(
            "Smallest difference that these cases would have shown with a chance of {share}",
            share=share,
        ),
        comparison.power,
        (_("Group − other"), lambda note: pair_text(note.group, note.reference)),
        (
            _("#Cases"),
            lambda note: _(
                "{n_group} and {n_reference}", n_group=note.n_group, n_reference=note.n_reference
            ),
        ),
        (_("#Smallest Cliff’s delta"), _smallest_delta_text),
        (
            _("#Shift, roughly, in {unit}", unit=difference_unit(spec)),
            lambda note: number_cell(note.shift, 1, factor),
        ),
    )
    text = _(
        "A smaller difference would mostly have been missed: not shown is not the same as absent."
    )
    tables = (table,) if comparison.power else ()
    return Section(_("What this many cases could show"), (text,), tables=tables)


def _smallest_delta_text(note: PowerNote) -> str:
    if note.cliff_delta is None:
        return _("not even complete separation")
    return decimal(note.cliff_delta, 2)


def method_section(comparison: Comparison, config: CompareConfig) -> Section:
    """Return how every number was computed."""
    contrasts: tuple[Contrast, ...] = comparison.primary.contrasts
    shift = contrasts[0].shift.method if contrasts else _("Hodges–Lehmann shift")
    omnibus = comparison.primary.omnibus
    terms = (
        Pair(_("Unit"), _("the case; events only with clustering")),
        Pair(_("Shift"), shift),
        Pair(
            _("Cliff’s delta"),
            contrasts[0].cliff_delta.method if contrasts else _p("method", "none"),
        ),
        Pair(_("Over all groups"), omnibus.name if omnibus.p_value is not None else omnibus.reason),
        Pair(
            _("p-values"),
            _(
                "none where a group has fewer than {min_cases_for_p} cases",
                min_cases_for_p=config.min_cases_for_p,
            ),
        ),
        Pair(
            _("Correction"),
            _("Holm, over contrasts of the primary metric; over all secondary ones"),
        ),
        Pair(_("Adjusted estimate"), comparison.adjusted.method or comparison.adjusted.reason),
        Pair(
            _("Time to clear"),
            _("Kaplan–Meier; {clustering}", clustering=comparison.time_to_clear.clustering),
        ),
        Pair(_("Intervals"), f"{100 * config.confidence:.0f} %"),
        Pair(
            _("Random draws"),
            _("seed {seed}: the same library gives the same numbers", seed=config.seed),
        ),
    )
    return Section(_("How it was computed"), terms=terms)
