"""The area series as a reviewer left it: measured rows, changed where somebody said so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.review.spans import SAME_S

AREAS = ("area_frac", "area_frac_lenient", "area_frac_strict")


def cut_rows(series: AreaSeries, times_s: Sequence[float]) -> AreaSeries:
    """Return the series with its rows cut at `times_s`, so that a stretch begins with a row.

    Cutting changes no number: each piece keeps the area and the reason of its row.
    """
    at = np.unique(np.asarray(times_s, dtype=np.float64))
    row = np.searchsorted(series.time_s, at, side="right") - 1
    at, row = at[row >= 0], row[row >= 0]
    is_inside = (at > series.time_s[row] + SAME_S) & (at < series.end_time_s[row] - SAME_S)
    if not is_inside.any():
        return series
    starts = np.sort(np.concatenate([series.time_s, at[is_inside]]))
    rows = np.searchsorted(series.time_s, starts, side="right") - 1
    is_cut = np.append(rows[1:] == rows[:-1], False)
    # A piece ends where the next piece of its row begins; the last one ends with the row, which
    # need not touch the next row.
    ends = np.where(is_cut, np.append(starts[1:], np.nan), series.end_time_s[rows])
    return replace(
        series,
        time_s=starts,
        duration_s=ends - starts,
        reason=tuple(series.reason[row] for row in rows),
        **{name: getattr(series, name)[rows] for name in ("part_index", "is_valid", *AREAS)},
    )


def area_marked(series: AreaSeries, stretch: Interval, area_frac: float) -> AreaSeries:
    """Return the series with `area_frac` in the evaluable time of `stretch`, at all thresholds.

    Lost time stays lost: what nobody could see has no area.
    """
    cut = cut_rows(series, (stretch.start_s, stretch.end_s))
    is_inside = _inside(cut, stretch) & cut.is_valid
    return _changed(cut, is_inside, lambda _: area_frac)


def sample_marked(series: AreaSeries, time_s: float, area_frac: float) -> AreaSeries:
    """Return the series with `area_frac` in the row of the picture shown at `time_s`.

    The neighboring thresholds keep their distance from the area as measured, within 0..1.
    """
    row = row_at(series, time_s)
    is_row = np.zeros(len(series), dtype=np.bool_)
    if row is not None:
        is_row[row] = series.is_valid[row]
    # A person says one area. How far the lenient and the strict threshold lie from it is what the
    # model knows of its own doubt, and is kept.
    shift = area_frac - series.area_frac
    return _changed(series, is_row, lambda name: np.clip(getattr(series, name) + shift, 0, 1))


def lost_marked(series: AreaSeries, stretch: Interval) -> AreaSeries:
    """Return the series with the recorded time of `stretch` lost, because a person judged so."""
    cut = cut_rows(series, (stretch.start_s, stretch.end_s))
    is_inside = _inside(cut, stretch) & cut.is_valid
    reason = tuple(
        LossReason.JUDGED if is_lost else old
        for is_lost, old in zip(is_inside, cut.reason, strict=True)
    )
    areas: dict[str, Any] = {
        name: np.where(is_inside, np.nan, getattr(cut, name)) for name in AREAS
    }
    return replace(cut, is_valid=cut.is_valid & ~is_inside, reason=reason, **areas)


def row_at(series: AreaSeries, time_s: float) -> int | None:
    """Return the row that holds `time_s`; None where no row does."""
    row = int(np.searchsorted(series.time_s, time_s + SAME_S, side="right")) - 1
    return row if row >= 0 and time_s < series.end_time_s[row] else None


def rows_begun_in(series: AreaSeries, stretch: Interval) -> BoolArray:
    """Return (n,) which rows begin within `stretch`, wherever they end."""
    is_after = series.time_s >= stretch.start_s - SAME_S
    is_begun: BoolArray = is_after & (series.time_s < stretch.end_s - SAME_S)
    return is_begun


def _inside(series: AreaSeries, stretch: Interval) -> BoolArray:
    is_after = series.time_s >= stretch.start_s - SAME_S
    is_inside: BoolArray = is_after & (series.end_time_s <= stretch.end_s + SAME_S)
    return is_inside


def _changed(
    series: AreaSeries, is_changed: BoolArray, value: Callable[[str], object]
) -> AreaSeries:
    areas: dict[str, Any] = {
        name: np.where(is_changed, np.asarray(value(name)), getattr(series, name)) for name in AREAS
    }
    return replace(series, **areas)
