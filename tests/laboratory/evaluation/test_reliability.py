"""Probabilities of known honesty, told as such."""

import numpy as np
import pytest

from ubereport.laboratory.evaluation.reliability import bin_sums, reliability


def sums_of(probability, is_blood, is_decided=None):
    decided = np.ones(is_blood.shape, bool) if is_decided is None else is_decided
    return bin_sums(probability.astype(np.float32), is_blood, decided)


def test_honest_probabilities_lie_on_the_diagonal_and_eager_ones_are_off_by_their_excess():
    rng = np.random.default_rng(0)
    truth = rng.random((2, 200, 100))
    blood = rng.random(truth.shape) < truth
    honest = reliability({"a": sums_of(truth[0], blood[0]), "b": sums_of(truth[1], blood[1])})
    assert honest.error < 0.02
    assert np.allclose(honest.told, honest.seen, atol=0.05)
    assert np.allclose(honest.told, np.arange(10) / 10 + 0.05, atol=0.01)
    eager = reliability({"a": sums_of(np.sqrt(truth[0]), blood[0])})
    # the mean of sqrt(u) - u over 0..1 is 2/3 - 1/2
    assert eager.error == pytest.approx(1 / 6, abs=0.01)


def test_groups_count_alike_and_empty_tenths_stay_empty():
    sure = np.full((10, 10), 0.95)
    blood = np.ones((10, 10), bool)
    many = 10 * sums_of(sure, blood)
    found = reliability({"many": many, "one": sums_of(sure, ~blood)})
    assert found.seen[9] == pytest.approx(0.5)
    assert found.seen[0] is None
    assert found.error == pytest.approx((0.05 + 0.95) / 2, abs=1e-6)
    assert [group.group for group in found.groups] == ["many", "one"]


def test_undecided_pixels_and_tenths_of_few_pixels_say_nothing():
    probability, blood = np.full((10, 20), 0.25), np.zeros((10, 20), bool)
    decided = blood.copy()
    decided[:, :10] = True
    blood[:, 10:] = True  # undecided
    probability[0, 0] = 1.0
    found = reliability({"a": sums_of(probability, blood, decided)})
    assert (found.told[2], found.seen[2], found.told[9]) == (None, None, None)
    probability[0, 0] = 0.25
    whole = reliability({"a": sums_of(probability, blood, decided)})
    assert (whole.told[2], whole.seen[2]) == (pytest.approx(0.25), 0.0)


def test_without_stills_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match="no group"):
        reliability({})
