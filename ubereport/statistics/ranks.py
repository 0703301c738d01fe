"""Two or more groups compared by ranks: shift, Cliff's delta, tests, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from ubereport.core.arrays import FloatArray
from ubereport.statistics.distributions import normal_reach, t_reach
from ubereport.statistics.estimates import Estimate, TestResult

# Exact null distributions up to this group size, where nothing is tied (the rule of R's
# wilcox.test); beyond it the normal approximation with continuity correction.
_MAX_EXACT_N = 49
_MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))
_SHIFT_METHOD = "Hodges–Lehmann shift, interval by inverting the Mann–Whitney test"
_WALSH_METHOD = "median of means of pairs, interval by inverting the signed-rank test"
_MIN_PAIRS = 5
_DELTA_METHOD = "Cliff's delta, asymmetric interval with the unbiased variance (Cliff 1996)"


def hodges_lehmann(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the median of all differences ``x[i] − y[j]`` with a distribution-free interval.

    Parameters
    ----------
    x, y
        (m,), (n,) finite values of the two groups; at least one each.
    confidence
        Coverage of the interval, which holds every shift that a two-sided Mann–Whitney test at
        ``1 − confidence`` does not reject.

    Notes
    -----
    Exact without ties and up to 49 cases a group, else normal with continuity correction and the
    variance corrected for ties within groups. Source: Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods, section 4.3; equal to R's ``wilcox.test``.
    """
    differences = np.sort(np.subtract.outer(x, y).ravel())
    value = float(np.median(differences))
    # The limits are two of the differences themselves: which ones, the test says, without any
    # assumption about their distribution.
    rank = _lower_rank(x, y, confidence)
    if rank < 1:
        reason = f"too few cases for a {confidence:.0%} interval"
        return Estimate(value, None, None, _SHIFT_METHOD, reason, confidence)
    low, high = differences[rank - 1], differences[len(differences) - rank]
    return Estimate(value, float(low), float(high), _SHIFT_METHOD, "", confidence)


def _lower_rank(x: FloatArray, y: FloatArray, confidence: float) -> int:
    """1-based rank, among the sorted differences, of the lower limit; below 1 if there is none."""
    m, n = len(x), len(y)
    # Of all differences, as many are cut off at either end as chance alone would put there with
    # half of what the confidence leaves: counted exactly in small groups without
    # ties, else by the normal curve.
    if _is_exact(x, y):
        cumulative = np.cumsum(_u_distribution(m, n))
        return int(np.searchsorted(cumulative, (1 - confidence) / 2, side="right"))
    variance = m * n / 12 * ((m + n + 1) - _tie_term(x, y) / ((m + n) * (m + n - 1)))
    z = normal_reach(confidence)
    rank = math.floor(m * n / 2 + 0.5 - z * math.sqrt(max(variance, 0.0)))
    return min(rank, (m * n + 1) // 2)


def _tie_term(x: FloatArray, y: FloatArray) -> float:
    """Sum of t³ − t over the ties inside each group: a shift breaks those across groups."""
    counts = np.concatenate([np.unique(group, return_counts=True)[1] for group in (x, y)])
    return float(np.sum(counts.astype(np.float64) ** 3 - counts))


def _is_exact(x: FloatArray, y: FloatArray) -> bool:
    pooled = np.concatenate([x, y])
    return max(len(x), len(y)) <= _MAX_EXACT_N and len(np.unique(pooled)) == len(pooled)


def walsh_shift(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return the median of all means of pairs of paired differences, with its exact interval.

    The interval holds every shift that a two-sided signed-rank test does not reject; no interval
    under five pairs. Source: Hollander, Wolfe and Chicken, section 3.2.
    """
    n = len(differences)
    upper = np.triu_indices(n)
    means = np.sort((np.add.outer(differences, differences) / 2)[upper])
    value = float(np.median(means))
    if n < _MIN_PAIRS:
        reason = f"fewer than {_MIN_PAIRS} cases"
        return Estimate(value, None, None, _WALSH_METHOD, reason, confidence)
    counts = np.zeros(len(means) + 1)
    counts[0] = 1.0
    # Each rank is in the sum or is not: count the ways to reach every sum, one rank after the
    # other.
    # Halved each time they are shares of the 2^n ways, which no float could count. The ranks so far
    # reach no sum beyond the last one.
    for rank in range(1, n + 1):
        end = rank * (rank + 1) // 2 + 1
        counts[rank:end] += counts[: end - rank].copy()
        counts[:end] /= 2
    cumulative = np.cumsum(counts)
    rank = int(np.searchsorted(cumulative, (1 - confidence) / 2, side="right"))
    if rank < 1:
        reason = f"too few cases for a {confidence:.0%} interval"
        return Estimate(value, None, None, _WALSH_METHOD, reason, confidence)
    low, high = float(means[rank - 1]), float(means[len(means) - rank])
    return Estimate(value, low, high, _WALSH_METHOD, "", confidence)


def _u_distribution(m: int, n: int) -> FloatArray:
    """(m·n + 1,) null probabilities of the Mann–Whitney U, from the Gaussian binomial."""
    # The number of ways to get each U is a product of polynomials over a product of polynomials
    # (the Gaussian binomial); each factor is multiplied in from above or divided out from below.
    counts = np.zeros(m * n + 1)
    counts[0] = 1.0
    for i in range(1, m + 1):
        step = n + i
        counts[step:] -= counts[:-step].copy() if step <= m * n else 0.0
        for k in range(i, m * n + 1):
            counts[k] += counts[k - i]
    return np.asarray(counts / math.comb(m + n, m))


def cliff_delta(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> Estimate:
    """Return P(X > Y) − P(X < Y) with Cliff's asymmetric interval.

    Where the groups do not overlap, the variance is 0 and the limit toward 0 is
    ``(n − z²) / (n + z²)`` with the smaller group's n. Source: Cliff, Ordinal Methods for
    Behavioral Data Analysis (1996), chapter 5; Feng and Cliff, J Mod Appl Stat Methods 2004;3:322.
    """
    m, n = len(x), len(y)
    delta = float(np.mean(_dominance_rows(x, y)))
    if min(m, n) < 2:
        reason = "fewer than two cases in a group"
        return Estimate(delta, None, None, _DELTA_METHOD, reason, confidence)
    if abs(delta) == 1.0:
        z2 = normal_reach(confidence) ** 2
        inner = max((min(m, n) - z2) / (min(m, n) + z2), -1.0)
        low, high = (inner, 1.0) if delta > 0 else (-1.0, -inner)
        return Estimate(delta, low, high, _DELTA_METHOD, "", confidence)
    variance = _delta_variance(x, y, delta)
    t = t_reach(confidence, m + n - 2)
    spread = t * math.sqrt(variance * ((1 - delta**2) ** 2 + t**2 * variance))
    bottom = 1 - delta**2 + t**2 * variance
    low, high = (delta - delta**3 - spread) / bottom, (delta - delta**3 + spread) / bottom
    return Estimate(delta, max(low, -1.0), min(high, 1.0), _DELTA_METHOD, "", confidence)


def _dominance_rows(x: FloatArray, y: FloatArray) -> FloatArray:
    """(m,) mean over y of sign(x[i] − y[j])."""
    ordered = np.sort(y)
    below = np.searchsorted(ordered, x, side="left")
    not_above = np.searchsorted(ordered, x, side="right")
    return np.asarray((below + not_above - len(y)) / len(y), dtype=np.float64)


def _delta_variance(x: FloatArray, y: FloatArray, delta: float) -> float:
    # Delta is a mean over all pairs, and pairs that share a case go together. So its variance comes
    # from how the cases of each group differ (rows, columns), less the scatter of single pairs,
    # which is in both. In small groups that can fall below what is possible; then the least holds.
    m, n = len(x), len(y)
    rows = float(np.sum((_dominance_rows(x, y) - delta) ** 2))
    columns = float(np.sum((-_dominance_rows(y, x) - delta) ** 2))
    n_untied = np.sum(np.sign(np.subtract.outer(x, y)) != 0)
    cells = float(n_untied - m * n * delta**2)
    unbiased = (n**2 * rows + m**2 * columns - cells) / (m * n * (m - 1) * (n - 1))
    return max(unbiased, (1 - delta**2) / (m * n - 1))


def cliff_magnitude(delta: float) -> str:
    """Return the band of Cliff's delta: edges .147, .33 and .474 (Romano et al. 2006)."""
    for edge, name in _MAGNITUDES:
        if abs(delta) < edge:
            return name
    return "large"


def mann_whitney(x: FloatArray, y: FloatArray, min_cases: int = 5) -> TestResult:
    """Two-sided Mann–Whitney test; no p-value where a group has fewer than `min_cases`."""
    name = "Mann–Whitney test"
    if min(len(x), len(y)) < min_cases:
        reason = f"no p-value: fewer than {min_cases} cases in a group"
        return TestResult(name, None, reason=reason)
    is_exact = _is_exact(x, y)
    method: Literal["exact", "asymptotic"] = "exact" if is_exact else "asymptotic"
    result = stats.mannwhitneyu(x, y, alternative="two-sided", method=method)
    p_value = float(result.pvalue)
    if math.isnan(p_value):
        return TestResult(name, 1.0, float(result.statistic))
    return TestResult(f"{name} ({method})", p_value, float(result.statistic))


def kruskal_wallis(groups: Sequence[FloatArray], min_cases: int = 5) -> TestResult:
    """Kruskal–Wallis test over the groups of at least `min_cases`; needs two of them."""
    name = "Kruskal–Wallis test"
    large = [group for group in groups if len(group) >= min_cases]
    if len(large) < 2:
        reason = f"no p-value: fewer than two groups of {min_cases} cases or more"
        return TestResult(name, None, reason=reason)
    if len(np.unique(np.concatenate(large))) == 1:
        return TestResult(name, 1.0, 0.0)
    statistic, p_value = stats.kruskal(*large)
    return TestResult(name, float(p_value), float(statistic))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's step-down adjusted p-values; None stays None and does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    ranked = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(ranked):
        # The factor falls as p-values rise: one of them could else end up below a smaller one.
        largest = max(largest, min(1.0, p * (len(ranked) - rank)))
        adjusted[i] = largest
    return adjusted
