"""Overlap and outlines against formulas and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ubereport.laboratory.evaluation.overlap import dice, iou, surface_agreement

MASKS = hnp.arrays(np.bool_, (12, 12))
ALL = np.ones((40, 40), bool)


@settings(max_examples=40, deadline=None)
@given(first=MASKS, second=MASKS)
def test_dice_and_iou_belong_together_and_do_not_mind_the_order(first, second):
    d, j = dice(first, second), iou(first, second)
    assert (d, j) == (dice(second, first), iou(second, first))
    if d is None:
        assert j is None
        assert not first.any()
        assert not second.any()
    else:
        assert d == pytest.approx(2 * j / (1 + j))
        assert 0 <= j <= d <= 1


def test_overlap_of_two_squares_by_hand(box):
    first, second = box(0, 0, 10, 10), box(0, 5, 10, 15)
    assert dice(first, second) == pytest.approx(100 / 200)
    assert iou(first, second) == pytest.approx(50 / 150)


def reference_surface(first, second, tolerance):
    """Surface Dice and mean distance by scipy's morphology and distance transform."""
    cross = ndimage.generate_binary_structure(2, 1)
    a = first & ~ndimage.binary_erosion(first, cross, border_value=1)
    b = second & ~ndimage.binary_erosion(second, cross, border_value=1)
    to_b = ndimage.distance_transform_edt(~b)[a]
    to_a = ndimage.distance_transform_edt(~a)[b]
    both = np.concatenate([to_b, to_a])
    return (both <= tolerance).mean(), both.mean()


@settings(max_examples=40, deadline=None)
@given(
    seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    tolerance=st.sampled_from([0.0, 1.0, 2.0, 3.5]),
)
def test_outlines_agree_with_scipy(seeds, tolerance):
    first, second = (
        ndimage.gaussian_filter(np.random.default_rng(s).normal(size=(40, 40)), 3) > 0.02
        for s in seeds
    )
    found = surface_agreement(first, second, ALL, tolerance)
    share, distance = reference_surface(first, second, tolerance)
    assert found.dice == pytest.approx(share, abs=1e-9)
    assert found.mean_distance_px == pytest.approx(distance, rel=1e-4)


def test_a_shifted_square_is_as_far_off_as_it_was_shifted():
    first, second = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    first[10:20, 10:20] = True
    second[10:20, 13:23] = True
    assert surface_agreement(first, second, ALL, 3.0).dice == 1.0
    assert surface_agreement(first, second, ALL, 0.5).dice < 0.6


def test_no_outline_and_one_outline():
    empty = np.zeros((40, 40), bool)
    square = empty.copy()
    square[5:9, 5:9] = True
    assert surface_agreement(empty, empty, ALL, 1.0) is None
    # The whole picture has no outline inside it.
    assert surface_agreement(ALL, ALL, ALL, 1.0) is None
    one = surface_agreement(square, empty, ALL, 1.0)
    assert (one.dice, one.mean_distance_px) == (0.0, None)


def test_the_rim_of_undecided_pixels_is_no_outline():
    first, second = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    first[10:30, 0:20] = True
    second[10:30, 0:26] = True
    is_decided = ALL.copy()
    is_decided[:, 20:] = False
    # Cut at the undecided half, both are the same; their common cut adds no agreement.
    found = surface_agreement(first, second, is_decided, 0.0)
    assert found.dice == 1.0
    first[:, 19] = False
    assert surface_agreement(first, second, is_decided, 0.0).dice < 1.0
