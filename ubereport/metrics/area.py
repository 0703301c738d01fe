"""Metrics of time and of the area as measured; one pure function each."""

from __future__ import annotations

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.series import AreaSeries, LossReason
from ubereport.metrics.case_input import (
    NO_TISSUE_IN_VIEW,
    NOTHING_RECORDED,
    TISSUE_NOT_MEASURED,
    CaseInput,
    Measurement,
    needs_a_view,
)
from ubereport.statistics.quantiles import weighted_quantile


def recorded(case: CaseInput) -> Measurement:
    """Seconds recorded, pauses between parts left out."""
    is_recorded = case.series.is_recorded
    recorded_s = float(case.series.duration_s[is_recorded].sum())
    return Measurement(recorded_s, int(is_recorded.sum()), case.coverage_frac)


def evaluable(case: CaseInput) -> Measurement:
    """Seconds covered by valid samples."""
    return _measured(case, case.series.evaluable_s)


def coverage(case: CaseInput) -> Measurement:
    """Share of the recorded time that is evaluable."""
    if case.coverage_frac is None:
        return Measurement(None, 0, None, NOTHING_RECORDED)
    return _measured(case, case.coverage_frac)


def lost(case: CaseInput, reason: LossReason) -> Measurement:
    """Seconds lost for `reason`."""
    rows = np.array([r is reason for r in case.series.reason], dtype=np.bool_)
    lost_s = float(case.series.duration_s[rows].sum())
    return Measurement(lost_s, int(rows.sum()), case.coverage_frac)


@needs_a_view
def impaired_share(case: CaseInput, area_frac: float) -> Measurement:
    """Share of the evaluable time with an area of at least `area_frac`."""
    area, weight_s = _valid(case.series)
    return _measured(case, float(weight_s[area >= area_frac].sum()) / case.series.evaluable_s)


@needs_a_view
def impaired_s(case: CaseInput, area_frac: float) -> Measurement:
    """Seconds of evaluable time with an area of at least `area_frac`."""
    area, weight_s = _valid(case.series)
    return _measured(case, float(weight_s[area >= area_frac].sum()))


@needs_a_view
def area_mean(case: CaseInput) -> Measurement:
    """Time-weighted mean area."""
    area, weight_s = _valid(case.series)
    return _measured(case, float(np.sum(area * weight_s)) / case.series.evaluable_s)


@needs_a_view
def area_mean_of_tissue(case: CaseInput) -> Measurement:
    """Time-weighted mean area over visible tissue, where enough of it was seen."""
    area = case.series.area_frac_of_tissue
    if area is None:
        return Measurement(None, 0, case.coverage_frac, TISSUE_NOT_MEASURED)
    is_known = ~np.isnan(area)
    weight_s = case.series.duration_s[is_known]
    known_s = float(weight_s.sum())
    if known_s == 0:
        return Measurement(None, 0, 0.0, NO_TISSUE_IN_VIEW)
    mean = float(np.sum(area[is_known] * weight_s)) / known_s
    return Measurement(mean, int(is_known.sum()), min(1.0, known_s / case.series.recorded_s))


@needs_a_view
def area_quantile(case: CaseInput, share: float) -> Measurement:
    """Area that is not exceeded for `share` of the evaluable time."""
    area, weight_s = _valid(case.series)
    return _measured(case, weighted_quantile(area, weight_s, share))


@needs_a_view
def area_time_min(case: CaseInput) -> Measurement:
    """Integral of the area over the evaluable time, in minutes of a fully covered view."""
    area, weight_s = _valid(case.series)
    return _measured(case, float(np.sum(area * weight_s)) / 60)


@needs_a_view
def area_time_per_hour(case: CaseInput) -> Measurement:
    """Minutes of a fully covered view per evaluable hour."""
    area, weight_s = _valid(case.series)
    return _measured(case, float(np.sum(area * weight_s)) / case.series.evaluable_s * 60)


@needs_a_view
def longest_run(case: CaseInput, area_frac: float) -> Measurement:
    """Longest run of evaluable seconds with an area of at least `area_frac`.

    A loss of view that an event would bridge (up to ``max_gap_s``) does not end a run, and its
    seconds do not count; the end of a part ends it unless the parts join.
    """
    series = case.series
    longest_s = 0.0
    events = case.event_config
    for rows in series.stretches(events.max_gap_s, events.is_continuous):
        # Number the runs of equal answers by counting the changes before each row, and add up the
        # seconds of each number; rows of another stretch start anew.
        # Rows of a stretch are the valid ones: a loss that is bridged has no row here and adds no
        # seconds.
        is_above = series.area_frac[rows] >= area_frac
        run = np.cumsum(np.diff(is_above, prepend=False) != 0)
        run_s = np.bincount(run[is_above], weights=series.duration_s[rows][is_above])
        longest_s = max(longest_s, float(run_s.max(initial=0.0)))
    return _measured(case, longest_s)


def closing_weights_s(series: AreaSeries, window_s: float) -> FloatArray:
    """Return (n,) seconds of each row in the last `window_s` evaluable seconds."""
    valid_s = np.where(series.is_valid, series.duration_s, 0.0)
    # Seconds that are seen after each row; a row that begins before the window and ends in it
    # counts with what lies inside.
    after_s = np.cumsum(valid_s[::-1])[::-1] - valid_s
    return np.minimum(valid_s, np.maximum(0.0, window_s - after_s))


@needs_a_view
def closing_area_mean(case: CaseInput) -> Measurement:
    """Time-weighted mean area of the closing field."""
    weight_s = closing_weights_s(case.series, case.metric_config.closing_window_s)
    in_window = weight_s > 0
    area, weights = case.series.area_frac[in_window], weight_s[in_window]
    return _closing(case.series, weight_s, float(np.sum(area * weights)) / float(weights.sum()))


@needs_a_view
def closing_share(case: CaseInput, area_frac: float) -> Measurement:
    """Share of the closing field with an area of at least `area_frac`."""
    weight_s = closing_weights_s(case.series, case.metric_config.closing_window_s)
    in_window = weight_s > 0
    weights = weight_s[in_window]
    above_s = float(weights[case.series.area_frac[in_window] >= area_frac].sum())
    return _closing(case.series, weight_s, above_s / float(weights.sum()))


def _closing(series: AreaSeries, weight_s: FloatArray, value: float) -> Measurement:
    first = int(np.flatnonzero(weight_s > 0)[0])
    recorded_s = np.where(series.is_recorded, series.duration_s, 0.0)[first:]
    # The first row may reach out of the window; only its share inside was recorded inside.
    recorded_s[0] = weight_s[first]
    covered_frac = float(weight_s.sum()) / float(recorded_s.sum())
    return Measurement(value, int(np.sum(weight_s > 0)), min(1.0, covered_frac))


def _valid(series: AreaSeries) -> tuple[FloatArray, FloatArray]:
    return series.area_frac[series.is_valid], series.duration_s[series.is_valid]


def _measured(case: CaseInput, value: float) -> Measurement:
    return Measurement(value, int(case.series.is_valid.sum()), case.coverage_frac)
