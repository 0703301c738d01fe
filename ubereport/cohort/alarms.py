"""How often an audit of a steady department would show a signal, and rules that hold that down.

One chart with the usual rules (three sigma, seven on one side, a trend of seven, two of three near
a limit) raises a signal in four of ten series of 60 steady cases; a page of five charts nearly
always. The rules of all charts of a page are therefore chosen together: limits as wide and runs as
long as it takes for the whole page to raise a signal in no more than the allowed share of steady
departments. Shares come from simulated charts of normal values
whose limits are estimated from the same values, as they are in an audit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray

_N_SIMULATED = 4000
_SEED = 20260301
_MIN_POINTS = 3
# 1 / 1.128, to the precision with which Wheeler's factor for limits (2.66 = 3 / 1.128) is used.
_MOVING_RANGE_SIGMA = 2.66 / 3


@dataclass(frozen=True, slots=True)
class ChartRules:
    """When a point of a control chart stands out.

    `limit_sigmas` is the distance of a limit from the center (3: mean ± 2.66 × mean moving
    range). `average_sigmas` is that of the `running_average`, in its own standard deviations.
    `trend_points`, `average_sigmas` and `is_near_used` are None and False where a rule is not used.
    """

    limit_sigmas: float = 3.0
    run_points: int = 7
    trend_points: int | None = 7
    is_near_used: bool = True
    average_sigmas: float | None = None


USUAL_RULES = ChartRules()
# Of what a page may spend, these shares go to runs and running averages; the rest to limits.
_RUNS_SHARE = 0.1
_AVERAGE_SHARE = 0.4
_AVERAGE_WEIGHT = 0.2
_AVERAGE_BOUND = 3.0
_MAX_RUN_POINTS = 40
_MAX_VALUES = 500_000
_LIMIT_GRID = np.arange(3.0, 6.01, 0.05)


@dataclass(frozen=True, slots=True, eq=False)
class _NullCharts:
    """What simulated charts of steady cases do, one entry a chart."""

    largest: FloatArray
    longest_run: IntArray
    longest_trend: IntArray
    is_near: BoolArray
    largest_average: FloatArray

    def share(self, rules: ChartRules) -> float:
        """Share of the charts with a signal under `rules`."""
        is_signal = (self.largest > rules.limit_sigmas) | (self.longest_run >= rules.run_points)
        if rules.trend_points is not None:
            is_signal |= self.longest_trend >= rules.trend_points
        if rules.is_near_used:
            is_signal |= self.is_near
        if rules.average_sigmas is not None:
            is_signal |= self.largest_average > rules.average_sigmas
        return float(is_signal.mean())


def rules_for_page(
    chart_lengths: Sequence[int], min_run_points: int, allowed: float
) -> tuple[ChartRules, float]:
    """Return the rules for the charts of a page, and the probability that it raises a signal.

    The usual rules where they keep the page at `allowed`, charts counted as independent of each
    other. Else points outside, runs and running averages: the shortest runs, of `min_run_points` or
    more, that cost a tenth of what is allowed, the narrowest limits of averages that cost four
    tenths, then the narrowest limits of points that fit into the rest.
    """
    usual = replace(USUAL_RULES, run_points=max(min_run_points, USUAL_RULES.run_points))
    if (probability := false_alarm_of_page(chart_lengths, usual)) <= allowed:
        return usual, probability
    # Two knobs, one budget. First lengthen the runs until they alone cost a tenth of it, limits
    # put out of reach; then widen the limits in small steps until both together fit. Runs come
    # first because they find what limits miss, a level that moved a little for good.
    run_points = min_run_points
    while run_points < _MAX_RUN_POINTS:
        if (
            false_alarm_of_page(chart_lengths, ChartRules(math.inf, run_points, None, False))
            <= _RUNS_SHARE * allowed
        ):
            break
        run_points += 1
    average = _average_limit(chart_lengths, _AVERAGE_SHARE * allowed)
    # Where not even the widest limit fits, it is used, and the page is told what it really costs.
    for limit in _LIMIT_GRID:
        rules = ChartRules(round(float(limit), 2), run_points, None, False, average)
        if (probability := false_alarm_of_page(chart_lengths, rules)) <= allowed:
            break
    return rules, probability


def running_average(distances: FloatArray) -> FloatArray:
    """Return the average of the cases so far, the latest counting most, in standard deviations.

    An exponentially weighted moving average (Roberts, Technometrics 1959;1:239) with a weight of
    0.2: a shift or a bad month of some cases in a row adds up in it long before one of them leaves
    its limits. A case counts as no further off than 3, so that one odd case is no shift.

    Parameters
    ----------
    distances
        (..., n) distances from the center in standard deviations, in order of time.
    """
    bounded = np.clip(distances, -_AVERAGE_BOUND, _AVERAGE_BOUND)
    average, averages = np.zeros(bounded.shape[:-1]), np.empty_like(bounded)
    for i in range(bounded.shape[-1]):
        average = _AVERAGE_WEIGHT * bounded[..., i] + (1 - _AVERAGE_WEIGHT) * average
        averages[..., i] = average
    # Its variance grows from the weight's square to weight / (2 - weight), Montgomery eq. 9.24.
    n_cases = np.arange(1, bounded.shape[-1] + 1)
    grown = 1 - (1 - _AVERAGE_WEIGHT) ** (2 * n_cases)
    return np.asarray(averages / np.sqrt(_AVERAGE_WEIGHT / (2 - _AVERAGE_WEIGHT) * grown))


def _average_limit(chart_lengths: Sequence[int], allowed: float) -> float:
    """Return the narrowest limit of running averages alone that keeps a page at `allowed`."""
    limits = [round(float(limit), 2) for limit in _LIMIT_GRID]
    for limit in limits:
        # All other rules are put out of reach, so that what averages cost is known by itself.
        rules = ChartRules(math.inf, sys.maxsize, None, False, limit)
        if false_alarm_of_page(chart_lengths, rules) <= allowed:
            return limit
    return limits[-1]


def false_alarm_of_page(chart_lengths: Sequence[int], rules: ChartRules) -> float:
    """Return the probability that a page of charts of steady cases raises any signal.

    Charts count as independent of each other; one of fewer than three points has no signals.
    """
    shares = (_null_charts(n).share(rules) for n in chart_lengths if n >= _MIN_POINTS)
    return 1 - math.prod(1 - share for share in shares)


@lru_cache(maxsize=64)
def _null_charts(n_points: int) -> _NullCharts:
    """Simulate steady charts, some at a time: thousands of long ones would fill the memory."""
    # Always the same charts for a length: an audit that is repeated keeps its limits.
    rng = np.random.default_rng([_SEED, n_points])
    at_a_time = max(1, _MAX_VALUES // n_points)
    signs = [
        _signs_of(rng.standard_normal((min(at_a_time, _N_SIMULATED - start), n_points)))
        for start in range(0, _N_SIMULATED, at_a_time)
    ]
    return _NullCharts(*(np.concatenate(column) for column in zip(*signs, strict=True)))


def _signs_of(values: FloatArray) -> tuple[FloatArray, IntArray, IntArray, BoolArray, FloatArray]:
    """Return the fields of `_NullCharts` for charts of (r, n) values."""
    sigma = _MOVING_RANGE_SIGMA * np.abs(np.diff(values, axis=1)).mean(axis=1, keepdims=True)
    distances = (values - values.mean(axis=1, keepdims=True)) / sigma
    side = np.sign(distances).astype(np.int64)
    steps = np.sign(np.diff(values, axis=1)).astype(np.int64)
    is_near = (np.abs(distances) > 2) & (np.abs(distances) <= 3)
    together = np.abs(side[:, 2:] + side[:, 1:-1] + side[:, :-2]) == 3
    n_near = is_near[:, 2:].astype(int) + is_near[:, 1:-1] + is_near[:, :-2]
    return (
        np.abs(distances).max(axis=1),
        _longest_constant(side),
        # A trend of so many points has one step less.
        _longest_constant(steps) + 1,
        np.any((n_near >= 2) & together, axis=1),
        np.abs(running_average(distances)).max(axis=1),
    )


def _longest_constant(signs: IntArray) -> IntArray:
    """(r,) the longest stretch of equal signs in each row of (r, n)."""
    longest = np.ones(len(signs), dtype=np.int64)
    current = np.ones(len(signs), dtype=np.int64)
    for column in range(1, signs.shape[1]):
        current = np.where(signs[:, column] == signs[:, column - 1], current + 1, 1)
        longest = np.maximum(longest, current)
    return longest
