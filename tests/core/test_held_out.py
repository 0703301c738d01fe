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


def test_the_middle_of_ranked_answers_is_taken_with_conformal_ranks():
    # Nothing painted, so each operation answers measured / found: 0.1 / f for f of 0.5 to 1.
    found = np.linspace(0.5, 1, 19)
    band = area_band(0.1, [operation(f"op{i}", 0.0, f, 0.2) for i, f in enumerate(found)])
    answers = np.sort(0.1 / found)
    # ranks of n + 1 = 20: floor(2) and ceil(18), counted from 1
    assert band.low_frac == pytest.approx(answers[1])
    assert band.high_frac == pytest.approx(answers[17])


def test_nothing_measured_may_still_be_blood_that_was_missed_but_never_below_zero():
    band = area_band(0.0, operations(30))
    assert band.low_frac == band.high_frac == 0.0
    assert area_band(1.0, operations(30)).high_frac == 1.0


def test_operations_without_blood_say_what_is_painted_and_borrow_what_is_found():
    mixed = [operation(f"op{i}", 0.0, 0.5, 0.2) for i in range(10)]
    mixed += [operation(f"clean{i}", 0.02, None, 0.0) for i in range(10)]
    band = area_band(0.1, mixed)
    assert band.low_frac == pytest.approx((0.1 - 0.02) / (0.5 - 0.02))
    assert band.high_frac == pytest.approx(0.2)


def test_too_few_operations_or_none_with_blood_give_no_band():
    assert area_band(0.1, operations(MIN_OPERATIONS - 1)) is None
    assert area_band(0.1, [operation(f"op{i}", 0.01, None, 0.0) for i in range(20)]) is None
    assert band_coverage_share(operations(MIN_OPERATIONS)) is None


def test_bands_of_other_operations_cover_what_they_promise():
    shares = [band_coverage_share(operations(40, seed)) for seed in range(20)]
    # 20 × 40 operations, 80 % promised: the standard error is 1.4 points
    assert np.mean(shares) == pytest.approx(0.8, abs=0.045)


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
