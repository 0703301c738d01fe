"""What is true about a simulated recording, as series, events and files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.config import EventConfig
from ubereport.core.errors import OutputError
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.metrics.event_detection import detect_events

TRUTH_RATE_HZ = 10


@dataclass(frozen=True, slots=True)
class LostStretch:
    """A stretch of the case clock and why its view is lost; `NONE` where it is valid."""

    interval: Interval
    reason: LossReason


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true about a recording.

    Parameters
    ----------
    series
        True area at 10 Hz. A row's area is that of the picture on display at its time.
    events
        Hemostasis events by the definitions, applied to `series` with the default thresholds.
    stretches
        Valid and lost stretches; they cover the case clock without overlap.
    """

    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    stretches: tuple[LostStretch, ...]

    @classmethod
    def of(
        cls,
        area_frac: FloatArray,
        reasons: Sequence[LossReason],
        duration_s: float,
        part_starts_s: Sequence[float],
        stretches: Sequence[LostStretch],
    ) -> Truth:
        """Build the truth from the areas at `truth_times(duration_s)`."""
        time_s = truth_times(duration_s)
        ends_s = np.append(time_s[1:], duration_s)
        part_index = np.searchsorted(np.asarray(part_starts_s), time_s + 1e-9, "right") - 1
        series = AreaSeries(
            time_s=time_s,
            duration_s=ends_s - time_s,
            part_index=part_index,
            area_frac=area_frac,
            area_frac_lenient=area_frac,
            area_frac_strict=area_frac,
            is_valid=np.array([reason is LossReason.NONE for reason in reasons]),
            reason=tuple(reasons),
        )
        return cls(series, detect_events(series, EventConfig()), tuple(stretches))


def truth_times(duration_s: float) -> FloatArray:
    """Return the times of the truth's rows: tenths of a second before the end."""
    n = math.ceil(duration_s * TRUTH_RATE_HZ - 1e-6)
    return np.arange(n, dtype=np.float64) / TRUTH_RATE_HZ


def write_truth(truth: Truth, folder: Path) -> None:
    """Write ``area.csv``, ``events.csv`` and ``validity.csv`` into `folder`, made if need be.

    Missing values are empty cells: the area where the view is lost, the clearing of an event
    that was not seen to clear.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    series = truth.series
    area_rows = (
        (f"{t:.1f}", f"{a:.6f}" if valid else "", int(valid), reason.value)
        for t, a, valid, reason in zip(
            series.time_s, series.area_frac, series.is_valid, series.reason, strict=True
        )
    )
    event_rows = (
        (_seconds(event.onset_s), _seconds(event.clear_s), f"{event.peak_area_frac:.6f}")
        for event in truth.events
    )
    validity_rows = (
        (_seconds(s.interval.start_s), _seconds(s.interval.end_s), s.reason.value)
        for s in truth.stretches
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "area.csv", ("time_s", "area_frac", "is_valid", "reason"), area_rows)
        _write(folder / "events.csv", ("onset_s", "clear_s", "peak_area_frac"), event_rows)
        _write(folder / "validity.csv", ("start_s", "end_s", "reason"), validity_rows)
    except OSError as error:
        raise OutputError(
            f"The truth cannot be written ({error.strerror}). Name a folder that can be written."
        ) from None


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
