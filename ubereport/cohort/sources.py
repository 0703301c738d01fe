"""What a comparison is given beside its cases, and what stands against naming a direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import numpy as np

from ubereport.cohort.adjusted import AdjustedModel
from ubereport.cohort.comparison_results import (
    BalanceRow,
    Lead,
    PlanStatus,
    PlanUse,
    TimeToClear,
    UseEffect,
)
from ubereport.cohort.device import (
    KNOT_KEYS,
    CaseAreas,
    GroupError,
    draw_errors,
    read_group_errors,
    seen_error,
)
from ubereport.cohort.groups import GroupedCases
from ubereport.cohort.lead import LeadTerms, lead_of
from ubereport.cohort.plan import ComparePlan, read_plan
from ubereport.cohort.scales import scale_of
from ubereport.cohort.table import CohortTable
from ubereport.cohort.uses import (
    MEASURED_FROM_USE,
    SeriesOf,
    UseTimes,
    from_first_use,
    use_effects,
    use_times_of,
)
from ubereport.cohort.wording import plural
from ubereport.core.arrays import FloatArray
from ubereport.core.config import CompareConfig
from ubereport.core.errors import UsageError
from ubereport.core.series import AreaSeries
from ubereport.files.records.store import read_series
from ubereport.metrics.registry import metric_spec

_N_DRAWS = 2000
_HIDDEN_SHARE = 0.5
_HIDDEN_DIFFERENCE, _HIDDEN_RATIO = 0.05, 1.5
_BY_TECHNIQUE = "technique"
UNKNOWN_THRESHOLDS = "it is not known of every case what the model measures at its other thresholds"
IMMORTAL_TIME = (
    "the manifest does not say when in each case its technique was used: a technique used late "
    "cannot have changed the minutes before"
)


@dataclass(frozen=True, slots=True)
class ComparisonSources:
    """The stored plan with its seal, how to read a case's series, labelled stills by group."""

    plan: tuple[ComparePlan, str] | None = None
    series_of: SeriesOf | None = None
    local_errors: Mapping[str, GroupError] = field(default_factory=dict)


NO_SOURCES = ComparisonSources()


def sources_of(
    library: Path, errors: Path | None, series_of_folder: Callable[[Path], AreaSeries] = read_series
) -> ComparisonSources:
    """Return what a library and a file of errors by group give a comparison.

    `series_of_folder` reads the series of a case that its numbers rest on; by default the measured
    one, also of cases that were reviewed.
    """
    return ComparisonSources(
        plan=read_plan(library),
        series_of=lambda folder: series_of_folder(library / folder),
        local_errors={} if errors is None else read_group_errors(errors),
    )


def plan_barriers(plan: PlanUse) -> tuple[str, ...]:
    """Return why a plan that cannot be trusted lets no direction be named."""
    return (plan.detail,) if plan.status in (PlanStatus.LATE, PlanStatus.CHANGED) else ()


@dataclass(frozen=True, slots=True, eq=False)
class TimeZero:
    """From when on the cases are measured: `table` where that is the first use, and why not."""

    table: CohortTable | None
    told: str
    barriers: tuple[str, ...] = ()
    effects: tuple[UseEffect, ...] = ()


def time_zero(
    cases: GroupedCases, by: str, config: CompareConfig, series_of: SeriesOf | None
) -> TimeZero:
    """Say from when on cases are measured, and whether techniques may be compared at all.

    Groups other than techniques are there from the start of a case.
    """
    if by != _BY_TECHNIQUE:
        return TimeZero(None, "cases are measured from their start")
    uses = use_times_of(cases.table)
    own = [uses[row] for row in cases.rows]
    n_unknown = sum(use.first_s is None for use in own)
    if n_unknown == len(own):
        return TimeZero(None, "cases are measured from their start", (IMMORTAL_TIME,))
    if n_unknown:
        return TimeZero(None, "cases are measured from their start", (_unknown(own, n_unknown),))
    if all(use.first_s == 0 for use in own):
        return TimeZero(None, "every technique was in use from the start of the case")
    if config.primary not in MEASURED_FROM_USE or series_of is None:
        reason = f"{metric_spec(config.primary).title} is not measured from the first use on"
        return TimeZero(None, "cases are measured from their start", (reason,))
    labels = dict(zip(cases.case_ids, cases.labels, strict=True))
    from_use = from_first_use(cases.table, uses, series_of)
    return TimeZero(
        from_use.table,
        "every case is measured from the first use of its technique on",
        (),
        use_effects(from_use.around, labels, config.confidence),
    )


def _unknown(own: Sequence[UseTimes], n_unknown: int) -> str:
    problems = [use.problem for use in own if use.problem]
    text = f"the time of use is not known in {plural(n_unknown, 'case')} of {len(own)}"
    if problems:
        text += f"; in {len(problems)} of them because {problems[0]}"
    return text


def leads_of(
    cases: GroupedCases,
    model: AdjustedModel,
    balance: Sequence[BalanceRow],
    barriers: tuple[str, ...],
    clear: TimeToClear,
    local_errors: Mapping[str, GroupError],
    config: CompareConfig,
) -> tuple[Lead, ...]:
    """Return what may be said of every pair of groups, the reference's pairs first.

    Raises
    ------
    UsageError
        If stills of some groups were labelled and of others not.
    """
    used = next(use for use in cases.table.models if use.is_used)
    try:
        draws = draw_errors(
            cases.groups, used.facts.operations, local_errors, _N_DRAWS, config.seed
        )
    except ValueError as error:
        raise UsageError(
            f"The labelled stills do not fit the groups: {error}. Label stills of every group, or "
            "leave the file out."
        ) from None
    areas = _areas(cases, config.primary)
    at_thresholds = _at_thresholds(cases, config.primary)
    if areas.is_known and at_thresholds is None:
        barriers = (*barriers, UNKNOWN_THRESHOLDS)
    terms = LeadTerms(
        groups=cases.groups,
        areas=areas,
        at_thresholds=at_thresholds,
        codes=cases.codes,
        n_surgeons=len(set(cases.surgeons) - {None}),
        draws=draws if areas.is_known else None,
        seen=seen_error(used.facts.operations),
        balance=balance,
        barriers=barriers,
        scale=scale_of(metric_spec(config.primary)),
        config=config,
        hidden=hidden_bleeding(clear),
    )
    return tuple(
        lead_of(cases.groups[group], cases.groups[reference], model, terms)
        for reference in range(len(cases.groups))
        for group in range(reference + 1, len(cases.groups))
    )


def hidden_bleeding(clear: TimeToClear) -> tuple[tuple[frozenset[str], str], ...]:
    """Say where lost bleeding stands against a direction: the groups it concerns, and why.

    The metric is of the time that could be judged. Where most bleeds of a group end in a lost view,
    that may be the better part of it; where bleeding is lost more readily in one group than in the
    other, the difference may be in what was lost. A group that clears faster loses fewer events
    though each open minute is lost as readily: both must differ.
    """
    curves = [curve for curve in clear.curves if curve.n_events]
    half = [
        (
            frozenset({curve.group}),
            f"{curve.n_censored} of {curve.n_events} events with {curve.group} were lost from view "
            "before they cleared, so the time that could be judged may leave out the worst",
        )
        for curve in curves
        if curve.n_censored >= _HIDDEN_SHARE * curve.n_events
    ]
    unlike = [
        (
            frozenset({a.group, b.group}),
            f"bleeding was lost from view more often with {a.group} ({a.n_censored} of "
            f"{a.n_events} events) than with {b.group} ({b.n_censored} of {b.n_events}), so the "
            "difference may be in what could not be judged",
        )
        for a, b in permutations(curves, 2)
        # The second condition is multiplied out: a group that was watched for no time, or lost no
        # event, would divide by zero.
        if a.n_censored / a.n_events - b.n_censored / b.n_events >= _HIDDEN_DIFFERENCE
        and a.n_censored * b.watched_s >= _HIDDEN_RATIO * b.n_censored * a.watched_s
    ]
    return (*half, *unlike)


def _areas(cases: GroupedCases, key: str) -> CaseAreas:
    keys = set(cases.table.metric_keys)
    shares = None
    if set(KNOT_KEYS) <= keys:
        columns = [cases.values(knot) for knot in KNOT_KEYS]
        shares = np.column_stack(columns)
    return CaseAreas(key, cases.values(key), shares)


def _at_thresholds(cases: GroupedCases, key: str) -> dict[str, FloatArray] | None:
    band = cases.table.bands.get(key)
    if band is None or np.isnan(band[cases.rows]).any():
        return None
    # Of a share or mean of areas the strict threshold gives the smaller value.
    return {"strict": band[cases.rows, 0], "lenient": band[cases.rows, 1]}
