"""How many times as long events take to clear in one group: a model beside the curves."""

from __future__ import annotations

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.statistics.accelerated import fit_log_normal_times
from ubereport.statistics.distributions import t_reach
from ubereport.statistics.estimates import Estimate

METHOD = "log-normal accelerated failure times, surgeons held equal, clustered"
_MIN_CASES_OF_SURGEON = 2


def time_ratio(
    duration_s: FloatArray,
    is_cleared: BoolArray,
    case_index: IntArray,
    is_group: BoolArray,
    case_surgeon: IntArray,
    config: CompareConfig,
) -> Estimate:
    """Return the ratio of times to clear, group over reference.

    Every case with events counts alike. Cases are the clusters, or surgeons where each group has
    `min_surgeons_for_mixed` of them; Student's t has one degree fewer than the group with fewer
    clusters. Surgeons with one case tell nothing of the difference inside surgeons and are one.

    Parameters
    ----------
    duration_s, is_cleared, case_index
        (n,) events of the two groups, and the case of each.
    is_group, case_surgeon
        (c,) whether a case is of the group, and code of its surgeon.
    """
    # The model is of the log of a time: one of 0 has none.
    has_length = duration_s > 0
    duration_s, is_cleared, case_index = (
        duration_s[has_length],
        is_cleared[has_length],
        case_index[has_length],
    )
    cases, place = np.unique(case_index, return_inverse=True)
    in_group, surgeon = is_group[cases], _pooled(case_surgeon[cases])
    sides = (in_group, ~in_group)
    if min(int(side.sum()) for side in sides) < config.min_cases_for_p:
        return _none(f"fewer than {config.min_cases_for_p} cases with events in a group", config)
    if not all(is_cleared[side[place]].any() for side in sides):
        return _none("no clearing was seen in one of the groups", config)
    columns = [np.ones(len(cases)), in_group.astype(np.float64)]
    columns += [(surgeon == code).astype(np.float64) for code in np.unique(surgeon)[1:]]
    matrix = np.column_stack(columns)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return _none("groups cannot be told apart from surgeons", config)
    n_surgeons = min(len(np.unique(surgeon[side])) for side in sides)
    is_surgeon_cluster = n_surgeons >= config.min_surgeons_for_mixed
    clusters = np.unique(surgeon, return_inverse=True)[1] if is_surgeon_cluster else None
    units = np.arange(len(cases)) if clusters is None else clusters
    fit = fit_log_normal_times(
        duration_s, is_cleared, matrix[place], 1.0 / np.bincount(place)[place], units[place]
    )
    if fit is None:
        return _none("the likelihood has no top", config)
    degrees = min(len(np.unique(units[side])) for side in sides) - 1
    reach = t_reach(config.confidence, degrees) * float(np.sqrt(fit.covariance[1, 1]))
    value, low, high = (float(np.exp(fit.coefficients[1] + step)) for step in (0.0, -reach, reach))
    return Estimate(value, low, high, METHOD, "", config.confidence)


def _pooled(surgeon: IntArray) -> IntArray:
    n_cases = np.bincount(surgeon)[surgeon]
    return np.where(n_cases < _MIN_CASES_OF_SURGEON, -1, surgeon)


def _none(reason: str, config: CompareConfig) -> Estimate:
    return Estimate(None, None, None, METHOD, reason, config.confidence)
