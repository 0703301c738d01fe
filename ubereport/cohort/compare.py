"""`ubereport compare`: groups of cases against each other, the case as the unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ubereport.cohort.adjusted import ModelCases, adjusted_model
from ubereport.cohort.balance import balance_table
from ubereport.cohort.caveats import comparison_caveats
from ubereport.cohort.comparison_results import Comparison, MetricComparison, PowerNote, TimeToClear
from ubereport.cohort.design import Covariate
from ubereport.cohort.groups import (
    GroupedCases,
    compare_metric,
    derived_covariates,
    grouped_cases,
    with_holm,
)
from ubereport.cohort.plan import plan_use
from ubereport.cohort.reading import comparison_reading, lead_reading
from ubereport.cohort.scales import scale_of
from ubereport.cohort.sources import (
    NO_SOURCES,
    ComparisonSources,
    leads_of,
    plan_barriers,
    time_zero,
)
from ubereport.cohort.survival import ClearEvents, time_to_clear
from ubereport.cohort.table import CohortTable
from ubereport.cohort.weighting import matched_estimates, weighted_estimates
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import COVERAGE, KNOWN_COLUMNS, ColumnRole, require_column
from ubereport.language.speaking import in_english
from ubereport.metrics.registry import installed_metrics, metric_spec
from ubereport.statistics.power import detectable_delta, detectable_shift

# Procedure and levels first, then time, then what is true of the patient: the order in which
# covariates are taken while the cases last.
_N_BEFORE_TIME = 2
# Compared beside the primary metric, in this order, where the cases have them; those of installed
# extensions follow.
_SECONDARY_KEYS = (
    "impaired_share_20",
    "area_mean_frac",
    "longest_run_20_s",
    "closing_area_mean_frac",
    "event_rate_per_10min",
    "time_to_clear_median_s",
)


@in_english
def compare_cohort(
    table: CohortTable,
    by: str = "technique",
    config: CompareConfig | None = None,
    covariates: Sequence[str] | None = None,
    reference: str | None = None,
    sources: ComparisonSources = NO_SOURCES,
) -> Comparison:
    """Compare the cases of a library by a column of its manifest.

    Parameters
    ----------
    table
        The library, from `read_cohort`.
    by
        Manifest column whose values are the groups.
    config
        Declares the primary metric; defaults where None.
    covariates
        Columns held equal in the adjusted estimate; None takes the known covariates that the
        manifest has, calendar time, and each case's place in its surgeon's series.
    reference
        Group that the others are compared with; the largest where None.
    sources
        The plan of the library, series of its cases, and what labelled stills say.

    Raises
    ------
    UsageError
        If a column, metric or group does not exist or there are fewer than two groups.
    """
    config = CompareConfig() if config is None else config
    everyone = grouped_cases(table, by, config.primary, reference)
    zero = time_zero(everyone, by, config, sources.series_of)
    cases = everyone
    if zero.table is not None:
        cases = grouped_cases(zero.table, by, config.primary, reference)
    named = _covariates(cases, by, covariates)
    primary, secondary = _metrics(cases, config)
    model_cases = ModelCases(
        cases.case_ids, cases.values(config.primary), cases.codes, cases.groups, cases.surgeons,
        named,
    )  # fmt: skip
    model = adjusted_model(model_cases, scale_of(metric_spec(config.primary)), config)
    adjusted = model.comparison
    clear = _time_to_clear(cases, config)
    balanced = (*named, *_surgeon_column(cases), *_shown_only(cases, named))
    balance = balance_table(balanced, cases.labels, cases.groups)
    power = _power_notes(cases, primary, config)
    folders = tuple(map(str, cases.column("folder")))
    plan = plan_use(sources.plan, by, config, reference, covariates, folders)
    barriers = (*plan_barriers(plan), *zero.barriers)
    leads = leads_of(cases, model, balance_table(named, cases.labels, cases.groups), barriers,
                     clear, sources.local_errors, config)  # fmt: skip
    comparison = Comparison(
        by=by,
        reference=cases.groups[0],
        n_cases=len(cases.rows),
        n_surgeons=len(set(cases.surgeons) - {None}),
        primary=primary,
        secondary=secondary,
        adjusted=adjusted,
        time_to_clear=clear,
        balance=balance,
        power=power,
        dropped=cases.dropped,
        unread=table.unread,
        models=table.models,
        reading=comparison_reading(primary, adjusted, clear, balance, power),
        caveats=comparison_caveats(table, by),
        leads=leads,
        plan=plan,
        time_zero=zero.told,
        use_effects=zero.effects,
        other_estimates=(
            *weighted_estimates(cases, named, config),
            *matched_estimates(cases, config),
        ),
    )
    return replace(comparison, headline=lead_reading(comparison, config))


def _covariates(cases: GroupedCases, by: str, names: Sequence[str] | None) -> tuple[Covariate, ...]:
    """Return what is held equal: the named columns, or what was settled before the technique."""
    derived = {c.name: c for c in derived_covariates(cases)}
    available = {*cases.table.covariates, *derived, COVERAGE}
    if names is None:
        order = [c.name for c in KNOWN_COLUMNS if c.role is ColumnRole.COVARIATE]
        order = [
            *order[:_N_BEFORE_TIME],
            *derived,
            *order[_N_BEFORE_TIME:],
        ]
        names = [name for name in order if name in available and name != by]
    for name in names:
        require_column(name, available, "column of the manifest")
    return tuple(derived.get(name) or Covariate(name, cases.column(name)) for name in names)


def _shown_only(cases: GroupedCases, named: Sequence[Covariate]) -> tuple[Covariate, ...]:
    """Return what the balance table shows beside: reached under the technique, never held equal."""
    names = [c.name for c in KNOWN_COLUMNS if c.role is ColumnRole.REACHED]
    taken = {covariate.name for covariate in named}
    available = {*cases.table.covariates, COVERAGE} & set(cases.table.cases.columns)
    return tuple(
        Covariate(name, cases.column(name))
        for name in (*names, COVERAGE)
        if name in available and name not in taken
    )


def _surgeon_column(cases: GroupedCases) -> tuple[Covariate, ...]:
    is_known = any(surgeon is not None for surgeon in cases.surgeons)
    return (Covariate("surgeon", cases.surgeons),) if is_known else ()


def _metrics(
    cases: GroupedCases, config: CompareConfig
) -> tuple[MetricComparison, tuple[MetricComparison, ...]]:
    primary = compare_metric(cases, config.primary, config, is_primary=True)
    added = [m.spec.key for m in installed_metrics().metrics]
    keys = [
        key
        for key in (*_SECONDARY_KEYS, *added)
        if key != config.primary and key in cases.table.metric_keys and _is_in_all(cases, key)
    ]
    secondary = [compare_metric(cases, key, config, is_primary=False) for key in keys]
    (primary,) = with_holm([primary], is_primary=True)
    return primary, with_holm(secondary, is_primary=False)


def _is_in_all(cases: GroupedCases, key: str) -> bool:
    is_known = ~np.isnan(cases.values(key))
    return len(set(cases.codes[is_known].tolist())) == len(cases.groups)


def _time_to_clear(cases: GroupedCases, config: CompareConfig) -> TimeToClear:
    position = {case_id: index for index, case_id in enumerate(cases.case_ids)}
    events = cases.table.events
    events = events[events["case_id"].isin(position)]
    is_seen = events["is_onset_observed"].to_numpy(dtype=np.bool_)
    index = np.array([position[case_id] for case_id in events["case_id"]], dtype=np.int64)
    names = [
        surgeon if surgeon is not None else f"unknown {case_id}"
        for surgeon, case_id in zip(cases.surgeons, cases.case_ids, strict=True)
    ]
    surgeon_codes = np.unique(np.array(names), return_inverse=True)[1]
    return time_to_clear(
        ClearEvents(
            # Ends less onsets: a minute would else differ from 60 s by rounding.
            duration_s=events["duration_s"].to_numpy(dtype=np.float64)[is_seen].round(6),
            is_cleared=~events["is_censored"].to_numpy(dtype=np.bool_)[is_seen],
            case_index=index[is_seen],
            case_group=cases.codes,
            case_surgeon=np.asarray(surgeon_codes, dtype=np.int64),
            n_onset_unseen=np.bincount(index[~is_seen], minlength=len(names)),
            groups=cases.groups,
        ),
        config,
    )


def _power_notes(
    cases: GroupedCases, primary: MetricComparison, config: CompareConfig
) -> tuple[PowerNote, ...]:
    """One note a contrast, at the level of Holm's first step."""
    values = cases.values(primary.metric_key)
    alpha = (1 - config.confidence) / len(primary.contrasts)
    notes = []
    for contrast in primary.contrasts:
        x, y = (
            values[cases.codes == cases.groups.index(group)]
            for group in (contrast.group, contrast.reference)
        )
        delta = detectable_delta(len(x), len(y), config.power, alpha)
        shift = detectable_shift(x, y, delta) if delta is not None else None
        notes.append(
            PowerNote(
                contrast.group,
                contrast.reference,
                len(x),
                len(y),
                config.power,
                alpha,
                delta,
                shift,
            )
        )
    return tuple(notes)
