"""Half-open time intervals and sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True, slots=True)
class IntervalSet:
    """Sorted, disjoint, non-touching, non-empty intervals (build it with `of`)."""

    intervals: tuple[Interval, ...]

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> IntervalSet:
        """Merge `intervals`, which may overlap or touch and come in any order."""
        merged: list[Interval] = []
        for interval in sorted(i for i in intervals if i.duration_s > 0):
            if merged and interval.start_s <= merged[-1].end_s:
                last = merged[-1]
                merged[-1] = Interval(last.start_s, max(last.end_s, interval.end_s))
            else:
                merged.append(interval)
        return cls(tuple(merged))

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    @property
    def duration_s(self) -> float:
        """Seconds covered."""
        return sum(i.duration_s for i in self.intervals)

    def __or__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of((*self.intervals, *other.intervals))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of(
            Interval(max(a.start_s, b.start_s), min(a.end_s, b.end_s))
            for a in self.intervals
            for b in other.intervals
            if a.intersection_s(b) > 0
        )

    def gaps(self, support: Interval) -> IntervalSet:
        """Return what of `support` no interval covers."""
        gaps: list[Interval] = []
        at_s = support.start_s
        for interval in self & IntervalSet.of([support]):
            gaps.append(Interval(at_s, interval.start_s))
            at_s = interval.end_s
        gaps.append(Interval(at_s, max(at_s, support.end_s)))
        return IntervalSet.of(gaps)
