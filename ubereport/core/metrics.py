"""Metrics: what a number means, and the number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ubereport.core.validation import Frac, Key, Tally


class Direction(StrEnum):
    """Which way is better for the view, where that can be said."""

    LOWER_IS_BETTER = "lower_is_better"
    HIGHER_IS_BETTER = "higher_is_better"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a metric is called and means; `unit` is UCUM ("1" for a fraction or a count)."""

    key: str
    title: str
    unit: str
    definition: str
    direction: Direction
    lower_bound: float | None = 0.0
    upper_bound: float | None = None
    is_headline: bool = False

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of a whole, in 0..1, which people read in percent."""
        return self.unit == "1" and self.upper_bound == 1.0


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric of one case.

    Parameters
    ----------
    key, unit
        As in its `MetricSpec`.
    value
        None if there is no data for it; then `reason` says why.
    n
        How many samples or events the value rests on.
    coverage_frac
        Evaluable over recorded time of the stretch that the value speaks of; None if nothing
        was recorded.
    band_low, band_high
        Smallest and largest value over the neighboring probability thresholds; None where no
        band is computed.
    """

    key: Key
    unit: str
    value: float | None
    reason: str
    n: Tally
    coverage_frac: Frac | None
    band_low: float | None = None
    band_high: float | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason == ""):
            raise ValueError(f"{self.key}: a metric has a reason exactly where it has no value")
        if self.value is not None and self.value != self.value:
            raise ValueError(f"{self.key}: NaN is no value; give None and a reason")
