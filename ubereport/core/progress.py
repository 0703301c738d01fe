"""How far a case is: what the library tells whoever shows it; the library itself never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What is being done to a case."""

    INDEX = "reading the packet index"
    VIEW = "fitting the field of view"
    MEASURE = "measuring visible blood"
    KEY_FRAMES = "keeping key frames"
    REPORT = "rendering the report"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward.

    `done_s` and `total_s` are seconds of recording; `n_frames` counts the pictures looked at in
    this run, `elapsed_s` the wall time of the stage in this run, `resumed_s` the seconds of
    recording that an earlier run had already done.
    """

    stage: Stage
    done_s: float
    total_s: float
    n_frames: int
    elapsed_s: float
    resumed_s: float = 0.0

    @property
    def frames_per_s(self) -> float | None:
        """Pictures per second of wall time; None before anything happened."""
        return self.n_frames / self.elapsed_s if self.elapsed_s > 0 and self.n_frames else None

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of recording per second of wall time; None before anything happened."""
        fresh_s = self.done_s - self.resumed_s
        return fresh_s / self.elapsed_s if self.elapsed_s > 0 and fresh_s > 0 else None

    @property
    def remaining_s(self) -> float | None:
        """Wall seconds left at the rate so far; None while there is no rate."""
        factor = self.real_time_factor
        return max(0.0, self.total_s - self.done_s) / factor if factor else None


ProgressHook = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Show nothing."""
