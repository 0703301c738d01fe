from __future__ import annotations

import numpy as np
import pytest

from ubereport.core.config import EventConfig
from ubereport.core.series import AreaSeries, LossReason
from ubereport.metrics.smoothing import smooth_area

THREE = EventConfig(smoothing_s=1.5)


def _series(area, duration_s=0.5):
    n = len(area)
    is_valid = ~np.isnan(area)
    reason = tuple(LossReason.NONE if v else LossReason.BLURRED for v in is_valid)
    time_s = np.arange(n) * duration_s
    return AreaSeries(
        time_s, np.full(n, duration_s), np.zeros(n), area, area, area, is_valid, reason
    )


def test_three_samples_wide_it_is_the_median_of_three():
    area = np.random.default_rng(5).random(200)
    expected = area.copy()
    expected[1:-1] = np.median(np.stack([area[:-2], area[1:-1], area[2:]]), axis=0)
    np.testing.assert_array_equal(smooth_area(_series(area), THREE), expected)


def test_wide_windows_match_a_median_over_finely_cut_time():
    rng = np.random.default_rng(7)
    area = rng.random(60)
    config = EventConfig(smoothing_s=3.0)
    n_fine = 100
    fine = np.repeat(area, n_fine)
    smoothed = smooth_area(_series(area), config)
    for i in range(3, 57):
        # 0.5 s samples: the window reaches 1.5 s = 300 fine steps from the middle of sample i.
        middle = i * n_fine + n_fine // 2
        assert smoothed[i] == pytest.approx(np.median(fine[middle - 300 : middle + 300]), abs=1e-12)


def test_zero_width_changes_nothing():
    area = np.random.default_rng(6).random(50)
    np.testing.assert_array_equal(smooth_area(_series(area), EventConfig(smoothing_s=0.0)), area)


def test_lost_rows_stay_missing_and_lend_no_value():
    area = np.array([0.0, 0.0, np.nan, 0.8, 0.8, np.nan, np.nan, 0.0])
    smoothed = smooth_area(_series(area), THREE)
    np.testing.assert_array_equal(np.isnan(smoothed), np.isnan(area))
    np.testing.assert_array_equal(smoothed[~np.isnan(area)], area[~np.isnan(area)])


def test_it_never_reaches_across_a_loss_longer_than_the_gap():
    area = np.concatenate([np.linspace(0.11, 0.20, 10), [np.nan] * 5, [0.9] * 20])
    apart = smooth_area(_series(area), EventConfig(smoothing_s=10.0, max_gap_s=2.0))
    assert apart[9] == area[9], "the last sample before the loss stands at an edge"
    assert apart[:10].max() <= 0.2
    np.testing.assert_array_equal(apart[15:], area[15:])
    across = smooth_area(_series(area), EventConfig(smoothing_s=10.0, max_gap_s=2.5))
    # Row 9 sees 4.75 s to either side: 5 s from the left, 2 s from the right of the loss.
    assert across[9] == pytest.approx((area[6] + area[7]) / 2)


def test_edges_stay_where_they_are_when_samples_differ_in_length():
    duration_s = np.array([4.0, 0.25, 0.25, 0.25, 0.25, 4.0])
    time_s = np.concatenate([[0.0], np.cumsum(duration_s)[:-1]])
    area = np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.0])
    series = AreaSeries(
        time_s, duration_s, np.zeros(6), area, area, area, [True] * 6, (LossReason.NONE,) * 6
    )
    np.testing.assert_array_equal(smooth_area(series, THREE), area)
