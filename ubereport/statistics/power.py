"""What difference this many cases could have shown."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from ubereport.core.arrays import FloatArray
from ubereport.statistics.distributions import normal_quantile


def detectable_delta(n_group: int, n_reference: int, power: float, alpha: float) -> float | None:
    """Return the smallest Cliff's delta that a Mann–Whitney test shows with `power`.

    Noether's formula turned around: ``delta = (z_alpha + z_power) / sqrt(3 c (1 − c) N)`` with c
    the share of one group. None where even complete separation would not be shown. Source:
    Noether, J Am Stat Assoc 1987;82:645.
    """
    total = n_group + n_reference
    share = n_group / total
    z = normal_quantile(1 - alpha / 2) + normal_quantile(power)
    delta = z / math.sqrt(3 * share * (1 - share) * total)
    return delta if delta < 1 else None


def detectable_shift(x: FloatArray, y: FloatArray, delta: float) -> float | None:
    """Return the shift of a group that gives Cliff's `delta`, at the spread that the cases have.

    Both groups are moved to a common median, then one is shifted until the share of larger minus
    that of smaller pairs reaches `delta`. None if no shift inside the range of the cases does.
    """
    # With both groups moved to the same middle, how far must one be shifted until enough pairs of
    # cases differ in its favor?
    residuals_x, residuals_y = x - np.median(x), y - np.median(y)
    differences = np.sort(np.subtract.outer(residuals_x, residuals_y).ravel())
    reach = float(np.ptp(differences))
    if reach == 0:
        return None

    def short_of(shift: float) -> float:
        above = len(differences) - int(np.searchsorted(differences, -shift, side="right"))
        below = int(np.searchsorted(differences, -shift, side="left"))
        return (above - below) / len(differences) - delta

    if short_of(reach) < 0 or short_of(0.0) >= 0:
        return None
    # It rises in steps, one for each pair of cases: what is found is the step that crosses zero.
    return float(optimize.brentq(short_of, 0.0, reach, xtol=reach * 1e-6))
