"""`ubereport audit`: a department's cases over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ubereport.cohort.agreement import rating_agreement
from ubereport.cohort.alarms import ChartRules, rules_for_page
from ubereport.cohort.audit_results import (
    Agreement,
    Audit,
    AuditCase,
    ControlChart,
    FalseAlarm,
    Funnel,
    LearningCurve,
    MonthQuality,
    OutcomeRelation,
    Signal,
)
from ubereport.cohort.charts import ChartCases, u_chart, xmr_chart
from ubereport.cohort.comparison_results import DropCount
from ubereport.cohort.cusum import learning_curve, mean_neighbor_correlation, with_holm_curves
from ubereport.cohort.design import Covariate, covariate_terms
from ubereport.cohort.funnel import false_alarm_of_funnels, mean_funnel, share_funnel
from ubereport.cohort.outcomes import outcome_relation, with_holm_outcomes
from ubereport.cohort.scales import scale_of
from ubereport.cohort.table import CohortTable, group_labels, review_caveat, versions_caveat
from ubereport.cohort.wording import plural, unread_text
from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import AuditConfig
from ubereport.core.covariates import KNOWN_COLUMNS, ColumnRole, require_column
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.metrics.registry import metric_spec

ALL_PROCEDURES = "all procedures"
_CASE_VALUES = ("impaired_share_20", "area_mean_frac", "closing_area_mean_frac", "event_count")
_OUTCOME_METRICS = ("closing_area_mean_frac",)
_EXPOSURE_S = 600.0
# Of the allowed false-alarm share; the charts get what this and the funnels leave.
_CURVES_SHARE = 0.3
_CASE_MIX = ("technique", "procedure", "levels", "antithrombotics")
_MIN_CASES_PER_TERM = 5
_RATE, _AT_RISK = "event_rate_per_10min", "at_risk_s"
_CAVEATS = (
    "A signal says that a case or a stretch of cases differs from the rest by more than chance "
    "makes likely. It does not say why, and it does not say that anyone did wrong.",
    "Surgeons appear under pseudonyms and are not ranked. Cases differ in difficulty, and nothing "
    "here is adjusted for it.",
    "The numbers say how much of the view was obscured by blood, as a model measured it. They are "
    "not blood loss. Higher pump pressure can hide a bleeder.",
    "For research and departmental quality review; not a medical device, not for diagnosis, not "
    "for judging one person.",
)


@dataclass(frozen=True, slots=True, eq=False)
class _Dated:
    """The cases that charts rest on, in order of date and case id; one entry a case."""

    rows: tuple[int, ...]
    dates: tuple[str, ...]
    case_ids: tuple[str, ...]
    procedures: tuple[str, ...]
    surgeons: tuple[str | None, ...]
    undated: tuple[str, ...]


def audit_cohort(table: CohortTable, config: AuditConfig | None = None) -> Audit:
    """Audit the cases of a library.

    Charts, funnel and curves rest on the cases measured in the way used most; the others stand in
    the case table and are counted.

    Raises
    ------
    UsageError
        If the configured metric does not exist.
    """
    config = AuditConfig() if config is None else config
    require_column(config.metric, table.metric_keys, "metric")
    dated = _dated(table)
    # Before the charts: these have fixed limits, and the charts are given what they leave of the
    # page's false alarms.
    funnels, curves = _funnels(table, dated, config), _learning_curves(table, dated, config)
    rules, charts, false_charts = _charts(table, dated, config, _spent(funnels, curves, config))
    is_used = table.is_used()
    other = tuple(table.cases["case_id"][~is_used])
    dropped = [DropCount("measured with another model or other settings", other)] if other else []
    if dated.undated:
        dropped.append(DropCount("no date in the manifest: not on a chart", dated.undated))
    agreements, outcomes = _agreements(table, config), _outcomes(table, config)
    return Audit(
        metric_key=config.metric,
        n_cases=int(is_used.sum()),
        charts=charts,
        funnels=funnels,
        learning_curves=curves,
        agreements=agreements,
        outcomes=outcomes,
        months=_months(table),
        cases=_case_rows(table, charts, config),
        models=table.models,
        dropped=tuple(dropped),
        unread=table.unread,
        reading=_summary(table, charts, funnels, curves),
        caveats=_caveats(table),
        false_alarm=_false_alarm(rules, false_charts, funnels, curves, config),
    )


def _false_alarm(
    rules: ChartRules,
    charts: float,
    funnels: Sequence[Funnel],
    curves: Sequence[LearningCurve],
    config: AuditConfig,
) -> FalseAlarm:
    return FalseAlarm(
        1 - (1 - charts) * (1 - _spent(funnels, curves, config)),
        charts,
        false_alarm_of_funnels(funnels),
        _CURVES_SHARE * config.false_alarm_frac if curves else 0.0,
        rules.limit_sigmas,
        rules.run_points,
        rules.trend_points,
        rules.is_near_used,
        rules.average_sigmas,
    )


def _spent(
    funnels: Sequence[Funnel], curves: Sequence[LearningCurve], config: AuditConfig
) -> float:
    """Return how often funnels or curves alone raise a false alarm."""
    of_curves = _CURVES_SHARE * config.false_alarm_frac if curves else 0.0
    return 1 - (1 - false_alarm_of_funnels(funnels)) * (1 - of_curves)


def _dated(table: CohortTable) -> _Dated:
    dates, is_used = table.column("date"), table.is_used().to_numpy()
    case_ids = table.column("case_id")
    procedures = group_labels(table.column("procedure"))
    surgeons = group_labels(table.column("surgeon"))
    rows = [row for row in range(table.n_cases) if is_used[row] and dates[row] is not None]
    # Cases of one day are put in the order of their ids: any order would do, but it must be the
    # same in every audit.
    rows.sort(key=lambda row: (str(dates[row]), case_ids[row]))
    undated = [case_ids[i] for i in range(table.n_cases) if is_used[i] and dates[i] is None]
    return _Dated(
        tuple(rows),
        tuple(str(dates[row]) for row in rows),
        tuple(case_ids[row] for row in rows),
        tuple(procedures[row] or "procedure not stated" for row in rows),
        tuple(surgeons[row] for row in rows),
        tuple(undated),
    )


def _values(table: CohortTable, key: str) -> FloatArray:
    return np.asarray(table.cases[key].to_numpy(dtype=np.float64))


def _charts(
    table: CohortTable, dated: _Dated, config: AuditConfig, spent: float
) -> tuple[ChartRules, tuple[ControlChart, ...], float]:
    """Draw all charts by the same rules, so chosen that the page holds its false-alarm share.

    `spent` is what funnels and curves have of it.
    """
    wanted: list[tuple[list[int], str, str]] = []
    for procedure in sorted(set(dated.procedures)):
        places = [i for i, name in enumerate(dated.procedures) if name == procedure]
        wanted.append((places, config.metric, procedure))
        if {_RATE, _AT_RISK} <= set(table.metric_keys):
            wanted.append((places, _RATE, procedure))
    if "coverage_frac" in table.metric_keys and dated.rows:
        wanted.append((list(range(len(dated.rows))), "coverage_frac", ALL_PROCEDURES))
    lengths = [len(places) for places, _, _ in wanted]
    # What funnels and curves leave, counted as independent of the charts; a tenth at least, so that
    # a page with many funnels still has charts that can signal.
    allowed = max(1 - (1 - config.false_alarm_frac) / (1 - spent), 0.1 * config.false_alarm_frac)
    rules, false_alarm = rules_for_page(lengths, config.run_points, allowed)
    charts = [
        _events_chart(table, dated, places, procedure, (config, rules))
        if key == _RATE
        else _xmr(table, dated, places, (key, procedure), (config, rules))
        for places, key, procedure in wanted
    ]
    return rules, tuple(charts), false_alarm


def _chart_cases(
    table: CohortTable, dated: _Dated, places: Sequence[int], key: str, known: BoolArray
) -> ChartCases:
    drops: dict[str, list[str]] = {}
    for place, is_known in zip(places, known, strict=True):
        if not is_known:
            reason = table.reasons.get((dated.case_ids[place], key), "not measured")
            drops.setdefault(reason, []).append(dated.case_ids[place])
    kept = [place for place, is_known in zip(places, known, strict=True) if is_known]
    return ChartCases(
        tuple(dated.case_ids[place] for place in kept),
        tuple(dated.dates[place] for place in kept),
        tuple(DropCount(reason, tuple(ids)) for reason, ids in sorted(drops.items())),
    )


def _xmr(
    table: CohortTable,
    dated: _Dated,
    places: Sequence[int],
    what: tuple[str, str],
    how: tuple[AuditConfig, ChartRules],
) -> ControlChart:
    key, procedure = what
    values = _values(table, key)[[dated.rows[place] for place in places]]
    known = ~np.isnan(values)
    cases = _chart_cases(table, dated, places, key, known)
    spec = metric_spec(key)
    return xmr_chart(cases, values[known], spec, scale_of(spec), procedure, *how)


def _events_chart(
    table: CohortTable,
    dated: _Dated,
    places: Sequence[int],
    procedure: str,
    how: tuple[AuditConfig, ChartRules],
) -> ControlChart:
    rows = [dated.rows[place] for place in places]
    rates, at_risk_s = _values(table, _RATE)[rows], _values(table, _AT_RISK)[rows]
    known = ~np.isnan(rates) & (at_risk_s > 0)
    cases = _chart_cases(table, dated, places, _RATE, known)
    exposure = at_risk_s[known] / _EXPOSURE_S
    # Records hold the rate; rate times exposure is the whole number that it was made of, but for
    # rounding.
    counts = np.round(rates[known] * exposure)
    return u_chart(cases, counts, exposure, metric_spec(_RATE), procedure, *how)


def _funnels(table: CohortTable, dated: _Dated, config: AuditConfig) -> tuple[Funnel, ...]:
    """Draw the surgeons of each procedure over its recent cases: old ones mark nobody for good."""
    if not dated.rows:
        return _funnels_of(table, _used_rows(table), config)
    last = dt.date.fromisoformat(dated.dates[-1])
    # Counted from the newest case and not from today: an audit repeated later must give the same
    # page.
    start = (last - dt.timedelta(days=config.funnel_days - 1)).isoformat()
    funnels: list[Funnel] = []
    for procedure in sorted(set(dated.procedures)):
        places = [
            place
            for place, name in enumerate(dated.procedures)
            if name == procedure and dated.dates[place] >= start
        ]
        if places:
            first_date, last_date = dated.dates[places[0]], dated.dates[places[-1]]
            funnels += [
                replace(funnel, procedure=procedure, first_date=first_date, last_date=last_date)
                for funnel in _funnels_of(table, [dated.rows[place] for place in places], config)
            ]
    return tuple(funnels)


def _used_rows(table: CohortTable) -> list[int]:
    return [row for row, is_used in enumerate(table.is_used()) if is_used]


def _funnels_of(table: CohortTable, rows: Sequence[int], config: AuditConfig) -> tuple[Funnel, ...]:
    surgeons = group_labels(table.column("surgeon"))

    def known(key: str) -> list[int]:
        values = _values(table, key)
        return [row for row in rows if surgeons[row] is not None and not np.isnan(values[row])]

    spec = metric_spec(config.metric)
    drawn = known(config.metric)
    values, names = _values(table, config.metric)[drawn], [str(surgeons[row]) for row in drawn]
    funnels = [mean_funnel(values.tolist(), names, spec, scale_of(spec), config)]
    if "major_event_count" in table.metric_keys:
        drawn = known("major_event_count")
        has_major = (_values(table, "major_event_count")[drawn] > 0).tolist()
        names = [str(surgeons[row]) for row in drawn]
        funnels.append(share_funnel(has_major, names, _share_with_major(), config))
    return tuple(funnels)


def _share_with_major() -> MetricSpec:
    return MetricSpec(
        key="major_event_case_share",
        title="Share of cases with a major event",
        unit="1",
        definition="cases with at least one event whose peak reaches 50 % of the view",
        direction=Direction.LOWER_IS_BETTER,
        upper_bound=1.0,
    )


def _learning_curves(
    table: CohortTable, dated: _Dated, config: AuditConfig
) -> tuple[LearningCurve, ...]:
    values = _values(table, config.metric)[list(dated.rows)]
    spec = metric_spec(config.metric)
    expected = _expected(table, dated, scale_of(spec).forward(values))
    by_surgeon = {
        surgeon: [
            place
            for place, name in enumerate(dated.surgeons)
            if name == surgeon and not np.isnan(values[place])
        ]
        for surgeon in sorted({name for name in dated.surgeons if name is not None})
    }
    drawn = {s: p for s, p in by_surgeon.items() if len(p) >= config.min_cases_per_surgeon}
    # What is left after case mix: a surgeon's neighboring cases may still be alike, and a curve
    # drawn as if they were not would turn too easily.
    left = scale_of(spec).forward(values) - expected
    correlation = mean_neighbor_correlation([left[places] for places in drawn.values()])
    curves = [
        learning_curve(
            surgeon,
            [dated.case_ids[place] for place in places],
            [dated.dates[place] for place in places],
            values[places],
            expected[places],
            spec,
            scale_of(spec),
            config,
            correlation,
        )
        for surgeon, places in drawn.items()
    ]
    return with_holm_curves(curves, spec, _CURVES_SHARE * config.false_alarm_frac)


def _expected(table: CohortTable, dated: _Dated, scaled: FloatArray) -> FloatArray:
    """(n,) what the case mix makes expect of each dated case, on the metric's scale.

    Least squares over all cases on technique, procedure, levels and antithrombotics ("not known"
    is a level): what a surgeon's cases were is no part of the surgeon's learning.
    """
    known = ~np.isnan(scaled)
    columns = [np.ones(int(known.sum()))]
    for name in _CASE_MIX:
        column = table.column(name)
        labels = group_labels(column[row] for row, is_known in zip(dated.rows, known, strict=True)
                              if is_known)  # fmt: skip
        columns += covariate_terms(Covariate(name, tuple(label or "" for label in labels)))[0]
    matrix = np.column_stack(columns)
    expected = np.full(len(scaled), np.nan)
    if len(matrix) >= _MIN_CASES_PER_TERM * matrix.shape[1]:
        expected[known] = matrix @ np.linalg.lstsq(matrix, scaled[known], rcond=None)[0]
    # Too few cases for that many terms: the mean expects the same of all, which leaves learning to
    # be seen and case mix unadjusted.
    elif known.any():
        expected[known] = scaled[known].mean()
    return expected


def _paired(table: CohortTable, column: str, key: str) -> tuple[list[float], list[float]]:
    """Numbers of a manifest column and of a metric over the used cases that have both."""
    first, second = table.column(column), table.column(key)
    pairs = [
        (float(a), float(b))
        for a, b, is_used in zip(first, second, table.is_used(), strict=True)
        if is_used and a is not None and b is not None
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _agreements(table: CohortTable, config: AuditConfig) -> tuple[Agreement, ...]:
    column = config.rating_column
    if column not in table.covariates:
        return ()
    keys = [key for key in ("impaired_share_20", "area_mean_frac") if key in table.metric_keys]
    return tuple(
        rating_agreement(*_paired(table, column, key), column, metric_spec(key), config.confidence)
        for key in keys
    )


def _outcomes(table: CohortTable, config: AuditConfig) -> tuple[OutcomeRelation, ...]:
    columns = [
        column
        for column in KNOWN_COLUMNS
        if column.role is ColumnRole.OUTCOME and column.name in table.covariates
    ]
    keys = [key for key in (config.metric, *_OUTCOME_METRICS) if key in table.metric_keys]
    specs = [metric_spec(key) for key in dict.fromkeys(keys)]
    relations = [
        outcome_relation(*_paired(table, column.name, spec.key), column, spec, config.confidence)
        for column in columns
        for spec in specs
    ]
    titles = {c.name: c.title for c in columns} | {spec.key: spec.title for spec in specs}
    return with_holm_outcomes(relations, titles)


def _months(table: CohortTable) -> tuple[MonthQuality, ...]:
    months: dict[str, list[int]] = {}
    for row, date in enumerate(table.column("date")):
        if date is not None:
            # All cases and not only those used: quality of recording does not hang on the model.
            months.setdefault(str(date)[:7], []).append(row)
    coverage, n_flags = table.column("coverage_frac"), table.column("n_flags")
    qualities = []
    for month, rows in sorted(months.items()):
        known = [coverage[row] for row in rows if coverage[row] is not None]
        median = float(np.median(known)) if known else None
        n_flagged = sum(n_flags[row] > 0 for row in rows)
        qualities.append(MonthQuality(month, len(rows), median, n_flagged))
    return tuple(qualities)


def _case_rows(
    table: CohortTable, charts: Sequence[ControlChart], config: AuditConfig
) -> tuple[AuditCase, ...]:
    signals: dict[str, tuple[Signal, ...]] = {}
    elsewhere: dict[str, list[str]] = {}
    for chart in charts:
        for point in chart.points:
            if chart.metric_key == config.metric:
                signals[point.case_id] = point.signals
            elif point.signals:
                elsewhere.setdefault(point.case_id, []).append(chart.metric_key)
    keys = [key for key in dict.fromkeys((config.metric, *_CASE_VALUES)) if key in table.cases]
    names = ("case_id", "folder", "date", "procedure", "technique", "surgeon", "coverage_frac")
    columns = {name: table.column(name) for name in (*names, *keys, "n_flags")}
    is_used = table.is_used().tolist()
    rows = [
        AuditCase(
            case_id=str(columns["case_id"][row]),
            folder=str(columns["folder"][row]),
            date=str(columns["date"][row] or ""),
            procedure=group_labels([columns["procedure"][row]])[0] or "",
            technique=group_labels([columns["technique"][row]])[0] or "",
            surgeon=group_labels([columns["surgeon"][row]])[0] or "",
            coverage_frac=columns["coverage_frac"][row],
            values=tuple((key, columns[key][row]) for key in keys),
            n_flags=int(columns["n_flags"][row]),
            signals=signals.get(str(columns["case_id"][row]), ()),
            is_used=is_used[row],
            elsewhere=tuple(elsewhere.get(str(columns["case_id"][row]), ())),
        )
        for row in range(table.n_cases)
    ]
    return tuple(sorted(rows, key=lambda case: (case.date, case.case_id)))


def _summary(
    table: CohortTable,
    charts: Sequence[ControlChart],
    funnels: Sequence[Funnel],
    curves: Sequence[LearningCurve],
) -> tuple[str, ...]:
    head = f"{plural(table.n_cases, 'case')}."
    if table.unread:
        head += f" {unread_text(table.unread)}."
    lines = [head]
    for chart in charts:
        label = "events" if chart.kind == "u" else f"{chart.title[0].lower()}{chart.title[1:]}"
        lines.append(f"{chart.procedure}, {label}: {chart.reading}")
    lines += [f"{_funnel_title(funnel)}: {funnel.reading}" for funnel in funnels]
    lines += [curve.reading for curve in curves]
    return tuple(lines)


def _funnel_title(funnel: Funnel) -> str:
    if not funnel.procedure:
        return funnel.title
    return f"{funnel.procedure}, {funnel.title[0].lower()}{funnel.title[1:]}"


def _caveats(table: CohortTable) -> tuple[str, ...]:
    caveats = (*review_caveat(table), *versions_caveat(table), *_CAVEATS)
    if not table.is_mixed:
        return caveats
    n_other = sum(model.n_cases for model in table.models if not model.is_used)
    mixed = (
        f"The library mixes {len(table.models)} ways of measuring (model or settings). {n_other} "
        "cases measured in another way than most are in the case table only; analyze them again "
        "to bring them into the charts."
    )
    return (mixed, *caveats)
