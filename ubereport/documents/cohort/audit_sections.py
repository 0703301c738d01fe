"""Sections of an audit: people and months; ratings and outcomes beside the measured view."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from ubereport.cohort.audit_results import (
    Agreement,
    Funnel,
    FunnelZone,
    LearningCurve,
    MonthQuality,
    OutcomeRelation,
)
from ubereport.core.config import AuditConfig
from ubereport.core.covariates import column_title
from ubereport.core.metrics import Direction
from ubereport.documents.cohort.number_words import (
    axis_of,
    capitalized,
    delta_text,
    estimate_text,
    p_cell,
    reasons_once,
    short_title,
)
from ubereport.documents.cohort.shared_sections import forest_row
from ubereport.documents.page.blocks import TableBlock, table_block
from ubereport.documents.page.chart_drawings import (
    ControlFigure,
    ControlMark,
    CusumFigure,
    FunnelFigure,
    FunnelMark,
)
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestFigure
from ubereport.documents.page.text import DASH, decimal, percent, span_text, within
from ubereport.language.speaking import N_, _, _n, day, month, paragraph, spoken, told
from ubereport.metrics.registry import metric_spec


def funnel_section(funnels: Sequence[Funnel]) -> Section:
    """Return the funnel plots, with what they leave out."""
    figures = tuple(_funnel_figure(i, f) for i, f in enumerate(funnels) if f.points)
    texts = [
        _(
            "Surgeons under the pseudonyms of the manifest, in no order of merit. Cases differ in "
            "difficulty and nothing is adjusted for it, so a place in the funnel says nothing "
            "about one person’s skill."
        )
    ]
    texts += [
        _("{label}: {text}.", label=_funnel_name(funnel), text=funnel.reason or funnel.reading)
        for funnel in funnels
        if not funnel.points
    ]
    return Section(_("Funnel plots"), tuple(texts), figures)


def name_of(procedure: str, title: str) -> str:
    """Name a chart or a funnel by its procedure and the title of its metric."""
    inside = title[:1].lower() + title[1:]
    if not spoken().language.is_english:
        inside = within(told(title))
    return f"{told(capitalized(procedure))}, {inside}"


def _funnel_name(funnel: Funnel) -> str:
    if not funnel.procedure:
        return told(funnel.title)
    return name_of(funnel.procedure, funnel.title)


def _funnel_dates(funnel: Funnel) -> str:
    if not funnel.first_date:
        return ""
    first, last = day(funnel.first_date), day(funnel.last_date)
    return _("Cases of {dates}.", dates=first if first == last else span_text(first, last))


def _funnel_axis(funnel: Funnel) -> Axis:
    # The share of cases with a major event is made for the funnel: no list of metrics knows it.
    if funnel.is_share:
        return Axis(funnel.title, Unit.PERCENT, low=0.0)
    axis = axis_of(metric_spec(funnel.metric_key))
    # A point is a mean of cases: of counts, too, it is no whole number.
    return replace(axis, unit=Unit.NUMBER) if axis.unit is Unit.COUNT else axis


def _funnel_figure(number: int, funnel: Funnel) -> Figure:
    caption = _(
        "{reading} The fewer cases, the farther chance alone carries a point from the "
        "target. Filled: beyond the outer limits.",
        reading=funnel.reading,
    )
    return Figure(
        f"funnel-{number + 1}",
        _funnel_name(funnel),
        paragraph(_funnel_dates(funnel), caption),
        FunnelFigure(
            tuple(
                FunnelMark(p.surgeon, float(p.n_cases), p.value, p.zone is FunnelZone.BEYOND_998)
                for p in funnel.points
            ),
            funnel.target,
            tuple(limit.n_cases for limit in funnel.limits),
            tuple(limit.low_95 for limit in funnel.limits),
            tuple(limit.high_95 for limit in funnel.limits),
            tuple(limit.low_998 for limit in funnel.limits),
            tuple(limit.high_998 for limit in funnel.limits),
            # Not from zero: there the limits run to infinity and would flatten all else.
            Axis(_("Cases"), Unit.COUNT, 0.8 * min(p.n_cases for p in funnel.points)),
            _funnel_axis(funnel),
        ),
    )


_LINES = {
    Direction.LOWER_IS_BETTER: N_(
        "A falling line: cases with a clearer view than the own mean; a rising one: cases with a "
        "worse view."
    ),
    Direction.HIGHER_IS_BETTER: N_(
        "A falling line: cases with a worse view than the own mean; a rising one: cases with a "
        "clearer view."
    ),
    Direction.NEUTRAL: N_(
        "A falling line: cases below the own mean; a rising one: cases above it."
    ),
}


def learning_section(curves: Sequence[LearningCurve], config: AuditConfig) -> Section:
    """Return the learning curves, or why there are none."""
    heading = _("Learning curves (CUSUM)")
    if not curves:
        text = _(
            "None: no surgeon has {min_cases_per_surgeon} dated cases or more.",
            min_cases_per_surgeon=config.min_cases_per_surgeon,
        )
        return Section(heading, (text,))
    text = paragraph(
        _("The sum of the differences from the surgeon’s own mean, case after case."),
        _(_LINES[metric_spec(curves[0].metric_key).direction]),
        _taken_off(curves[0].held_equal),
        _(
            "Every such curve has a highest point, in noise too; a turning point is named only "
            "where random orders of the same cases seldom stray as far."
        ),
    )
    figures = tuple(
        Figure(
            f"cusum-{number}",
            _("Surgeon {surgeon}", surgeon=curve.surgeon),
            _curve_caption(curve),
            CusumFigure(
                curve.cusum,
                Axis(_("Cumulative sum ({scale} scale)", scale=curve.scale)),
                fitted=curve.fitted,
                # Every sum has a peak; marked only where it is more than noise.
                turning_index=curve.turning_case - 1 if curve.is_turning else None,
                labels=curve.case_ids,
            ),
            is_half=True,
        )
        for number, curve in enumerate(curves, start=1)
    )
    return Section(heading, (text,), figures)


def _taken_off(columns: Sequence[str]) -> str:
    if not columns:
        return _("The curves are not adjusted for the difficulty of the cases.")
    names = [told(column_title(name)) for name in columns]
    return _(
        "What {columns} of a case explain was taken off before.",
        columns=spoken().enumeration(names),
    )


def _curve_caption(curve: LearningCurve) -> str:
    caption = _(
        "{reading} Dashed: polynomial of degree {degree}, R² {r_squared}.",
        reading=curve.reading,
        degree=curve.degree,
        r_squared=decimal(curve.r_squared, 2),
    )
    if not curve.n_drawn_in:
        return caption
    drawn_in = _n(
        "{n} case far from the own median was drawn in toward it.",
        "{n} cases far from the own median were drawn in toward it.",
        curve.n_drawn_in,
    )
    return paragraph(caption, drawn_in)


def quality_section(months: Sequence[MonthQuality]) -> Section:
    """Return coverage and warnings, month by month."""
    heading = _("Coverage and quality over time")
    # In the middle of its month, so that months without a case show as gaps.
    marks = tuple(
        ControlMark(
            month(m.month),
            m.coverage_median_frac,
            at=float(dt.date.fromisoformat(f"{m.month}-15").toordinal()),
        )
        for m in months
        if m.coverage_median_frac is not None
    )
    if not marks:
        return Section(heading, (_("No case has a date."),))

    def coverage_text(coverage_frac: float | None) -> str:
        return DASH if coverage_frac is None else percent(coverage_frac)

    table = table_block(
        _("Coverage and warnings, month by month"),
        months,
        (_("Month"), lambda m: month(m.month)),
        (_("#Cases"), lambda m: str(m.n_cases)),
        (_("#Median coverage"), lambda m: coverage_text(m.coverage_median_frac)),
        (_("#Cases with warnings"), lambda m: str(m.n_flagged)),
    )
    axis = Axis(_("Coverage, median of the cases"), Unit.PERCENT, 0.0, 1.0)
    figure = Figure(
        "coverage",
        _("Median coverage of each month"),
        _(
            "Share of recorded time that could be judged. A falling line points to the recording "
            "chain: lost signal, scope out of the body, damaged files."
        ),
        ControlFigure(marks, None, axis, _("month of operation")),
        table,
    )
    return Section(heading, (), (figure,), (table,))


def agreement_section(agreements: Sequence[Agreement]) -> Section:
    """Return the surgeon-rated view against the measured one."""
    text = _(
        "The surgeon’s rating of the view against what was measured. The bands are ours and are no "
        "clinical grade; a rating also knows what the picture does not show, such as suction need."
    )
    tables = tuple(_rating_table(agreement) for agreement in agreements)
    return Section(_("Surgeon-rated clarity"), (text,), tables=tables)


def _rating_table(agreement: Agreement) -> TableBlock:
    edges = ("0 %", *(f"{100 * edge:g} %" for edge in agreement.band_edges))
    bands = [span_text(low, high) for low, high in pairwise(edges)]
    bands.append(_("{edges} and more", edges=edges[-1]))
    counts = {(cell.rating, cell.band): cell.n_cases for cell in agreement.table}

    def count_in(band: int) -> Callable[[int], str]:
        return lambda rating: str(counts.get((rating, band), 0))

    note = _(
        "Weighted kappa {estimate_text}; Spearman {estimate_text_2}; {cases} with both. "
        "Cases on the diagonal agree.",
        estimate_text=estimate_text(agreement.weighted_kappa, n_decimals=2, is_signed=False),
        estimate_text_2=estimate_text(agreement.spearman, n_decimals=2, is_signed=False),
        cases=_n("{n} case", "{n} cases", agreement.n_cases),
    )
    caption = _(
        "{column_title} (rows) against {title} (columns), cases",
        column_title=column_title(agreement.column),
        title=metric_spec(agreement.metric_key).title,
    )
    return table_block(
        capitalized(caption),
        sorted({cell.rating for cell in agreement.table}),
        (_("Rating"), str),
        *((f"#{words}", count_in(band)) for band, words in enumerate(bands)),
        note=note,
    )


def outcome_section(outcomes: Sequence[OutcomeRelation]) -> Section:
    """Return the measured view against outcome columns of the manifest."""
    figure = Figure(
        "outcomes",
        _("Relation of the measured view to outcomes"),
        _(
            "Each square is a correlation or a Cliff’s delta from −1 to 1, the bar its 95 % "
            "interval. A bar that crosses 0 is compatible with no relation. A relation is no "
            "proof of a cause."
        ),
        ForestFigure(
            tuple(
                forest_row(
                    f"{_outcome_name(r)}: {short_title(r.metric_key)}", r.estimate, n_decimals=2
                )
                for r in outcomes
            ),
            Axis(_("Spearman correlation or Cliff’s delta"), Unit.NUMBER, -1.0, 1.0),
        ),
    )
    marked, note = reasons_once([(r.estimate,) for r in outcomes], "")
    table = table_block(
        _("Outcome columns of the manifest"),
        [replace(r, estimate=estimate) for r, (estimate,) in zip(outcomes, marked, strict=True)],
        (_("Outcome"), _outcome_name),
        (_("Measured"), lambda r: metric_spec(r.metric_key).title),
        (_("Measure"), lambda r: r.measure),
        (_("#Cases"), lambda r: str(r.n_cases)),
        (_("#Estimate (95 % interval)"), lambda r: delta_text(r.estimate)),
        (_("#p"), lambda r: p_cell(r.test.p_value)),
        (_("#p, Holm"), lambda r: p_cell(r.test.p_holm)),
        note=note,
    )
    # Rows alone tell why there is no number; an empty drawing would look like no relation.
    is_drawn = any(relation.estimate.value is not None for relation in outcomes)
    return Section(_("Relation to outcomes"), (), (figure,) if is_drawn else (), (table,))


def _outcome_name(relation: OutcomeRelation) -> str:
    return capitalized(column_title(relation.column))
