"""The columns of the timeline against a plain recount, second by second."""

import numpy as np
import pytest
from documents import sample_record
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.documents.page.timeline import (
    closing_interval,
    equal_edges,
    lost_runs,
    round_edges,
    tick_step_s,
    time_columns,
)

KINDS = [LossReason.NONE, LossReason.BLURRED, LossReason.GAP, LossReason.PAUSE]


@st.composite
def whole_second_series(draw):
    """Rows of whole seconds, now and then with a hole between them."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(1, 4), st.integers(0, 1), st.sampled_from(KINDS), st.floats(0, 1)
            ),
            min_size=1,
            max_size=20,
        )
    )
    starts, at = [], 0
    for span, hole, _, _ in rows:
        at += hole
        starts.append(at)
        at += span
    is_valid = np.array([kind is LossReason.NONE for _, _, kind, _ in rows])
    area = np.where(is_valid, [area for *_, area in rows], np.nan)
    return AreaSeries(
        time_s=starts,
        duration_s=[float(span) for span, *_ in rows],
        part_index=np.zeros(len(rows)),
        area_frac=area,
        area_frac_lenient=area,
        area_frac_strict=area,
        is_valid=is_valid,
        reason=tuple(kind for _, _, kind, _ in rows),
    )


@settings(max_examples=60)
@given(whole_second_series(), st.integers(1, 7))
def test_columns_equal_a_recount_second_by_second(series, width_s):
    end_s = int(series.end_time_s[-1])
    edges = np.array([*range(0, end_s, width_s), end_s], dtype=float)
    columns = time_columns(series, edges)
    for i in range(len(edges) - 1):
        areas, lost = [], []
        for second in range(int(edges[i]), int(edges[i + 1])):
            inside = (series.time_s <= second) & (second < series.end_time_s)
            for row in np.flatnonzero(inside):
                if series.is_valid[row]:
                    areas.append(series.area_frac[row])
                else:
                    lost.append(series.reason[row])
        assert columns.evaluable_s[i] == pytest.approx(len(areas))
        assert columns.lost_s[i] == pytest.approx(len(lost))
        if areas:
            assert columns.mean_frac[i] == pytest.approx(np.mean(areas), abs=1e-9)
            assert columns.peak_frac[i] == pytest.approx(max(areas), abs=1e-9)
        else:
            assert np.isnan(columns.mean_frac[i])
            assert np.isnan(columns.peak_frac[i])
        most = {lost.count(reason) for reason in lost}
        assert lost.count(columns.reason[i]) == max(most) if lost else not columns.reason[i]
        assert columns.is_shown[i] == (len(areas) > 0 and len(areas) >= len(lost))


def test_lost_runs_join_neighbors_of_one_reason():
    series = sample_record.case_record().series
    runs = lost_runs(time_columns(series, np.arange(0.0, 4351.0, 5.0)))
    assert (LossReason.OUT_OF_BODY, Interval(0.0, 40.0)) in runs
    assert (LossReason.OUT_OF_BODY, Interval(1500.0, 1620.0)) in runs
    assert (LossReason.PAUSE, Interval(2400.0, 2520.0)) in runs
    assert (LossReason.GAP, Interval(4260.0, 4350.0)) in runs


def test_an_empty_series_or_falling_edges_are_refused():
    series = sample_record.twenty_seconds().series
    with pytest.raises(ValueError, match="increasing edges"):
        time_columns(series, np.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="increasing edges"):
        time_columns(series, np.array([0.0]))


def test_closing_interval_holds_the_last_evaluable_seconds():
    series = sample_record.case_record().series
    closing = closing_interval(series, 180.0)
    # The last 90 s are a gap, and nothing else is lost between 4080 s and 4260 s.
    assert closing == Interval(4080.0, 4260.0)
    long = closing_interval(series, 1e6)
    assert long.start_s == 40.0
    assert long.end_s == 4260.0


def test_closing_interval_needs_evaluable_time():
    assert closing_interval(sample_record.nothing_evaluable().series, 180.0) is None


@given(st.floats(0.5, 86400.0), st.integers(2, 40))
def test_tick_steps_are_few_enough(span_s, max_ticks):
    assert span_s / tick_step_s(span_s, max_ticks) <= max_ticks


def test_round_edges_end_with_the_recording():
    series = sample_record.case_record().series
    edges = round_edges(series, 36)
    assert edges[0] == 0
    assert edges[1] == 300
    assert edges[-1] == 4350
    assert len(equal_edges(series, 7)) == 8
