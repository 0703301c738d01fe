from __future__ import annotations

import numpy as np
import pytest

from ubereport.review.agreement import agreement_of, standing_review
from ubereport.review.strokes import Action

FIRST, SECOND = (60.0, 90.0), (150.0, 180.0)


@pytest.fixture
def confirm(stroke_of):
    return lambda reviewer: [
        stroke_of(Action.CONFIRM, event=FIRST, reviewer=reviewer),
        stroke_of(Action.CONFIRM, event=SECOND, reviewer=reviewer),
    ]


@pytest.fixture
def strike(stroke_of):
    return lambda reviewer: [
        stroke_of(Action.CONFIRM, event=FIRST, reviewer=reviewer),
        stroke_of(Action.STRIKE, event=SECOND, reviewer=reviewer),
    ]


def test_two_who_say_the_same_agree_in_full(two_events, review_of, confirm):
    pair = [review_of(two_events, confirm(name), name) for name in ("KT", "MS")]
    agreement = agreement_of(*pair, two_events)
    assert (agreement.event_f1, agreement.kappa, agreement.is_full) == (1.0, 1.0, True)
    assert standing_review(pair, two_events) is pair[0]


def test_agreement_is_counted_by_event_and_by_second(two_events, review_of, confirm, strike):
    first = review_of(two_events, confirm("KT"), "KT")
    second = review_of(two_events, strike("MS"), "MS")
    agreement = agreement_of(first, second, two_events)
    assert agreement.event_f1 == pytest.approx(2 / 3)
    # By hand: of 300 s both say inside in 30 and outside in 240.
    observed, expected = 270 / 300, (60 * 30 + 240 * 270) / 300**2
    assert agreement.kappa == pytest.approx((observed - expected) / (1 - expected))


def test_an_event_split_in_its_middle_matches_once(two_events, review_of, confirm, stroke_of):
    whole = review_of(two_events, confirm("KT"), "KT")
    split = stroke_of(Action.SPLIT, event=FIRST, time_s=75.0, reviewer="MS")
    halves = review_of(two_events, [split, *confirm("MS")[1:]], "MS")
    for pair in ((whole, halves), (halves, whole)):
        agreement = agreement_of(*pair, two_events)
        assert (agreement.n_matched, agreement.is_full) == (2, False)
        assert agreement.event_f1 == pytest.approx(4 / 5)


def test_kappa_is_scikit_learns_formula(two_events, review_of, stroke_of, strike):
    moved = review_of(two_events, [stroke_of(Action.SET_ONSET, event=FIRST, time_s=50.0)], "KT")
    other = review_of(two_events, strike("MS"), "MS")
    seconds = np.arange(300) + 0.5
    first = ((seconds >= 50) & (seconds < 90)) | ((seconds >= 150) & (seconds < 180))
    second = (seconds >= 60) & (seconds < 90)
    table = np.histogram2d(first, second, bins=2)[0]
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    weight = 1 - np.eye(2)
    kappa = 1 - (weight * table).sum() / (weight * expected).sum()
    assert agreement_of(moved, other, two_events).kappa == pytest.approx(kappa)


def test_two_who_differ_wait_for_a_third(two_events, review_of, confirm, strike):
    pair = [
        review_of(two_events, confirm("KT"), "KT"),
        review_of(two_events, strike("MS"), "MS"),
    ]
    assert standing_review(pair, two_events) is None
    third = review_of(two_events, strike("HY"), "HY")
    assert standing_review([*pair, third], two_events) is third


def test_a_review_half_done_does_not_stand(two_events, review_of, stroke_of):
    half = review_of(two_events, [stroke_of(Action.CONFIRM, event=FIRST)])
    assert standing_review([half], two_events) is None
    assert standing_review([], two_events) is None
