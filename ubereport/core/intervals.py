"""Half-open time intervals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The half-open stretch of time ``[start_s, end_s)``, in seconds on the case clock.

    Raises
    ------
    ValueError
        If `end_s` lies before `start_s`.
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.end_s >= self.start_s:
            raise ValueError(f"interval ends before it starts: [{self.start_s}, {self.end_s})")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def contains(self, time_s: float) -> bool:
        """Whether `time_s` lies in ``[start_s, end_s)``."""
        return self.start_s <= time_s < self.end_s

    def intersection_s(self, other: Interval) -> float:
        """Seconds that both intervals cover."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def iou(self, other: Interval) -> float:
        """Temporal intersection over union, 0..1; 0 for two empty intervals."""
        both_s = self.intersection_s(other)
        either_s = self.duration_s + other.duration_s - both_s
        return both_s / either_s if either_s > 0 else 0.0
