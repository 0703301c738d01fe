"""The area series as the columns of a picture: exact means and peaks, one reason a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400)


@dataclass(frozen=True, slots=True, eq=False)
class TimeColumns:
    """Neighboring columns of case time.

    Parameters
    ----------
    edge_s
        (n + 1,) float64 bounds of the columns in seconds.
    evaluable_s, lost_s
        (n,) float64 seconds of each column with a valid sample, and lost (pauses included).
    mean_frac, peak_frac
        (n,) float64 time-weighted mean and largest area fraction over the evaluable time of each
        column; NaN where there is none.
    reason
        n `LossReason`: what most of the lost time of a column was lost to; NONE without any.
    """

    edge_s: FloatArray
    evaluable_s: FloatArray
    lost_s: FloatArray
    mean_frac: FloatArray
    peak_frac: FloatArray
    reason: tuple[LossReason, ...]

    def __post_init__(self) -> None:
        freeze(self, np.float64, "edge_s", "evaluable_s", "lost_s", "mean_frac", "peak_frac")

    @property
    def is_shown(self) -> BoolArray:
        """(n,) whether more of a column is evaluable than lost."""
        return (self.evaluable_s > 0) & (self.evaluable_s >= self.lost_s)


def equal_edges(series: AreaSeries, n_columns: int) -> FloatArray:
    """Return (n_columns + 1,) edges from 0 to the end of `series`; none for an empty one."""
    if len(series) == 0:
        return np.array([], dtype=np.float64)
    return np.linspace(0.0, float(series.end_time_s[-1]), n_columns + 1)


def round_edges(series: AreaSeries, max_columns: int) -> FloatArray:
    """Return edges at a round step, at most `max_columns` columns; the last one may be shorter."""
    end_s = float(series.end_time_s[-1])
    step_s = tick_step_s(end_s, max_columns)
    edge_s = np.arange(0.0, end_s, step_s)
    edges: FloatArray = np.concatenate([edge_s, [end_s]])
    return edges


def time_columns(series: AreaSeries, edge_s: FloatArray) -> TimeColumns:
    """Summarize `series` over columns of case time.

    Parameters
    ----------
    series
        At least one row.
    edge_s
        (n + 1,) increasing bounds, seconds on the case clock.

    Raises
    ------
    ValueError
        If `series` is empty or `edge_s` does not increase.
    """
    if len(series) == 0 or len(edge_s) < 2 or np.any(np.diff(edge_s) <= 0):
        raise ValueError(f"{len(series)} rows cannot be cut at {len(edge_s)} increasing edges")
    # Columns are integrals and not samples: a bleed of a second is seen in a column of a minute, as
    # a sixtieth of it.
    evaluable_s = _covered_s(series, series.is_valid.astype(np.float64), edge_s)
    area_s = _covered_s(series, np.where(series.is_valid, series.area_frac, 0.0), edge_s)
    reasons = list(series.lost_s())
    per_reason_s = np.array([_covered_s(series, _is_lost_to(series, r), edge_s) for r in reasons])
    lost_s = per_reason_s.sum(axis=0) if reasons else np.zeros(len(evaluable_s))
    is_seen = evaluable_s > 0
    mean = np.divide(area_s, evaluable_s, out=np.full_like(area_s, np.nan), where=is_seen)
    # By rounding the mean of equal areas may lie above the largest of them.
    peak = np.where(is_seen, np.fmax(_peaks(series, edge_s), mean), np.nan)
    reason = tuple(
        # One reason a column, as a column has room for one pattern.
        reasons[per_reason_s[:, i].argmax()] if lost_s[i] > 0 else LossReason.NONE
        for i in range(len(lost_s))
    )
    return TimeColumns(edge_s, evaluable_s, lost_s, mean, peak, reason)


def _is_lost_to(series: AreaSeries, reason: LossReason) -> FloatArray:
    return np.array([r is reason for r in series.reason], dtype=np.float64)


def _covered_s(series: AreaSeries, weight: FloatArray, edge_s: FloatArray) -> FloatArray:
    """Return (n,) the integral of `weight` over the rows inside each column."""
    # The running total of an integral is a line with corners at the ends of the rows: read it off
    # at the edges of the columns, and each column has the difference. Rows that reach over an edge
    # are split exactly, however few columns there are.
    at_s = np.column_stack([series.time_s, series.end_time_s]).ravel()
    at_s = np.maximum.accumulate(at_s)
    steps = np.column_stack([np.zeros(len(series)), weight * series.duration_s]).ravel()
    total = np.interp(edge_s, at_s, np.cumsum(steps))
    covered_s: FloatArray = np.maximum(np.diff(total), 0.0)
    return covered_s


def _peaks(series: AreaSeries, edge_s: FloatArray) -> FloatArray:
    valid = np.flatnonzero(series.is_valid)
    first = _column_of(series.time_s[valid], edge_s)
    # A row that ends exactly on an edge does not reach into the next column.
    last = _column_of(np.nextafter(series.end_time_s[valid], -np.inf), edge_s)
    peak = np.full(len(edge_s) - 1, -np.inf)
    np.maximum.at(peak, first, series.area_frac[valid])
    for row in np.flatnonzero(last > first):
        span = slice(first[row] + 1, last[row] + 1)
        peak[span] = np.maximum(peak[span], series.area_frac[valid[row]])
    return np.where(np.isfinite(peak), peak, np.nan)


def _column_of(at_s: FloatArray, edge_s: FloatArray) -> IntArray:
    column = np.searchsorted(edge_s, at_s, side="right") - 1
    return np.clip(column, 0, len(edge_s) - 2).astype(np.int64)


def lost_runs(columns: TimeColumns) -> tuple[tuple[LossReason, Interval], ...]:
    """Merge neighboring columns that were mostly lost, to the same reason."""
    runs: list[tuple[LossReason, Interval]] = []
    is_shown = columns.is_shown
    for i, reason in enumerate(columns.reason):
        if is_shown[i] or reason is LossReason.NONE:
            continue
        span = Interval(float(columns.edge_s[i]), float(columns.edge_s[i + 1]))
        if runs and runs[-1][0] is reason and runs[-1][1].end_s == span.start_s:
            span = Interval(runs.pop()[1].start_s, span.end_s)
        runs.append((reason, span))
    return tuple(runs)


def closing_interval(series: AreaSeries, window_s: float) -> Interval | None:
    """Return the stretch that holds the last `window_s` evaluable seconds; None without any."""
    valid = np.flatnonzero(series.is_valid)
    if len(valid) == 0:
        return None
    remaining_s = np.cumsum(series.duration_s[valid][::-1])
    reached = int(np.searchsorted(remaining_s, window_s))
    row = valid[::-1][min(reached, len(valid) - 1)]
    start_s = float(series.time_s[row])
    if reached < len(valid):
        # Into the row that the window begins in: rows may be long, and the drawn stretch must be
        # the one that was measured.
        start_s += float(remaining_s[reached] - window_s)
    return Interval(start_s, float(series.end_time_s[valid[-1]]))


def tick_step_s(span_s: float, max_ticks: int = 10) -> int:
    """Return the shortest round step that puts at most `max_ticks` steps into `span_s`."""
    for step_s in _STEPS_S:
        if span_s / step_s <= max_ticks:
            return step_s
    return _STEPS_S[-1]
