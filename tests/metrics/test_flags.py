from __future__ import annotations

import dataclasses

import pytest

from ubereport.core.case import FlagLevel
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.metrics import MetricValue
from ubereport.core.series import LossReason, Threshold
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.flags import quality_flags
from ubereport.metrics.registry import compute_metrics

EVENTS = EventConfig()
METRIC = MetricConfig()


def _event(onset_s, is_cleared=True, is_onset_observed=True):
    return HemostasisEvent(
        onset_s=onset_s,
        is_onset_observed=is_onset_observed,
        peak_s=onset_s,
        peak_area_frac=0.3,
        end_s=onset_s + 10,
        clear_s=onset_s + 10 if is_cleared else None,
        censor_reason=CensorReason.NONE if is_cleared else CensorReason.VIEW_LOST,
        mean_area_frac=0.2,
        area_time_frac_s=2.0,
        is_rebleed=False,
        severity=Severity.MODERATE,
    )


def _flags(series, events=(), metrics=None):
    if metrics is None:
        by_threshold = dict.fromkeys(Threshold, tuple(events))
        metrics = compute_metrics(series, by_threshold, EVENTS, METRIC)
    return {flag.key: flag for flag in quality_flags(series, events, metrics, EVENTS, METRIC)}


@pytest.fixture(scope="module")
def sound(series_of):
    return series_of([(0.01, 1.0)] * 1200)


def test_a_sound_case_has_no_flags(sound):
    assert _flags(sound, [_event(at) for at in range(0, 500, 100)]) == {}


@pytest.mark.parametrize(
    ("lost_s", "level"),
    [(140, None), (260, FlagLevel.CAUTION), (700, FlagLevel.WARNING)],
)
def test_low_coverage_names_what_took_the_view(series_of, lost_s, level):
    rest = (1000 - lost_s) / 100
    series = series_of(
        [(LossReason.OUT_OF_BODY, lost_s - 10), (LossReason.BLACK, 10), *[(0.1, rest / 4)] * 400]
    )
    flag = _flags(series).get("low_coverage")
    assert (None if flag is None else flag.level) is level
    if flag is not None:
        assert f"{(1000 - lost_s) / 10:.0f} %" in flag.message
        assert "out of body" in flag.message


def test_no_view_at_all_comes_first(series_of):
    black = series_of([(LossReason.BLACK, 60), (LossReason.PAUSE, 5), (LossReason.BLACK, 60)])
    series = dataclasses.replace(black, part_index=[0, -1, 1])
    flags = list(_flags(series).values())
    assert (flags[0].key, flags[0].level) == ("nothing_evaluable", FlagLevel.WARNING)
    assert [flag.key for flag in flags] == ["nothing_evaluable", "several_parts"]
    assert "2 parts" in flags[1].message


@pytest.mark.parametrize(
    ("joined", "is_continuous", "said"),
    [
        ((), None, "what happened between them is not in the numbers"),
        ((0,), None, "What happened in 1 of the breaks between them is not in the numbers"),
        ((0, 1), None, None),
        ((0, 1), False, "what happened between them is not in the numbers"),
        ((), True, None),
    ],
)
def test_parts_that_join_are_one_recording(sound, joined, is_continuous, said):
    parts = (sound.time_s >= 400).astype(int) + (sound.time_s >= 800)
    series = dataclasses.replace(sound, part_index=parts, joined_parts=joined)
    events = dataclasses.replace(EVENTS, is_continuous=is_continuous)
    metrics = compute_metrics(series, {Threshold.CENTRAL: ()}, events, METRIC)
    flags = {flag.key: flag for flag in quality_flags(series, (), metrics, events, METRIC)}
    assert ("several_parts" in flags) is (said is not None)
    if said is not None:
        assert said in flags["several_parts"].message
        assert "3 parts" in flags["several_parts"].message


@pytest.mark.parametrize(("high", "is_flagged"), [(0.14, False), (0.16, True)])
def test_an_unstable_threshold_is_told_with_its_range(sound, high, is_flagged):
    metrics = [
        dataclasses.replace(value, band_low=0.10, band_high=high, value=0.12)
        if value.key == "impaired_share_20"
        else value
        for value in compute_metrics(sound, {Threshold.CENTRAL: ()}, EVENTS, METRIC)
    ]
    flags = _flags(sound, (), metrics)
    assert ("unstable_threshold" in flags) is is_flagged
    if is_flagged:
        assert "from 10 % to 16 %" in flags["unstable_threshold"].message


@pytest.mark.parametrize(
    ("low", "high", "is_flagged"), [(4, 7, False), (3, 6, True), (0, 3, True), (1, 3, False)]
)
def test_an_unstable_event_count_is_told(sound, low, high, is_flagged):
    count = MetricValue("event_count", "1", 3.0, "", 3, 1.0, float(low), float(high))
    assert ("unstable_event_count" in _flags(sound, (), [count])) is is_flagged


@pytest.mark.parametrize(
    ("n_censored", "n_unseen", "n_sound", "is_flagged"),
    [(1, 0, 2, True), (1, 1, 4, True), (1, 0, 3, False), (2, 0, 0, False)],
)
def test_heavy_censoring_is_told(sound, n_censored, n_unseen, n_sound, is_flagged):
    kinds = [(False, True)] * n_censored + [(True, False)] * n_unseen + [(True, True)] * n_sound
    events = [_event(50 * k, *kind) for k, kind in enumerate(kinds)]
    assert ("heavy_censoring" in _flags(sound, events)) is is_flagged


@pytest.mark.parametrize(("n", "is_flagged"), [(0, False), (1, True), (4, True), (5, False)])
def test_few_events_are_told(sound, n, is_flagged):
    events = [_event(50 * k) for k in range(n)]
    assert ("few_events" in _flags(sound, events)) is is_flagged


@pytest.mark.parametrize(("step_s", "is_flagged"), [(3.0, False), (4.0, True)])
def test_sampling_coarser_than_an_event_is_told(series_of, step_s, is_flagged):
    flags = _flags(series_of([(0.01, step_s)] * 400))
    assert ("coarse_sampling" in flags) is is_flagged


@pytest.mark.parametrize(
    ("before_s", "n_coarse"), [((0.5, 0.5), 0), ((3.0, 0.5), 1), ((3.0, 2.0), 2)]
)
def test_onsets_and_clearings_that_nobody_looked_for_are_told(series_of, before_s, n_coarse):
    """A series looked at for other thresholds: long samples right before an event's turns."""
    onset, clear = before_s
    rows = [(0.0, 0.5)] * 8 + [(0.0, onset), (0.3, 0.5)] + [(0.3, 0.5)] * 20 + [(0.3, clear)]
    series = series_of([*rows, *[(0.0, 0.5)] * 40])
    (event,) = detect_events(series, EVENTS)
    flags = _flags(series, [event])
    assert ("coarse_timing" in flags) is (n_coarse > 0)
    if n_coarse:
        assert flags["coarse_timing"].message.startswith(f"{n_coarse} of 2")
        assert "3.0 s" in flags["coarse_timing"].message


def test_a_closing_field_that_lies_far_from_the_end_is_told(series_of):
    series = series_of([(0.0, 2.0)] * 900 + [(LossReason.OUT_OF_BODY, 200)])
    flags = _flags(series)
    assert "47 %" in flags["closing_field_interrupted"].message


def test_a_short_recording_says_how_short(series_of):
    assert "2 min 00 s" in _flags(series_of([(0.0, 2.0)] * 60))["short_recording"].message
