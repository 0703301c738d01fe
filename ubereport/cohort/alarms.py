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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray

_N_SIMULATED = 4000
_SEED = 20260301
_MIN_POINTS = 3
# 3 / 2.66 to the precision with which Wheeler's factor is used for limits.
_MOVING_RANGE_SIGMA = 2.66 / 3


@dataclass(frozen=True, slots=True)
class ChartRules:
    """When a point of a control chart stands out.

    `limit_sigmas` is the distance of a limit from the center (3: mean ± 2.66 × mean moving
    range). `trend_points` and `is_near_used` are None and False where the rule is not used.
    """

    limit_sigmas: float = 3.0
    run_points: int = 7
    trend_points: int | None = 7
    is_near_used: bool = True


USUAL_RULES = ChartRules()
# Of what a page may spend, this share goes to runs, which find slow shifts; the rest to limits.
_RUNS_SHARE = 0.1
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

    def share(self, rules: ChartRules) -> float:
        """Share of the charts with a signal under `rules`."""
        is_signal = (self.largest > rules.limit_sigmas) | (self.longest_run >= rules.run_points)
        if rules.trend_points is not None:
            is_signal |= self.longest_trend >= rules.trend_points
        if rules.is_near_used:
            is_signal |= self.is_near
        return float(is_signal.mean())


def rules_for_page(
    chart_lengths: Sequence[int], min_run_points: int, allowed: float
) -> tuple[ChartRules, float]:
    """Return the rules for the charts of a page, and the probability that it raises a signal.

    The usual rules where they keep the page at `allowed`, charts counted as independent of each
    other. Else points outside and runs only: the shortest runs, of `min_run_points` or more, that
    cost a tenth of what is allowed, then the narrowest limits that fit into the rest.
    """
    usual = replace(USUAL_RULES, run_points=max(min_run_points, USUAL_RULES.run_points))
    if (probability := false_alarm_of_page(chart_lengths, usual)) <= allowed:
        return usual, probability
    run_points = min_run_points
    while run_points < _MAX_RUN_POINTS:
        if (
            false_alarm_of_page(chart_lengths, ChartRules(math.inf, run_points, None, False))
            <= _RUNS_SHARE * allowed
        ):
            break
        run_points += 1
    for limit in _LIMIT_GRID:
        rules = ChartRules(round(float(limit), 2), run_points, None, is_near_used=False)
        if (probability := false_alarm_of_page(chart_lengths, rules)) <= allowed:
            break
    return rules, probability


def false_alarm_of_page(chart_lengths: Sequence[int], rules: ChartRules) -> float:
    """Return the probability that a page of charts of steady cases raises any signal.

    Charts count as independent of each other; one of fewer than three points has no signals.
    """
    shares = (_null_charts(n).share(rules) for n in chart_lengths if n >= _MIN_POINTS)
    return 1 - math.prod(1 - share for share in shares)


@lru_cache(maxsize=64)
def _null_charts(n_points: int) -> _NullCharts:
    """Simulate steady charts, some at a time: thousands of long ones would fill the memory."""
    rng = np.random.default_rng([_SEED, n_points])
    at_a_time = max(1, _MAX_VALUES // n_points)
    found = [
        _signs_of(rng.standard_normal((min(at_a_time, _N_SIMULATED - start), n_points)))
        for start in range(0, _N_SIMULATED, at_a_time)
    ]
    largest, runs, trends, is_near = (np.concatenate(column) for column in zip(*found, strict=True))
    return _NullCharts(largest, runs, trends, is_near)


def _signs_of(values: FloatArray) -> tuple[FloatArray, IntArray, IntArray, BoolArray]:
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
        _longest_constant(steps) + 1,
        np.any((n_near >= 2) & together, axis=1),
    )


def _longest_constant(signs: IntArray) -> IntArray:
    """(r,) the longest stretch of equal signs in each row of (r, n)."""
    longest = np.ones(len(signs), dtype=np.int64)
    current = np.ones(len(signs), dtype=np.int64)
    for column in range(1, signs.shape[1]):
        current = np.where(signs[:, column] == signs[:, column - 1], current + 1, 1)
        longest = np.maximum(longest, current)
    return longest
