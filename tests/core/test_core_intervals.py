"""Interval algebra against sets of whole seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.core.intervals import Interval

END = 30
pairs = st.tuples(st.integers(0, END), st.integers(0, END)).map(sorted)


def seconds(intervals) -> set[int]:
    """The whole seconds [k, k + 1) that the intervals cover."""
    return {k for a, b in intervals for k in range(int(a), int(b))}


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
