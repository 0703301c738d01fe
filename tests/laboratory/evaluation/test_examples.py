"""Which stills are shown, and what the overlay's colors mean."""

from __future__ import annotations

import numpy as np

from ubereport.laboratory.evaluation.examples import draw_overlay, pick_examples
from ubereport.laboratory.evaluation.results import StillScore


def score(name, dice, predicted_frac=0.1):
    is_positive = dice is not None
    return StillScore(
        name, "g", 1, None, 0.1, predicted_frac, is_positive, True, dice, dice, dice, None
    )


def test_best_median_worst_and_false_alarms():
    scores = [score(f"p{i}", i / 10) for i in range(9)]
    scores += [score("n1", None, 0.3), score("n2", None, 0.5), score("n3", None, 0.0)]
    found = pick_examples(scores, 3)
    assert found.best == ("p8", "p7", "p6")
    assert found.median == ("p5", "p4", "p3")
    assert found.worst == ("p0", "p1", "p2")
    assert found.false_alarms == ("n2", "n1")


def test_ties_go_by_name_and_little_is_enough():
    assert pick_examples([score("b", 0.5), score("a", 0.5)], 5).best == ("a", "b")
    assert pick_examples([], 3).worst == ()


def test_agreed_missed_and_invented_pixels_differ_and_undecided_ones_are_gray():
    rgb = np.full((40, 40, 3), (120, 60, 50), np.uint8)
    reference, predicted = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    is_decided = np.ones((40, 40), bool)
    reference[5:20, 5:25] = True
    predicted[5:20, 15:35] = True
    is_decided[30:] = False
    drawn = draw_overlay(rgb, reference, predicted, is_decided).astype(int)
    missed, agreed, invented = drawn[12, 8], drawn[12, 20], drawn[12, 31]
    assert missed[0] > missed[2]
    assert agreed.argmax() == 1
    assert invented.argmax() == 2
    assert np.ptp(drawn[35, 20]) == 0
    assert drawn[25, 2].tolist() == [120, 60, 50]
    assert drawn.shape == rgb.shape
