"""What happens in a simulated recording, and when: a closed description, and its invention."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.noise import ease
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
            return self.peak_frac * ease(since_s / self.rise_s) * self._pulse(time_s)
        since_s -= self.rise_s + self.plateau_s
        washed = ease(max(0.0, since_s) / self.wash_s)
        return self.peak_frac * (1 - washed) * self._pulse(time_s)

    def clot_target_frac(self, time_s: float) -> float:
        """Share of the field that clot aims to cover at `time_s`."""
        grown = ease((time_s - self.start_s - self.rise_s) / self.plateau_s)
        faded = ease((time_s - self.washed_s - 5.0) / 50.0)
        return self.clot_frac * grown * (1 - faded)

    def _pulse(self, time_s: float) -> float:
        # Bleeding is never steady: a slow swell and a pulse of 70 a minute, so that a true area
        # trembles at a threshold as a measured one does.
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


_MAX_MINUTES = 24 * 60.0
_CLOSING_S = 12.0
_FIRST_BLEED_S = 32.0
_SITES = (Site.APPROACH, Site.LAMINA, Site.DRILLING, Site.CANAL)
# Tissue that is red without blood, which a network must learn to leave alone.
_RED_SITES = (Site.MUSCLE, Site.INFLAMED)
_LOSS_LENGTHS_S = {
    LossReason.OUT_OF_BODY: (4.0, 15.0),
    LossReason.BLACK: (3.0, 8.0),
    LossReason.BLURRED: (3.0, 8.0),
    LossReason.WHITE_OUT: (3.0, 6.0),
    LossReason.FROZEN: (4.0, 9.0),
    LossReason.NO_SIGNAL: (4.0, 9.0),
}
_KINDS = {
    "small": (BleedKind.OOZE, BleedKind.RIVULET, BleedKind.PLUME),
    "middle": (BleedKind.OOZE, BleedKind.RIVULET, BleedKind.POOL, BleedKind.PLUME),
    "large": (BleedKind.POOL, BleedKind.RED_OUT, BleedKind.RED_OUT),
}
_PEAKS = {"small": (0.07, 0.20), "middle": (0.20, 0.45), "large": (0.5, 0.97)}


def plan_scenario(seed: int, minutes: float, config: SimulationConfig) -> Scenario:
    """Invent a scenario; the same arguments give the same one.

    Raises
    ------
    UsageError
        If `seed` is negative, or `minutes` is not in 0.02 to 1440.
    """
    if seed < 0:
        raise UsageError(f"seed = {seed} cannot be used; allowed: whole numbers from 0. Change it.")
    if not 0.02 <= minutes <= _MAX_MINUTES:
        raise UsageError(
            f"minutes = {minutes} cannot be used; allowed: 0.02 to {_MAX_MINUTES:g}. Change it."
        )
    return _Planner(seed, minutes * 60, config).scenario()


class _Planner:
    def __init__(self, seed: int, duration_s: float, config: SimulationConfig) -> None:
        # The second number is the stream of this module: noise, turbid water and debris have their
        # own and do not change with a draw more here.
        self.rng = np.random.default_rng([seed, 3])
        self.seed = seed
        self.duration_s = duration_s
        self.config = config
        self.at_s = 0.0
        self.site_starts: list[tuple[float, Site]] = []
        self.bleeds: list[Bleed] = []
        self.losses: list[Loss] = []
        self.tools: list[Tool] = []
        self.reasons: list[LossReason] = []

    def scenario(self) -> Scenario:
        self._go_to(_SITES[int(self.rng.integers(len(_SITES)))])
        if LossReason.OUT_OF_BODY in self.config.losses and self.duration_s > 60:
            self._lose(LossReason.OUT_OF_BODY)
        last_s = self.duration_s - min(_CLOSING_S, 0.2 * self.duration_s)
        if self.config.is_bleeding_at_end:
            last_s = self.duration_s - 20
        # One clock runs through the case: calm, then a bleed, again and again; each moves it on.
        while self.at_s < last_s:
            self._calm()
            if self._has_room_until(last_s):
                self._bleed(last_s)
        if self.config.is_bleeding_at_end:
            self._bleed_to_the_end()
        return Scenario(
            self.seed,
            self.duration_s,
            self.config,
            self._visits(),
            tuple(self.bleeds),
            tuple(self.losses),
            tuple(self.tools),
        )

    def _uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def _go_to(self, site: Site) -> None:
        self.site_starts.append((self.at_s, site))

    def _visits(self) -> tuple[Visit, ...]:
        starts = [start for start in self.site_starts if start[0] < self.duration_s]
        ends_s = [start for start, _ in starts[1:]] + [self.duration_s]
        seeds = self.rng.integers(0, 2**31, len(starts))
        return tuple(
            Visit(start_s, end_s, site, int(seed))
            for (start_s, site), end_s, seed in zip(starts, ends_s, seeds, strict=True)
        )

    def _calm(self) -> None:
        """Let time pass without blood: sites change, red tissue and instruments show up."""
        spacing_s = 600 / max(self.config.bleeds_per_10min, 1.0)
        left_s = max(3.0, self._uniform(0.2, 0.6) * spacing_s)
        if self.config.losses and self._may(0.7):
            self._wait(self._uniform(1.5, 3.0))
            self._lose(self._next_reason())
            left_s -= 5
        if self._may(0.45):
            self._go_to(_SITES[int(self.rng.integers(len(_SITES)))])
        if self._may(0.35):
            self._go_to(_RED_SITES[int(self.rng.integers(len(_RED_SITES)))])
            self._work(4.0, 8.0)
            self._go_to(_SITES[int(self.rng.integers(len(_SITES)))])
        if self._may(0.5):
            self._work(4.0, 9.0)
        # However the calm is drawn, time is left for a first bleed: a short recording without one
        # would test nothing.
        if not self.bleeds:
            left_s = min(left_s, self.duration_s - self.at_s - _FIRST_BLEED_S)
        self._wait(max(2.0, left_s))

    def _may(self, chance: float) -> bool:
        """Draw a chance; never so late that no time is left for a first bleed."""
        is_drawn = self.rng.random() < chance
        return is_drawn and (bool(self.bleeds) or self.at_s + 12 < self.duration_s - _FIRST_BLEED_S)

    def _wait(self, seconds: float) -> None:
        self.at_s += seconds

    def _work(self, shortest_s: float, longest_s: float) -> None:
        """Use an instrument where it does not bleed: glow and debris that must not count."""
        length_s = self._uniform(shortest_s, longest_s)
        kind = ToolKind.RF_PROBE if self.rng.random() < 0.6 else ToolKind.SHAVER
        self._use(kind, self.at_s + 0.5, self.at_s + length_s, 0.0, 0.0)
        self.at_s += length_s

    def _use(self, kind: ToolKind, start_s: float, end_s: float, x: float, y: float) -> None:
        # It comes in, works and goes out again: it glows only in between.
        active = (Interval(start_s + 1.5, max(start_s + 1.6, end_s - 1.3)),)
        x, y = x + self._uniform(-0.1, 0.1), y + self._uniform(-0.1, 0.1)
        self.tools.append(Tool(kind, start_s, end_s, active, x, y, self._uniform(0, 6.28)))

    def _next_reason(self) -> LossReason:
        if not self.reasons:
            # Each reason once, in a drawn order, before one comes again: a short recording shows as
            # many kinds as it can.
            order = self.rng.permutation(len(self.config.losses))
            self.reasons = [self.config.losses[int(i)] for i in order]
        return self.reasons.pop()

    def _lose(self, reason: LossReason) -> None:
        length_s = round(self._uniform(*_LOSS_LENGTHS_S[reason]), 1)
        start_s = round(self.at_s, 1)
        end_s = min(start_s + length_s, round(self.duration_s, 1) - 2.0)
        if end_s - start_s >= 1.0:
            self.losses.append(Loss(start_s, end_s, reason, int(self.rng.integers(1, 1000))))
            self.at_s = end_s + 0.5

    def _has_room_until(self, last_s: float) -> bool:
        return self.config.bleeds_per_10min > 0 and self.at_s + 10 < last_s

    def _bleed(self, last_s: float) -> None:
        bleed = self._new_bleed(min(last_s - self.at_s, 70.0))
        self.bleeds.append(bleed)
        self._stop(bleed)
        # Now and then the endoscope leaves in the middle of a bleed: an event with a loss inside it
        # is the hardest to time.
        if LossReason.OUT_OF_BODY in self.config.losses and self.rng.random() < 0.12:
            self.at_s = bleed.start_s + bleed.rise_s + 0.5 * bleed.plateau_s
            self._lose(LossReason.OUT_OF_BODY)
        self.at_s = max(self.at_s, bleed.washed_s + 2)
        if self.rng.random() < self.config.rebleed_share:
            self._rebleed(bleed, last_s)

    def _rebleed(self, bleed: Bleed, last_s: float) -> None:
        start_s = bleed.washed_s + self._uniform(8, 35)
        peak_frac = float(np.clip(bleed.peak_frac * self._uniform(0.5, 1.2), 0.08, 0.95))
        # Same source and same seed: it bleeds again where it bled, in the same shape.
        again = dataclasses.replace(bleed, start_s=start_s, peak_frac=peak_frac)
        if again.washed_s + 2 < last_s:
            self.bleeds.append(again)
            self._stop(again)
            self.at_s = again.washed_s + 2

    def _bleed_to_the_end(self) -> None:
        self.at_s = max(self.at_s, self.duration_s - 20)
        # Longer than what is left, so that the recording ends in the middle of it.
        bleed = dataclasses.replace(self._new_bleed(60.0), plateau_s=60.0)
        self.bleeds.append(bleed)

    def _new_bleed(self, room_s: float) -> Bleed:
        band = ("small", "middle", "large")[int(self.rng.choice(3, p=[0.4, 0.38, 0.22]))]
        kinds = _KINDS[band]
        length_s = min(room_s - 1, self._uniform(14, 60))
        rise, wash = self._uniform(0.12, 0.35), self._uniform(0.12, 0.3)
        return Bleed(
            kind=kinds[int(self.rng.integers(len(kinds)))],
            start_s=self.at_s,
            rise_s=rise * length_s,
            plateau_s=(1 - rise - wash) * length_s,
            wash_s=wash * length_s,
            peak_frac=self._uniform(*_PEAKS[band]),
            source_x=self._uniform(-0.45, 0.45),
            source_y=self._uniform(-0.45, 0.45),
            flow_rad=self._uniform(0, 6.28),
            clot_frac=self._uniform(0.0, 0.014),
            seed=int(self.rng.integers(0, 2**31)),
        )

    def _stop(self, bleed: Bleed) -> None:
        """Coagulate it, mostly."""
        if self.rng.random() < 0.8:
            start_s = bleed.start_s + bleed.rise_s + 0.4 * bleed.plateau_s
            end_s = min(bleed.washed_s + 1.5, self.duration_s)
            if end_s - start_s > 3.5:
                self._use(ToolKind.RF_PROBE, start_s, end_s, bleed.source_x, bleed.source_y)
