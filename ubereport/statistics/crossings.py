"""Where a function of one number first falls to zero."""

from __future__ import annotations

from collections.abc import Callable

from scipy import optimize


def crossing(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where a falling function crosses zero; `low` where it is not above zero there.

    None where it is still above zero at `high`.
    """
    if function(high) > 0:
        return None
    return float(optimize.brentq(function, low, high, xtol=1e-3)) if function(low) > 0 else low
