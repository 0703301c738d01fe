"""Agreement between annotators against published examples and direct implementations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ubereport.laboratory.evaluation.agreement import fleiss_kappa, majority, pairwise_dice, staple

# The worked example of Fleiss' kappa in common use: 10 subjects, 14 raters, 5 classes.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def test_fleiss_kappa_of_the_worked_example():
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_of_two_raters_by_hand():
    # Both yes, both no, both no, split: observed 0.75; shares 3/8 and 5/8, expected 34/64.
    counts = np.array([[2, 0], [0, 2], [0, 2], [1, 1]])
    assert fleiss_kappa(counts) == pytest.approx((0.75 - 34 / 64) / (1 - 34 / 64))


def test_one_class_only_has_no_kappa():
    assert fleiss_kappa(np.array([[3, 0], [3, 0]])) is None


@pytest.mark.parametrize(
    "counts", [np.array([[2, 1], [1, 1]]), np.array([[1, 0]]), np.zeros((0, 2), int)]
)
def test_kappa_refuses_uneven_answers(counts):
    with pytest.raises(ValueError, match="annotators"):
        fleiss_kappa(counts)


def test_majority_leaves_even_splits_undecided():
    votes = np.array(list(product([False, True], repeat=4))).T.reshape(4, 4, 4)
    blood, is_decided = majority(votes)
    count = votes.sum(axis=0)
    assert (blood == (count >= 3)).all()
    assert (is_decided == (count != 2)).all()


def test_pairwise_dice_leaves_out_pairs_without_blood_and_undecided_pixels():
    a, b, c = (np.zeros((4, 4), bool) for _ in range(3))
    a[0] = True
    is_decided = np.ones((4, 4), bool)
    is_decided[0, :2] = False
    found = pairwise_dice(np.stack([a, b, c]), is_decided)
    assert found == {(0, 1): 0.0, (0, 2): 0.0}
    b[0, 2:] = True
    assert pairwise_dice(np.stack([a, b, c]), is_decided)[0, 1] == 1.0


def simulated_annotators(seed: int, sensitivity, specificity):
    rng = np.random.default_rng(seed)
    truth = np.zeros((120, 120), bool)
    truth[30:80, 20:90] = True
    masks = [
        np.where(truth, rng.random(truth.shape) < p, rng.random(truth.shape) > q)
        for p, q in zip(sensitivity, specificity, strict=True)
    ]
    return truth, np.stack(masks)


def direct_staple(masks):
    """Warfield's algorithm pixel by pixel, in log space, with the same prior and start."""
    d = masks.reshape(len(masks), -1).astype(float)
    prior = d.mean()
    p = q = np.full(len(masks), 0.99)
    for _ in range(500):
        log_a = np.log(prior) + (d * np.log(p)[:, None] + (1 - d) * np.log1p(-p)[:, None]).sum(0)
        log_b = np.log1p(-prior) + ((1 - d) * np.log(q)[:, None] + d * np.log1p(-q)[:, None]).sum(0)
        w = 1 / (1 + np.exp(log_b - log_a))
        p = (d * w).sum(1) / w.sum()
        q = ((1 - d) * (1 - w)).sum(1) / (1 - w).sum()
    return w.reshape(masks.shape[1:]), p, q


def test_staple_finds_the_truth_and_how_good_each_annotator_is():
    sensitivity, specificity = [0.95, 0.85, 0.7, 0.9], [0.99, 0.97, 0.95, 0.9]
    truth, masks = simulated_annotators(1, sensitivity, specificity)
    found = staple(masks, np.ones(truth.shape, bool))
    assert found.sensitivity == pytest.approx(sensitivity, abs=0.02)
    assert found.specificity == pytest.approx(specificity, abs=0.02)
    assert ((found.probability >= 0.5) == truth).mean() > 0.985


@pytest.mark.parametrize("seed", [2, 3])
def test_staple_equals_the_direct_algorithm(seed):
    _, masks = simulated_annotators(seed, [0.9, 0.8, 0.75], [0.98, 0.95, 0.9])
    found = staple(masks, np.ones(masks.shape[1:], bool))
    weight, sensitivity, specificity = direct_staple(masks)
    assert found.sensitivity == pytest.approx(sensitivity, abs=1e-5)
    assert found.specificity == pytest.approx(specificity, abs=1e-5)
    np.testing.assert_allclose(found.probability, weight, atol=1e-4)


def test_staple_leaves_undecided_pixels_out():
    truth, masks = simulated_annotators(4, [0.9, 0.8, 0.9], [0.98, 0.95, 0.97])
    is_decided = np.zeros(truth.shape, bool)
    is_decided[:, :60] = True
    half = staple(masks, is_decided)
    alone = staple(masks[:, :, :60], np.ones((120, 60), bool))
    np.testing.assert_allclose(half.probability[:, :60], alone.probability)
    assert (half.probability[:, 60:] == 0).all()


@pytest.mark.parametrize("value", [False, True])
def test_staple_of_unanimous_annotators_is_what_they_say(value):
    masks = np.full((3, 5, 5), value)
    found = staple(masks, np.ones((5, 5), bool))
    assert (found.probability == float(value)).all()


@pytest.mark.parametrize("k", [1, 31])
def test_staple_refuses_too_few_or_too_many(k):
    with pytest.raises(ValueError, match="2 to 30"):
        staple(np.zeros((k, 3, 3), bool), np.ones((3, 3), bool))
