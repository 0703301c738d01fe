"""Groups made alike otherwise than by a model of the outcome: overlap weights, matched pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import OtherEstimate
from ubereport.cohort.design import Covariate, covariate_terms
from ubereport.cohort.groups import GroupedCases
from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import CompareConfig
from ubereport.statistics.distributions import t_reach
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.ranks import walsh_shift

OVERLAP = "overlap weights on surgeon and covariates"
MATCHED = "pairs of equal procedure and near duration"
_MAX_STEPS = 50
_MIN_CASES = 10
_CALIPER_SD = 0.5


def weighted_estimates(
    cases: GroupedCases, covariates: Sequence[Covariate], config: CompareConfig
) -> tuple[OtherEstimate, ...]:
    """Return the difference of means of every pair of groups under overlap weights.

    A case counts by the probability of the other group, given its surgeon and covariates, so that
    the cases that might as well have been in the other group decide, and the weighted groups have
    equal means of all covariates. Source: Li, Morgan and Zaslavsky, J Am Stat Assoc 2018;113:390.
    """
    terms = _terms(cases, covariates)
    values = cases.values(config.primary)
    return tuple(
        _pair(cases, pair, values, terms, config)
        for pair in combinations(range(len(cases.groups)), 2)
    )


def _terms(cases: GroupedCases, covariates: Sequence[Covariate]) -> FloatArray:
    """(n, p) columns of surgeon and of the covariates that are known in every case."""
    columns: list[FloatArray] = []
    surgeon = Covariate("surgeon", tuple(name or "" for name in cases.surgeons))
    for covariate in (surgeon, *covariates):
        if all(value is not None for value in covariate.values):
            columns += covariate_terms(covariate)[0]
    return np.column_stack(columns) if columns else np.empty((len(cases.rows), 0))


def _pair(
    cases: GroupedCases,
    pair: tuple[int, int],
    values: FloatArray,
    terms: FloatArray,
    config: CompareConfig,
) -> OtherEstimate:
    reference, group = pair
    rows = np.flatnonzero((cases.codes == group) | (cases.codes == reference))
    is_group = cases.codes[rows] == group
    estimate = overlap_difference(values[rows], is_group, terms[rows], config)
    n_group = int(is_group.sum())
    return OtherEstimate(
        cases.groups[group],
        cases.groups[reference],
        OVERLAP,
        n_group,
        len(rows) - n_group,
        estimate,
    )


def overlap_difference(
    values: FloatArray, is_group: BoolArray, terms: FloatArray, config: CompareConfig
) -> Estimate:
    """Return the weighted difference of means, group less the rest, with a bootstrap interval.

    Cases are drawn inside each group, and the probabilities fitted anew each time.
    """
    smaller = int(min(is_group.sum(), (~is_group).sum()))
    if smaller < _MIN_CASES:
        reason = f"fewer than {_MIN_CASES} cases in one of the two"
        return Estimate(None, None, None, OVERLAP, reason, config.confidence)
    # A surgeon who used neither of the two leaves a column of zeros, with which nothing can be
    # solved.
    terms = terms[:, np.ptp(terms, axis=0) > 0]
    value = _weighted_difference(values, is_group, terms)
    if value is None:
        reason = "surgeon and covariates tell the two apart: no case might have been in the other"
        return Estimate(None, None, None, OVERLAP, reason, config.confidence)
    rng = np.random.default_rng(config.seed)
    members = [np.flatnonzero(is_group), np.flatnonzero(~is_group)]
    differences = []
    for _ in range(200):
        rows = np.concatenate([rng.choice(own, len(own)) for own in members])
        difference = _weighted_difference(values[rows], is_group[rows], terms[rows])
        if difference is not None:
            differences.append(difference)
    if len(differences) < 100:
        reason = "in most resampled cohorts the two can be told apart"
        return Estimate(value, None, None, OVERLAP, reason, config.confidence)
    degrees = len(values) - terms.shape[1] - 2
    reach = t_reach(config.confidence, max(degrees, 1)) * float(np.std(differences, ddof=1))
    return Estimate(value, value - reach, value + reach, OVERLAP, "", config.confidence)


def _weighted_difference(
    values: FloatArray, is_group: BoolArray, terms: FloatArray
) -> float | None:
    probability = logistic_probabilities(terms, is_group)
    if probability is None:
        return None
    weights = np.where(is_group, 1 - probability, probability)
    sums = [float(weights[own].sum()) for own in (is_group, ~is_group)]
    if min(sums) <= 1e-6:
        return None
    first, second = (
        float(weights[own] @ values[own]) / total
        for own, total in zip((is_group, ~is_group), sums, strict=True)
    )
    return first - second


def logistic_probabilities(terms: FloatArray, is_group: BoolArray) -> FloatArray | None:
    """(n,) probability of the group by logistic regression; None where it does not converge.

    Iteratively reweighted least squares; where terms tell the groups apart, coefficients run away.
    """
    # Newton's steps: at each, solve the least squares that the likelihood looks like from here.
    # Where terms tell the groups apart the best coefficients are infinite and the steps never get
    # small; odds beyond exp(30) are taken for that.
    matrix = np.column_stack([np.ones(len(terms)), terms])
    beta = np.zeros(matrix.shape[1])
    y = is_group.astype(np.float64)
    for _ in range(_MAX_STEPS):
        linear = np.clip(matrix @ beta, -30, 30)
        probability = 1 / (1 + np.exp(-linear))
        spread = probability * (1 - probability)
        try:
            step = np.linalg.solve((matrix.T * spread) @ matrix, matrix.T @ (y - probability))
        except np.linalg.LinAlgError:
            return None
        beta = beta + step
        if not np.all(np.isfinite(beta)) or np.abs(matrix @ beta).max() > 30:
            return None
        if np.abs(step).max() < 1e-8:
            return np.asarray(1 / (1 + np.exp(-matrix @ beta)))
    return None


def matched_estimates(cases: GroupedCases, config: CompareConfig) -> tuple[OtherEstimate, ...]:
    """Return the difference inside pairs of equal procedure and near duration.

    As Tuijthof et al. (Knee Surg Sports Traumatol Arthrosc 2011) matched: each case of the smaller
    group takes the nearest free case of the other with the same procedure, at most half an SD of
    the log duration away.
    """
    procedure = cases.column("procedure")
    recorded = cases.column("recorded_s")
    if all(p is None for p in procedure) or all(r is None for r in recorded):
        return ()
    values = cases.values(config.primary)
    log_s = np.array([np.nan if r is None else np.log(max(float(str(r)), 1.0)) for r in recorded])
    caliper = _CALIPER_SD * float(np.nanstd(log_s))
    estimates = []
    for reference, group in combinations(range(len(cases.groups)), 2):
        pairs = _matched(cases, (group, reference), procedure, log_s, caliper)
        differences = np.array([values[i] - values[j] for i, j in pairs])
        if len(pairs):
            estimate = walsh_shift(differences, config.confidence)
            estimates.append(
                OtherEstimate(
                    cases.groups[group], cases.groups[reference], MATCHED, len(pairs), len(pairs),
                    estimate,
                )
            )  # fmt: skip
    return tuple(estimates)


def _matched(
    cases: GroupedCases,
    pair: tuple[int, int],
    procedure: Sequence[object],
    log_s: FloatArray,
    caliper: float,
) -> list[tuple[int, int]]:
    # Greedy, the smaller group choosing: in the order of the table each case takes the nearest one
    # still free, and nobody is taken twice. Pairs come back group first, whoever chose.
    members = [np.flatnonzero(cases.codes == code).tolist() for code in pair]
    is_swapped = len(members[0]) > len(members[1])
    seekers, free = (members[1], members[0]) if is_swapped else (members[0], members[1])
    free, pairs = list(free), []
    for case in seekers:
        near = [
            (abs(log_s[case] - log_s[other]), other)
            for other in free
            if procedure[case] is not None and procedure[case] == procedure[other]
        ]
        # A case of unknown length has a gap of NaN, which lies within no caliper: it finds no
        # partner.
        near = [(gap, other) for gap, other in near if gap <= caliper]
        if near:
            _, other = min(near)
            free.remove(other)
            pairs.append((other, case) if is_swapped else (case, other))
    return pairs
