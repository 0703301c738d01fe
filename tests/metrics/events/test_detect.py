from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ubereport.core.config import EventConfig
from ubereport.core.events import CensorReason, Severity
from ubereport.core.series import AreaSeries, LossReason, Threshold
from ubereport.metrics.event_detection import detect_events, severity_of

CONFIG = EventConfig()


def test_one_event_has_the_numbers_of_its_formula(series_of):
    series = series_of([(0.0, 5), (0.10, 4), (0.30, 2), (0.04, 3), (0.01, 10)])
    (event,) = detect_events(series, CONFIG)
    assert event.onset_s == 5.0
    assert event.clear_s == event.end_s == 14.0
    assert event.time_to_clear_s == 9.0
    assert (event.peak_s, event.peak_area_frac) == (9.0, 0.30)
    assert event.area_time_frac_s == pytest.approx(0.10 * 4 + 0.30 * 2 + 0.04 * 3)
    assert event.mean_area_frac == pytest.approx(1.12 / 9)
    assert event.is_onset_observed
    assert not event.is_censored
    assert not event.is_rebleed
    assert event.severity is Severity.MODERATE


@pytest.mark.parametrize(("seconds", "n_events"), [(2.5, 0), (3.0, 1), (3.5, 1)])
def test_an_event_needs_the_whole_minimum_duration(series_of, seconds, n_events):
    series = series_of([(0.0, 5), (0.05, seconds), (0.0, 10)])
    assert len(detect_events(series, CONFIG)) == n_events


def test_the_minimum_duration_survives_rounding_of_sample_times(series_of):
    # Thirty samples of 0.1 s add up to 2.9999999999999996 s.
    series = series_of([(0.0, 5), (0.05, 3.0), (0.0, 10)], step_s=0.1)
    assert len(detect_events(series, CONFIG)) == 1


def test_a_dip_below_the_onset_threshold_restarts_the_wait(series_of):
    dipped = series_of([(0.0, 5), (0.05, 2), (0.04, 1), (0.05, 2), (0.0, 10)])
    assert detect_events(dipped, CONFIG) == ()
    later = series_of([(0.0, 5), (0.05, 2), (0.04, 1), (0.05, 3), (0.0, 10)])
    assert [e.onset_s for e in detect_events(later, CONFIG)] == [8.0]


@pytest.mark.parametrize(("area", "clear_s"), [(0.025, 30.0), (0.0249, 15.0)])
def test_an_open_event_stays_open_between_the_thresholds(series_of, area, clear_s):
    series = series_of([(0.0, 5), (0.2, 10), (area, 15), (0.0, 10)])
    assert [e.clear_s for e in detect_events(series, CONFIG)] == [clear_s]


@pytest.mark.parametrize(("calm_s", "n_events"), [(4.5, 1), (5.0, 2)])
def test_a_clearing_must_hold(series_of, calm_s, n_events):
    series = series_of([(0.0, 5), (0.2, 5), (0.0, calm_s), (0.2, 5), (0.0, 10)])
    events = detect_events(series, CONFIG)
    assert len(events) == n_events
    assert events[-1].clear_s == 15.0 + calm_s


def test_a_clearing_that_cannot_be_held_to_the_end_is_censored(series_of):
    (event,) = detect_events(series_of([(0.0, 5), (0.2, 5), (0.0, 4.5)]), CONFIG)
    assert event.clear_s is None
    assert event.time_to_clear_s is None
    assert event.end_s == 14.5
    assert event.censor_reason is CensorReason.RECORDING_ENDED


@pytest.mark.parametrize("reason", [LossReason.BLURRED, LossReason.GAP, LossReason.OUT_OF_BODY])
def test_a_short_loss_is_bridged_and_counts_as_neither_blood_nor_calm(series_of, reason):
    series = series_of([(0.0, 5), (0.2, 5), (reason, 10), (0.4, 5), (0.0, 10)])
    (event,) = detect_events(series, CONFIG)
    assert (event.onset_s, event.clear_s) == (5.0, 25.0)
    assert event.area_time_frac_s == pytest.approx(0.2 * 5 + 0.4 * 5)
    assert event.mean_area_frac == pytest.approx(0.3)


def test_a_long_loss_censors_and_what_follows_has_an_unseen_onset(series_of):
    lost = (LossReason.BLURRED, 10.5)
    series = series_of([(0.0, 5), (0.2, 5), lost, (0.4, 5), (0.0, 10)])
    before, after = detect_events(series, CONFIG)
    assert (before.onset_s, before.end_s) == (5.0, 10.0)
    assert before.censor_reason is CensorReason.VIEW_LOST
    assert (after.onset_s, after.clear_s) == (20.5, 25.5)
    assert not after.is_onset_observed
    assert after.time_to_clear_s is None
    assert not after.is_rebleed, "the same bleed may have gone on unseen"


def test_a_pause_between_parts_ends_the_view_however_short_it_is_said_to_be(series_of):
    pause = (LossReason.PAUSE, 0.5)
    series = series_of([(0.0, 5), (0.2, 5), pause, (0.2, 5), (0.0, 10)])
    before, after = detect_events(series, CONFIG)
    assert before.censor_reason is CensorReason.PART_ENDED
    assert not after.is_onset_observed


def test_time_without_a_row_is_lost_view():
    valid = np.ones(40, dtype=bool)
    time_s = np.concatenate([np.arange(20) * 0.5, 10 + 10.5 + np.arange(20) * 0.5])
    area = np.full(40, 0.3)
    series = AreaSeries(
        time_s, np.full(40, 0.5), np.zeros(40), area, area, area, valid, (LossReason.NONE,) * 40
    )
    assert [e.onset_s for e in detect_events(series, CONFIG)] == [0.0, 20.5]


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ([], CensorReason.RECORDING_ENDED),
        ([(LossReason.BLACK, 10.0)], CensorReason.RECORDING_ENDED),
        ([(LossReason.BLACK, 10.5)], CensorReason.VIEW_LOST),
        ([(LossReason.PAUSE, 1.0), (LossReason.BLACK, 1.0)], CensorReason.PART_ENDED),
        ([(LossReason.BLACK, 1.0), (LossReason.PAUSE, 1.0), (0.0, 30)], CensorReason.PART_ENDED),
        ([(LossReason.BLACK, 10.5), (LossReason.PAUSE, 1.0), (0.0, 30)], CensorReason.VIEW_LOST),
    ],
)
def test_what_ends_the_observation_is_named(series_of, tail, reason):
    (event,) = detect_events(series_of([(0.0, 5), (0.2, 5), *tail]), CONFIG)
    assert event.censor_reason is reason
    assert event.end_s == 10.0


def test_stays_are_counted_in_evaluable_seconds(series_of):
    lost = (LossReason.BLURRED, 8.0)
    onset = series_of([(0.0, 5), (0.2, 1), lost, (0.2, 1.5), (0.0, 10)])
    assert detect_events(onset, CONFIG) == ()
    clearing = series_of([(0.0, 5), (0.2, 5), (0.0, 1), lost, (0.0, 3.5), (0.2, 5), (0.0, 9)])
    assert [e.clear_s for e in detect_events(clearing, CONFIG)] == [27.5]


def test_a_stay_cut_short_by_a_long_loss_is_no_event(series_of):
    series = series_of([(0.0, 5), (0.2, 2.5), (LossReason.BLACK, 60), (0.0, 10)])
    assert detect_events(series, CONFIG) == ()


def test_blood_from_the_first_moment_has_an_unseen_onset(series_of):
    (event,) = detect_events(series_of([(0.2, 5), (0.0, 10)]), CONFIG)
    assert not event.is_onset_observed
    assert (event.onset_s, event.clear_s, event.time_to_clear_s) == (0.0, 5.0, None)


@pytest.mark.parametrize(("calm_s", "is_rebleed"), [(60.0, True), (60.5, False)])
def test_a_rebleed_follows_a_clearing_within_the_window(series_of, calm_s, is_rebleed):
    series = series_of([(0.0, 5), (0.2, 5), (0.0, calm_s), (0.2, 5), (0.0, 10)])
    first, second = detect_events(series, CONFIG)
    assert not first.is_rebleed
    assert second.is_rebleed is is_rebleed


def test_a_bleed_seen_again_after_a_loss_is_no_rebleed_of_an_older_clearing(series_of):
    pieces = [(0.0, 5), (0.2, 5), (0.0, 6), (0.2, 5), (LossReason.BLACK, 11), (0.2, 5), (0.0, 9)]
    events = detect_events(series_of(pieces), CONFIG)
    assert [(e.is_censored, e.is_rebleed) for e in events] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert events[2].onset_s - events[0].end_s < CONFIG.rebleed_window_s


def test_a_rebleed_is_told_past_a_censored_event(series_of):
    # Cleared at 10 s; lost while bleeding; clear again, and an onset that was seen within 60 s.
    pieces = [(0.0, 5), (0.2, 5), (0.0, 6), (0.2, 5), (LossReason.BLACK, 11), (0.0, 9), (0.2, 5),
              (0.0, 9)]  # fmt: skip
    events = detect_events(series_of(pieces), CONFIG)
    assert [(e.is_censored, e.is_rebleed) for e in events] == [
        (False, False), (True, True), (False, True),
    ]  # fmt: skip


def test_one_picture_that_stands_for_long_is_no_event(series_of):
    keyframes = [(0.0, 10), (0.3, 10), (0.0, 10), (0.3, 10), (0.3, 10), (0.0, 10), (0.0, 10)]
    (event,) = detect_events(series_of(keyframes, step_s=10), CONFIG)
    assert (event.onset_s, event.clear_s) == (30.0, 50.0)


def test_one_clear_picture_is_no_clearing(series_of):
    keyframes = [(0.0, 10), (0.3, 10), (0.3, 10), (0.0, 10), (0.3, 10), (0.0, 10), (0.01, 10)]
    (event,) = detect_events(series_of(keyframes, step_s=10), CONFIG)
    assert (event.onset_s, event.clear_s) == (10.0, 50.0)


@pytest.mark.parametrize(
    ("peak", "severity"),
    [
        (0.05, Severity.MINOR),
        (0.1999, Severity.MINOR),
        (0.2, Severity.MODERATE),
        (0.4999, Severity.MODERATE),
        (0.5, Severity.MAJOR),
        (1.0, Severity.MAJOR),
    ],
)
def test_severity_bands_include_their_lower_bound(series_of, peak, severity):
    (event,) = detect_events(series_of([(0.0, 5), (peak, 5), (0.0, 10)]), CONFIG)
    assert event.severity is severity is severity_of(peak, CONFIG)


def test_one_odd_sample_opens_nothing_and_raises_no_peak(series_of):
    spike = series_of([(0.0, 5), (0.9, 0.5), (0.0, 10)])
    quick = EventConfig(min_duration_s=0.0)
    assert detect_events(spike, quick) == ()
    (event,) = detect_events(
        series_of([(0.0, 5), (0.1, 3), (0.9, 0.5), (0.1, 3), (0.0, 10)]), CONFIG
    )
    assert event.peak_area_frac == 0.1
    assert event.severity is Severity.MINOR
    assert event.peak_s == 8.0, "the sample that itself shows most blood"


def test_the_peak_is_the_largest_smoothed_area_not_the_largest_sample(series_of):
    pieces = [(0.0, 5), (0.1, 3), (0.9, 0.5), (0.1, 3), (0.3, 3), (0.0, 10)]
    (event,) = detect_events(series_of(pieces), CONFIG)
    assert (event.peak_s, event.peak_area_frac) == (11.5, 0.3)


def test_one_calm_sample_closes_nothing(series_of):
    series = series_of([(0.0, 5), (0.2, 5), (0.0, 0.5), (0.2, 5), (0.0, 10)])
    hasty = EventConfig(clear_hold_s=0.0)
    assert [e.clear_s for e in detect_events(series, hasty)] == [15.5]


def test_samples_of_different_duration_give_the_same_event():
    # Calm stretches looked at every 4 s, bleeding every 0.25 s.
    duration_s = np.array([4.0, 4.0] + [0.25] * 40 + [4.0] * 3)
    time_s = np.concatenate([[0.0], np.cumsum(duration_s)[:-1]])
    area = np.array([0.0, 0.0] + [0.3] * 40 + [0.0] * 3)
    n = len(area)
    series = AreaSeries(
        time_s, duration_s, np.zeros(n), area, area, area, [True] * n, (LossReason.NONE,) * n
    )
    (event,) = detect_events(series, CONFIG)
    assert (event.onset_s, event.clear_s) == (8.0, 18.0)
    assert event.area_time_frac_s == pytest.approx(3.0)


def test_no_event_runs_on_into_the_next_part(series_of):
    # Without a stated pause the parts touch on the clock; how long the pause was, nobody knows.
    whole = series_of([(0.0, 5), (0.2, 10), (0.0, 10)])
    parts = dataclasses.replace(whole, part_index=(whole.time_s >= 9.0).astype(int))
    before, after = detect_events(parts, CONFIG)
    assert (before.onset_s, before.end_s) == (5.0, 9.0)
    assert before.censor_reason is CensorReason.PART_ENDED
    assert (after.onset_s, after.clear_s) == (9.0, 15.0)
    assert not after.is_onset_observed
    assert len(detect_events(whole, CONFIG)) == 1


def test_nothing_seen_means_no_events(series_of):
    assert detect_events(series_of([(LossReason.BLACK, 60)]), CONFIG) == ()
    empty = AreaSeries([], [], [], [], [], [], [], ())
    assert detect_events(empty, CONFIG) == ()


def test_each_probability_threshold_has_its_own_events():
    n = 60
    area = np.where((np.arange(n) >= 10) & (np.arange(n) < 20), 0.10, 0.0)
    series = AreaSeries(
        np.arange(n) * 0.5,
        np.full(n, 0.5),
        np.zeros(n),
        area,
        np.where((np.arange(n) >= 8) & (np.arange(n) < 24), 0.15, 0.0),
        area * 0.3,
        [True] * n,
        (LossReason.NONE,) * n,
    )
    found = {threshold: detect_events(series.at(threshold), CONFIG) for threshold in Threshold}
    assert found[Threshold.CENTRAL] == detect_events(series, CONFIG)
    assert [(e.onset_s, e.clear_s) for e in found[Threshold.CENTRAL]] == [(5.0, 10.0)]
    assert [(e.onset_s, e.clear_s) for e in found[Threshold.LENIENT]] == [(4.0, 12.0)]
    assert found[Threshold.STRICT] == ()


def _two_parts(series_of, second_part_at):
    series = series_of([(0.0, 10), (0.2, 20), (0.0, 30)])
    return dataclasses.replace(
        series, part_index=(series.time_s >= second_part_at).astype(np.int64)
    )


def test_a_recorder_that_cuts_without_a_pause_breaks_no_event(series_of):
    series = _two_parts(series_of, 20.0)
    first, second = detect_events(series, CONFIG)
    assert (first.is_censored, second.is_onset_observed) == (True, False)
    (whole,) = detect_events(series, dataclasses.replace(CONFIG, is_continuous=True))
    assert (whole.onset_s, whole.clear_s) == (10.0, 30.0)
    assert whole == detect_events(series_of([(0.0, 10), (0.2, 20), (0.0, 30)]), CONFIG)[0]


def test_parts_that_were_found_to_join_are_one_stretch_unless_somebody_says_no(series_of):
    series = dataclasses.replace(_two_parts(series_of, 20.0), joined_parts=(0,))
    (whole,) = detect_events(series, CONFIG)
    assert (whole.onset_s, whole.clear_s) == (10.0, 30.0)
    first, _second = detect_events(series, dataclasses.replace(CONFIG, is_continuous=False))
    assert first.is_censored
    # That part 1 joins a part 2 says nothing of parts 0 and 1.
    other = dataclasses.replace(series, joined_parts=(1,))
    assert len(detect_events(other, CONFIG)) == 2


def test_a_pause_that_was_stated_cuts_all_the_same(series_of):
    pieces = [(0.0, 10), (0.2, 10), (LossReason.PAUSE, 1), (0.2, 10), (0.0, 30)]
    first, second = detect_events(
        series_of(pieces), dataclasses.replace(CONFIG, is_continuous=True)
    )
    assert (first.is_censored, str(first.censor_reason)) == (True, "part_ended")
    assert not second.is_onset_observed
