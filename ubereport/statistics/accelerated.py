"""Accelerated failure times: how many times as long something takes, with clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from ubereport.core.arrays import BoolArray, FloatArray, IntArray

# The slope of the log-likelihood at its top, for each unit of weight.
_STILL = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class TimesFit:
    """Coefficients (p,) on log time, their cluster-robust covariance (p, p), and the log's SD."""

    coefficients: FloatArray
    covariance: FloatArray
    log_sd: float


def fit_log_normal_times(
    duration_s: FloatArray,
    is_seen: BoolArray,
    matrix: FloatArray,
    weights: FloatArray,
    clusters: IntArray,
) -> TimesFit | None:
    """Fit ``log t = matrix b + sd e`` with e standard normal, by maximum likelihood.

    An end that was not seen counts with the probability to last longer. As R's
    ``survreg(Surv(t, seen) ~ x, weights, dist = "lognormal", cluster)``, its covariance times
    ``g / (g - 1)`` for g clusters. None where the likelihood has no top.

    Parameters
    ----------
    duration_s
        (n,) time to the end, or for how long it was watched; above 0.
    is_seen
        (n,) whether the end was seen.
    matrix
        (n, p) of full column rank.
    weights, clusters
        (n,) how much each counts; codes from 0 of what belongs together.
    """
    # A clearing that was seen counts with its density, one that was not with the chance of lasting
    # longer. Maximized with exact slopes and bends; then the scores of a whole cluster are summed,
    # since cases of one surgeon are no independent evidence.
    log_t, p = np.log(duration_s), matrix.shape[1]
    start = np.linalg.lstsq(matrix, log_t)[0]
    spread = max(float(np.std(log_t - matrix @ start)), 0.1)

    def loss(theta: FloatArray) -> float:
        z = (log_t - matrix @ theta[:p]) / np.exp(theta[p])
        each = np.where(is_seen, stats.norm.logpdf(z) - theta[p], stats.norm.logsf(z))
        return -float(weights @ each)

    def slopes(theta: FloatArray) -> FloatArray:
        return np.asarray(-_derivatives(theta, log_t, is_seen, matrix, weights)[0].sum(axis=0))

    def bend(theta: FloatArray) -> FloatArray:
        return -_derivatives(theta, log_t, is_seen, matrix, weights)[1]

    optimum = optimize.minimize(
        loss,
        # The log of the SD is searched for, so that no step can make the SD negative.
        np.append(start, np.log(spread)),
        jac=slopes,
        hess=bend,
        method="trust-exact",
        options={"gtol": _STILL * float(weights.sum()), "maxiter": 500},
    )
    scores, curvature = _derivatives(optimum.x, log_t, is_seen, matrix, weights)
    # The place is judged by slope and bend, not by what the optimizer says of itself: where one
    # side has no clearing the likelihood rises without end, and it stops wherever its steps run
    # out.
    slope = float(np.max(np.abs(scores.sum(axis=0))))
    if slope > 100 * _STILL * weights.sum() or float(np.linalg.eigvalsh(curvature)[-1]) >= 0:
        return None
    sums = np.zeros((int(clusters.max()) + 1, p + 1))
    np.add.at(sums, clusters, scores)
    n_clusters = len(np.unique(clusters))
    bread = np.linalg.inv(curvature)
    covariance = bread @ (sums.T @ sums) @ bread * n_clusters / max(n_clusters - 1, 1)
    return TimesFit(optimum.x[:p], covariance[:p, :p], float(np.exp(optimum.x[p])))


def _derivatives(
    theta: FloatArray,
    log_t: FloatArray,
    is_seen: BoolArray,
    matrix: FloatArray,
    weights: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the scores (n, p + 1) and the second derivative (p + 1, p + 1) of the log-likelihood.

    The last parameter is the log of the SD. With h the normal hazard at z, an end that was not seen
    has the score h where one that was seen has z, and h (h - z) in place of 1.
    """
    p = matrix.shape[1]
    sd = np.exp(theta[p])
    z = (log_t - matrix @ theta[:p]) / sd
    # As a difference of logs: far out both density and tail underflow, and 0 / 0 says nothing.
    hazard = np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z))
    pull = np.where(is_seen, z, hazard)
    steep = np.where(is_seen, 1.0, hazard * (hazard - z))
    scores = np.column_stack([matrix * (pull / sd)[:, None], pull * z - is_seen])
    by_mean = -(matrix.T * (weights * steep / sd**2)) @ matrix
    crossed = -(matrix.T @ (weights * (pull + z * steep) / sd))
    by_sd = -float(weights @ (z * (pull + z * steep)))
    second = np.block([[by_mean, crossed[:, None]], [crossed[None, :], np.array([[by_sd]])]])
    return scores * weights[:, None], np.asarray(second)
