"""Groups of cases: who takes part in a comparison, and one metric compared over the groups."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import (
    CasePoint,
    Contrast,
    DropCount,
    GroupSummary,
    MetricComparison,
    drop_counts,
)
from ubereport.cohort.design import Covariate
from ubereport.cohort.table import CohortTable, group_labels
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import CALENDAR_TIME, CASE_ORDER, require_column
from ubereport.core.errors import UsageError
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import TestResult
from ubereport.statistics.ranks import (
    cliff_delta,
    cliff_magnitude,
    hodges_lehmann,
    holm,
    kruskal_wallis,
    mann_whitney,
)

_MAX_GROUPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class GroupedCases:
    """The cases of a comparison.

    `rows` (n,) are positions in the table, `codes` (n,) index `groups`, whose first is the
    reference; `surgeons` holds one pseudonym or None a case.
    """

    table: CohortTable
    rows: IntArray
    codes: IntArray
    groups: tuple[str, ...]
    surgeons: tuple[str | None, ...]
    dropped: tuple[DropCount, ...]

    @property
    def case_ids(self) -> tuple[str, ...]:
        """One id a case."""
        return tuple(self.table.cases["case_id"].iloc[self.rows])

    @property
    def labels(self) -> tuple[str, ...]:
        """The group of each case."""
        return tuple(self.groups[code] for code in self.codes)

    def values(self, key: str) -> FloatArray:
        """(n,) a metric, NaN where a case has none."""
        return np.asarray(self.table.cases[key].iloc[self.rows], dtype=np.float64)

    def column(self, name: str) -> tuple[object, ...]:
        """(n,) a column of the table, None where unknown."""
        whole = self.table.column(name)
        return tuple(whole[row] for row in self.rows)


def grouped_cases(table: CohortTable, by: str, primary: str, reference: str | None) -> GroupedCases:
    """Sort the cases into groups by the column `by`; the largest group is the reference.

    Left out, with the reason: cases measured in another way than most, cases without a group,
    cases without a value of the primary metric.

    Raises
    ------
    UsageError
        If there is no such column, metric or reference group, if fewer than two groups are left,
        or if the column has too many values to be groups.
    """
    require_column(by, table.covariates, "column of the manifest")
    require_column(primary, table.metric_keys, "metric")
    labels = group_labels(table.column(by))
    drops = _drops(table, labels, by, primary)
    gone = {row for rows in drops.values() for row in rows}
    rows = [row for row in range(table.n_cases) if row not in gone]
    counts = Counter(str(labels[row]) for row in rows)
    # By name where sizes are equal: the reference must not hang on the order of a folder.
    groups = sorted(counts, key=lambda group: (-counts[group], group))
    _check_groups(groups, by, drops)
    if reference is not None:
        require_column(reference, groups, f"group of {by}")
        groups = [reference, *(group for group in groups if group != reference)]
    surgeons, case_ids = group_labels(table.column("surgeon")), table.column("case_id")
    return GroupedCases(
        table,
        np.array(rows, dtype=np.int64),
        np.array([groups.index(str(labels[row])) for row in rows], dtype=np.int64),
        tuple(groups),
        tuple(surgeons[row] for row in rows),
        drop_counts((reason, case_ids[row]) for reason, rows in drops.items() for row in rows),
    )


def derived_covariates(cases: GroupedCases) -> tuple[Covariate, ...]:
    """Return calendar time (days) and each case's place among its surgeon's cases, from the dates.

    A department changes and surgeons learn while techniques come and go: what was used later is
    compared with what was used earlier. The place is counted over all cases of the library, also
    those that the comparison leaves out. Empty where no case has a date.
    """
    dates = cases.table.column("date")
    if all(date is None for date in dates):
        return ()
    surgeons, case_ids = group_labels(cases.table.column("surgeon")), cases.table.column("case_id")
    days = [None if d is None else float(dt.date.fromisoformat(d).toordinal()) for d in dates]
    first = min(day for day in days if day is not None)
    order: dict[int, float] = {}
    n_before: Counter[str] = Counter()
    for row in sorted(range(len(dates)), key=lambda row: (days[row] or 0.0, case_ids[row])):
        surgeon = surgeons[row]
        if days[row] is not None and surgeon is not None:
            n_before[surgeon] += 1
            order[row] = float(n_before[surgeon])
    elapsed = [None if day is None else day - first for day in days]
    covariates = [Covariate(CALENDAR_TIME, tuple(elapsed[row] for row in cases.rows))]
    if order:
        covariates.append(Covariate(CASE_ORDER, tuple(order.get(int(row)) for row in cases.rows)))
    return tuple(covariates)


def _check_groups(groups: Sequence[str], by: str, drops: dict[str, list[int]]) -> None:
    if len(groups) > _MAX_GROUPS:
        raise UsageError(
            f"{by} has {len(groups)} different values; at most {_MAX_GROUPS} can be compared as "
            "groups. Name a column of categories, or use it as a covariate."
        )
    if len(groups) < 2:
        found = f"only {groups[0]}" if groups else "none"
        left_out = "; ".join(f"{len(rows)} left out: {why}" for why, rows in sorted(drops.items()))
        raise UsageError(
            f"A comparison by {by} needs cases in two groups; found {found}."
            f"{' ' + left_out + '.' if left_out else ''} Add cases or name another column."
        )


def _drops(
    table: CohortTable, labels: Sequence[str | None], by: str, primary: str
) -> dict[str, list[int]]:
    is_used = table.is_used().to_numpy()
    values = table.cases[primary].to_numpy(dtype=np.float64)
    drops: dict[str, list[int]] = {}
    for row, case_id in enumerate(table.cases["case_id"]):
        if not is_used[row]:
            reason = "measured with another model or other settings"
        elif labels[row] is None:
            reason = f"{by} not stated in the manifest"
        elif np.isnan(values[row]):
            why = table.reasons.get((case_id, primary), "not measured")
            reason = f"no value of {primary}: {why}"
        else:
            continue
        drops.setdefault(reason, []).append(row)
    return drops


def compare_metric(
    cases: GroupedCases, key: str, config: CompareConfig, is_primary: bool
) -> MetricComparison:
    """Compare one metric over all groups; cases without a value of it are left out and counted.

    Every group needs at least one case with a value.
    """
    spec = metric_spec(key)
    values = cases.values(key)
    is_known = ~np.isnan(values)
    by_group = [values[is_known & (cases.codes == code)] for code in range(len(cases.groups))]
    contrasts = tuple(
        _contrast(cases.groups, by_group, (group, reference), config)
        for reference, group in combinations(range(len(cases.groups)), 2)
    )
    if len(cases.groups) > 2:
        omnibus = kruskal_wallis(by_group, config.min_cases_for_p)
    else:
        omnibus = contrasts[0].test
    return MetricComparison(
        metric_key=key,
        title=spec.title,
        unit=spec.unit,
        direction=spec.direction,
        is_primary=is_primary,
        groups=tuple(_summary(cases, code, values) for code in range(len(cases.groups))),
        omnibus=omnibus,
        contrasts=contrasts,
        dropped=drop_counts(
            (cases.table.reasons.get((case_id, key), "not measured"), case_id)
            for case_id, has_value in zip(cases.case_ids, is_known, strict=True)
            if not has_value
        ),
    )


def _summary(cases: GroupedCases, code: int, values: FloatArray) -> GroupSummary:
    rows = np.flatnonzero((cases.codes == code) & ~np.isnan(values))
    case_ids = cases.case_ids
    points = tuple(CasePoint(case_ids[row], float(values[row])) for row in rows)
    surgeons = {cases.surgeons[row] for row in rows} - {None}
    if len(rows) == 0:
        return GroupSummary(cases.groups[code], 0, 0, None, None, None, None, None, ())
    low, median, high = (float(q) for q in np.quantile(values[rows], [0.25, 0.5, 0.75]))
    return GroupSummary(
        group=cases.groups[code],
        n_cases=len(rows),
        n_surgeons=len(surgeons),
        median=median,
        quartile_low=low,
        quartile_high=high,
        minimum=float(values[rows].min()),
        maximum=float(values[rows].max()),
        points=points,
    )


def _contrast(
    groups: Sequence[str],
    by_group: Sequence[FloatArray],
    pair: tuple[int, int],
    config: CompareConfig,
) -> Contrast:
    group, reference = pair
    x, y = by_group[group], by_group[reference]
    delta = cliff_delta(x, y, config.confidence)
    return Contrast(
        group=groups[group],
        reference=groups[reference],
        n_group=len(x),
        n_reference=len(y),
        shift=hodges_lehmann(x, y, config.confidence),
        cliff_delta=delta,
        magnitude=cliff_magnitude(delta.value if delta.value is not None else 0.0),
        test=mann_whitney(x, y, config.min_cases_for_p),
    )


def with_holm(
    comparisons: Sequence[MetricComparison], *, is_primary: bool
) -> tuple[MetricComparison, ...]:
    """Correct the p-values of all contrasts of `comparisons` together, by Holm's method."""
    p_values = [c.test.p_value for comparison in comparisons for c in comparison.contrasts]
    adjusted = iter(holm(p_values))
    n = sum(p is not None for p in p_values)
    family = _primary_family(n) if is_primary else _secondary_family(n)
    return tuple(
        replace(
            comparison,
            contrasts=tuple(
                replace(c, test=_corrected(c.test, next(adjusted), family))
                for c in comparison.contrasts
            ),
        )
        for comparison in comparisons
    )


def _primary_family(n: int) -> str:
    if n == 1:
        return "contrasts of the primary metric, 1 test"
    return f"contrasts of the primary metric, {n} tests"


def _secondary_family(n: int) -> str:
    if n == 1:
        return "contrasts of all secondary metrics, 1 test"
    return f"contrasts of all secondary metrics, {n} tests"


def _corrected(test: TestResult, p_holm: float | None, family: str) -> TestResult:
    return replace(test, p_holm=p_holm, family=family)
