"""Quantiles and tails of the usual distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

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
    """Return the shares below which a count of n falls with each probability, interpolated.

    With r the quantile of the count, ``(r − (F(r) − p) / (F(r) − F(r − 1))) / n``. Source:
    Spiegelhalter, Stat Med 2005;24:1185, appendix A.1.1.
    """
    # All of F at once: SciPy takes as long for one value as for hundreds.
    reached = np.asarray(count.cdf(np.arange(-1, n + 1)))
    at = np.searchsorted(reached, probabilities)  # of r, since F(-1) is the first
    fraction = (reached[at] - probabilities) / (reached[at] - reached[at - 1])
    return tuple(np.clip((at - 1 - fraction) / n, 0.0, 1.0).tolist())
