"""What a model erred on operations it had never seen, and what that says of an area it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from ubereport.core.arrays import FloatArray
from ubereport.core.validation import Frac, Tally, validated

MIN_OPERATIONS = 10
"""With fewer operations the tails of what a model errs are not known, and no band is told."""

LEVEL = 0.8
"""The probability with which a band holds the truth, at least."""
_MIN_FOUND_SHARE = 0.05
_ROUNDING = 1e-9


@validated("held_out_operations", error=ValueError, is_open=True)
class HeldOutOperation:
    """How a model did on the stills of one operation that it had not been trained on.

    Parameters
    ----------
    operation
        Pseudonym of the operation in its set of stills.
    n_stills, n_with_blood
        Looked at, and of these with blood by the labels.
    true_area_frac, measured_area_frac
        Means over all stills of the share of decided pixels that is blood: by label, by model.
    painted_clean_frac
        Of the decided pixels without blood, the share that was called blood.
    blood_found_share
        Of the pixels with blood, the share that was called blood; None where there were none.
    area_bias_frac
        `measured_area_frac` less `true_area_frac`.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    operation: str
    n_stills: Annotated[int, Field(ge=1)]
    n_with_blood: Tally
    true_area_frac: Frac
    measured_area_frac: Frac
    painted_clean_frac: Frac
    blood_found_share: Frac | None
    area_bias_frac: Annotated[float, Field(ge=-1, le=1)]

    def __post_init__(self) -> None:
        if self.n_with_blood > self.n_stills:
            raise ValueError(
                f"{self.n_with_blood} of {self.n_stills} stills with blood; need 0 to n"
            )


@dataclass(frozen=True, slots=True)
class AreaBand:
    """Where the true mean area of an operation may lie, given what the model measured."""

    low_frac: float
    high_frac: float
    level: float
    n_operations: int


def area_band(area_frac: float, operations: Sequence[HeldOutOperation]) -> AreaBand | None:
    """Return a band for the true mean area of an operation whose measured mean is `area_frac`.

    What a model errs grows with the area, so errors are differences of ``arcsin(sqrt(area))``, the
    scale on which shares vary alike everywhere. The band is the measured area moved by the errors
    of the held-out operations, the outermost left out at the ranks of conformal prediction: if a
    case erred as one of them does, drawn by chance, its true area would lie inside with a
    probability of `LEVEL` or more, however few the operations are and whatever their errors look
    like (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005).

    None with fewer than `MIN_OPERATIONS` operations, or where none of them has blood.
    """
    errors = _errors(operations)
    return _band([_moved(area_frac, error) for error in errors])


def share_band(
    area_frac: FloatArray,
    weight_s: FloatArray,
    at_frac: float,
    operations: Sequence[HeldOutOperation],
) -> AreaBand | None:
    """Return a band for the share of time in which the true area is `at_frac` or more.

    As `area_band`: under the error of one held-out operation a true area of `at_frac` measures
    another one, and the share of time at that or more is its answer.

    Parameters
    ----------
    area_frac, weight_s
        (n,) measured areas and the seconds that each stands for.
    """
    total_s = float(weight_s.sum())
    if total_s <= 0:
        return None
    answers = []
    for error in _errors(operations):
        # Where hardly any blood is found, what is measured says hardly anything: not below a floor.
        measured = max(_moved(at_frac, -error), _MIN_FOUND_SHARE * at_frac)
        answers.append(float(weight_s[area_frac >= measured].sum()) / total_s)
    return _band(answers)


def _errors(operations: Sequence[HeldOutOperation]) -> list[float]:
    """Return true less measured area of each operation, on the scale of `_on_scale`."""
    if len(operations) < MIN_OPERATIONS or not any(o.n_with_blood for o in operations):
        return []
    return [_on_scale(o.true_area_frac) - _on_scale(o.measured_area_frac) for o in operations]


def _on_scale(area_frac: float) -> float:
    return float(np.arcsin(np.sqrt(area_frac)))


def _moved(area_frac: float, error: float) -> float:
    return float(np.sin(np.clip(_on_scale(area_frac) + error, 0.0, np.pi / 2)) ** 2)


def _band(answers: Sequence[float]) -> AreaBand | None:
    answers = sorted(answers)
    n = len(answers)
    if n == 0:
        return None
    # Rounded: 20 · (1 - 0.8) / 2 is 1.9999999999999996 in floating point, and means 2.
    low = int(np.floor(round((n + 1) * (1 - LEVEL) / 2, 9))) - 1
    high = n - 1 - low
    return AreaBand(answers[low] if low >= 0 else 0.0, answers[high] if high < n else 1.0, LEVEL, n)


def band_coverage_share(operations: Sequence[HeldOutOperation]) -> float | None:
    """Return the share of operations whose true area lies in the band that the others give.

    None with too few operations for a band without one of them.
    """
    inside = []
    for i, operation in enumerate(operations):
        others = [*operations[:i], *operations[i + 1 :]]
        band = area_band(operation.measured_area_frac, others)
        if band is not None:
            is_in = (
                band.low_frac - _ROUNDING <= operation.true_area_frac <= band.high_frac + _ROUNDING
            )
            inside.append(is_in)
    return float(np.mean(inside)) if inside else None
