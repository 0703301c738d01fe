"""Linear models of a case metric: random surgeon intercept, or fixed surgeons with permutations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

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


def fit_mixed(y: FloatArray, matrix: FloatArray, surgeon_codes: IntArray) -> LinearFit:
    """Fit a random intercept per surgeon by restricted maximum likelihood (REML).

    The likelihood is profiled over one number, the variance between surgeons over that between
    cases, and searched from 0 (its boundary, where general optimizers break off) upward. Equal to
    R's ``lmer(y ~ x + (1 | surgeon))`` and statsmodels' MixedLM. Source: Bates et al., J Stat
    Softw 2015;67(1), section 3.

    Parameters
    ----------
    y
        (n,) outcome.
    matrix
        (n, p) fixed effects, full column rank.
    surgeon_codes
        (n,) codes from 0.
    """
    columns = np.column_stack([y, matrix])
    grid = np.concatenate([[0.0], np.exp(np.linspace(-9, 6, 46))])
    losses = [_reml_loss(ratio, columns, surgeon_codes) for ratio in grid]
    best = int(np.argmin(losses))
    ratio = float(grid[best])
    if best > 0:
        bounds = (np.log(grid[max(best - 1, 1)]), np.log(grid[min(best + 1, len(grid) - 1)]))
        found = optimize.minimize_scalar(
            lambda log_ratio: _reml_loss(float(np.exp(log_ratio)), columns, surgeon_codes),
            bounds=bounds, method="bounded", options={"xatol": 1e-8},
        )  # fmt: skip
        ratio = float(np.exp(found.x))
    whitened = _whiten(columns, surgeon_codes, ratio)
    inverse = np.asarray(np.linalg.inv(whitened[:, 1:].T @ whitened[:, 1:]), dtype=np.float64)
    coefficients = inverse @ whitened[:, 1:].T @ whitened[:, 0]
    residuals = whitened[:, 0] - whitened[:, 1:] @ coefficients
    variance = float(residuals @ residuals) / (len(y) - matrix.shape[1])
    return LinearFit(coefficients, inverse * variance, variance**0.5, (ratio * variance) ** 0.5)


def _reml_loss(ratio: float, columns: FloatArray, codes: IntArray) -> float:
    """Return −2 × the profiled restricted log-likelihood, but for a constant."""
    n, p = len(columns), columns.shape[1] - 1
    whitened = _whiten(columns, codes, ratio)
    triangle = np.linalg.qr(whitened[:, [*range(1, p + 1), 0]], mode="r")
    diagonal = np.abs(np.diag(triangle))
    spread = float(np.sum(np.log1p(ratio * np.bincount(codes))))
    return float(
        (n - p) * np.log(diagonal[p] ** 2) + spread + 2 * float(np.sum(np.log(diagonal[:p])))
    )


def _whiten(columns: FloatArray, codes: IntArray, ratio: float) -> FloatArray:
    """Multiply by ``(I + ratio · J)^(-1/2)``, surgeon by surgeon."""
    n_cases = np.maximum(np.bincount(codes), 1)
    means = np.column_stack([np.bincount(codes, weights=column) for column in columns.T])
    pull = 1 - 1 / np.sqrt(1 + ratio * n_cases)
    return np.asarray(columns - ((pull / n_cases)[:, None] * means)[codes])


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
