"""A case at a glance: blocks of ten minutes, as surgical trials grade the view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.config import MetricConfig
from ubereport.core.series import AreaSeries

_IMPAIRED_FRAC = 0.20


@dataclass(frozen=True, slots=True)
class StripBlock:
    """One block of the case clock, ``[start_s, end_s)``.

    `coverage_frac` is None where nothing was recorded; `area_mean_frac` and `impaired_share_20`
    are None where nothing was evaluable.
    """

    start_s: float
    end_s: float
    recorded_s: float
    evaluable_s: float
    coverage_frac: float | None
    area_mean_frac: float | None
    impaired_share_20: float | None


def strip_blocks(series: AreaSeries, config: MetricConfig) -> tuple[StripBlock, ...]:
    """Cut the case clock into blocks of ``config.strip_block_s``; the last one may be shorter.

    A sample that reaches over the edge of a block counts in each with the time it has there.
    """
    if len(series) == 0:
        return ()
    end_s = float(series.end_time_s[-1])
    # An end that lies beyond an edge by rounding alone must not open a block with nothing in it.
    n_blocks = max(1, math.ceil(end_s / config.strip_block_s - 1e-9))
    edges_s = [number * config.strip_block_s for number in range(n_blocks)]
    row_end_s, is_recorded = series.end_time_s, series.is_recorded
    first = np.searchsorted(row_end_s, edges_s, side="right")
    stop = np.searchsorted(series.time_s, [*edges_s[1:], end_s], side="left")
    return tuple(
        _block(series, slice(int(a), int(b)), is_recorded[a:b], start_s, min(next_s, end_s))
        for a, b, start_s, next_s in zip(first, stop, edges_s, [*edges_s[1:], end_s], strict=True)
    )


def _block(
    series: AreaSeries, rows: slice, is_recorded: BoolArray, start_s: float, end_s: float
) -> StripBlock:
    row_end_s = series.time_s[rows] + series.duration_s[rows]
    inside_s = np.minimum(row_end_s, end_s) - np.maximum(series.time_s[rows], start_s)
    recorded_s = float(inside_s[is_recorded].sum())
    is_valid = series.is_valid[rows]
    weight_s, area_frac = inside_s[is_valid], series.area_frac[rows][is_valid]
    evaluable_s = float(weight_s.sum())
    is_seen = evaluable_s > 0
    return StripBlock(
        start_s=start_s,
        end_s=end_s,
        recorded_s=recorded_s,
        evaluable_s=evaluable_s,
        coverage_frac=evaluable_s / recorded_s if recorded_s > 0 else None,
        area_mean_frac=float(np.sum(area_frac * weight_s)) / evaluable_s if is_seen else None,
        impaired_share_20=float(weight_s[area_frac >= _IMPAIRED_FRAC].sum()) / evaluable_s
        if is_seen
        else None,
    )
