"""`ubereport audit`: a department's cases over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

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
from ubereport.cohort.caveats import audit_caveats
from ubereport.cohort.charts import ChartCases, u_chart, xmr_chart
from ubereport.cohort.comparison_results import DropCount, drop_counts
from ubereport.cohort.cusum import learning_curve, mean_neighbor_correlation, with_holm_curves
from ubereport.cohort.design import Covariate, covariate_terms
from ubereport.cohort.funnel import false_alarm_of_funnels, mean_funnel, share_funnel
from ubereport.cohort.ratings_and_outcomes import (
    outcome_relation,
    rating_agreement,
    with_holm_outcomes,
)
from ubereport.cohort.scales import scale_of
from ubereport.cohort.table import CohortTable, group_labels
from ubereport.cohort.wording import plural, unread_text
from ubereport.core.arrays import FloatArray
from ubereport.core.config import AuditConfig
from ubereport.core.covariates import KNOWN_COLUMNS, ColumnRole, require_column
from ubereport.core.errors import UsageError
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
_LABELS = ("procedure", "technique", "surgeon")
_NO_PROCEDURE = "procedure not stated"
_RATE, _AT_RISK, _COVERAGE = "event_rate_per_10min", "at_risk_s", "coverage_frac"


def audit_cohort(table: CohortTable, config: AuditConfig | None = None) -> Audit:
    """Audit the cases of a library.

    Charts, funnel and curves rest on the cases measured in the way used most; the others stand in
    the case table and are counted.

    Raises
    ------
    UsageError
        If the configured metric does not exist, or ratings or outcomes are no numbers.
    """
    config = AuditConfig() if config is None else config
    require_column(config.metric, table.metric_keys, "metric")
    cases = _labelled(table)
    used = cases[cases["is_used"]]
    # Cases of one day are put in the order of their ids: any order would do, but it must be the
    # same in every audit.
    dated = used[used["date"].notna()].sort_values(["date", "case_id"])
    # Before the charts: these have fixed limits, and the charts are given what they leave of the
    # page's false alarms.
    funnels = _funnels(used, dated, config)
    curves = _learning_curves(dated, config)
    spent = _spent(funnels, curves, config)
    rules, charts, false_charts = _charts(table, dated, config, spent)
    return Audit(
        metric_key=config.metric,
        n_cases=len(used),
        charts=charts,
        funnels=funnels,
        learning_curves=curves,
        agreements=_agreements(table, used, config),
        outcomes=_outcomes(table, used, config),
        months=_months(cases),
        cases=_case_rows(cases, charts, config),
        models=table.models,
        dropped=_dropped(cases),
        unread=table.unread,
        reading=_summary(table, charts, funnels, curves),
        caveats=audit_caveats(table),
        false_alarm=_false_alarm(rules, false_charts, funnels, curves, config),
    )


def _labelled(table: CohortTable) -> pd.DataFrame:
    """Return the cases with dates, and names of groups, as texts; None where there is none."""
    texts = {"date": table.column("date")}
    texts |= {name: group_labels(table.column(name)) for name in _LABELS}
    columns = {
        name: pd.Series(values, table.cases.index, dtype="object") for name, values in texts.items()
    }
    coverage = table.cases.get("coverage_frac", np.nan)
    return table.cases.assign(is_used=table.is_used(), coverage_frac=coverage, **columns)


def _dropped(cases: pd.DataFrame) -> tuple[DropCount, ...]:
    other = tuple(cases["case_id"][~cases["is_used"]])
    undated = tuple(cases["case_id"][cases["is_used"] & cases["date"].isna()])
    drops = (
        DropCount("measured with another model or other settings", other),
        DropCount("no date in the manifest: not on a chart", undated),
    )
    return tuple(drop for drop in drops if drop.case_ids)


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


def _charts(
    table: CohortTable, dated: pd.DataFrame, config: AuditConfig, spent: float
) -> tuple[ChartRules, tuple[ControlChart, ...], float]:
    """Draw all charts by the same rules, so chosen that the page holds its false-alarm share.

    `spent` is what funnels and curves have of it.
    """
    pages: list[tuple[pd.DataFrame, str, str]] = []
    # A metric that is charted anyway has one chart, not two that count as independent.
    of_procedures = [config.metric]
    if {_RATE, _AT_RISK} <= set(table.metric_keys) and config.metric != _RATE:
        of_procedures.append(_RATE)
    for procedure, own in dated.groupby(dated["procedure"].fillna(_NO_PROCEDURE)):
        pages += [(own, key, str(procedure)) for key in of_procedures]
    is_apart = _COVERAGE in table.metric_keys and config.metric != _COVERAGE
    if is_apart and len(dated):
        pages.append((dated, _COVERAGE, ALL_PROCEDURES))
    # What funnels and curves leave, counted as independent of the charts; a tenth at least, so that
    # a page with many funnels still has charts that can signal.
    allowed = max(1 - (1 - config.false_alarm_frac) / (1 - spent), 0.1 * config.false_alarm_frac)
    lengths = [len(own) for own, _, _ in pages]
    rules, false_alarm = rules_for_page(lengths, config.run_points, allowed)
    charts = [_chart(table, *page, config, rules) for page in pages]
    return rules, tuple(charts), false_alarm


def _chart(
    table: CohortTable,
    own: pd.DataFrame,
    key: str,
    procedure: str,
    config: AuditConfig,
    rules: ChartRules,
) -> ControlChart:
    is_known = own[key].notna() & ((own[_AT_RISK] > 0) if key == _RATE else True)
    drops = drop_counts(
        (table.reasons.get((case_id, key), "not measured"), case_id)
        for case_id in own["case_id"][~is_known]
    )
    measured = own[is_known]
    cases = ChartCases(tuple(measured["case_id"]), tuple(measured["date"]), drops)
    spec, values = metric_spec(key), _values(measured, key)
    if key != _RATE:
        return xmr_chart(cases, values, spec, scale_of(spec), procedure, config, rules)
    exposure = _values(measured, _AT_RISK) / _EXPOSURE_S
    # Records hold the rate; rate times exposure is the whole number that it was made of, but for
    # rounding.
    return u_chart(cases, np.round(values * exposure), exposure, spec, procedure, config, rules)


def _values(cases: pd.DataFrame, key: str) -> FloatArray:
    return cases[key].to_numpy(dtype=np.float64)


def _funnels(used: pd.DataFrame, dated: pd.DataFrame, config: AuditConfig) -> tuple[Funnel, ...]:
    """Draw the surgeons of each procedure over its recent cases: old ones mark nobody for good."""
    if not len(dated):
        return _funnels_of(used, config)
    last = dt.date.fromisoformat(dated["date"].iloc[-1])
    # Counted from the newest case and not from today: an audit repeated later must give the same
    # page.
    start = (last - dt.timedelta(days=config.funnel_days - 1)).isoformat()
    recent = dated[dated["date"] >= start]
    return tuple(
        replace(
            funnel,
            procedure=str(procedure),
            first_date=own["date"].iloc[0],
            last_date=own["date"].iloc[-1],
        )
        for procedure, own in recent.groupby(recent["procedure"].fillna(_NO_PROCEDURE))
        for funnel in _funnels_of(own, config)
    )


def _funnels_of(cases: pd.DataFrame, config: AuditConfig) -> tuple[Funnel, ...]:
    named = cases[cases["surgeon"].notna()]
    spec, own = metric_spec(config.metric), named[named[config.metric].notna()]
    values, surgeons = own[config.metric].tolist(), own["surgeon"].tolist()
    funnels = [mean_funnel(values, surgeons, spec, scale_of(spec), config)]
    if "major_event_count" in cases:
        own = named[named["major_event_count"].notna()]
        has_major = (own["major_event_count"] > 0).tolist()
        funnels.append(
            share_funnel(has_major, own["surgeon"].tolist(), _share_with_major(), config)
        )
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


def _learning_curves(dated: pd.DataFrame, config: AuditConfig) -> tuple[LearningCurve, ...]:
    spec = metric_spec(config.metric)
    scale = scale_of(spec)
    cases = dated[dated[config.metric].notna()]
    scaled = scale.forward(_values(cases, config.metric))
    expected, held_equal = _expected(cases, scaled)
    cases = cases.assign(expected=expected)
    # What is left after case mix: a surgeon's neighboring cases may still be alike, and a curve
    # drawn as if they were not would turn too easily.
    cases = cases.assign(beyond=scaled - cases["expected"])
    by_surgeon = [
        (str(surgeon), own)
        for surgeon, own in cases.groupby("surgeon")
        if len(own) >= config.min_cases_per_surgeon
    ]
    correlation = mean_neighbor_correlation([_values(own, "beyond") for _, own in by_surgeon])
    curves = [
        learning_curve(
            surgeon,
            own["case_id"].tolist(),
            own["date"].tolist(),
            _values(own, config.metric),
            _values(own, "expected"),
            spec,
            scale,
            config,
            correlation,
        )
        for surgeon, own in by_surgeon
    ]
    adjusted = [replace(curve, held_equal=held_equal) for curve in curves]
    return with_holm_curves(adjusted, spec, _CURVES_SHARE * config.false_alarm_frac)


def _expected(cases: pd.DataFrame, scaled: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """(n,) what the case mix makes expect of each case, on the metric's scale; and its columns.

    Least squares over all cases on technique, procedure, levels and antithrombotics ("not known"
    is a level): what a surgeon's cases were is no part of the surgeon's learning.
    """
    columns, names = [np.ones(len(cases))], []
    for name in _CASE_MIX:
        if name in cases:
            labels = tuple(label or "" for label in group_labels(cases[name]))
            terms = covariate_terms(Covariate(name, labels))[0]
            columns += terms
            names += [name] if terms else []
    matrix = np.column_stack(columns)
    if len(matrix) >= _MIN_CASES_PER_TERM * matrix.shape[1]:
        fitted = np.asarray(matrix @ np.linalg.lstsq(matrix, scaled, rcond=None)[0])
        return fitted, tuple(names)
    # Too few cases for that many terms: the mean expects the same of all, which leaves learning to
    # be seen and case mix unadjusted.
    return np.full(len(scaled), scaled.mean() if len(scaled) else np.nan), ()


def _paired(used: pd.DataFrame, column: str, key: str) -> tuple[list[float], list[float]]:
    """Numbers of a manifest column and of a metric over the used cases that have both."""
    try:
        pairs = used[[column, key]].dropna().astype("float64")
    except (TypeError, ValueError):
        raise UsageError(
            f"The column {column!r} of the manifest holds words where numbers are needed. Name a "
            "column of numbers, or mend its cells."
        ) from None
    return pairs[column].tolist(), pairs[key].tolist()


def _agreements(
    table: CohortTable, used: pd.DataFrame, config: AuditConfig
) -> tuple[Agreement, ...]:
    column = config.rating_column
    if column not in table.covariates:
        return ()
    keys = [key for key in ("impaired_share_20", "area_mean_frac") if key in table.metric_keys]
    return tuple(
        rating_agreement(*_paired(used, column, key), column, metric_spec(key), config.confidence)
        for key in keys
    )


def _outcomes(
    table: CohortTable, used: pd.DataFrame, config: AuditConfig
) -> tuple[OutcomeRelation, ...]:
    columns = [
        column
        for column in KNOWN_COLUMNS
        if column.role is ColumnRole.OUTCOME and column.name in table.covariates
    ]
    keys = [key for key in (config.metric, *_OUTCOME_METRICS) if key in table.metric_keys]
    specs = [metric_spec(key) for key in dict.fromkeys(keys)]
    relations = [
        outcome_relation(*_paired(used, column.name, spec.key), column, spec, config.confidence)
        for column in columns
        for spec in specs
    ]
    titles = {c.name: c.title for c in columns} | {spec.key: spec.title for spec in specs}
    return with_holm_outcomes(relations, titles)


def _months(cases: pd.DataFrame) -> tuple[MonthQuality, ...]:
    # All cases and not only those used: quality of recording does not hang on the model.
    dated = cases[cases["date"].notna()]
    months = []
    for month, own in dated.groupby(dated["date"].str[:7]):
        coverage = own["coverage_frac"].dropna().to_numpy(dtype=np.float64)
        median = float(np.median(coverage)) if len(coverage) else None
        months.append(MonthQuality(str(month), len(own), median, int((own["n_flags"] > 0).sum())))
    return tuple(months)


def _case_rows(
    cases: pd.DataFrame, charts: Sequence[ControlChart], config: AuditConfig
) -> tuple[AuditCase, ...]:
    signals: dict[str, tuple[Signal, ...]] = {}
    elsewhere: dict[str, list[str]] = {}
    for chart in charts:
        for point in chart.points:
            if chart.metric_key == config.metric:
                signals[point.case_id] = point.signals
            elif point.signals:
                elsewhere.setdefault(point.case_id, []).append(chart.metric_key)
    keys = [key for key in dict.fromkeys((config.metric, *_CASE_VALUES)) if key in cases]
    plain = cases.assign(**{key: _or_none(cases[key]) for key in {*keys, "coverage_frac"}})
    return tuple(
        AuditCase(
            case_id=str(case["case_id"]),
            folder=str(case["folder"]),
            date=case["date"] or "",
            procedure=case["procedure"] or "",
            technique=case["technique"] or "",
            surgeon=case["surgeon"] or "",
            coverage_frac=case["coverage_frac"],
            values=tuple((key, case[key]) for key in keys),
            n_flags=int(case["n_flags"]),
            signals=signals.get(case["case_id"], ()),
            is_used=bool(case["is_used"]),
            elsewhere=tuple(elsewhere.get(case["case_id"], ())),
        )
        for case in plain.fillna({"date": ""}).sort_values(["date", "case_id"]).to_dict("records")
    )


def _or_none(column: pd.Series[float]) -> pd.Series[Any]:
    return column.astype("object").where(column.notna(), None)


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
