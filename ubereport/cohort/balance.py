"""How alike the compared groups are: covariates side by side with standardized differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ubereport.cohort.design import Covariate, is_number_column
from ubereport.core.arrays import FloatArray
from ubereport.core.cohort import BalanceCell, BalanceRow

__all__ = ["UNBALANCED_FROM", "balance_table"]

# Austin, Stat Med 2009;28:3083: differences of 0.1 are negligible; departments are small, so the
# mark is set where a difference begins to matter in groups of some dozen cases.
UNBALANCED_FROM = 0.25
_MAX_LEVELS = 12


def balance_table(
    covariates: Sequence[Covariate], labels: Sequence[str], groups: Sequence[str]
) -> tuple[BalanceRow, ...]:
    """Return one row a number and one a level of each category.

    The standardized difference is ``(m1 − m2) / sqrt((s1² + s2²) / 2)``, for shares with
    ``s² = p (1 − p)``; of several groups the largest pair counts. `labels` gives each case's group.
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
    cells = []
    for group, values in zip(groups, by_group, strict=True):
        known = np.array([float(str(v)) for v in values if v is not None])
        cells.append(_cell(group, known, len(values), float(np.std(known, ddof=1))
                           if len(known) > 1 else None))  # fmt: skip
    return _row(name, "", cells)


def _level_rows(
    name: str, by_group: Sequence[Sequence[object]], groups: Sequence[str]
) -> list[BalanceRow]:
    counts = Counter(str(v) for values in by_group for v in values if v is not None)
    levels = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    rows = []
    for level in levels[:_MAX_LEVELS]:
        cells = []
        for group, values in zip(groups, by_group, strict=True):
            known = np.array([float(str(v) == level) for v in values if v is not None])
            spread = float(np.sqrt(known.mean() * (1 - known.mean()))) if len(known) else None
            cells.append(_cell(group, known, len(values), spread))
        rows.append(_row(name, level, cells))
    return rows


def _cell(group: str, known: FloatArray, n: int, spread: float | None) -> BalanceCell:
    mean = float(known.mean()) if len(known) else None
    return BalanceCell(group, len(known), n - len(known), mean, spread)


def _row(name: str, level: str, cells: Sequence[BalanceCell]) -> BalanceRow:
    differences = [_standardized(a, b) for a, b in combinations(cells, 2)]
    known = [difference for difference in differences if difference is not None]
    largest = max(known) if known else None
    is_unbalanced = largest is not None and largest >= UNBALANCED_FROM
    return BalanceRow(name, level, tuple(cells), largest, is_unbalanced)


def _standardized(a: BalanceCell, b: BalanceCell) -> float | None:
    if a.mean is None or b.mean is None or a.sd is None or b.sd is None:
        return None
    pooled = np.sqrt((a.sd**2 + b.sd**2) / 2)
    if pooled == 0:
        return 0.0 if a.mean == b.mean else None
    return float(abs(a.mean - b.mean) / pooled)
