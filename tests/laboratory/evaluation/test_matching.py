"""Matching of intervals against trying everything."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.intervals import Interval
from ubereport.laboratory.evaluation.recordings import match_intervals

INTERVALS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda p: Interval(p[0], p[0] + p[1])),
    max_size=6,
)


def best_by_trying(true, found, min_iou):
    """Most pairs, then largest total, over all ways to match."""
    small, large = (true, found) if len(true) <= len(found) else (found, true)
    best = (0, 0.0)
    for order in permutations(range(len(large)), len(small)):
        ious = [s.iou(large[i]) for s, i in zip(small, order, strict=True)]
        kept = [v for v in ious if v >= min_iou]
        best = max(best, (len(kept), sum(kept)))
    return best


@settings(max_examples=40, deadline=None)
@given(true=INTERVALS, found=INTERVALS, min_iou=st.sampled_from([0.1, 0.25, 0.5]))
def test_no_way_to_match_is_better(true, found, min_iou):
    pairs = match_intervals(true, found, min_iou)
    assert len({t for t, _, _ in pairs}) == len({f for _, f, _ in pairs}) == len(pairs)
    for t, f, overlap in pairs:
        assert overlap == true[t].iou(found[f]) >= min_iou
    expected = best_by_trying(true, found, min_iou)
    assert (len(pairs), sum(p[2] for p in pairs)) == pytest.approx(expected)


def test_greedy_by_overlap_would_lose_a_pair():
    """Found 0 fits true 1 best, but only true 0 is left for nobody else."""
    true = [Interval(0, 10), Interval(8, 18)]
    found = [Interval(4, 17), Interval(15, 24)]
    assert true[1].iou(found[0]) > max(true[0].iou(found[0]), true[1].iou(found[1]))
    pairs = match_intervals(true, found, 0.1)
    assert [(t, f) for t, f, _ in pairs] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("min_iou", [0.0, -0.1, 1.1])
def test_an_impossible_overlap_is_refused(min_iou):
    with pytest.raises(ValueError, match="temporal IoU"):
        match_intervals([], [], min_iou)
