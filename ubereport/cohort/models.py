"""Linear models of a case metric: random surgeon intercept, or fixed surgeons with permutations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from ubereport.core.arrays import FloatArray, IntArray

__all__ = ["LinearFit", "fit_fixed", "fit_mixed", "permutation_p_value"]

_CHUNK = 512


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """Coefficients (p,) with their covariance (p, p); `surgeon_sd` is None in a fixed model."""

    coefficients: FloatArray
    covariance: FloatArray
    residual_sd: float
    surgeon_sd: float | None

    def of(self, weights: FloatArray) -> tuple[float, float]:
        """Return ``weights · coefficients`` and its standard error."""
        variance = float(weights @ self.covariance @ weights)
        return float(weights @ self.coefficients), float(np.sqrt(max(variance, 0.0)))


def fit_mixed(y: FloatArray, matrix: FloatArray, surgeon_codes: IntArray) -> LinearFit | None:
    """Fit a random intercept per surgeon by REML; None where the fit does not converge.

    The variances come from statsmodels' MixedLM; coefficients and covariance are then the
    generalized least squares ones at those variances, which exist also where the surgeon variance
    is at its boundary of 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            result = MixedLM(y, matrix, groups=surgeon_codes).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError):
            return None
        residual_variance = float(result.scale)
        surgeon_variance = float(np.asarray(result.cov_re)[0, 0])
    if not (np.isfinite(residual_variance) and np.isfinite(surgeon_variance)):
        return None
    whitened = _whiten(
        np.column_stack([y, matrix]), surgeon_codes, surgeon_variance, residual_variance
    )
    precision = whitened[:, 1:].T @ whitened[:, 1:]
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    coefficients = covariance @ whitened[:, 1:].T @ whitened[:, 0]
    return LinearFit(
        coefficients, covariance, residual_variance**0.5, max(surgeon_variance, 0.0) ** 0.5
    )


def _whiten(
    columns: FloatArray, codes: IntArray, surgeon_variance: float, residual_variance: float
) -> FloatArray:
    """Multiply by V^(-1/2) of ``V = residual·I + surgeon·J``, surgeon by surgeon."""
    whitened = np.empty_like(columns)
    for code in np.unique(codes):
        rows = codes == code
        ratio = residual_variance / (residual_variance + rows.sum() * surgeon_variance)
        mean = columns[rows].mean(axis=0)
        whitened[rows] = columns[rows] - (1 - np.sqrt(ratio)) * mean
    return np.asarray(whitened / np.sqrt(residual_variance))


def fit_fixed(y: FloatArray, matrix: FloatArray) -> LinearFit:
    """Ordinary least squares with the HC3 covariance, which allows groups of unequal spread.

    Source: MacKinnon and White, J Econometrics 1985;29:305.
    """
    inverse = np.linalg.inv(matrix.T @ matrix)
    coefficients = inverse @ matrix.T @ y
    residuals = y - matrix @ coefficients
    leverage = np.einsum("ij,jk,ik->i", matrix, inverse, matrix)
    # A case that alone decides a coefficient has leverage 1 and tells nothing of the spread.
    weights = (residuals / np.maximum(1 - leverage, 1e-6)) ** 2
    covariance = inverse @ (matrix.T * weights) @ matrix @ inverse
    degrees = max(len(y) - matrix.shape[1], 1)
    return LinearFit(
        coefficients, covariance, float(np.sqrt(residuals @ residuals / degrees)), None
    )


def permutation_p_value(
    y: FloatArray,
    full: FloatArray,
    reduced: FloatArray,
    strata: IntArray,
    n_permutations: int,
    seed: int,
) -> float:
    """Share of permutations inside strata with at least the observed drop in residual squares.

    Freedman and Lane's scheme: the residuals of the reduced model are shuffled among the cases
    of one surgeon, put back onto its fit, and both models fitted again. Source: Winkler et al.,
    NeuroImage 2014;92:381.

    Parameters
    ----------
    y
        (n,) outcome.
    full, reduced
        (n, p), (n, q) matrices; `reduced` spans less.
    strata
        (n,) codes; cases move only inside a stratum.
    """
    rng = np.random.default_rng(seed)
    full_basis, reduced_basis = linalg.orth(full), linalg.orth(reduced)
    fitted = reduced_basis @ (reduced_basis.T @ y)
    residuals = y - fitted
    observed = _statistic(y[:, None], full_basis, reduced_basis)[0]
    places = [np.flatnonzero(strata == code) for code in np.unique(strata)]
    n_beyond = 0
    for start in range(0, n_permutations, _CHUNK):
        n = min(_CHUNK, n_permutations - start)
        shuffled = np.repeat(residuals[:, None], n, axis=1)
        for rows in places:
            shuffled[rows] = rng.permuted(shuffled[rows], axis=0)
        statistics = _statistic(fitted[:, None] + shuffled, full_basis, reduced_basis)
        n_beyond += int(np.sum(statistics >= observed * (1 - 1e-9)))
    return (n_beyond + 1) / (n_permutations + 1)


def _statistic(y: FloatArray, full_basis: FloatArray, reduced_basis: FloatArray) -> FloatArray:
    """F up to a constant factor, one a column of `y`."""
    total = np.sum(y**2, axis=0)
    full = total - np.sum((full_basis.T @ y) ** 2, axis=0)
    reduced = total - np.sum((reduced_basis.T @ y) ** 2, axis=0)
    return np.asarray((reduced - full) / np.maximum(full, 1e-12 * total + 1e-300))
