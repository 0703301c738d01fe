from __future__ import annotations

import pytest

from ubereport.core.config import MetricConfig
from ubereport.core.series import LossReason
from ubereport.metrics.strip import strip_blocks


def test_blocks_follow_the_case_clock_and_the_last_is_shorter(series_of):
    pieces = [(0.1, 300), (LossReason.BLACK, 200), (0.5, 400), (0.0, 600)]
    first, second, third = strip_blocks(series_of(pieces), MetricConfig())
    assert (first.start_s, first.end_s) == (0, 600)
    assert (first.recorded_s, first.evaluable_s) == (600, 400)
    assert first.coverage_frac == pytest.approx(400 / 600)
    assert first.area_mean_frac == pytest.approx((300 * 0.1 + 100 * 0.5) / 400)
    assert first.impaired_share_20 == pytest.approx(100 / 400)
    assert second.area_mean_frac == pytest.approx(300 * 0.5 / 600)
    assert second.impaired_share_20 == pytest.approx(0.5)
    assert (third.start_s, third.end_s, third.evaluable_s) == (1200, 1500, 300)
    assert third.area_mean_frac == 0.0


def test_a_block_without_a_view_has_no_numbers(series_of):
    pieces = [(0.1, 600), (LossReason.BLACK, 600), (LossReason.PAUSE, 600), (0.1, 60)]
    _, black, paused, last = strip_blocks(series_of(pieces), MetricConfig())
    assert (black.recorded_s, black.evaluable_s, black.coverage_frac) == (600, 0, 0.0)
    assert black.area_mean_frac is black.impaired_share_20 is None
    assert (paused.recorded_s, paused.coverage_frac) == (0, None)
    assert last.coverage_frac == 1.0


def test_blocks_add_up_to_the_case(series_of):
    pieces = [(k % 7 / 10, 13.7) if k % 5 else (LossReason.GAP, 13.7) for k in range(200)]
    series = series_of(pieces)
    blocks = strip_blocks(series, MetricConfig(strip_block_s=60.0))
    assert blocks[-1].end_s == pytest.approx(200 * 13.7)
    assert sum(b.recorded_s for b in blocks) == pytest.approx(series.recorded_s)
    assert sum(b.evaluable_s for b in blocks) == pytest.approx(series.evaluable_s)
    area_time = sum((b.area_mean_frac or 0.0) * b.evaluable_s for b in blocks)
    valid = series.is_valid
    assert area_time == pytest.approx((series.area_frac * series.duration_s)[valid].sum())


def test_a_case_that_ends_on_an_edge_has_no_empty_block(series_of):
    assert len(strip_blocks(series_of([(0.1, 1200)]), MetricConfig())) == 2


def test_an_empty_case_has_no_blocks(series_of):
    assert strip_blocks(series_of([]), MetricConfig()) == ()
