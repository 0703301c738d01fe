"""Linear models of a case metric: random surgeon intercept, or fixed surgeons with permutations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize

from ubereport.core.arrays import FloatArray, IntArray

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
    R's ``lmer(y ~ x + (1 | surgeon))`` and, where that converges, statsmodels' MixedLM. Source:
    Bates et al., J Stat Softw 2015;67(1), section 3.

    Parameters
    ----------
    y
        (n,) outcome.
    matrix
        (n, p) fixed effects, full column rank.
    surgeon_codes
        (n,) codes from 0.
    """
    reduced = _reduce(y, matrix, surgeon_codes)
    # Only one number has to be searched for: how the variance between surgeons compares with that
    # within. A grid first, since the likelihood may have two tops, then a finer search around the
    # best.
    # From 0.0001 to 400 times the variance within surgeons, and 0 itself: where surgeons do not
    # differ, that is the answer.
    grid = np.concatenate([[0.0], np.exp(np.linspace(-9, 6, 46))])
    best = int(np.argmin(_reml_losses(grid, reduced)))
    ratio = float(grid[best])
    # Refined between the neighbors on the grid. Where 0 itself is best there is nothing to refine:
    # the log of a ratio never gets there.
    if best > 0:
        bounds = (np.log(grid[max(best - 1, 1)]), np.log(grid[min(best + 1, len(grid) - 1)]))
        optimum = optimize.minimize_scalar(
            lambda log_ratio: float(_reml_losses(np.exp([log_ratio]), reduced)[0]),
            bounds=bounds,
            method="bounded",
            options={"xatol": 1e-8},
        )
        ratio = float(np.exp(optimum.x))
    return _solve(ratio, reduced)


@dataclass(frozen=True, slots=True, eq=False)
class _Reduced:
    """Cases brought down to what the likelihood needs: an orthonormal base of ``[matrix, y]``.

    `triangle` (p + 1, p + 1) leads back from the base; `sums` (g, p + 1) and `n_cases` (g,) are
    its sums and the number of cases, surgeon by surgeon.
    """

    triangle: FloatArray
    sums: FloatArray
    n_cases: FloatArray
    n: int

    @property
    def p(self) -> int:
        """Columns of the matrix."""
        return len(self.triangle) - 1

    def weighted(self, ratios: FloatArray) -> FloatArray:
        """Return ``base' (I + ratio · J)^(-1) base``, (r, p + 1, p + 1), one for each ratio."""
        # The inverse of 1 + ratio J over n cases of one surgeon is 1 - ratio / (1 + ratio n) J, so
        # that sums by surgeon are all that is needed of the cases.
        pull = ratios[:, None] / (1 + ratios[:, None] * self.n_cases)
        reduction = (self.sums.T * pull[:, None, :]) @ self.sums
        return np.asarray(np.eye(self.p + 1) - reduction)


def _reduce(y: FloatArray, matrix: FloatArray, codes: IntArray) -> _Reduced:
    # Done once: each ratio that is tried then costs products of (p + 1, p + 1) instead of (n, n).
    # An orthonormal base and not the squares of the columns, since squares of nearly dependent
    # covariates lose half of the digits.
    base, triangle = np.linalg.qr(np.column_stack([matrix, y]))
    membership = np.equal.outer(np.arange(int(codes.max()) + 1), codes).astype(np.float64)
    return _Reduced(triangle, membership @ base, membership.sum(axis=1), len(y))


def _reml_losses(ratios: FloatArray, reduced: _Reduced) -> FloatArray:
    """Return −2 × the profiled restricted log-likelihood, but for a constant, of each ratio."""
    # The outcome is the last column of the base: the last number on the diagonal of the factor is
    # what the fixed effects leave of it, and the others multiply to their determinant.
    factors = np.linalg.cholesky(reduced.weighted(ratios))
    logs = np.log(np.diagonal(factors, axis1=1, axis2=2))
    spread = np.sum(np.log1p(np.outer(ratios, reduced.n_cases)), axis=1)
    residual = (reduced.n - reduced.p) * logs[:, -1]
    return np.asarray(2 * residual + spread + 2 * np.sum(logs[:, :-1], axis=1))


def _solve(ratio: float, reduced: _Reduced) -> LinearFit:
    """Return the generalized least squares fit at a ratio of variances."""
    p = reduced.p
    weighted, triangle = reduced.weighted(np.array([ratio]))[0], reduced.triangle
    inverse = np.linalg.inv(weighted[:p, :p])
    in_base = triangle[:p, p] + inverse @ weighted[:p, p] * triangle[p, p]
    back = np.asarray(np.linalg.inv(triangle[:p, :p]), dtype=np.float64)
    residual = weighted[p, p] - weighted[p, :p] @ inverse @ weighted[:p, p]
    variance = float(residual * triangle[p, p] ** 2) / (reduced.n - p)
    covariance = back @ inverse @ back.T * variance
    return LinearFit(back @ in_base, covariance, variance**0.5, (ratio * variance) ** 0.5)


def effect_weights(
    matrix: FloatArray, contrast: FloatArray, surgeon_codes: IntArray, fit: LinearFit
) -> FloatArray:
    """Return (n,) w such that ``w · y`` is the contrast of a fit with the variances of `fit`.

    Ordinary least squares for a fixed model; generalized for one with a random intercept, whose
    covariance of the cases of a surgeon is constant.
    """
    projector = matrix.T.copy()
    if fit.surgeon_sd and fit.residual_sd > 0:
        ratio = (fit.surgeon_sd / fit.residual_sd) ** 2
        n_cases = np.bincount(surgeon_codes)
        pull = ratio / (1 + ratio * n_cases)
        sums = np.zeros((matrix.shape[1], len(n_cases)))
        np.add.at(sums.T, surgeon_codes, matrix)
        projector = projector - (sums * pull)[:, surgeon_codes]
    return np.asarray(contrast @ np.linalg.solve(projector @ matrix, projector))


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
    # What the reduced model leaves unexplained could, if the effect were nothing, belong to any
    # case of the same surgeon. So residuals are dealt again inside surgeons, and the drop in
    # squares is compared with the drops of such deals.
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
        # With few cases deals repeat the order that was seen: equal but for rounding, they count as
        # beyond. That order itself is one of them, so that no p-value is 0.
        n_beyond += int(np.sum(statistics >= observed * (1 - 1e-9)))
    return (n_beyond + 1) / (n_permutations + 1)


def _statistic(y: FloatArray, full_basis: FloatArray, reduced_basis: FloatArray) -> FloatArray:
    """F up to a constant factor, one a column of `y`."""
    total = np.sum(y**2, axis=0)
    full = total - np.sum((full_basis.T @ y) ** 2, axis=0)
    reduced = total - np.sum((reduced_basis.T @ y) ** 2, axis=0)
    # A model that explains the outcome wholly leaves rounding, which must not be divided by.
    return np.asarray((reduced - full) / np.maximum(full, 1e-12 * total + 1e-300))
