"""The bleeding-area time series: the one table that every number of a report comes from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze

_TOUCHING_S = 1e-6
"""Rows closer than this follow on from each other: rounding of container clocks, no gap."""


class Threshold(StrEnum):
    """Which probability threshold of the bundle an area was counted at."""

    LENIENT = "lenient"
    CENTRAL = "central"
    STRICT = "strict"


class LossReason(StrEnum):
    """Why a stretch of the case clock has no usable picture; `NONE` where it has one.

    `JUDGED` is never measured: a reviewer said that the view was lost there.
    """

    NONE = ""
    BLACK = "black"
    NO_SIGNAL = "no_signal"
    WHITE_OUT = "white_out"
    BLURRED = "blurred"
    CORRUPT = "corrupt"
    FROZEN = "frozen"
    OUT_OF_BODY = "out_of_body"
    GAP = "gap"
    PAUSE = "pause"
    JUDGED = "judged"

    @property
    def is_recorded(self) -> bool:
        """Whether the time counts as recorded; a pause between parts does not."""
        return self is not LossReason.PAUSE


@dataclass(frozen=True, slots=True, eq=False)
class AreaSeries:
    """Samples and lost stretches of one case, in time order, without overlap.

    A row stands for ``[time_s, time_s + duration_s)``. A lost stretch without any picture (a gap,
    a pause, the missing tail of a cut file) is a row of its own.

    Parameters
    ----------
    time_s, duration_s
        (n,) float64; times increase strictly, durations are positive.
    part_index
        (n,) int64; -1 for a pause between parts.
    area_frac
        (n,) float64 in 0..1: pixels called blood over pixels of the field of view, at the
        bundle's probability threshold. NaN where not valid.
    area_frac_lenient, area_frac_strict
        The same at the next lower and next higher probability threshold, so that
        lenient ≥ area_frac ≥ strict.
    is_valid
        (n,) bool.
    reason
        n `LossReason`; NONE exactly where valid.
    joined_parts
        Parts whose end was found to join the next part's beginning without a pause.
    area_frac_of_tissue
        (n,) float64 in 0..1: pixels called blood that lie on no instrument, over pixels of the
        field of view that show none, at the bundle's threshold. NaN where not valid, and where
        instruments leave too little of the view; None where the bundle does not mark instruments.
    """

    time_s: FloatArray
    duration_s: FloatArray
    part_index: IntArray
    area_frac: FloatArray
    area_frac_lenient: FloatArray
    area_frac_strict: FloatArray
    is_valid: BoolArray
    reason: tuple[LossReason, ...]
    joined_parts: tuple[int, ...] = ()
    area_frac_of_tissue: FloatArray | None = None

    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("time_s", "duration_s", "part_index"),
        *("area_frac", "area_frac_lenient", "area_frac_strict", "is_valid", "reason"),
    )

    def __post_init__(self) -> None:
        freeze(self, np.float64, "time_s", "duration_s")
        freeze(self, np.float64, "area_frac", "area_frac_lenient", "area_frac_strict")
        if self.area_frac_of_tissue is not None:
            freeze(self, np.float64, "area_frac_of_tissue")
        freeze(self, np.int64, "part_index")
        freeze(self, np.bool_, "is_valid")
        reason = tuple(self.reason)
        # A replayed review makes a series anew for every stroke, of reasons that are checked.
        if not set(map(type, reason)) <= {LossReason}:
            reason = tuple(LossReason(r) for r in reason)
        object.__setattr__(self, "reason", reason)
        self._check_lengths()
        self._check_time()
        self._check_validity()

    def __len__(self) -> int:
        return len(self.time_s)

    def _check_lengths(self) -> None:
        n = len(self.time_s)
        for name in self.columns:
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries; time_s has {n}")

    def _check_time(self) -> None:
        if np.any(self.duration_s <= 0) or not np.all(np.isfinite(self.duration_s)):
            raise ValueError("durations must be positive and finite")
        if not np.all(np.isfinite(self.time_s)) or np.any(np.diff(self.time_s) <= 0):
            raise ValueError("times must be finite and increase strictly")
        ends_s = self.time_s[:-1] + self.duration_s[:-1]
        if np.any(ends_s > self.time_s[1:] + 1e-6):
            row = int(np.argmax(ends_s > self.time_s[1:] + 1e-6))
            raise ValueError(f"row {row} ends at {ends_s[row]} s, after the next one starts")

    def _check_validity(self) -> None:
        is_lost = np.array(self.reason, dtype=np.object_) != LossReason.NONE
        if np.any(is_lost == self.is_valid):
            raise ValueError("a row has a loss reason exactly where it is not valid")
        for name in ("area_frac", "area_frac_lenient", "area_frac_strict"):
            area = getattr(self, name)
            # Missing is not zero: a lost row with an area, or a valid one without, would be summed
            # without a word.
            if np.any(np.isnan(area) == self.is_valid):
                raise ValueError(f"{name} is NaN exactly where a row is not valid")
            if np.any((area[self.is_valid] < 0) | (area[self.is_valid] > 1)):
                raise ValueError(f"{name} must lie in 0..1 (a fraction, not percent)")
        if self.area_frac_of_tissue is not None:
            self._check_tissue(self.area_frac_of_tissue)

    def _check_tissue(self, area: FloatArray) -> None:
        known = area[~np.isnan(area)]
        if np.any((known < 0) | (known > 1)):
            raise ValueError("area_frac_of_tissue must lie in 0..1 (a fraction, not percent)")
        if not np.all(np.isnan(area[~self.is_valid])):
            raise ValueError("area_frac_of_tissue is NaN where a row is not valid")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that this series has."""
        is_marked = self.area_frac_of_tissue is not None
        return (*self.COLUMNS, "area_frac_of_tissue") if is_marked else self.COLUMNS

    @property
    def end_time_s(self) -> FloatArray:
        """(n,) end of each row in seconds."""
        return self.time_s + self.duration_s

    @property
    def is_recorded(self) -> BoolArray:
        """(n,) whether each row counts as recorded time."""
        return np.array([r.is_recorded for r in self.reason], dtype=np.bool_)

    @property
    def recorded_s(self) -> float:
        """Seconds recorded, pauses left out."""
        return float(self.duration_s[self.is_recorded].sum())

    @property
    def evaluable_s(self) -> float:
        """Seconds covered by valid samples."""
        return float(self.duration_s[self.is_valid].sum())

    @property
    def coverage_frac(self) -> float | None:
        """Evaluable over recorded time; None if nothing was recorded."""
        return self.evaluable_s / self.recorded_s if self.recorded_s > 0 else None

    def lost_s(self) -> dict[LossReason, float]:
        """Seconds lost per reason, only the reasons that occur, in the order of `LossReason`."""
        lost = {
            reason: float(self.duration_s[[r is reason for r in self.reason]].sum())
            for reason in LossReason
            if reason is not LossReason.NONE
        }
        return {reason: seconds for reason, seconds in lost.items() if seconds > 0}

    def at(self, threshold: Threshold) -> AreaSeries:
        """Return the series whose `area_frac` is the one at `threshold`."""
        area_frac = {
            Threshold.LENIENT: self.area_frac_lenient,
            Threshold.CENTRAL: self.area_frac,
            Threshold.STRICT: self.area_frac_strict,
        }[threshold]
        return dataclasses.replace(self, area_frac=area_frac)

    def stretches(
        self, max_gap_s: float, is_continuous: bool | None = None
    ) -> tuple[IntArray, ...]:
        """Return the row numbers of the valid rows, one array for each stretch of view.

        The view is lost between two valid rows for the time that no valid row covers. A loss of up
        to `max_gap_s` lies inside a stretch, a longer one ends it, and so does a pause
        (`paused_before`).
        """
        rows = np.flatnonzero(self.is_valid)
        if len(rows) == 0:
            return ()
        lost_s = self.time_s[rows[1:]] - self.end_time_s[rows[:-1]]
        # Counted up to each row and compared: a pause between two valid rows shows although its own
        # row is not among them.
        is_paused = np.diff(self.paused_before(is_continuous)[rows]) > 0
        is_cut = (lost_s > max_gap_s + _TOUCHING_S) | is_paused
        return tuple(np.split(rows, np.flatnonzero(is_cut) + 1))

    def paused_before(self, is_continuous: bool | None = None) -> IntArray:
        """(n,) how often the recording was, or may have been, paused up to each row.

        The end of a part may be a pause of a time that nobody measured, unless the part was found
        to join the next (`joined_parts`). Where somebody said that parts follow each other without
        a pause, or that they do not, that holds (`is_continuous`); a stated pause is one always.
        """
        is_pause = np.array([r is LossReason.PAUSE for r in self.reason], dtype=np.bool_)
        if not is_continuous:
            before, after = self.part_index[:-1], self.part_index[1:]
            is_joined = np.isin(before, self.joined_parts) & (after == before + 1)
            if is_continuous is False:
                is_joined[:] = False
            is_pause[1:] |= (before != after) & ~is_joined
        return np.cumsum(is_pause)
