"""The first page of a comparison: the estimates that lead, and how alike the groups are."""

from __future__ import annotations

from collections.abc import Sequence

from ubereport.cohort.comparison_results import (
    BalanceRow,
    Comparison,
    Lead,
    OtherEstimate,
    UseEffect,
    Verdict,
)
from ubereport.cohort.reading import lead_reading
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title, known_column
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.documents.cohort.document_parts import (
    difference_axis,
    estimate_text,
    forest_row,
    gap_text,
    level_text,
    pair_text,
)
from ubereport.documents.page.blocks import TableBlock, columns
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestFigure, ForestRow
from ubereport.documents.page.text import decimal
from ubereport.language.speaking import N_, _, _n, spoken, told
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
    table = _verdict_table(comparison, spec, factor, is_drawn=bool(shown))
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


def _verdict_table(
    comparison: Comparison, spec: MetricSpec, factor: float, *, is_drawn: bool
) -> TableBlock:
    rows = tuple(
        (
            pair_text(lead.group, lead.reference),
            _(_VERDICTS[lead.verdict]),
            estimate_text(lead.difference, factor, is_signed=True),
            *(_threshold_cell(lead, name, factor) for name in ("strict", "lenient")),
            "–" if lead.e_value is None else decimal(lead.e_value, 1),
        )
        for lead in comparison.leads
    )
    heads = (_("Group − other"), _("Finding"), _("#Chance alone"), _("#Strict threshold"),
             _("#Lenient threshold"), _("#E-value"))  # fmt: skip
    note = _(
        "Adjusted differences with 95 % intervals for chance, at the bundle’s own threshold and at "
        "its neighbors. E-value: how many times likelier something unmeasured would have to be in "
        "one group, and to go with the outcome, to explain the difference alone."
    )
    title = _("The same without the model’s error") if is_drawn else _("Differences, chance alone")
    return TableBlock(title, columns(*heads), rows, note)


def _threshold_cell(lead: Lead, name: str, factor: float) -> str:
    differences = [t.difference for t in lead.at_thresholds if t.threshold == name]
    return (
        estimate_text(differences[0], factor, is_signed=True) if differences else _("not measured")
    )


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
    return (
        9.9
        if row.is_total and row.standardized_difference is None
        else (row.standardized_difference)
    )


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
    rows = tuple(
        (
            effect.group,
            str(effect.n_cases),
            f"{decimal(100 * effect.before_median, 1)} %",
            f"{decimal(100 * effect.after_median, 1)} %",
            gap_text(effect.difference, spec),
        )
        for effect in effects
    )
    heads = (
        _("Group"),
        _("#Cases"),
        _("#Median before"),
        _("#Median after"),
        _("#After − before (95 % interval)"),
    )
    table = TableBlock(
        _("Share of time with 20 % or more obscured, within cases"),
        columns(*heads),
        rows,
        _("Percentage points. Cases with a minute or more on either side."),
    )
    n_cases = _n("{n} case", "{n} cases", sum(effect.n_cases for effect in effects))
    text = _(
        "In {n_cases} the technique was first used after a minute or more. The view "
        "changes in the course of a case with any technique, and an agent is used when it "
        "bleeds: these are no contrasts of techniques.",
        n_cases=n_cases,
    )
    return (Section(_("Before and after the first use"), (text,), tables=(table,)),)
