from dataclasses import replace

import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.calibrate import (
    CalibrationAims,
    calibrate,
    errors_by_operation,
)
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE
from ubereport.laboratory.training.scoring import StillScore, score_still, summarize
from ubereport.statistics.group_bootstrap import Resampler


def test_a_still_is_scored_over_its_decided_pixels():
    label = np.array([[BLOOD, BLOOD, CLEAN, CLEAN, IGNORE]], np.uint8)
    probability = np.array([[0.9, 0.2, 0.9, 0.1, 0.9]], np.float32)
    score = score_still(probability, label, 0.5)
    assert score.dice == pytest.approx(2 * 1 / (2 + 2))
    assert score.predicted_frac == pytest.approx(2 / 4)
    assert score.true_frac == pytest.approx(2 / 4)


def test_a_clean_still_has_no_dice():
    label = np.zeros((2, 2), np.uint8)
    assert score_still(np.zeros((2, 2), np.float32), label, 0.5).dice is None


def test_a_summary_counts_presence_as_defined():
    scores = [
        StillScore(0.8, 0.2, 0.3),
        StillScore(0.0, 0.0, 0.1),
        StillScore(None, 0.004, 0.0),
        StillScore(None, 0.0, 0.0),
    ]
    found = summarize(scores, 0.01)
    assert (found.sensitivity, found.specificity, found.accuracy) == (0.5, 1.0, 0.75)
    assert found.dice_median == pytest.approx(0.4)
    assert found.negative_area_mean_frac == pytest.approx(0.002)
    assert found.area_mae_frac == pytest.approx((0.1 + 0.1 + 0.004 + 0) / 4)
    assert summarize(scores, 0.001).specificity == 0.5


def test_without_positives_there_is_no_sensitivity():
    found = summarize([StillScore(None, 0.0, 0.0)], 0.01)
    assert found.sensitivity is None
    assert found.dice_median is None


def stills(n=12):
    """Blood at 0.7, clean tissue at 0.4 in half of the clean stills, at 0.1 elsewhere."""
    maps = np.full((n, 16, 16), 0.1, np.float32)
    labels = np.zeros((n, 16, 16), np.uint8)
    maps[::2, :8], labels[::2, :8] = 0.7, BLOOD
    maps[1::4, 8:] = 0.4
    return maps, labels, [f"g{i // 4}" for i in range(n)]


def test_the_central_threshold_lies_between_blood_and_what_resembles_it():
    found = calibrate(*stills())
    lenient, central, strict = found.thresholds
    assert 0.4 < central <= 0.7
    logit = np.log(central / (1 - central))
    assert lenient == pytest.approx(1 / (1 + np.exp(1 - logit)), abs=1e-4)
    assert strict == pytest.approx(1 / (1 + np.exp(-1 - logit)), abs=1e-4)
    figures = dict(found.figures)
    assert figures["dice_median"] == figures["sensitivity"] == figures["specificity"] == 1
    assert figures["n_positive"] == figures["n_negative"] == 6


def test_presence_takes_the_probability_that_tells_stills_apart():
    """Half of the clean stills reach 0.8 on a few pixels; blood reaches 0.95 on a few."""
    maps, labels, groups = stills()
    maps[1::4, 0, :2] = 0.8
    maps[::2, 0, :2] = 0.95
    found = calibrate(maps, labels, groups, presence_grid=(0.005,))
    assert 0.8 < found.presence.probability <= 0.95
    assert found.thresholds[1] < found.presence.probability
    assert dict(found.figures)["presence_probability"] == found.presence.probability
    assert (found.summary.sensitivity, found.summary.specificity) == (1, 1)


def test_a_rule_of_presence_is_as_sensitive_as_asked_even_where_it_is_right_less_often():
    """One still with blood and two clean ones reach 0.7, the other stills with blood 0.9."""
    maps, labels, groups = stills()
    maps[2:12:2, :8] = 0.9
    maps[1], maps[3] = 0.7, 0.7
    found = calibrate(maps, labels, groups, presence_grid=(0.01,))
    assert (found.summary.sensitivity, found.summary.specificity) == (5 / 6, 1)
    asked = CalibrationAims(min_sensitivity=0.9)
    found = calibrate(maps, labels, groups, asked, presence_grid=(0.01,))
    assert (found.summary.sensitivity, found.summary.specificity) == (1, 4 / 6)
    # Nothing can be that sensitive: the best of all is taken.
    maps[0] = 0.0
    found = calibrate(maps, labels, groups, asked, presence_grid=(0.01,))
    assert (found.summary.sensitivity, found.summary.specificity) == (5 / 6, 1)


def test_where_nothing_is_strict_enough_the_least_painting_threshold_is_taken():
    maps, labels, groups = stills()
    maps[1::2] = 0.99
    maps[1, 0] = 0.67
    # Of those that find blood, the one that spares a row of a clean still.
    assert calibrate(maps, labels, groups).thresholds[1] == pytest.approx(0.70)


def test_a_network_that_never_gets_sure_is_given_a_threshold_that_finds_blood():
    maps, labels, groups = stills()
    blood = labels == BLOOD
    maps = np.where(blood, 0.52, 0.1).astype(np.float32)
    maps[~blood.any(axis=(1, 2)), :1] = 0.52  # and paints some of every clean still
    found = calibrate(maps, labels, groups)
    assert found.thresholds[1] < 0.52
    assert found.summary.dice_mean > 0.5
    assert found.summary.negative_area_mean_frac > 0.01


@pytest.mark.parametrize("value", [BLOOD, CLEAN])
def test_thresholds_need_stills_with_and_without_blood(value):
    maps = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(AnnotationError, match="with and without"):
        calibrate(maps, np.full((2, 4, 4), value, np.uint8), ["a", "b"])


def test_the_bootstrap_draws_groups_not_stills():
    groups = ["a"] * 3 + ["b"] * 2
    draws = [tuple(d) for d in Resampler(groups, 200, 0, 0.95).drawn_rows()]
    assert set(map(frozenset, draws)) == {
        frozenset({0, 1, 2}),
        frozenset({3, 4}),
        frozenset({0, 1, 2, 3, 4}),
    }
    both = np.mean([len(set(d)) == 5 for d in draws])
    assert both == pytest.approx(0.5, abs=0.12)
    assert draws == [tuple(d) for d in Resampler(groups, 200, 0, 0.95).drawn_rows()]


def test_the_interval_of_a_mean_is_that_of_its_groups():
    values = np.r_[np.ones(50), np.zeros(50)]
    resampler = Resampler([f"{i}" for i in range(100)], 1000, 0, 0.95)
    means = [values[rows].mean() for rows in resampler.drawn_rows()]
    assert np.percentile(means, (2.5, 97.5)) == pytest.approx(
        (0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05), abs=0.02
    )


def test_errors_are_counted_by_operation_over_decided_pixels():
    maps = np.zeros((3, 4, 5), np.float32)
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0, 0] = BLOOD  # 5 of 20 pixels, of which 3 are found
    maps[0, 0, :3] = 0.9
    maps[0, 3, 0] = 0.9  # painted
    maps[0, 2], labels[0, 2] = 0.9, IGNORE  # 5 pixels count neither way
    maps[2, 0, 0] = 0.9  # 1 of 20 painted in an operation without blood
    with_blood, without = errors_by_operation(maps, labels, ("a", "a", "b"), 0.5)
    assert (with_blood.operation, with_blood.n_stills, with_blood.n_with_blood) == ("a", 2, 1)
    assert with_blood.blood_found_share == pytest.approx(3 / 5)
    assert with_blood.painted_clean_frac == pytest.approx(1 / (10 + 20), abs=1e-5)
    assert with_blood.true_area_frac == pytest.approx(5 / 15 / 2, abs=1e-4)
    assert with_blood.area_bias_frac == pytest.approx((4 / 15 - 5 / 15) / 2, abs=1e-4)
    assert without.blood_found_share is None
    assert without.area_bias_frac == pytest.approx(1 / 20)


def test_a_still_that_nobody_decided_says_nothing():
    labels = np.full((1, 4, 4), IGNORE, np.uint8)
    assert errors_by_operation(np.ones((1, 4, 4), np.float32), labels, ("a",), 0.5) == ()


@pytest.mark.parametrize("is_ruled", [False, True])
def test_stills_that_nobody_decided_move_neither_thresholds_nor_figures(is_ruled):
    """As many again, painted all over, in the same operations and in ones of their own."""
    maps, labels, groups = stills()
    painted, undecided = np.full_like(maps, 0.9), np.full_like(labels, IGNORE)
    more = (np.concatenate([maps, painted]), np.concatenate([labels, undecided]))
    aims = CalibrationAims(is_presence_ruled=is_ruled)
    found = calibrate(maps, labels, groups, aims)
    assert calibrate(*more, [*groups, *groups], aims) == found
    assert calibrate(*more, [*groups, *(f"u{i}" for i in range(12))], aims) == found
    with pytest.raises(AnnotationError, match="0 of 0 held-out stills"):
        calibrate(painted, undecided, groups, aims)


def test_the_calibration_error_of_a_bundle_counts_operations_alike_and_no_undecided_pixel():
    maps = np.full((12, 10, 10), 0.95, np.float32)
    labels = np.full((12, 10, 10), BLOOD, np.uint8)
    labels[10] = CLEAN  # one still of an operation of its own, against ten of the other
    labels[11] = IGNORE
    figures = dict(calibrate(maps, labels, ("many",) * 10 + ("one", "one")).figures)
    assert figures["calibration_error"] == pytest.approx((0.05 + 0.95) / 2, abs=1e-4)


def doubtful_stills(n=24):
    """Blood with a sure core and a paler rim; half of the clean stills are as pale all over."""
    maps = np.full((n, 16, 16), 0.1, np.float32)
    labels = np.zeros((n, 16, 16), np.uint8)
    maps[::2, :8], labels[::2, :8] = 0.7, BLOOD
    maps[::2, :2] = 0.97
    maps[1::4, :4] = 0.75
    return maps, labels, [f"g{i // 4}" for i in range(n)]


def test_under_a_rule_of_presence_pale_rims_are_found_and_pale_views_stay_clean():
    aims = CalibrationAims(0.003)
    without = calibrate(*doubtful_stills(), aims)
    ruled = calibrate(*doubtful_stills(), replace(aims, is_presence_ruled=True))
    assert without.thresholds[1] > 0.75
    assert without.summary.dice_mean < 0.5
    assert ruled.thresholds[1] <= 0.7
    assert ruled.summary.dice_mean == 1
    assert ruled.summary.negative_area_mean_frac == 0
    assert 0.75 < ruled.presence.probability <= 0.97
