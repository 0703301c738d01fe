"""Quantiles and tails of the usual distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from ubereport.core.arrays import FloatArray

if TYPE_CHECKING:
    from scipy.stats.distributions import rv_frozen


def normal_quantile(probability: float) -> float:
    """Return the standard normal value below which `probability` lies."""
    return float(stats.norm.ppf(probability))


def normal_tail(z: float) -> float:
    """Return the probability of a standard normal value above `z`."""
    return float(stats.norm.sf(z))


def normal_reach(confidence: float) -> float:
    """Return how many standard errors a two-sided normal interval reaches: 1.96 for 0.95."""
    return normal_quantile(0.5 + confidence / 2)


def t_quantile(probability: float, degrees: float) -> float:
    """Return the value of Student's t below which `probability` lies."""
    return float(stats.t.ppf(probability, degrees))


def t_tail(t: float, degrees: float) -> float:
    """Return the probability of a Student's t above `t`."""
    return float(stats.t.sf(t, degrees))


def t_reach(confidence: float, degrees: float) -> float:
    """Return how many standard errors a two-sided interval by Student's t reaches."""
    return t_quantile(0.5 + confidence / 2, degrees)


def chi_square_tail(chi_square: float, degrees: float) -> float:
    """Return the probability of a chi-square above `chi_square`."""
    return float(stats.chi2.sf(chi_square, degrees))


def hypergeometric(n_total: int, n_with: int, n_drawn: int) -> rv_frozen:
    """Return the distribution of how many of `n_drawn` out of `n_total` are among `n_with`."""
    return stats.hypergeom(n_total, n_with, n_drawn)


def exact_limits(count: rv_frozen, n: int, probabilities: Sequence[float]) -> tuple[float, ...]:
    """Return limits of the share of a count of n: below each with its probability at most.

    Limits of a probability above one half are upper ones, beyond which the share lies with the rest
    of it at most. With r the quantile of the count, the lower limit is
    ``(r − (F(r) − p) / (F(r) − F(r − 1))) / n``, and the upper one that of the others mirrored,
    which is 1 / n above the same expression. Source: Spiegelhalter, Stat Med 2005;24:1185, appendix
    A.1.1, whose upper limits lie below r: a count of r, which may be far more likely than the rest
    of the probability, would be out.
    """
    # All of F at once: SciPy takes as long for one value as for hundreds.
    reached = np.asarray(count.cdf(np.arange(-1, n + 1)))
    at = np.searchsorted(reached, probabilities)  # of r, since F(-1) is the first
    fraction = (reached[at] - probabilities) / (reached[at] - reached[at - 1])
    mirrored = np.asarray(probabilities) > 0.5
    return tuple(np.clip((at - 1 - fraction + mirrored) / n, 0.0, 1.0).tolist())


def poisson_distances(counts: FloatArray, expected: FloatArray) -> FloatArray:
    """Return how many standard deviations a normal value as unlikely as each count lies off.

    As unlikely as a count as far off or farther, on its side, so that steady counts leave a
    distance no oftener than normal values do; 0 where either side is as likely as not.
    """
    above = stats.norm.isf(stats.poisson.sf(counts - 1, expected))
    below = stats.norm.isf(stats.poisson.cdf(counts, expected))
    # A tail that is 0 in floating point has no finite distance; 37 deviations stand for it.
    return np.asarray(np.clip(np.maximum(above, 0.0) - np.maximum(below, 0.0), -37.0, 37.0))


def poisson_limits(expected: FloatArray, sigmas: float) -> tuple[FloatArray, FloatArray]:
    """Return the counts beyond which `poisson_distances` are larger than `sigmas`.

    Interpolated as those of `exact_limits`; the lower one is 0 where no count lies below.
    """
    tail = normal_tail(sigmas)
    low = np.asarray(stats.poisson.ppf(tail, expected), np.float64)
    high = np.asarray(stats.poisson.isf(tail, expected), np.float64)

    def step(count: FloatArray, probability: float) -> FloatArray:
        reached, before = stats.poisson.cdf(count, expected), stats.poisson.cdf(count - 1, expected)
        fraction = (reached - probability) / np.maximum(reached - before, 1e-300)
        return np.asarray(np.clip(fraction, 0.0, 1.0), np.float64)

    return np.maximum(low - step(low, tail), 0.0), high + 1 - step(high, 1 - tail)


def dispersion_p_value(counts: FloatArray, exposure: FloatArray) -> float:
    """Return how often steady counts of that sum vary as much or more (Pearson's chi-square).

    Given their sum, steady counts are multinomial: a thousand draws with one seed. The chi-square
    distribution holds only where five or so are expected of each.
    """
    shares = exposure / exposure.sum()
    total = int(counts.sum())
    draws = np.random.default_rng(0).multinomial(total, shares, 999)
    statistics = ((draws - total * shares) ** 2 / (total * shares)).sum(axis=1)
    seen = float(((counts - total * shares) ** 2 / (total * shares)).sum())
    return float((1 + (statistics >= seen * (1 - 1e-12)).sum()) / 1000)
