"""Steadying the area before thresholds are applied: a centered, time-weighted running median."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.config import EventConfig
from ubereport.core.series import AreaSeries

ROUNDING_S = 1e-6
"""Times closer than this are equal: sample times come from container clocks and are rounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The runs of one stretch of view: neighboring samples of equal area are one run.

    Parameters
    ----------
    start_s, end_s
        (k,) float64, each run covers ``[start_s, end_s)``.
    area_frac, smoothed_frac
        (k,) float64, the area as measured and after the running median.
    n_looks
        (k,) int64, how many samples the run is made of.
    """

    start_s: FloatArray
    end_s: FloatArray
    area_frac: FloatArray
    smoothed_frac: FloatArray
    n_looks: IntArray

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def duration_s(self) -> FloatArray:
        """(k,) length of each run in seconds."""
        return self.end_s - self.start_s


def smooth_area(series: AreaSeries, config: EventConfig) -> FloatArray:
    """Return the smoothed area of each row, shape (n,); NaN where a row is not valid.

    A row takes the time-weighted median of the valid time within ``config.smoothing_s / 2`` on
    either side of the middle of its run; a run is made of touching rows of equal area, so that
    cutting a sample in two changes nothing. The window never reaches beyond a stretch of view (a
    loss longer than ``config.max_gap_s`` or the end of a part ends it), and near its ends it
    shrinks on both sides alike, so that it stays centered and edges stay where they are.
    """
    smoothed = np.full(len(series), np.nan)
    for rows in series.stretches(config.max_gap_s, config.is_continuous):
        runs = runs_of_stretch(series, rows, config)
        smoothed[rows] = np.repeat(runs.smoothed_frac, runs.n_looks)
    return smoothed


def runs_of_stretch(series: AreaSeries, rows: IntArray, config: EventConfig) -> Runs:
    """Return the runs of the stretch of view that consists of the valid `rows` (k,) of `series`."""
    start_s, end_s = series.time_s[rows], series.end_time_s[rows]
    area_frac = series.area_frac[rows]
    is_touching = start_s[1:] - end_s[:-1] <= ROUNDING_S
    is_first = np.append(True, ~is_touching | (np.diff(area_frac) != 0))
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(rows)) - 1
    starts, ends, areas = start_s[first], end_s[last], area_frac[first]
    smoothed = _running_median(starts, ends, areas, config.smoothing_s / 2)
    return Runs(starts, ends, areas, smoothed, last - first + 1)


def _running_median(
    start_s: FloatArray, end_s: FloatArray, area_frac: FloatArray, half_width_s: float
) -> FloatArray:
    # Each run takes the median of the time around its middle. The window is cut at the ends of the
    # stretch on both sides alike: a window that reached farther to one side would move edges there.
    middle_s = (start_s + end_s) / 2
    reach_s = np.minimum(half_width_s, np.minimum(middle_s - start_s[0], end_s[-1] - middle_s))
    from_s, to_s = middle_s - reach_s, middle_s + reach_s
    first = np.searchsorted(end_s, from_s, side="right")
    last = np.searchsorted(start_s, to_s, side="left")
    # Windows hold a handful of runs: lists are several times faster here than arrays.
    starts, ends, areas = start_s.tolist(), end_s.tolist(), area_frac.tolist()
    smoothed = area_frac.copy()
    # A window inside of one run needs no sum: its median is the area of the run.
    for i in np.flatnonzero(last - first > 1).tolist():
        low_s, high_s = float(from_s[i]), float(to_s[i])
        smoothed[i] = _weighted_median(
            [
                (areas[j], min(ends[j], high_s) - max(starts[j], low_s))
                for j in range(int(first[i]), int(last[i]))
            ]
        )
    return smoothed


def _weighted_median(pairs: list[tuple[float, float]]) -> float:
    """Return the median of (value, weight); where just half the weight lies below, the mean."""
    pairs.sort()
    half = sum(weight for _, weight in pairs) / 2
    below = 0.0
    for (value, weight), (next_value, _) in zip(pairs, [*pairs[1:], pairs[-1]], strict=True):
        # Sorted by value, weights are summed up to one half: that value is the median.
        below += weight
        if below >= half - ROUNDING_S:
            return value if below > half + ROUNDING_S else (value + next_value) / 2
    return pairs[-1][0]
