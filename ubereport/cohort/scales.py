"""The scale on which a metric is averaged, modeled and charted, and the way back.

Shares and fractions are spread on the logit, positive quantities on the logarithm. Both are
undefined at 0 (and 1), and a case without any impaired second is common. A fixed small offset is
therefore added first, so that the transformed value does not depend on the other cases and limits
drawn once stay where they are:

- logit: ``log(p / (1 − p))`` with ``p = (x + c) / (1 + 2c)``, c = 0.005 (half a percentage point:
  0 becomes 0.5 %, 1 becomes 99.5 %, 5 % becomes 5.4 %);
- log: ``log(x + c)``, c = 1 for seconds, 0.5 for counts, 0.1 for anything else.

`back` undoes both exactly and clips to the bounds of the metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from ubereport.core.arrays import FloatArray
from ubereport.core.metrics import MetricSpec

LOGIT_OFFSET_FRAC = 0.005
_LOG_OFFSETS = {"s": 1.0, "1": 0.5}
_LOG_OFFSET_OTHER = 0.1


class ScaleKind(StrEnum):
    """Name of the transformation."""

    LOGIT = "logit"
    LOG = "log"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class MetricScale:
    """A transformation with its offset; see the module for the formulas."""

    kind: ScaleKind
    offset: float = 0.0

    def forward(self, values: ArrayLike) -> FloatArray:
        """Transform values in the unit of the metric; NaN stays NaN."""
        x = np.asarray(values, dtype=np.float64)
        if self.kind is ScaleKind.LOGIT:
            p = (x + self.offset) / (1 + 2 * self.offset)
            return np.asarray(np.log(p) - np.log1p(-p))
        return np.asarray(np.log(x + self.offset)) if self.kind is ScaleKind.LOG else x

    def back(self, values: ArrayLike) -> FloatArray:
        """Transform back into the unit of the metric, clipped to its bounds."""
        y = np.asarray(values, dtype=np.float64)
        if self.kind is ScaleKind.LOGIT:
            p = 1 / (1 + np.exp(-y))
            return np.asarray(np.clip(p * (1 + 2 * self.offset) - self.offset, 0.0, 1.0))
        if self.kind is ScaleKind.LOG:
            return np.asarray(np.maximum(np.exp(y) - self.offset, 0.0))
        return y


def scale_of(spec: MetricSpec) -> MetricScale:
    """Return the scale of a metric, from its bounds and unit."""
    if spec.lower_bound == 0.0 and spec.upper_bound == 1.0:
        return MetricScale(ScaleKind.LOGIT, LOGIT_OFFSET_FRAC)
    if spec.lower_bound == 0.0:
        return MetricScale(ScaleKind.LOG, _LOG_OFFSETS.get(spec.unit, _LOG_OFFSET_OTHER))
    return MetricScale(ScaleKind.IDENTITY)
