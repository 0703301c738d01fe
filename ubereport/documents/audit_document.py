"""An audit as a document: what stands out first, then every chart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from ubereport.cohort.audit_results import (
    Audit,
    AuditCase,
    ControlChart,
    ControlPoint,
    Funnel,
    FunnelZone,
    LearningCurve,
    MonthQuality,
    Signal,
)
from ubereport.core.config import AuditConfig
from ubereport.documents.document_parts import (
    DASH,
    SOFTWARE,
    axis_of,
    columns,
    drops_table,
    left_out_section,
    metric_text,
    model_sections,
    names_text,
    short_title,
)
from ubereport.documents.outcome_sections import agreement_section, outcome_section
from ubereport.metrics.registry import metric_spec
from ubereport.report.blocks import Pair, TableBlock
from ubereport.report.document_types import (
    Axis,
    ControlFigure,
    ControlMark,
    CusumFigure,
    Document,
    Figure,
    FunnelFigure,
    FunnelMark,
    Section,
    Unit,
)
from ubereport.report.text import decimal, percent, plural

_MAX_ROWS_ON_PAPER = 100
_MAX_TABLE_POINTS = 60
_MOVING_RANGE_FACTOR = 2.66 / 3
_ON_CHART = {"coverage_frac": "on coverage", "event_rate_per_10min": "on events"}


def audit_document(
    audit: Audit,
    config: AuditConfig,
    links: tuple[str, ...] | None = None,
    *,
    is_paper: bool = False,
) -> Document:
    """Lay an audit out: what stands out first, then every chart.

    `links` lead from a case to its report, one a case. On paper a long case table keeps the cases
    that stand out.
    """
    title = metric_spec(audit.metric_key).title
    outcomes = (outcome_section(audit.outcomes),) if audit.outcomes else ()
    agreements = (agreement_section(audit.agreements),) if audit.agreements else ()
    return Document(
        title="Departmental audit",
        subtitle=_subtitle(audit, title),
        kicker="Audit",
        software=SOFTWARE,
        lead=_lead(audit, config),
        facts=_facts(audit),
        caveats=audit.caveats,
        sections=(
            _signal_section(audit, config),
            *_chart_sections(audit.charts, config),
            _funnel_section(audit.funnels),
            _learning_section(audit.learning_curves, config),
            *agreements,
            *outcomes,
            _quality_section(audit.months),
            *model_sections(audit.models),
            left_out_section(audit.dropped, audit.unread, audit.models),
            _case_section(audit, config, links, is_paper=is_paper),
        ),
    )


def _subtitle(audit: Audit, title: str) -> str:
    dates = [case.date for case in audit.cases if case.date and case.is_used]
    span = f", {min(dates)} to {max(dates)}" if dates else ""
    return f"{plural(audit.n_cases, 'case')} measured in one way{span}. Chart metric: {title}"


def _lead(audit: Audit, config: AuditConfig) -> tuple[str, ...]:
    sentences = []
    for chart in audit.charts:
        found = [point for point in chart.points if point.signals]
        if found:
            kinds = dict.fromkeys(signal for point in found for signal in point.signals)
            named = names_text([_signal_name(kind, config) for kind in kinds])
            sentences.append(f"{_chart_name(chart)}: {plural(len(found), 'case')} ({named})")
    n_charts = len(audit.charts)
    if sentences:
        head = (
            f"{len(sentences)} of {plural(n_charts, 'control chart')} show more than chance "
            f"variation. {'. '.join(sentences)}."
        )
    else:
        head = f"Nothing stands out from chance variation in {plural(n_charts, 'control chart')}."
    probability = f"{100 * audit.false_alarm.probability:.0f}"
    turned = [c.surgeon for c in audit.learning_curves if _is_turning(c)]
    curves = (
        f"The level of {names_text(turned)} changed in the course of the cases."
        if turned
        else "No learning curve turns by more than random order would bring."
    )
    beyond = sum(p.zone is FunnelZone.BEYOND_998 for f in audit.funnels for p in f.points)
    funnel = f"{plural(beyond, 'surgeon')} beyond the 99.8 % limits of a funnel plot."
    lead = [head]
    if audit.learning_curves:
        lead.append(curves)
    if any(f.points for f in audit.funnels):
        lead.append(funnel if beyond else "No surgeon lies beyond the 99.8 % limits of a funnel.")
    lead.append(
        f"A department in which nothing changes would see a signal on {probability} % of such "
        "pages."
    )
    return (" ".join(lead),)


def _facts(audit: Audit) -> tuple[Pair, ...]:
    n_signals = sum(bool(point.signals) for chart in audit.charts for point in chart.points)
    n_flags = sorted(case.n_flags for case in audit.cases if case.is_used)
    warnings = str(n_flags[len(n_flags) // 2]) if n_flags else "–"
    known = sorted(c.coverage_frac for c in audit.cases if c.coverage_frac is not None)
    coverage = percent(known[len(known) // 2], 0) if known else "not available"
    n_ways = len(audit.models)
    return (
        Pair("Cases charted", str(audit.n_cases), f"of {len(audit.cases)} in the library"),
        Pair("Points with a signal", str(n_signals), f"on {plural(len(audit.charts), 'chart')}"),
        Pair("Median coverage", coverage, "share of recorded time that could be judged"),
        Pair("Warnings of a case", warnings, "median; see each case’s own report"),
        Pair("Ways of measuring", str(n_ways), "mixed: see below" if n_ways > 1 else "not mixed"),
    )


def _signal_name(signal: Signal, config: AuditConfig) -> str:
    return {
        Signal.OUTSIDE: "outside a limit",
        Signal.ONE_SIDE: "run on one side",
        Signal.TREND: "trend",
        Signal.NEAR_LIMIT: "2 of 3 near a limit",
    }[signal]


def _signal_names(signals: Sequence[Signal], config: AuditConfig) -> str:
    return ", ".join(_signal_name(signal, config) for signal in signals)


def _chart_name(chart: ControlChart) -> str:
    procedure = f"{chart.procedure[0].upper()}{chart.procedure[1:]}"
    return f"{procedure}, {chart.title[0].lower()}{chart.title[1:]}"


def _signal_section(audit: Audit, config: AuditConfig) -> Section:
    rows = tuple(
        _signal_cells(chart, tuple(run), config)
        for chart in audit.charts
        for signals, run in groupby(chart.points, key=lambda point: point.signals)
        if signals
    )
    text = (
        "A signal asks for a look at the case: its report, its recording, what was new in the "
        "theater that day. It is no verdict."
    )
    if not rows:
        return Section("Signals", ("None.",))
    heads = columns("Chart", "Case", "Date", "#Value", "#Limits", "Signal", wide="Chart")
    return Section("Signals", (text,), tables=(TableBlock("Cases that stand out", heads, rows),))


def _signal_cells(
    chart: ControlChart, run: Sequence[ControlPoint], config: AuditConfig
) -> tuple[str, ...]:
    """Return one row for cases that follow one another on a chart with the same signal."""
    spec = metric_spec(chart.metric_key)
    first, last = run[0], run[-1]
    lowest, highest = (
        metric_text(choose(point.value for point in run), spec) for choose in (min, max)
    )
    signal = _signal_names(first.signals, config)
    is_run = len(run) > 1
    return (
        f"{chart.procedure[0].upper()}{chart.procedure[1:]}, {short_title(spec.key).lower()}",
        f"{first.case_id}\u00a0to {last.case_id}" if is_run else first.case_id,
        f"{first.date} to {last.date}" if last.date != first.date else first.date,
        f"{lowest} to {highest}" if is_run else lowest,
        _limits_text(first, chart),
        f"{signal}: {len(run)} cases in turn" if is_run else signal,
    )


def _limits_text(point: ControlPoint, chart: ControlChart) -> str:
    spec = metric_spec(chart.metric_key)
    if point.lower is None or point.upper is None:
        return "none"
    return f"{metric_text(point.lower, spec)} to {metric_text(point.upper, spec)}"


def _chart_sections(charts: Sequence[ControlChart], config: AuditConfig) -> tuple[Section, ...]:
    if not charts:
        return (Section("Control charts", ("No case has a date, so there is no order to chart.",)),)
    sections = []
    for procedure in dict.fromkeys(chart.procedure for chart in charts):
        own = [(i, chart) for i, chart in enumerate(charts) if chart.procedure == procedure]
        sections.append(
            Section(
                f"Control charts, {procedure}",
                figures=tuple(_chart_figure(number, chart, config) for number, chart in own),
                tables=tuple(table for _, chart in own for table in _chart_drops(chart)),
            )
        )
    return tuple(sections)


def _chart_figure(number: int, chart: ControlChart, config: AuditConfig) -> Figure:
    spec = metric_spec(chart.metric_key)
    marks = tuple(
        ControlMark(
            point.date,
            point.value,
            point.lower,
            point.upper,
            _signal_name(point.signals[0], config) if point.signals else "",
            float(dt.date.fromisoformat(point.date).toordinal()),
        )
        for point in chart.points
    )
    axis = replace(axis_of(spec), label=chart.title, low=None)
    kind = "XmR chart" if chart.kind == "xmr" else "u-chart"
    return Figure(
        f"chart-{number + 1}",
        f"{chart.title} ({kind})",
        f"{chart.reading} {_chart_caption(chart, config)}",
        ControlFigure(marks, chart.center, axis, "date of operation", chart.is_trial),
        _points_table(chart, config),
    )


def _chart_caption(chart: ControlChart, config: AuditConfig) -> str:
    if chart.kind == "xmr":
        text = (
            "One point a case, by date. Between the dashed limits (mean ± "
            f"{decimal(_MOVING_RANGE_FACTOR * chart.limit_sigmas, 2)} × mean moving range, on the "
            f"{chart.scale} scale) cases differ as they usually do."
        )
    else:
        text = (
            "Events per 10 minutes at risk (outside events), one point a case. Limits are wider "
            "where less time could be judged."
        )
    if chart.is_trial:
        text += (
            f" Trial limits: fewer than {config.trial_points} cases; they will move as cases come."
        )
    if chart.n_screened:
        text += f" {plural(chart.n_screened, 'moving range')} left out as extreme."
    return text


def _points_table(chart: ControlChart, config: AuditConfig) -> TableBlock:
    is_long = len(chart.points) > _MAX_TABLE_POINTS
    rows = tuple(
        (
            point.case_id,
            point.date,
            metric_text(point.value, metric_spec(chart.metric_key)),
            _limits_text(point, chart),
            _signal_names(point.signals, config) or "none",
        )
        for point in chart.points
        if point.signals or not is_long
    )
    note = "Cases with a signal only; every case stands in charts.csv." if is_long else ""
    heads = columns("Case", "Date", "#Value", "#Limits", "Signal")
    return TableBlock(_chart_name(chart), heads, rows, note)


def _chart_drops(chart: ControlChart) -> tuple[TableBlock, ...]:
    if not chart.dropped:
        return ()
    return (drops_table(f"Not on the chart: {_chart_name(chart)}", chart.dropped),)


def _funnel_section(funnels: Sequence[Funnel]) -> Section:
    figures = tuple(_funnel_figure(i, f) for i, f in enumerate(funnels) if f.points)
    texts = [
        "Surgeons under the pseudonyms of the manifest, in no order of merit. Cases differ in "
        "difficulty and nothing is adjusted for it, so a place in the funnel says nothing about "
        "one person’s skill."
    ]
    texts += [
        f"{funnel.title}: {funnel.reason or funnel.reading}"
        for funnel in funnels
        if not funnel.points
    ]
    return Section("Funnel plots", tuple(texts), figures)


def _funnel_figure(number: int, funnel: Funnel) -> Figure:
    axis = Axis(funnel.title, Unit.PERCENT if funnel.unit == "1" else Unit.NUMBER, low=0.0)
    return Figure(
        f"funnel-{number + 1}",
        funnel.title,
        f"{funnel.reading} The fewer cases, the farther chance alone carries a point from the "
        "target. Filled: beyond the outer limits.",
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
            Axis("Cases", Unit.COUNT, 0.8 * min(p.n_cases for p in funnel.points)),
            axis,
        ),
    )


def _is_turning(curve: LearningCurve) -> bool:
    return curve.is_turning


def _learning_section(curves: Sequence[LearningCurve], config: AuditConfig) -> Section:
    heading = "Learning curves (CUSUM)"
    if not curves:
        text = f"None: no surgeon has {config.min_cases_per_surgeon} dated cases or more."
        return Section(heading, (text,))
    text = (
        "The sum of the differences from the surgeon’s own mean, case after case. A falling line: "
        "cases with a clearer view than the own mean; a rising one: cases with a worse view. "
        "Every such curve has a highest point, in noise too; a turning point is named only where "
        "random orders of the same cases seldom stray as far."
    )
    figures = tuple(
        Figure(
            f"cusum-{number}",
            f"Surgeon {curve.surgeon}",
            f"{curve.reading} Dashed: polynomial of degree {curve.degree}, R² "
            f"{decimal(curve.r_squared, 2)}.",
            CusumFigure(
                curve.cusum,
                Axis(f"Cumulative sum ({curve.scale} scale)"),
                fitted=curve.fitted,
                turning_index=curve.turning_case - 1 if _is_turning(curve) else None,
                labels=curve.case_ids,
            ),
            is_half=True,
        )
        for number, curve in enumerate(curves, start=1)
    )
    return Section(heading, (text,), figures)


def _quality_section(months: Sequence[MonthQuality]) -> Section:
    known = [month for month in months if month.coverage_median_frac is not None]
    rows = tuple(
        (
            month.month,
            str(month.n_cases),
            DASH if month.coverage_median_frac is None else percent(month.coverage_median_frac),
            str(month.n_flagged),
        )
        for month in months
    )
    heads = columns("Month", "#Cases", "#Median coverage", "#Cases with warnings")
    table = TableBlock("Coverage and warnings, month by month", heads, rows)
    if not known:
        return Section("Coverage and quality over time", ("No case has a date.",))
    figure = Figure(
        "coverage",
        "Median coverage of each month",
        "Share of recorded time that could be judged. A falling line points to the recording "
        "chain: lost signal, scope out of the body, damaged files.",
        ControlFigure(
            tuple(
                ControlMark(
                    m.month,
                    float(m.coverage_median_frac or 0.0),
                    at=float(dt.date.fromisoformat(f"{m.month}-15").toordinal()),
                )
                for m in known
            ),
            None,
            Axis("Coverage, median of the cases", Unit.PERCENT, 0.0, 1.0),
            "month of operation",
        ),
        table,
    )
    return Section("Coverage and quality over time", (), (figure,), (table,))


def _case_section(
    audit: Audit, config: AuditConfig, links: tuple[str, ...] | None, *, is_paper: bool
) -> Section:
    keys = [key for key, _ in audit.cases[0].values] if audit.cases else []
    is_cut = is_paper and len(audit.cases) > _MAX_ROWS_ON_PAPER
    shown = [
        (i, case)
        for i, case in enumerate(audit.cases)
        if not is_cut or case.signals or case.elsewhere or not case.is_used
    ]
    if is_cut:
        shown = shown[:_MAX_ROWS_ON_PAPER]
    titles = [f"#{short_title(key)}" for key in keys]
    heads = columns(
        "Case", "Date", "Procedure", "Technique", "Surgeon", "#Coverage", *titles, "#Warnings",
        "Signal", wide="Technique",
    )  # fmt: skip
    rows = tuple(_case_cells(case, config) for _, case in shown)
    table = TableBlock(
        f"{plural(len(rows), 'case')} of {len(audit.cases)}",
        heads,
        rows,
        row_links=() if links is None else tuple(links[i] for i, _ in shown),
    )
    text = "Every case of the library in order of date."
    if is_cut:
        text = (
            f"Cases with a signal and cases set aside, {_MAX_ROWS_ON_PAPER} at most. All cases "
            "stand in audit.html and cases.csv."
        )
    elif links is None and not is_paper:
        text += " For links to the case reports, write the audit beside or inside the library."
    elif not is_paper:
        text += " A case id leads to the case’s own report."
    return Section("Cases", (text,), tables=(table,))


def _case_cells(case: AuditCase, config: AuditConfig) -> tuple[str, ...]:
    other = [_ON_CHART.get(key, short_title(key).lower()) for key in case.elsewhere]
    signal = "; ".join(name for name in (_signal_names(case.signals, config), *other) if name)
    return (
        case.case_id,
        case.date or DASH,
        case.procedure or DASH,
        case.technique or DASH,
        case.surgeon or DASH,
        DASH if case.coverage_frac is None else percent(case.coverage_frac, 0),
        *(metric_text(value, metric_spec(key)) for key, value in case.values),
        str(case.n_flags),
        (signal or DASH) if case.is_used else "set aside",
    )
