"""The truth of a recording: area, events and lost stretches from three CSV files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, freeze
from ubereport.core.errors import AnnotationError
from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.laboratory.csv_rows import read_rows

_REASONS = ", ".join(reason.value for reason in LossReason if reason is not LossReason.NONE)


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """A true event; `clear_s` is None where nobody saw it clear."""

    onset_s: float
    clear_s: float | None
    peak_area_frac: float


@dataclass(frozen=True, slots=True)
class TrueStretch:
    """A stretch of the case clock; `NONE` where the view was good."""

    interval: Interval
    reason: LossReason


@dataclass(frozen=True, slots=True, eq=False)
class RecordingTruth:
    """What is true about a recording.

    Parameters
    ----------
    time_s
        (n,) increasing; each row holds until the next one, the last for as long as the one
        before it.
    area_frac
        (n,) true area over the field of view; NaN where not valid.
    is_valid
        (n,) bool.
    events, stretches
        In time order. Time that no stretch covers is good.
    """

    time_s: FloatArray
    area_frac: FloatArray
    is_valid: BoolArray
    events: tuple[TrueEvent, ...]
    stretches: tuple[TrueStretch, ...]

    def __post_init__(self) -> None:
        freeze(self, np.float64, "time_s", "area_frac")
        freeze(self, np.bool_, "is_valid")
        if len(self.time_s) < 2 or np.any(np.diff(self.time_s) <= 0):
            raise ValueError("the true area needs two rows or more, at increasing times")
        if not len(self.time_s) == len(self.area_frac) == len(self.is_valid):
            raise ValueError("time_s, area_frac and is_valid differ in length")
        if np.any(np.isnan(self.area_frac) == self.is_valid):
            raise ValueError("the true area is NaN exactly where it is not valid")

    @property
    def edges_s(self) -> FloatArray:
        """(n + 1,) start of every row and the end of the last one."""
        return np.append(self.time_s, 2 * self.time_s[-1] - self.time_s[-2])

    @property
    def valid_s(self) -> float:
        """Seconds with a true area."""
        return float(np.diff(self.edges_s)[self.is_valid].sum())

    def event_interval(self, event: TrueEvent, max_gap_s: float) -> Interval:
        """Return where an event lies; one that did not clear ends where the view was last good.

        That is before the first loss longer than `max_gap_s`, or at the end of the recording.
        """
        if event.clear_s is not None:
            return Interval(event.onset_s, event.clear_s)
        # An event that nobody saw clear ends where the view was last good before a gap that is too
        # long to look across: later blood belongs to no event that began before.
        edges_s = self.edges_s
        starts_s, ends_s = edges_s[:-1][self.is_valid], edges_s[1:][self.is_valid]
        later = ends_s > event.onset_s
        starts_s, ends_s = starts_s[later], ends_s[later]
        if len(ends_s) == 0:
            return Interval(event.onset_s, event.onset_s)
        is_break = starts_s[1:] - ends_s[:-1] > max_gap_s
        last = int(np.argmax(is_break)) if is_break.any() else len(ends_s) - 1
        return Interval(event.onset_s, max(event.onset_s, float(ends_s[last])))


def read_truth(folder: Path) -> RecordingTruth:
    """Read ``area.csv``, ``events.csv`` and ``validity.csv`` from a truth folder.

    Raises
    ------
    AnnotationError
        If a file is missing, lacks a column, or holds something that is no number, no reason, out
        of range or out of order.
    """
    area = read_rows(folder / "area.csv", "time_s", "area_frac", "is_valid", may_be_empty=True)
    events = read_rows(
        folder / "events.csv", "onset_s", "clear_s", "peak_area_frac", may_be_empty=True
    )
    stretches = read_rows(folder / "validity.csv", "start_s", "end_s", "reason", may_be_empty=True)
    time_s = [_number("area.csv", row, "time_s") for row in area]
    is_valid = [_flag("area.csv", row, "is_valid") for row in area]
    area_frac = [
        _share("area.csv", row, "area_frac") if valid else math.nan
        for row, valid in zip(area, is_valid, strict=True)
    ]
    try:
        return RecordingTruth(
            time_s=np.array(time_s),
            area_frac=np.array(area_frac),
            is_valid=np.array(is_valid, dtype=np.bool_),
            events=tuple(sorted((_event(row) for row in events), key=lambda e: e.onset_s)),
            stretches=tuple(
                sorted((_stretch(row) for row in stretches), key=lambda s: s.interval.start_s)
            ),
        )
    except ValueError as error:
        raise AnnotationError(f"The truth cannot be used: {error}. Mend the files.") from None


def _event(row: dict[str, str]) -> TrueEvent:
    onset_s = _number("events.csv", row, "onset_s")
    clear_s = _number("events.csv", row, "clear_s") if row["clear_s"].strip() else None
    if clear_s is not None and clear_s < onset_s:
        raise AnnotationError(
            f"events.csv: an event clears at {clear_s} s, before its onset at {onset_s} s. "
            "Swap or mend them."
        )
    return TrueEvent(onset_s, clear_s, _share("events.csv", row, "peak_area_frac"))


def _stretch(row: dict[str, str]) -> TrueStretch:
    try:
        reason = LossReason(row["reason"].strip())
    except ValueError:
        raise AnnotationError(
            f"validity.csv: reason {row['reason']!r}; allowed: {_REASONS}, or empty where the "
            "view is good."
        ) from None
    start_s, end_s = (_number("validity.csv", row, key) for key in ("start_s", "end_s"))
    return TrueStretch(Interval(start_s, end_s), reason)


def _number(file: str, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(
            f"{file}: {column} = {row[column]!r} is no number. Write seconds or a share, with a "
            "decimal point."
        )
    return value


def _share(file: str, row: dict[str, str], column: str) -> float:
    value = _number(file, row, column)
    if not 0 <= value <= 1:
        raise AnnotationError(f"{file}: {column} = {value}; allowed: 0 to 1 (a share, no percent).")
    return value


def _flag(file: str, row: dict[str, str], column: str) -> bool:
    text = row[column].strip().lower()
    if text not in ("0", "1", "true", "false"):
        raise AnnotationError(f"{file}: {column} = {row[column]!r}; allowed: 0 or 1.")
    return text in ("1", "true")
