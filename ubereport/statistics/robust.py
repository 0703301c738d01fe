"""Huber's way of letting a few far-off cases count for less, before any linear model is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray

# 95 % as efficient as least squares where nothing is far off (Huber, Ann Math Stat 1964;35:73).
HUBER_REACH = 1.345
_MAD_TO_SD = 0.6744897501960817
_MAX_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class PulledIn:
    """An outcome whose far-off cases were pulled in towards what a model expects of them.

    Least squares on `values` gives Huber's M-estimate of `matrix`; a variance that is computed from
    them is to be multiplied by `variance_factor`.

    Parameters
    ----------
    matrix
        (n, p) the model.
    values, fitted
        (n,) the outcome pulled in, and what the model expects.
    case_weights
        (n,) how much of its distance each case keeps, 1 where it was not pulled.
    """

    matrix: FloatArray
    values: FloatArray
    fitted: FloatArray
    case_weights: FloatArray
    kept_share: float

    @property
    def variance_factor(self) -> float:
        """``(K / m)²``, m the share of cases left as they are, K for p coefficients of n cases.

        Source: Huber and Ronchetti, Robust Statistics (2009), section 7.6.
        """
        n, p = self.matrix.shape
        correction = 1 + p / n * (1 - self.kept_share) / self.kept_share
        return float((correction / self.kept_share) ** 2)

    def carried(self, weights: FloatArray) -> FloatArray:
        """Return (n,) v such that ``v · y = weights · values`` for the outcome y as it was given.

        `values` is ``fitted + w (y - fitted)``, and `fitted` is weighted least squares: both are
        linear in y once w is known.
        """
        weighted = self.matrix.T * self.case_weights
        # No plain inverse: beside an intercept, one column for each surgeon says the same twice.
        pull = np.linalg.pinv(weighted @ self.matrix) @ weighted
        rest = weights * (1 - self.case_weights)
        return np.asarray(weights * self.case_weights + (rest @ self.matrix) @ pull)


def pull_in(y: FloatArray, matrix: FloatArray) -> PulledIn:
    """Pull in what lies farther than `HUBER_REACH` robust standard deviations from a linear model.

    A failed pump or a surgeon's first cases are true and stay in, but must not decide alone: least
    squares lets one case count without bound. Reweighted least squares until it stands still, with
    the median absolute residual as the spread, as R's ``rlm`` and statsmodels' ``RLM`` do. Where
    half of the cases lie on the model exactly, that median is 0, and the root mean square takes
    its place.

    Parameters
    ----------
    y
        (n,) outcome.
    matrix
        (n, p) columns, which may depend on each other.
    """
    # Fit, see which cases lie far off, let these weigh less, fit again, until nothing moves.
    weights = np.ones(len(y))
    fitted = matrix @ np.linalg.lstsq(matrix, y)[0]
    for _ in range(_MAX_STEPS):
        residuals = y - fitted
        spread = _spread(residuals)
        # No division by zero; a case that lies on the model keeps its weight of 1.
        far = np.maximum(np.abs(residuals), 1e-300)
        reach = HUBER_REACH * spread
        weights = np.where(far <= max(reach, 1e-300), 1.0, reach / far)
        root = np.sqrt(weights)
        again = matrix @ np.linalg.lstsq(matrix * root[:, None], root * y)[0]
        is_still = bool(np.max(np.abs(again - fitted)) <= 1e-9 * max(spread, 1e-300))
        fitted = again
        if is_still or spread == 0:
            break
    full_share = float(np.mean(weights == 1.0)) if len(y) else 1.0
    return PulledIn(matrix, fitted + weights * (y - fitted), fitted, weights, max(full_share, 1e-6))


def _spread(residuals: FloatArray) -> float:
    median = float(np.median(np.abs(residuals))) / _MAD_TO_SD
    largest = float(np.max(np.abs(residuals)))
    return median if median > 1e-9 * largest else float(np.sqrt(np.mean(residuals**2)))
