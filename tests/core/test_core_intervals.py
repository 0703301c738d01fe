"""Interval algebra against sets of whole seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.core.intervals import Interval, IntervalSet

END = 30
pairs = st.tuples(st.integers(0, END), st.integers(0, END)).map(sorted)
lists = st.lists(pairs, max_size=6)


def seconds(intervals) -> set[int]:
    """The whole seconds [k, k + 1) that the intervals cover."""
    return {k for a, b in intervals for k in range(int(a), int(b))}


def built(listed) -> IntervalSet:
    return IntervalSet.of(Interval(float(a), float(b)) for a, b in listed)


def covered(found: IntervalSet) -> set[int]:
    return seconds((i.start_s, i.end_s) for i in found)


@given(lists)
def test_merging_covers_the_same_time_with_disjoint_pieces(listed):
    merged = built(listed)
    assert covered(merged) == seconds(listed)
    assert merged.duration_s == len(seconds(listed))
    edges = [edge for i in merged for edge in (i.start_s, i.end_s)]
    assert edges == sorted(set(edges))  # sorted, not empty, and none touches the next


@given(lists, lists)
def test_union_and_intersection_are_those_of_sets(first, second):
    assert covered(built(first) | built(second)) == seconds(first) | seconds(second)
    assert covered(built(first) & built(second)) == seconds(first) & seconds(second)


@given(lists, pairs)
def test_gaps_are_what_is_left_of_the_support(listed, support):
    left = built(listed).gaps(Interval(float(support[0]), float(support[1])))
    assert covered(left) == seconds([support]) - seconds(listed)


@given(pairs, pairs)
def test_overlap_of_two_is_that_of_their_seconds(first, second):
    a, b = (Interval(float(x), float(y)) for x, y in (first, second))
    both, either = (seconds([first]) & seconds([second]), seconds([first]) | seconds([second]))
    assert a.intersection_s(b) == len(both)
    assert a.iou(b) == pytest.approx(len(both) / len(either) if either else 0.0)


def test_the_end_is_not_inside():
    interval = Interval(1.0, 2.0)
    assert [interval.contains(t) for t in (0.9, 1.0, 1.9, 2.0)] == [False, True, True, False]


@pytest.mark.parametrize("end_s", [0.5, float("nan")])
def test_an_interval_that_ends_before_it_starts_is_refused(end_s):
    with pytest.raises(ValueError, match="before it starts"):
        Interval(1.0, end_s)
