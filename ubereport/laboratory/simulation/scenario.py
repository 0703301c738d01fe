"""What happens in a simulated recording, and when: a closed description, no pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval, IntervalSet
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.site import Site


class BleedKind(StrEnum):
    """How blood comes into the view."""

    OOZE = "ooze"
    RIVULET = "rivulet"
    POOL = "pool"
    PLUME = "plume"
    RED_OUT = "red_out"


class ToolKind(StrEnum):
    """Instruments."""

    RF_PROBE = "rf_probe"
    SHAVER = "shaver"


@dataclass(frozen=True, slots=True)
class Visit:
    """The camera at one site; `seed` decides how the place looks and how the camera moves."""

    start_s: float
    end_s: float
    site: Site
    seed: int


@dataclass(frozen=True, slots=True)
class Bleed:
    """Blood entering the view, staying, and being washed away.

    Parameters
    ----------
    kind
        How it spreads.
    start_s
        When the first blood leaves the source.
    rise_s, plateau_s, wash_s
        Seconds of growing, of staying and of washing clear.
    peak_frac
        Share of the field of view that it aims to cover at its peak. The truth is measured in
        the pictures and may differ by a quarter of it.
    source_x, source_y
        Where it comes from, in field radii from the middle of the site.
    flow_rad
        Direction in which irrigation carries it, clockwise from the right.
    clot_frac
        Share of the field that stays covered by clot after washing, fading within a minute.
    seed
        Decides its shape; a re-bleed at the same place may share it.
    """

    kind: BleedKind
    start_s: float
    rise_s: float
    plateau_s: float
    wash_s: float
    peak_frac: float
    source_x: float
    source_y: float
    flow_rad: float
    clot_frac: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.peak_frac <= 1:
            raise ValueError(f"peak_frac = {self.peak_frac}; it lies above 0 and up to 1")
        if min(self.rise_s, self.plateau_s, self.wash_s) <= 0:
            raise ValueError("rise_s, plateau_s and wash_s are positive")

    @property
    def washed_s(self) -> float:
        """When washing ends."""
        return self.start_s + self.rise_s + self.plateau_s + self.wash_s

    def target_frac(self, time_s: float) -> float:
        """Share of the field that liquid blood aims to cover at `time_s`."""
        since_s = time_s - self.start_s
        if since_s <= 0 or time_s >= self.washed_s:
            return 0.0
        if since_s < self.rise_s:
            return self.peak_frac * _ease(since_s / self.rise_s) * self._pulse(time_s)
        since_s -= self.rise_s + self.plateau_s
        washed = _ease(max(0.0, since_s) / self.wash_s)
        return self.peak_frac * (1 - washed) * self._pulse(time_s)

    def clot_target_frac(self, time_s: float) -> float:
        """Share of the field that clot aims to cover at `time_s`."""
        grown = _ease((time_s - self.start_s - self.rise_s) / self.plateau_s)
        faded = _ease((time_s - self.washed_s - 5.0) / 50.0)
        return self.clot_frac * grown * (1 - faded)

    def _pulse(self, time_s: float) -> float:
        swell = math.sin(time_s * 0.9 + self.seed % 7) * 0.05
        return 0.93 + swell + 0.02 * math.sin(time_s * 7.3)


@dataclass(frozen=True, slots=True)
class Loss:
    """A stretch without a usable picture; `seed` decides what is seen instead."""

    start_s: float
    end_s: float
    reason: LossReason
    seed: int


@dataclass(frozen=True, slots=True)
class Tool:
    """An instrument in the view, working while it is active.

    `target_x`, `target_y` is where its tip works, in field radii from the middle of the site;
    `entry_rad` the side it comes from. An active RF probe glows orange and red; an active
    shaver throws debris.
    """

    kind: ToolKind
    start_s: float
    end_s: float
    active: tuple[Interval, ...]
    target_x: float
    target_y: float
    entry_rad: float

    def is_active(self, time_s: float) -> bool:
        """Whether it works at `time_s`."""
        return any(interval.contains(time_s) for interval in self.active)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that decides the pictures of a recording.

    Parameters
    ----------
    seed
        Decides noise, irrigation, bubbles and debris.
    duration_s
        Length of the case clock, a gap included.
    config
        Size, rate and outline.
    visits
        Sites, in order and without a break from 0 to `duration_s`.
    bleeds, losses, tools
        What happens, in any order; losses do not overlap.

    Raises
    ------
    UsageError
        If visits leave a break or losses overlap or leave the recording.
    """

    seed: int
    duration_s: float
    config: SimulationConfig
    visits: tuple[Visit, ...]
    bleeds: tuple[Bleed, ...] = ()
    losses: tuple[Loss, ...] = ()
    tools: tuple[Tool, ...] = ()

    def __post_init__(self) -> None:
        ends_s = (0.0, *(visit.end_s for visit in self.visits))
        starts_s = (*(visit.start_s for visit in self.visits), self.duration_s)
        if not self.visits or any(abs(a - b) > 1e-6 for a, b in zip(ends_s, starts_s, strict=True)):
            raise UsageError(
                f"visits end at {ends_s[1:]} s and start at {starts_s[:-1]} s; they must follow "
                f"one another from 0 to {self.duration_s} s. Close the breaks."
            )
        lost = sorted((loss.start_s, loss.end_s) for loss in self.losses)
        if any(not 0 <= start < end <= self.duration_s for start, end in lost) or any(
            a[1] > b[0] for a, b in pairwise(lost)
        ):
            raise UsageError(
                f"losses {lost} overlap or leave the recording of {self.duration_s} s. Move them."
            )

    def visit_index(self, time_s: float) -> int:
        """Return which visit `time_s` falls into; the last one from its start on."""
        for index, visit in enumerate(self.visits):
            if time_s < visit.end_s:
                return index
        return len(self.visits) - 1

    def loss_at(self, time_s: float) -> Loss | None:
        """Return the loss that `time_s` falls into, if any."""
        for loss in self.losses:
            if loss.start_s <= time_s < loss.end_s:
                return loss
        return None

    def lost(self, reason: LossReason) -> IntervalSet:
        """Return the stretches lost for `reason`."""
        return IntervalSet.of(
            Interval(loss.start_s, loss.end_s) for loss in self.losses if loss.reason is reason
        )


def _ease(t: float) -> float:
    """Smooth step from 0 at 0 to 1 at 1."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)
