"""How alike the compared groups are: covariates side by side with standardized differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import BalanceCell, BalanceRow
from ubereport.cohort.design import Covariate, is_number_column
from ubereport.core.arrays import FloatArray

# Austin, Stat Med 2009;28:3083: differences of 0.1 are negligible; departments are small, so the
# mark is set where a difference begins to matter in groups of some dozen cases.
UNBALANCED_FROM = 0.25
_MAX_LEVELS = 12


# So few cases of two groups often happen not to overlap (three against three: one time in ten).
_MIN_CASES_APART = 5


def balance_table(
    covariates: Sequence[Covariate], labels: Sequence[str], groups: Sequence[str]
) -> tuple[BalanceRow, ...]:
    """Return one row a number and one a level of each category.

    The standardized difference is ``(m1 − m2) / sqrt((s1² + s2²) / 2)``, for shares with
    ``s² = p (1 − p)``; of several groups the largest pair counts. Where two groups of five cases or
    more do not overlap at all (shares of 0 and 1, ranges that do not touch), the row says so, also
    where there is no spread to measure by. `labels` gives each case's group.
    """
    rows: list[BalanceRow] = []
    for covariate in covariates:
        by_group = [
            [v for v, label in zip(covariate.values, labels, strict=True) if label == group]
            for group in groups
        ]
        if is_number_column(covariate.values):
            rows.append(_number_row(covariate.name, by_group, groups))
        else:
            rows += _level_rows(covariate.name, by_group, groups)
    return tuple(rows)


def _number_row(
    name: str, by_group: Sequence[Sequence[object]], groups: Sequence[str]
) -> BalanceRow:
    numbers_of = [np.array([float(str(v)) for v in values if v is not None]) for values in by_group]
    cells = [
        _cell(group, numbers, len(values), float(np.std(numbers, ddof=1))
              if len(numbers) > 1 else None)
        for group, values, numbers in zip(groups, by_group, numbers_of, strict=True)
    ]  # fmt: skip
    apart = tuple(
        (groups[i], groups[j])
        for i, j in _large_pairs(numbers_of)
        if numbers_of[i].max() < numbers_of[j].min() or numbers_of[j].max() < numbers_of[i].min()
    )
    return _row(name, "", cells, apart)


def _level_rows(
    name: str, by_group: Sequence[Sequence[object]], groups: Sequence[str]
) -> list[BalanceRow]:
    members = [[str(v) for v in values if v is not None] for values in by_group]
    counts = Counter(level for levels in members for level in levels)
    levels = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    # Apart in a category means that the groups share not one level of it.
    pairs = [(i, j) for i, j in _large_pairs(members) if set(members[i]).isdisjoint(members[j])]
    rows = []
    for level in levels[:_MAX_LEVELS]:
        cells = []
        for group, values, own in zip(groups, by_group, members, strict=True):
            is_level = np.array([float(value == level) for value in own])
            spread = float(np.sqrt(is_level.mean() * (1 - is_level.mean()))) if own else None
            cells.append(_cell(group, is_level, len(values), spread))
        apart = tuple((groups[i], groups[j]) for i, j in pairs if level in members[i] + members[j])
        rows.append(_row(name, level, cells, apart))
    return rows


def _large_pairs(values_of: Sequence[Sequence[object] | FloatArray]) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, j in combinations(range(len(values_of)), 2)
        if min(len(values_of[i]), len(values_of[j])) >= _MIN_CASES_APART
    ]


def _cell(group: str, values: FloatArray, n: int, spread: float | None) -> BalanceCell:
    mean = float(values.mean()) if len(values) else None
    return BalanceCell(group, len(values), n - len(values), mean, spread)


def _row(
    name: str, level: str, cells: Sequence[BalanceCell], apart: tuple[tuple[str, str], ...]
) -> BalanceRow:
    differences = [_standardized(a, b) for a, b in combinations(cells, 2)]
    sizes = [difference for difference in differences if difference is not None]
    largest = max(sizes) if sizes else None
    is_unbalanced = bool(apart) or (largest is not None and largest >= UNBALANCED_FROM)
    return BalanceRow(name, level, tuple(cells), largest, is_unbalanced, apart)


def _standardized(a: BalanceCell, b: BalanceCell) -> float | None:
    if a.mean is None or b.mean is None or a.sd is None or b.sd is None:
        return None
    pooled = np.sqrt((a.sd**2 + b.sd**2) / 2)
    # Both without spread: alike, or infinitely far apart, for which there is no number. Of groups
    # that are large enough `apart` says it in words.
    if pooled == 0:
        return 0.0 if a.mean == b.mean else None
    return float(abs(a.mean - b.mean) / pooled)
