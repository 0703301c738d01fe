"""How far units truly lie apart when each was seen through a sample of its own size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ubereport.core.arrays import FloatArray

_STARTS = ((0.3, 0.3), (1.0, 0.3), (0.3, 2.0))


@dataclass(frozen=True, slots=True)
class UnitSpread:
    """Shares of units on the scale ``arcsin(sqrt(share))``, on which 0 and 1 have a place.

    `between_sd` is how far units lie apart, without the chance of `within_sd` / sqrt(n) that comes
    from seeing n samples of a unit.
    """

    center: float
    between_sd: float
    within_sd: float
    n_units: int

    @property
    def usual(self) -> float:
        """The share of a usual unit."""
        return float(np.sin(self.center) ** 2)

    def draw(self, standard: FloatArray) -> FloatArray:
        """Return the shares of units so many standard deviations away, of any shape."""
        angle = np.clip(self.center + self.between_sd * standard, 0.0, np.pi / 2)
        return np.asarray(np.sin(angle) ** 2)


def unit_spread(shares: Sequence[float], n_samples: Sequence[int]) -> UnitSpread:
    """Take the spread between units and that of sampling apart by how the spread falls with n.

    Normal random effects with variances ``b² + w² / n``, by restricted maximum likelihood. The
    penalty ``log b`` keeps b off 0, where few units often put it though they differ: Chung et al.,
    Psychometrika 2013;78:685.

    Raises
    ------
    ValueError
        If there are fewer than three units, or a unit without samples.
    """
    return _fitted_spread(tuple(map(float, shares)), tuple(map(int, n_samples)))


# A comparison asks several times of the same units, and one fit takes a fiftieth of a second.
@functools.lru_cache(maxsize=256)
def _fitted_spread(shares: tuple[float, ...], n_samples: tuple[int, ...]) -> UnitSpread:
    # On this scale a share of n samples varies by 1 / (4 n) wherever it lies, and 0 and 1 are
    # numbers; logits of them are not.
    x = np.arcsin(np.sqrt(np.asarray(shares, dtype=np.float64)))
    n = np.asarray(n_samples, dtype=np.float64)
    if len(x) < 3 or len(x) != len(n) or n.min() < 1:
        raise ValueError(
            f"{len(x)} units with {list(n_samples)} samples; need three, each with one"
        )
    scale = float(np.std(x, ddof=1))
    if scale == 0:
        return UnitSpread(float(x[0]), 0.0, 0.0, len(x))

    # A share of n samples strays by w / sqrt(n) on the arcsine scale, wherever it lies; what large
    # units still differ by is b. Three starts, since the loss of few units may have
    # more than one hollow.
    def loss(logs: FloatArray) -> float:
        # In units of the spread that is seen, so that one set of starts fits all. Bounded, since
        # the log of a spread that is 0 runs off to where its exponential is no number any more.
        between, within = np.exp(np.clip(logs, -20, 20)) * scale
        weights = 1 / (between**2 + within**2 / n)
        center = (weights @ x) / weights.sum()
        restricted = np.log(weights.sum()) - np.log(weights).sum()
        return float(restricted + weights @ (x - center) ** 2 - 2 * np.log(between))

    optimum = min(
        (
            optimize.minimize(loss, np.log(start), method="Nelder-Mead", options={"xatol": 1e-6})
            for start in _STARTS
        ),
        key=lambda result: float(result.fun),
    )
    between, within = (float(sd) for sd in np.exp(np.clip(optimum.x, -20, 20)) * scale)
    weights = 1 / (between**2 + within**2 / n)
    return UnitSpread(float((weights @ x) / weights.sum()), between, within, len(x))
