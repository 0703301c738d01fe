"""`AreaSeries.stretches` and `AreaSeries.at`, which events and metrics share."""

from __future__ import annotations

import dataclasses

import numpy as np

from ubereport.core.series import AreaSeries, LossReason, Threshold


def _rows(series: AreaSeries, max_gap_s: float) -> list[list[int]]:
    return [rows.tolist() for rows in series.stretches(max_gap_s)]


def test_losses_are_measured_by_time_not_by_rows(series_of):
    pieces = [(0.1, 0.5), (LossReason.GAP, 2), (LossReason.BLACK, 3), (0.1, 0.5)]
    assert _rows(series_of(pieces), 5.0) == [[0, 3]]
    assert _rows(series_of(pieces), 4.9) == [[0], [3]]


def test_rounding_of_sample_times_is_no_loss(series_of):
    series = series_of([(0.1, 30)], step_s=0.1)
    assert np.any(series.end_time_s[:-1] != series.time_s[1:])
    assert _rows(series, 0.0) == [list(range(300))]


def test_a_part_ends_a_stretch(series_of):
    series = series_of([(0.1, 1), (LossReason.PAUSE, 0.1), (0.1, 1)])
    assert _rows(series, 3600.0) == [[0, 1], [3, 4]]
    touching = dataclasses.replace(series_of([(0.1, 2)]), part_index=[0, 0, 1, 1])
    assert _rows(touching, 3600.0) == [[0, 1], [2, 3]]


def test_nothing_valid_means_no_stretch(series_of):
    assert _rows(series_of([(LossReason.BLACK, 5)]), 10.0) == []


def test_each_threshold_gives_its_own_series():
    series = AreaSeries([0.0], [1.0], [0], [0.2], [0.3], [0.1], [True], (LossReason.NONE,))
    areas = {threshold: series.at(threshold).area_frac[0] for threshold in Threshold}
    assert areas == {Threshold.LENIENT: 0.3, Threshold.CENTRAL: 0.2, Threshold.STRICT: 0.1}
