"""An audit as a document: what stands out first, then every chart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from ubereport.cohort.audit_results import (
    Audit,
    AuditCase,
    ControlChart,
    ControlPoint,
    FunnelZone,
    Signal,
)
from ubereport.core.config import AuditConfig
from ubereport.documents.cohort.audit_sections import (
    agreement_section,
    funnel_section,
    learning_section,
    name_of,
    outcome_section,
    quality_section,
)
from ubereport.documents.cohort.number_words import (
    axis_of,
    capitalized,
    metric_text,
    names_text,
    share_cell,
    short_title,
)
from ubereport.documents.cohort.shared_sections import (
    SOFTWARE,
    drops_table,
    left_out_section,
    model_sections,
)
from ubereport.documents.page.blocks import Pair, TableBlock, table_block
from ubereport.documents.page.chart_drawings import ControlFigure, ControlMark
from ubereport.documents.page.document import Document, Figure, Section
from ubereport.documents.page.text import DASH, decimal, percent, span_text, within
from ubereport.language.speaking import N_, _, _n, _p, day, paragraph, told
from ubereport.metrics.registry import metric_spec

_MAX_ROWS_ON_PAPER = 100
_MAX_TABLE_POINTS = 60
# The XmR chart's 2.66 stands for three sigmas; limits widened or narrowed for the number of charts
# are told in the same factor.
_MOVING_RANGE_FACTOR = 2.66 / 3
_ON_CHART = {"coverage_frac": N_("on coverage"), "event_rate_per_10min": N_("on events")}


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
        title=_("Departmental audit"),
        subtitle=_subtitle(audit, title),
        kicker=_("Audit"),
        software=SOFTWARE,
        lead=_lead(audit),
        facts=_facts(audit),
        caveats=audit.caveats,
        sections=(
            _signal_section(audit),
            *_chart_sections(audit.charts, config),
            funnel_section(audit.funnels),
            learning_section(audit.learning_curves, config),
            *agreements,
            *outcomes,
            quality_section(audit.months),
            *model_sections(audit.models),
            left_out_section(audit.dropped, audit.unread, audit.models),
            _case_section(audit, links, is_paper=is_paper),
        ),
    )


def _subtitle(audit: Audit, title: str) -> str:
    dates = [case.date for case in audit.cases if case.date and case.is_used]
    span = _(", {min} to {max}", min=day(min(dates)), max=day(max(dates))) if dates else ""
    return _(
        "{cases} measured in one way{span}. Chart metric: {title}",
        cases=_n("{n} case", "{n} cases", audit.n_cases),
        span=span,
        title=title,
    )


def _charts_text(audit: Audit) -> str:
    sentences = []
    for chart in audit.charts:
        signal_points = [point for point in chart.points if point.signals]
        if signal_points:
            kinds = dict.fromkeys(signal for point in signal_points for signal in point.signals)
            named = names_text([_signal_name(kind) for kind in kinds])
            sentences.append(
                f"{_chart_name(chart)}: {_n('{n} case', '{n} cases', len(signal_points))} ({named})"
            )
    n_charts = len(audit.charts)
    if sentences:
        return _(
            "{sentences} of {charts} show more than chance variation. {join}.",
            sentences=len(sentences),
            charts=_n("{n} control chart", "{n} control charts", n_charts),
            join=". ".join(sentences),
        )
    if not any(chart.points for chart in audit.charts):
        return _("Nothing could be charted: no case has a date and a value.")
    return _(
        "Nothing stands out from chance variation in {charts}.",
        charts=_n("{n} control chart", "{n} control charts", n_charts),
    )


def _lead(audit: Audit) -> tuple[str, ...]:
    # Told with every audit: on a page of many charts a signal is to be expected now and then, and
    # how often must be known before one is followed.
    probability = f"{100 * audit.false_alarm.probability:.0f}"
    surgeons = [c.surgeon for c in audit.learning_curves if c.is_turning]
    curves = (
        _("The level of {turned} changed in the course of the cases.", turned=names_text(surgeons))
        if surgeons
        else _("No learning curve turns by more than random order would bring.")
    )
    # One surgeon may lie beyond in several funnels, and stays one.
    beyond = len(
        {p.surgeon for f in audit.funnels for p in f.points if p.zone is FunnelZone.BEYOND_998}
    )
    funnel = _(
        "{surgeons} beyond the 99.8 % limits of a funnel plot.",
        surgeons=_n("{n} surgeon", "{n} surgeons", beyond),
    )
    lead = [_charts_text(audit)]
    if audit.learning_curves:
        lead.append(curves)
    if any(f.points for f in audit.funnels):
        lead.append(
            funnel if beyond else _("No surgeon lies beyond the 99.8 % limits of a funnel.")
        )
    # Where nothing is drawn, nothing can give a false alarm.
    if audit.charts or audit.learning_curves or any(f.points for f in audit.funnels):
        lead.append(
            _(
                "A department in which nothing changes would see a signal on {probability} % of "
                "such pages.",
                probability=probability,
            )
        )
    return (paragraph(*lead),)


def _facts(audit: Audit) -> tuple[Pair, ...]:
    n_signals = sum(bool(point.signals) for chart in audit.charts for point in chart.points)
    # Upper medians: a number that one case has, and no mean of two.
    n_flags = sorted(case.n_flags for case in audit.cases if case.is_used)
    warnings = str(n_flags[len(n_flags) // 2]) if n_flags else "–"
    coverages = sorted(c.coverage_frac for c in audit.cases if c.coverage_frac is not None)
    coverage = percent(coverages[len(coverages) // 2], 0) if coverages else _("not available")
    n_ways = len(audit.models)
    return (
        Pair(
            _("Cases charted"),
            str(sum(case.is_used and bool(case.date) for case in audit.cases)),
            _("of {cases} in the library", cases=len(audit.cases)),
        ),
        Pair(
            _("Points with a signal"),
            str(n_signals),
            _("on {charts}", charts=_n("{n} chart", "{n} charts", len(audit.charts))),
        ),
        Pair(_("Median coverage"), coverage, _("share of recorded time that could be judged")),
        Pair(_("Warnings of a case"), warnings, _("median; see each case’s own report")),
        Pair(
            _("Ways of measuring"),
            str(n_ways),
            _("mixed: see below") if n_ways > 1 else _("not mixed"),
        ),
    )


def _signal_name(signal: Signal) -> str:
    return {
        Signal.OUTSIDE: _("outside a limit"),
        Signal.ONE_SIDE: _("run on one side"),
        Signal.TREND: _("trend"),
        Signal.NEAR_LIMIT: _("2 of 3 near a limit"),
        Signal.AVERAGE: _("average of the latest cases off"),
    }[signal]


def _signal_names(signals: Sequence[Signal]) -> str:
    return ", ".join(_signal_name(signal) for signal in signals)


def _chart_name(chart: ControlChart) -> str:
    return name_of(chart.procedure, chart.title)


def _signal_section(audit: Audit) -> Section:
    # Cases in a row with the same signal are one finding; as rows of their own they would look like
    # many.
    runs = [
        (chart, tuple(run))
        for chart in audit.charts
        for signals, run in groupby(chart.points, key=lambda point: point.signals)
        if signals
    ]
    if not runs:
        return Section(_("Signals"), (_("None."),))
    text = _(
        "A signal asks for a look at the case: its report, its recording, what was new in the "
        "theater that day. It is no verdict."
    )
    table = table_block(
        _("Cases that stand out"),
        runs,
        ("*" + _("Chart"), lambda at: _short_chart_name(at[0])),
        (_("Case"), lambda at: _run_text(at[1][0].case_id, at[1][-1].case_id)),
        (_("Date"), lambda at: _dates_text(at[1][0].date, at[1][-1].date)),
        (_("#Value"), lambda at: _values_text(*at)),
        (_("#Limits"), lambda at: _limits_text(at[1][0], at[0])),
        (_("Signal"), lambda at: _run_signal(at[1])),
    )
    return Section(_("Signals"), (text,), tables=(table,))


def _short_chart_name(chart: ControlChart) -> str:
    title = within(short_title(chart.metric_key))
    return f"{told(capitalized(chart.procedure))}, {title}"


def _run_text(first_id: str, last_id: str) -> str:
    if first_id == last_id:
        return first_id
    return _("{case_id}\xa0to {case_id_2}", case_id=first_id, case_id_2=last_id)


def _dates_text(first: str, last: str) -> str:
    return day(first) if first == last else span_text(day(first), day(last))


def _values_text(chart: ControlChart, run: Sequence[ControlPoint]) -> str:
    spec = metric_spec(chart.metric_key)
    lowest, highest = (metric_text(f(point.value for point in run), spec) for f in (min, max))
    return span_text(lowest, highest) if len(run) > 1 else lowest


def _run_signal(run: Sequence[ControlPoint]) -> str:
    signal = _signal_names(run[0].signals)
    if len(run) == 1:
        return signal
    return _("{signal}: {run} cases in turn", signal=signal, run=len(run))


def _limits_text(point: ControlPoint, chart: ControlChart) -> str:
    spec = metric_spec(chart.metric_key)
    if point.lower is None or point.upper is None:
        return _p("limits", "none")
    return span_text(metric_text(point.lower, spec), metric_text(point.upper, spec))


def _chart_sections(charts: Sequence[ControlChart], config: AuditConfig) -> tuple[Section, ...]:
    if not charts:
        text = _("No case has a date, so there is no order to chart.")
        return (Section(_("Control charts"), (text,)),)
    sections = []
    for procedure in dict.fromkeys(chart.procedure for chart in charts):
        own = [(i, chart) for i, chart in enumerate(charts) if chart.procedure == procedure]
        sections.append(
            Section(
                _("Control charts, {procedure}", procedure=procedure),
                figures=tuple(_chart_figure(number, chart, config) for number, chart in own),
                tables=tuple(
                    drops_table(
                        _("Not on the chart: {chart_name}", chart_name=_chart_name(chart)),
                        chart.dropped,
                    )
                    for _number, chart in own
                    if chart.dropped
                ),
            )
        )
    return tuple(sections)


def _chart_figure(number: int, chart: ControlChart, config: AuditConfig) -> Figure:
    spec = metric_spec(chart.metric_key)
    marks = tuple(
        ControlMark(
            day(point.date),
            point.value,
            point.lower,
            point.upper,
            _signal_name(point.signals[0]) if point.signals else "",
            float(dt.date.fromisoformat(point.date).toordinal()),
        )
        for point in chart.points
    )
    axis = replace(axis_of(spec), label=chart.title, low=None)
    kind = _("XmR chart") if chart.kind == "xmr" else _("u-chart")
    return Figure(
        f"chart-{number + 1}",
        f"{told(chart.title)} ({kind})",
        paragraph(told(chart.reading), *_chart_caption(chart, config)),
        ControlFigure(marks, chart.center, axis, _("date of operation"), chart.is_trial),
        _points_table(chart),
    )


def _chart_caption(chart: ControlChart, config: AuditConfig) -> Iterator[str]:
    if chart.kind == "xmr":
        yield _(
            "One point a case, by date. Between the dashed limits (mean ± {limit_sigmas} × "
            "mean moving range, on the {scale} scale) cases differ as they usually do.",
            limit_sigmas=decimal(_MOVING_RANGE_FACTOR * chart.limit_sigmas, 2),
            scale=chart.scale,
        )
    else:
        yield _(
            "Events per 10 minutes at risk (outside events), one point a case. Limits are wider "
            "where less time could be judged."
        )
    if chart.is_trial:
        yield _(
            "Trial limits: fewer than {trial_points} cases; they will move as cases come.",
            trial_points=config.trial_points,
        )
    if chart.n_screened:
        yield _(
            "{ranges} left out as extreme.",
            ranges=_n("{n} moving range", "{n} moving ranges", chart.n_screened),
        )


def _points_table(chart: ControlChart) -> TableBlock:
    is_long = len(chart.points) > _MAX_TABLE_POINTS
    spec = metric_spec(chart.metric_key)
    none = _p("signal of a point", "none")
    return table_block(
        _chart_name(chart),
        (point for point in chart.points if point.signals or not is_long),
        (_("Case"), lambda point: point.case_id),
        (_("Date"), lambda point: day(point.date)),
        (_("#Value"), lambda point: metric_text(point.value, spec)),
        (_("#Limits"), lambda point: _limits_text(point, chart)),
        (_("Signal"), lambda point: _signal_names(point.signals) or none),
        note=_("Cases with a signal only; every case stands in charts.csv.") if is_long else "",
    )


def _case_section(audit: Audit, links: tuple[str, ...] | None, *, is_paper: bool) -> Section:
    keys = [key for key, _ in audit.cases[0].values] if audit.cases else []
    is_cut = is_paper and len(audit.cases) > _MAX_ROWS_ON_PAPER
    rows = [
        (i, case)
        for i, case in enumerate(audit.cases)
        # What stays on paper is what somebody would look up: signals, here or on another chart, and
        # cases set aside.
        if not is_cut or case.signals or case.elsewhere or not case.is_used
    ]
    if is_cut:
        rows = rows[:_MAX_ROWS_ON_PAPER]
    caption = _(
        "{cases} of {cases_2}",
        cases=_n("{n} case", "{n} cases", len(rows)),
        cases_2=len(audit.cases),
    )
    table = _case_table(caption, [case for _, case in rows], keys)
    text = _("Every case of the library in order of date.")
    if is_cut:
        text = _(
            "Cases with a signal and cases set aside, {MAX_ROWS_ON_PAPER} at most. All cases "
            "stand in audit.html and cases.csv.",
            MAX_ROWS_ON_PAPER=_MAX_ROWS_ON_PAPER,
        )
    elif links is None and not is_paper:
        text = paragraph(
            text,
            _("For links to the case reports, write the audit beside or inside the library."),
        )
    elif not is_paper:
        text = paragraph(text, _("A case id leads to the case’s own report."))
    if links is not None:
        table = replace(table, row_links=tuple(links[i] for i, _ in rows))
    return Section(_("Cases"), (text,), tables=(table,))


def _case_table(caption: str, cases: Sequence[AuditCase], keys: Sequence[str]) -> TableBlock:
    def value_of(key: str) -> Callable[[AuditCase], str]:
        return lambda case: metric_text(dict(case.values)[key], metric_spec(key))

    return table_block(
        caption,
        cases,
        (_("Case"), lambda case: case.case_id),
        (_("Date"), lambda case: day(case.date) if case.date else DASH),
        (_("Procedure"), lambda case: case.procedure or DASH),
        ("*" + _("Technique"), lambda case: case.technique or DASH),
        (_("Surgeon"), lambda case: case.surgeon or DASH),
        (_("#Coverage"), lambda case: share_cell(case.coverage_frac)),
        *((f"#{short_title(key)}", value_of(key)) for key in keys),
        (_("#Warnings"), lambda case: str(case.n_flags)),
        (_("Signal"), _case_signal),
    )


def _case_signal(case: AuditCase) -> str:
    if not case.is_used:
        return _("set aside")
    other = [
        _(_ON_CHART[key]) if key in _ON_CHART else within(short_title(key))
        for key in case.elsewhere
    ]
    return "; ".join(name for name in (_signal_names(case.signals), *other) if name) or DASH
