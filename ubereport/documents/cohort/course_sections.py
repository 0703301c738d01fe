"""Sections of an audit on people and months: funnels, learning curves, quality over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from ubereport.cohort.audit_results import (
    Funnel,
    FunnelZone,
    LearningCurve,
    MonthQuality,
)
from ubereport.core.config import AuditConfig
from ubereport.documents.cohort.document_parts import DASH
from ubereport.documents.page.blocks import TableBlock, columns
from ubereport.documents.page.chart_drawings import (
    ControlFigure,
    ControlMark,
    CusumFigure,
    FunnelFigure,
    FunnelMark,
)
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.text import decimal, percent
from ubereport.language.speaking import _, month


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
        _("{label}: {text}.", label=funnel.title, text=funnel.reason or funnel.reading)
        for funnel in funnels
        if not funnel.points
    ]
    return Section(_("Funnel plots"), tuple(texts), figures)


def _funnel_figure(number: int, funnel: Funnel) -> Figure:
    axis = Axis(funnel.title, Unit.PERCENT if funnel.unit == "1" else Unit.NUMBER, low=0.0)
    return Figure(
        f"funnel-{number + 1}",
        funnel.title,
        _(
            "{reading} The fewer cases, the farther chance alone carries a point from the "
            "target. Filled: beyond the outer limits.",
            reading=funnel.reading,
        ),
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
            axis,
        ),
    )


def learning_section(curves: Sequence[LearningCurve], config: AuditConfig) -> Section:
    """Return the learning curves, or why there are none."""
    heading = _("Learning curves (CUSUM)")
    if not curves:
        text = _(
            "None: no surgeon has {min_cases_per_surgeon} dated cases or more.",
            min_cases_per_surgeon=config.min_cases_per_surgeon,
        )
        return Section(heading, (text,))
    text = _(
        "The sum of the differences from the surgeon’s own mean, case after case. A falling line: "
        "cases with a clearer view than the own mean; a rising one: cases with a worse view. "
        "Every such curve has a highest point, in noise too; a turning point is named only where "
        "random orders of the same cases seldom stray as far."
    )
    figures = tuple(
        Figure(
            f"cusum-{number}",
            _("Surgeon {surgeon}", surgeon=curve.surgeon),
            _(
                "{reading} Dashed: polynomial of degree {degree}, R² {r_squared}.",
                reading=curve.reading,
                degree=curve.degree,
                r_squared=decimal(curve.r_squared, 2),
            ),
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


def quality_section(months: Sequence[MonthQuality]) -> Section:
    """Return coverage and warnings, month by month."""
    known = [quality for quality in months if quality.coverage_median_frac is not None]
    rows = tuple(
        (
            month(quality.month),
            str(quality.n_cases),
            DASH if quality.coverage_median_frac is None else percent(quality.coverage_median_frac),
            str(quality.n_flagged),
        )
        for quality in months
    )
    heads = columns(_("Month"), _("#Cases"), _("#Median coverage"), _("#Cases with warnings"))
    table = TableBlock(_("Coverage and warnings, month by month"), heads, rows)
    if not known:
        return Section(_("Coverage and quality over time"), (_("No case has a date."),))
    figure = Figure(
        "coverage",
        _("Median coverage of each month"),
        _(
            "Share of recorded time that could be judged. A falling line points to the recording "
            "chain: lost signal, scope out of the body, damaged files."
        ),
        ControlFigure(
            tuple(
                ControlMark(
                    month(m.month),
                    float(m.coverage_median_frac or 0.0),
                    # In the middle of its month, so that months without a case show as gaps.
                    at=float(dt.date.fromisoformat(f"{m.month}-15").toordinal()),
                )
                for m in known
            ),
            None,
            Axis(_("Coverage, median of the cases"), Unit.PERCENT, 0.0, 1.0),
            _("month of operation"),
        ),
        table,
    )
    return Section(_("Coverage and quality over time"), (), (figure,), (table,))
