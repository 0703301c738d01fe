"""Sections of a comparison on what it rests on: balance, power, how it was computed."""

from __future__ import annotations

from ubereport.cohort.comparison_results import (
    BalanceCell,
    BalanceRow,
    Comparison,
    Contrast,
    PowerNote,
)
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import CALENDAR_TIME, known_column
from ubereport.documents.cohort.document_parts import difference_unit, pair_text
from ubereport.documents.cohort.lead_section import (
    covariate_title,
    love_figure,
)
from ubereport.documents.page.blocks import Pair, TableBlock, columns
from ubereport.documents.page.document import Section
from ubereport.documents.page.text import decimal
from ubereport.language.speaking import _, _p
from ubereport.metrics.registry import metric_spec


def balance_section(comparison: Comparison) -> Section:
    """Return how alike the groups are."""
    groups = [group.group for group in comparison.primary.groups]
    heads = columns(
        _("Covariate"), *(f"#{name}" for name in groups), _("#Std. difference"), _("Alike")
    )
    rows = tuple(_balance_cells(row) for row in comparison.balance if row.level != "False")
    table = TableBlock(
        _("Covariates in each group"),
        heads,
        rows,
        _(
            "Mean (SD) of a number, share of the cases at a level; n where some cases have no "
            "value. Standardized difference: the largest one between two groups; 0.25 or more is "
            "not alike."
        ),
    )
    text = _(
        "What the manifest says about the cases of each group. Groups that differ here may differ "
        "in the view for that reason alone."
    )
    if not comparison.balance:
        return Section(_("Balance of covariates"), (_("The manifest holds no covariate."),))
    love = love_figure(comparison.balance)
    return Section(_("Balance of covariates"), (text,), () if love is None else (love,), (table,))


def _balance_cells(row: BalanceRow) -> tuple[str, ...]:
    column = known_column(row.column)
    unit = {"mm[Hg]": "mmHg", "a": "years", "kg/m2": "kg/m²"}.get(column.unit if column else "", "")
    if row.column == CALENDAR_TIME:
        unit = "days"
    is_percent = row.column.endswith("_frac")
    difference = row.standardized_difference
    return (
        covariate_title(row, unit),
        *(
            _balance_cell(cell, is_level=bool(row.level), is_percent=is_percent)
            for cell in row.cells
        ),
        "–" if difference is None else decimal(difference, 2),
        _alike(row),
    )


def _alike(row: BalanceRow) -> str:
    if row.is_unbalanced:
        return _("not alike")
    # Values that differ without any spread: in a few cases nobody knows what that means.
    return _("too few to tell") if row.standardized_difference is None else _("alike")


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


def power_section(comparison: Comparison) -> Section:
    """Return what this many cases could have shown."""
    spec = metric_spec(comparison.primary.metric_key)
    rows = tuple(_power_cells(note, spec.is_share) for note in comparison.power)
    unit = difference_unit(spec)
    heads = (
        _("Group − other"),
        _("#Cases"),
        _("#Smallest Cliff’s delta"),
        _("#Shift, roughly, in {unit}", unit=unit),
    )
    share = f"{100 * comparison.power[0].power:.0f} %" if comparison.power else "80 %"
    table = TableBlock(
        _(
            "Smallest difference that these cases would have shown with a chance of {share}",
            share=share,
        ),
        columns(*heads),
        rows,
    )
    text = _(
        "A smaller difference would mostly have been missed: not shown is not the same as absent."
    )
    return Section(_("What this many cases could show"), (text,), tables=(table,) if rows else ())


def _power_cells(note: PowerNote, is_in_points: bool) -> tuple[str, ...]:
    shift = "–" if note.shift is None else decimal((100 if is_in_points else 1) * note.shift, 1)
    delta = (
        _("not even complete separation")
        if note.cliff_delta is None
        else decimal(note.cliff_delta, 2)
    )
    return (
        pair_text(note.group, note.reference),
        _("{n_group} and {n_reference}", n_group=note.n_group, n_reference=note.n_reference),
        delta,
        shift,
    )


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
