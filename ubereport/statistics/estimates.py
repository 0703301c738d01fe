"""A number with its interval, and a test with its p-value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval.

    `reason` says why `value`, or `low` and `high`, are missing; empty where all three exist.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str = ""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        is_whole = self.value is not None and self.low is not None and self.high is not None
        if is_whole == bool(self.reason):
            raise ValueError(f"a reason is given exactly where something is missing: {self}")


@dataclass(frozen=True, slots=True)
class TestResult:
    """A hypothesis test; `p_value` is None, with a reason, where it would mislead.

    `p_holm` is the p-value after Holm's correction over the family that `family` names.
    """

    __test__ = False  # pytest: this is no test class

    name: str
    p_value: float | None
    statistic: float | None = None
    p_holm: float | None = None
    family: str = ""
    reason: str = ""
