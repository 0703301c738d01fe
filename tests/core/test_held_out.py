import dataclasses

import numpy as np
import pytest

from ubereport.core.held_out import (
    MIN_OPERATIONS,
    HeldOutOperation,
    area_band,
    band_coverage_share,
)


def operation(name, painted, found, true):
    measured = (0 if found is None else found * true) + painted * (1 - true)
    return HeldOutOperation(name, 10, 0 if found is None else 5, true, measured, painted, found,
                            measured - true)  # fmt: skip


def operations(n, seed=0):
    """Operations whose model paints 0 to 1 % and finds 60 to 95 %."""
    rng = np.random.default_rng(seed)
    return [operation(f"op{i}", *rng.uniform((0, 0.6, 0.01), (0.01, 0.95, 0.3))) for i in range(n)]


def test_a_band_of_equal_operations_is_the_true_area():
    same = [operation(f"op{i}", 0.01, 0.8, 0.1) for i in range(20)]
    measured = 0.8 * 0.1 + 0.01 * 0.9
    band = area_band(measured, same)
    assert band.low_frac == pytest.approx(0.1)
    assert band.high_frac == pytest.approx(0.1)
    assert (band.level, band.n_operations) == (0.8, 20)


def measured_as(measured, truths):
    return [
        HeldOutOperation(f"op{i}", 10, 5, true, measured, 0.0, 0.5, measured - true)
        for i, true in enumerate(truths)
    ]


def test_the_middle_of_ranked_answers_is_taken_with_conformal_ranks():
    # What is measured as 0.1 was this there: 19 answers, ranks of n + 1 = 20 are 2 and 18.
    truths = np.linspace(0.05, 0.25, 19)
    band = area_band(0.1, measured_as(0.1, truths))
    assert band.low_frac == pytest.approx(truths[1])
    assert band.high_frac == pytest.approx(truths[17])


def test_an_error_grows_with_the_area_and_never_leaves_the_range_of_shares():
    ops = measured_as(0.1, np.linspace(0.05, 0.25, 19))
    small, large = area_band(0.01, ops), area_band(0.4, ops)
    assert large.high_frac - 0.4 > 1.5 * (small.high_frac - 0.01)
    assert area_band(0.0, ops).low_frac == 0.0
    assert area_band(1.0, ops).high_frac == 1.0


def test_nothing_measured_may_still_be_blood_that_was_missed():
    band = area_band(0.0, measured_as(0.0, [0.0] * 10 + [0.02] * 10))
    assert (band.low_frac, band.high_frac) == (0.0, pytest.approx(0.02))


def test_what_is_painted_where_nothing_bleeds_may_be_nothing():
    clean = [operation(f"clean{i}", 0.02, None, 0.0) for i in range(10)]
    band = area_band(0.02, [*clean, *measured_as(0.1, [0.12] * 10)])
    assert band.low_frac == pytest.approx(0.0, abs=1e-12)
    assert band.high_frac > 0.02


def test_too_few_operations_or_none_with_blood_give_no_band():
    assert area_band(0.1, operations(MIN_OPERATIONS - 1)) is None
    assert area_band(0.1, [operation(f"op{i}", 0.01, None, 0.0) for i in range(20)]) is None
    assert band_coverage_share(operations(MIN_OPERATIONS)) is None


@pytest.mark.parametrize("n", [12, 22, 40])
def test_operations_left_out_lie_in_the_band_of_the_others_at_least_as_often_as_promised(n):
    assert all(band_coverage_share(operations(n, seed)) >= 0.8 for seed in range(20))


def test_a_new_operation_lies_in_the_band_as_often_as_few_operations_can_promise():
    drawn = [operations(15, seed) for seed in range(2000)]
    inside = []
    for *known, new in drawn:
        band = area_band(new.measured_area_frac, known)
        inside.append(band.low_frac <= new.true_area_frac <= band.high_frac)
    # 14 known: one of 15 ranks is left out at either end, so 13 of 15; standard error 0.8 points
    assert np.mean(inside) == pytest.approx(13 / 15, abs=0.024)


@pytest.mark.parametrize(
    "change",
    [
        {"painted_clean_frac": 1.2},
        {"blood_found_share": -0.1},
        {"n_with_blood": 11},
        {"n_stills": 0, "n_with_blood": 0},
        {"area_bias_frac": -2.0},
    ],
)
def test_impossible_figures_are_refused(change):
    with pytest.raises(ValueError, match=r"allowed|within|need"):
        dataclasses.replace(operation("op", 0.01, 0.8, 0.1), **change)
