"""Design matrices: groups, surgeons and covariates of complete cases as columns of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.cohort.comparison_results import LeftOut
from ubereport.core.arrays import BoolArray, FloatArray, IntArray

_MAX_LEVELS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Covariate:
    """One covariate over all cases of a model: name and a value a case, None where unknown."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A linear model's columns.

    Parameters
    ----------
    matrix
        (n, p) float64: intercept, one column for each group but the first, then surgeons (if
        fixed), then covariates (numbers centered and scaled to SD 1).
    group_columns
        Column of each group, -1 for the first, which is in the intercept.
    covariates, left_out
        Which covariates are in, and why the others are not.
    is_within
        Whether group contrasts compare cases of the same surgeon only.
    """

    matrix: FloatArray
    group_columns: tuple[int, ...]
    covariates: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    is_within: bool

    def contrast(self, group: int, reference: int) -> FloatArray:
        """(p,) weights whose product with the coefficients is `group` minus `reference`."""
        weights = np.zeros(self.matrix.shape[1])
        for index, sign in ((group, 1.0), (reference, -1.0)):
            if self.group_columns[index] >= 0:
                weights[self.group_columns[index]] += sign
        return weights

    def row_of(self, group: int) -> FloatArray:
        """(p,) the average case, were it of `group`."""
        row = self.matrix.mean(axis=0)
        row[[column for column in self.group_columns if column >= 0]] = 0.0
        if self.group_columns[group] >= 0:
            row[self.group_columns[group]] = 1.0
        return np.asarray(row, dtype=np.float64)

    def merged(self, group: int, reference: int) -> FloatArray:
        """(n, p − 1) the matrix in which the two groups are one."""
        columns = [self.group_columns[i] for i in (group, reference) if self.group_columns[i] >= 0]
        # One of the two is in the intercept: without its own column the other one is there, too.
        if len(columns) == 1:
            return np.delete(self.matrix, columns[0], axis=1)
        together = self.matrix.copy()
        together[:, columns[0]] += together[:, columns[1]]
        return np.delete(together, columns[1], axis=1)


def build_design(
    group_codes: IntArray,
    n_groups: int,
    surgeon_codes: IntArray | None,
    covariates: Sequence[Covariate],
    min_cases_per_term: int,
    is_surgeon_fixed: bool = True,
) -> Design | None:
    """Build the columns; None where a group cannot be told apart from the surgeons.

    Surgeons are fixed effects, or, for a model with a random intercept, each surgeon's share of
    cases in each group: without it, surgeons who see more blood and prefer one technique would
    bias the contrast (Mundlak, Econometrica 1978;46:69). A covariate that carries nothing new, or
    more terms than the number of cases allows (`min_cases_per_term` a term), is left out with its
    reason, later ones first.
    """
    # A contrast must compare cases of one surgeon, else it compares surgeons. Few surgeons: one
    # column each, and no model where a group is then no longer told apart. Many: each surgeon's
    # shares of the groups as columns, so that the group columns keep what varies inside surgeons.
    n = len(group_codes)
    columns = [np.ones(n), *_indicators(group_codes, n_groups)]
    is_within = False
    if surgeon_codes is not None and is_surgeon_fixed:
        columns += _indicators(surgeon_codes, int(surgeon_codes.max()) + 1)
        is_within = True
        if _rank(columns) < len(columns):
            return None
    elif surgeon_codes is not None:
        shares = [_surgeon_mean(column, surgeon_codes) for column in columns[1:]]
        usable = [share for share in shares if np.ptp(share) > 0]
        is_within = _rank([*columns, *usable]) == len(columns) + len(usable)
        columns = [*columns, *usable] if is_within else columns
    columns, used, left_out = _add_covariates(columns, covariates, min_cases_per_term)
    group_columns = (-1, *range(1, n_groups))
    return Design(np.column_stack(columns), group_columns, used, left_out, is_within)


def _add_covariates(
    columns: list[FloatArray], covariates: Sequence[Covariate], min_cases_per_term: int
) -> tuple[list[FloatArray], tuple[str, ...], tuple[LeftOut, ...]]:
    n = len(columns[0])
    used: list[str] = []
    left_out: list[LeftOut] = []
    for covariate in covariates:
        terms, reason = covariate_terms(covariate)
        candidate = [*columns, *terms]
        if not reason and len(candidate) * min_cases_per_term > n:
            reason = f"too few cases ({n}) for one more term"
        if not reason and _rank(candidate) < len(candidate):
            reason = "says the same as the groups or other columns of the model"
        if reason:
            left_out.append(LeftOut(covariate.name, reason))
        else:
            columns, used = candidate, [*used, covariate.name]
    return columns, tuple(used), tuple(left_out)


def _rank(columns: Sequence[FloatArray]) -> int:
    return int(np.linalg.matrix_rank(np.column_stack(columns)))


def _surgeon_mean(column: FloatArray, surgeon_codes: IntArray) -> FloatArray:
    n_cases = np.maximum(np.bincount(surgeon_codes), 1)
    means = np.bincount(surgeon_codes, weights=column) / n_cases
    return np.asarray(means[surgeon_codes])


def _indicators(codes: IntArray, n_levels: int) -> list[FloatArray]:
    return [(codes == level).astype(np.float64) for level in range(1, n_levels)]


def covariate_terms(covariate: Covariate) -> tuple[list[FloatArray], str]:
    """Return the columns of a covariate, or none and the reason.

    Numbers give one column, scaled; categories one for each level but the most frequent.
    """
    values = covariate.values
    if is_number_column(values):
        numbers = np.array([float(str(v)) for v in values])
        if np.ptp(numbers) == 0:
            return [], "the same in all cases"
        return [(numbers - numbers.mean()) / numbers.std()], ""
    counts = Counter(str(value) for value in values)
    levels = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(levels) < 2:
        return [], "the same in all cases"
    # A category with so many levels is often free text or an id; its columns would eat the cases.
    if len(levels) > _MAX_LEVELS:
        return [], f"has {len(levels)} levels; at most {_MAX_LEVELS} are modeled"
    return [_is_level(values, level).astype(np.float64) for level in levels[1:]], ""


def _is_level(values: Sequence[object], level: str) -> BoolArray:
    return np.array([str(value) == level for value in values], dtype=np.bool_)


def is_number_column(values: Sequence[object]) -> bool:
    """Whether every known value is a number (true and false are none)."""
    values_present = [value for value in values if value is not None]
    return bool(values_present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values_present
    )
