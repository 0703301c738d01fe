from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.series import LossReason, Threshold
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.registry import compute_metrics
from ubereport.review.reviewed_case import headline_effect_s, open_spans_by_effect
from ubereport.review.spans import Verdict
from ubereport.review.strokes import Action

FIRST, SECOND = (60.0, 90.0), (150.0, 180.0)


def test_nothing_said_changes_no_number(two_events, review_of):
    case = review_of(two_events, [])
    events = detect_events(two_events, EventConfig())
    assert case.events == events
    by_threshold = dict.fromkeys(Threshold, events)
    assert case.metrics == compute_metrics(two_events, by_threshold, EventConfig(), MetricConfig())
    assert case.n_open == 2
    assert not case.is_complete


def test_blood_that_a_lost_view_comes_back_to_stays_no_re_bleed(series_of, review_of, stroke_of):
    lost = (LossReason.BLURRED, 12)
    series = series_of([(0.01, 60), (0.3, 20), (0.01, 10), (0.3, 10), lost, (0.3, 10), (0.01, 60)])
    measured = detect_events(series, EventConfig())
    assert [event.is_rebleed for event in measured] == [False, True, False]
    case = review_of(series, [stroke_of(Action.CONFIRM, event=(60.0, 80.0))])
    assert case.events == measured
    seen = review_of(series, [stroke_of(Action.SET_CLEAR, event=(90.0, 100.0), time_s=99.0)])
    assert [event.is_rebleed for event in seen.events] == [False, True, True]


def test_a_struck_event_takes_its_blood_with_it(two_events, review_of, stroke_of):
    case = review_of(two_events, [stroke_of(Action.STRIKE, event=FIRST)])
    assert [event.onset_s for event in case.events] == [150.0]
    assert case.metric("impaired_s_20").value == 0
    # 30 s of 30 % of 300 s are gone: 270 s of 1 % (less 30 s) and 30 s of 10 % stay.
    assert case.metric("area_mean_frac").value == pytest.approx((240 * 0.01 + 30 * 0.1) / 300)
    assert case.metric("event_count").value == 1
    assert two_events.area_frac.max() == 0.3  # what was measured is as it was


def test_reviewed_areas_are_areas_of_the_view(two_events, review_of, stroke_of):
    marked = replace(two_events, area_frac_of_tissue=two_events.area_frac / 2)
    case = review_of(marked, [stroke_of(Action.VIEW_LOST, stretch=(100.25, 110.75))])
    assert case.series.area_frac_of_tissue is None
    assert case.metric("area_mean_of_tissue_frac").value is None
    assert case.metric("area_mean_frac").value is not None


def test_every_event_decided_is_a_complete_review(two_events, review_of, stroke_of):
    strokes = [stroke_of(Action.CONFIRM, event=FIRST), stroke_of(Action.STRIKE, event=SECOND)]
    case = review_of(two_events, strokes)
    assert case.is_complete
    assert (case.count(Verdict.CONFIRMED), case.count(Verdict.STRUCK)) == (1, 1)


def test_a_case_without_events_is_complete_when_somebody_says_so(series_of, review_of, stroke_of):
    quiet = series_of([(0.01, 120)])
    assert not review_of(quiet, []).is_complete
    assert review_of(quiet, [stroke_of(Action.FINISH)]).is_complete


def test_onset_and_clearing_move(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.SET_ONSET, event=FIRST, time_s=57.25),
        stroke_of(Action.SET_CLEAR, event=(57.25, 90.0), time_s=80.0),
    ]
    event = review_of(two_events, strokes).events[0]
    assert (event.onset_s, event.clear_s, event.time_to_clear_s) == (57.25, 80.0, 22.75)
    # 2.75 s of 1 % and 20 s of 30 %, cut in the middle of a sample.
    assert event.area_time_frac_s == pytest.approx(2.75 * 0.01 + 20 * 0.3)


def test_a_censored_event_clears_where_a_person_saw_it(series_of, review_of, stroke_of):
    series = series_of([(0.01, 60), (0.3, 30)])
    assert detect_events(series, EventConfig())[0].is_censored
    case = review_of(series, [stroke_of(Action.SET_CLEAR, event=(60.0, 90.0), time_s=85.0)])
    assert case.events[0].time_to_clear_s == 25.0


def test_events_merge_and_split(two_events, review_of, stroke_of):
    merge = stroke_of(Action.MERGE, event=FIRST)
    merged = review_of(two_events, [merge])
    assert [(e.onset_s, e.clear_s) for e in merged.events] == [(60.0, 180.0)]
    split = review_of(two_events, [merge, stroke_of(Action.SPLIT, event=(60.0, 180.0), time_s=100)])
    assert [(e.onset_s, e.clear_s) for e in split.events] == [(60.0, 100.0), (100.0, 180.0)]
    assert split.events[1].is_rebleed


def test_a_missed_event_is_added_with_its_area(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.ADD, stretch=(200.0, 220.0)),
        stroke_of(Action.BLOOD, stretch=(200.0, 220.0), area_frac=0.4),
    ]
    case = review_of(two_events, strokes)
    assert case.events[-1].peak_area_frac == 0.4
    assert case.metric("impaired_s_20").value == pytest.approx(30 + 20)
    assert case.count(Verdict.ADDED) == 1


def test_a_stretch_called_clear_strikes_the_event_that_it_covers(two_events, review_of, stroke_of):
    case = review_of(two_events, [stroke_of(Action.NOT_BLOOD, stretch=(55.0, 95.0))])
    assert [event.onset_s for event in case.events] == [150.0]
    assert case.metric("impaired_s_20").value == 0


def test_lost_view_is_no_clear_view(two_events, review_of, stroke_of):
    case = review_of(two_events, [stroke_of(Action.VIEW_LOST, stretch=(55.25, 95.0))])
    assert case.series.lost_s() == {LossReason.JUDGED: pytest.approx(39.75)}
    assert case.metric("coverage_frac").value == pytest.approx((300 - 39.75) / 300)
    assert [event.onset_s for event in case.events] == [150.0]


def test_a_mended_mask_changes_its_sample_only(two_events, review_of, stroke_of):
    from ubereport.review.strokes import MendedMask

    mask = MendedMask("review/a.png", "1" * 64, "review/b.png", "2" * 64)
    stroke = stroke_of(Action.MASK, time_s=60.2, area_frac=0.5, mask=mask)
    series = review_of(two_events, [stroke]).series
    changed = np.flatnonzero(series.area_frac != two_events.area_frac)
    assert changed.tolist() == [120]
    assert series.area_frac[120] == 0.5
    assert series.area_frac_lenient[120] == pytest.approx(0.5 + 0.06)


def test_a_stroke_taken_back_never_was(two_events, review_of, stroke_of):
    strokes = [stroke_of(Action.STRIKE, event=FIRST), stroke_of(Action.UNDO, undoes=1)]
    assert review_of(two_events, strokes).events == review_of(two_events, []).events


def test_each_reviewer_has_a_review_of_their_own(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.STRIKE, event=FIRST),
        stroke_of(Action.CONFIRM, event=FIRST, reviewer="MS"),
    ]
    assert len(review_of(two_events, strokes, "KT").events) == 1
    assert len(review_of(two_events, strokes, "MS").events) == 2


def test_a_case_measured_anew_keeps_what_still_means_the_same(series_of, review_of, stroke_of):
    strokes = [stroke_of(Action.STRIKE, event=FIRST), stroke_of(Action.CONFIRM, event=SECOND)]
    # Another model sees the first event two seconds later and nothing of the second.
    case = review_of(series_of([(0.01, 62), (0.2, 29), (0.01, 209)]), strokes)
    assert case.events == ()
    assert [(stale.line, stale.time_s) for stale in case.stale] == [(2, 150.0)]
    assert not case.is_complete


def test_what_moves_the_headline_most_comes_first(two_events, review_of):
    case = review_of(two_events, [])
    assert [span.onset_s for span in open_spans_by_effect(case)] == [60.0, 150.0]
    assert headline_effect_s(case.series, case.spans[0]) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("action", "content", "why"),
    [
        (Action.SET_ONSET, {"event": SECOND, "time_s": 85.0}, "before it ends"),
        (Action.SET_ONSET, {"event": FIRST, "time_s": 95.0}, "must lie before"),
        (Action.SET_CLEAR, {"event": FIRST, "time_s": 160.0}, "next event begins"),
        (Action.SET_CLEAR, {"event": FIRST, "time_s": 50.0}, "must lie after"),
        (Action.MERGE, {"event": SECOND}, "No event follows"),
        (Action.SPLIT, {"event": FIRST, "time_s": 100.0}, "lasts from"),
        (Action.ADD, {"stretch": (80.0, 100.0)}, "already"),
        (Action.CONFIRM, {"event": (10.0, 20.0)}, "no event"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(two_events, stroke_of, action, content, why):
    from ubereport.core.errors import ReviewError
    from ubereport.review.spans import measured_spans, stroke_spans

    spans = measured_spans(detect_events(two_events, EventConfig()))
    with pytest.raises(ReviewError, match=why):
        stroke_spans(spans, stroke_of(action, **content))
