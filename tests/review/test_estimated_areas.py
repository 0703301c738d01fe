"""What an area said of one picture means for the pictures beside it, by the arithmetic of lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ubereport.core.series import LossReason
from ubereport.review.strokes import Action, MendedMask

FIRST = (60.0, 90.0)  # 30 % by the model, 1 % around it
MASK = MendedMask("review/a.png", "1" * 64, "review/b.png", "2" * 64)


def area_at(case, time_s):
    return case.series.area_frac[np.searchsorted(case.series.time_s, time_s, side="right") - 1]


def test_the_difference_is_carried_to_both_ends(two_events, review_of, stroke_of):
    case = review_of(two_events, [stroke_of(Action.AREA, time_s=75.0, area_frac=0.6)])
    assert area_at(case, 75.0) == 0.6
    # 30 points more at 75 s, none where the model saw the event begin and end.
    assert area_at(case, 60.0) == pytest.approx(0.3)
    assert area_at(case, 67.5) == pytest.approx(0.45)
    assert area_at(case, 85.0) == pytest.approx(0.4)
    assert [area_at(case, t) for t in (59.5, 90.0, 160.0)] == pytest.approx([0.01, 0.01, 0.1])
    assert case.estimated_s == pytest.approx(30 - 0.5)
    assert case.events[0].mean_area_frac == pytest.approx(0.45, abs=0.005)
    # The neighboring thresholds keep their distance.
    assert case.series.area_frac_lenient[150] == pytest.approx(0.6 + 0.06)
    assert case.series.area_frac_strict[135] == pytest.approx(0.45 - 0.06)


def test_a_rising_model_keeps_its_shape(series_of, review_of, stroke_of):
    measured = series_of([(0.01, 60), *((0.2 + 0.01 * k, 1) for k in range(20)), (0.01, 60)])
    said = [stroke_of(Action.AREA, time_s=t, area_frac=0.5) for t in (65.0, 75.0)]
    case = review_of(measured, said)
    # + 25 points at 65 s, + 15 at 75 s: + 20 on the 30 % of 70 s.
    assert area_at(case, 70.0) == pytest.approx(0.5)
    assert area_at(case, 62.5) == pytest.approx(0.22 + 0.25 / 2)


def test_an_event_that_only_a_person_saw_runs_in_straight_lines(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.ADD, stretch=(200.0, 220.0)),
        stroke_of(Action.AREA, time_s=210.0, area_frac=0.5),
    ]
    case = review_of(two_events, strokes)
    # By the definition of an event: 5 % where it begins, 2.5 % where it clears.
    assert area_at(case, 200.0) == pytest.approx(0.05)
    assert area_at(case, 205.0) == pytest.approx((0.05 + 0.5) / 2)
    assert area_at(case, 215.0) == pytest.approx((0.5 + 0.025) / 2)
    assert area_at(case, 220.0) == pytest.approx(0.01)
    assert case.series.area_frac_lenient[410] == case.series.area_frac[410]


def test_an_added_event_where_another_was_struck_forgets_that_it_was_clear(
    two_events, review_of, stroke_of
):
    strokes = [
        stroke_of(Action.STRIKE, event=FIRST),
        stroke_of(Action.ADD, stretch=(70.0, 80.0)),
        stroke_of(Action.AREA, time_s=75.0, area_frac=0.2),
    ]
    case = review_of(two_events, strokes)
    assert area_at(case, 72.5) == pytest.approx((0.05 + 0.2) / 2)
    assert [area_at(case, t) for t in (65.0, 85.0)] == [0, 0]


def test_bounds_that_a_person_set_say_what_the_definition_says(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.SET_ONSET, event=FIRST, time_s=64.25),
        stroke_of(Action.SET_CLEAR, event=(64.25, 90.0), time_s=84.0),
        stroke_of(Action.AREA, time_s=74.0, area_frac=0.3),
    ]
    case = review_of(two_events, strokes)
    assert area_at(case, 64.25) == pytest.approx(0.05)
    # 2.5 - 30 points at 84 s, nothing at 74 s.
    assert area_at(case, 79.0) == pytest.approx(0.3 - 0.275 / 2)


def test_what_a_person_said_stays_and_is_carried_too(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.NOT_BLOOD, stretch=(70.0, 72.0)),
        stroke_of(Action.MASK, time_s=80.0, area_frac=0.5, mask=MASK),
    ]
    alone = review_of(two_events, strokes)
    assert area_at(alone, 79.0) == 0.3
    assert alone.estimated_s == 0
    case = review_of(two_events, [*strokes, stroke_of(Action.AREA, time_s=85.0, area_frac=0.3)])
    assert [area_at(case, t) for t in (70.0, 71.5)] == [0, 0]
    assert area_at(case, 80.0) == 0.5
    assert area_at(case, 82.5) == pytest.approx(0.4)
    assert area_at(case, 65.0) == pytest.approx(0.3 - 0.3 / 2)


def test_an_area_outside_of_events_speaks_for_its_picture(two_events, review_of, stroke_of):
    case = review_of(two_events, [stroke_of(Action.AREA, time_s=30.0, area_frac=0.2)])
    changed = np.flatnonzero(case.series.area_frac != two_events.area_frac)
    assert changed.tolist() == [60]
    assert case.estimated_s == 0


def test_lost_view_has_no_estimate_and_areas_stay_within_the_view(series_of, review_of, stroke_of):
    lost = LossReason.BLURRED
    measured = series_of([(0.01, 60), (0.3, 10), (lost, 5), (0.9, 15), (0.01, 60)])
    case = review_of(measured, [stroke_of(Action.AREA, time_s=65.0, area_frac=1.0)])
    assert not case.series.is_valid[141]
    assert case.series.lost_s() == {lost: pytest.approx(5)}
    assert case.series.area_frac[case.series.is_valid].max() == 1.0


def test_an_area_taken_back_leaves_no_estimate(two_events, review_of, stroke_of):
    strokes = [
        stroke_of(Action.AREA, time_s=75.0, area_frac=0.6),
        stroke_of(Action.UNDO, undoes=1),
    ]
    case = review_of(two_events, strokes)
    assert case.series.area_frac.tolist() == two_events.area_frac.tolist()
    assert case.estimated_s == 0


@pytest.mark.parametrize("action", [Action.VIEW_LOST, Action.NOT_BLOOD, Action.BLOOD])
def test_what_is_said_later_of_the_same_time_takes_the_estimate_back(
    action, series_of, review_of, stroke_of
):
    # Neither onset nor clearing was seen: nothing but the said moment to measure from.
    bleeding = series_of([(0.3, 60)])
    said = stroke_of(Action.AREA, time_s=30.0, area_frac=0.7)
    area_frac = 0.5 if action is Action.BLOOD else None
    later = stroke_of(action, stretch=(28.0, 35.0), area_frac=area_frac)
    assert review_of(bleeding, [said]).estimated_s == 59.5
    case = review_of(bleeding, [said, later])
    assert case.estimated_s == 0
    assert case.metrics == review_of(bleeding, [later]).metrics
    again = review_of(bleeding, [said, later, replace(said, time_s=40.0)])
    assert again.estimated_s == 52.5


def test_an_area_said_where_the_view_is_lost_says_nothing(series_of, review_of, stroke_of):
    # As after the case was measured anew: what was seen then may count as lost now.
    series = series_of([(0.3, 20), (LossReason.BLURRED, 5), (0.3, 20)])
    case = review_of(series, [stroke_of(Action.AREA, time_s=22.0, area_frac=0.7)])
    assert case.estimated_s == 0
    assert case.metrics == review_of(series, []).metrics
