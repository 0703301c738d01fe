"""What stands out on a control chart, point by point."""

from __future__ import annotations

import numpy as np

from ubereport.cohort.alarms import USUAL_RULES, ChartRules, running_average
from ubereport.cohort.audit_results import Signal
from ubereport.core.arrays import BoolArray, FloatArray, IntArray


def signals_of(
    values: FloatArray,
    distances: FloatArray,
    rules: ChartRules = USUAL_RULES,
    sides: FloatArray | None = None,
    averaged: FloatArray | None = None,
) -> list[tuple[Signal, ...]]:
    """Name what stands out; every point of a run carries its signal.

    - outside: beyond a limit;
    - one side: so many in a row on one side, by `sides` (n,), else those of the distances;
    - trend: so many in a row each above (or each below) the one before;
    - average: the `running_average` of the cases so far is off, of `averaged` (n,), else of the
      distances;
    - near limit: two of three in a row, all on one side, beyond two thirds of the limit.

    Source: NHS "Making Data Count" rules as implemented in NHSRplotthedots, with the numbers of
    `rules`.
    """
    side = np.sign(distances if sides is None else sides).astype(np.int64)
    size = np.abs(distances)
    limit = rules.limit_sigmas
    marks = {
        Signal.OUTSIDE: size > limit,
        Signal.ONE_SIDE: _in_run(side, rules.run_points),
    }
    if rules.trend_points is not None:
        marks[Signal.TREND] = _in_trend(values, rules.trend_points)
    if rules.average_sigmas is not None:
        marks[Signal.AVERAGE] = (
            np.abs(running_average(distances if averaged is None else averaged))
            > rules.average_sigmas
        )
    if rules.is_near_used:
        marks[Signal.NEAR_LIMIT] = _in_two_of_three((size > 2 * limit / 3) & (size <= limit), side)
    return [tuple(signal for signal, mark in marks.items() if mark[i]) for i in range(len(values))]


def _in_run(side: IntArray, length: int) -> BoolArray:
    marks = np.zeros(len(side), dtype=np.bool_)
    for end in range(length, len(side) + 1):
        window = side[end - length : end]
        # A point on the center line is on neither side and ends a run.
        if window[0] != 0 and np.all(window == window[0]):
            marks[end - length : end] = True
    return marks


def _in_trend(values: FloatArray, length: int) -> BoolArray:
    marks = np.zeros(len(values), dtype=np.bool_)
    steps = np.sign(np.diff(values))
    for end in range(length, len(values) + 1):
        window = steps[end - length : end - 1]
        # Each point has to lie beyond the one before: two equal values in a row end a trend.
        if np.all(window == 1) or np.all(window == -1):
            marks[end - length : end] = True
    return marks


def _in_two_of_three(is_near: BoolArray, side: IntArray) -> BoolArray:
    marks = np.zeros(len(side), dtype=np.bool_)
    for end in range(3, len(side) + 1):
        window = slice(end - 3, end)
        if is_near[window].sum() >= 2 and abs(int(side[window].sum())) == 3:
            marks[window] |= is_near[window]
    return marks
