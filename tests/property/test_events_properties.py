"""What must hold for every series, and an independent reading of the definitions, tick by tick."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.config import EventConfig
from ubereport.core.events import CensorReason
from ubereport.core.series import AreaSeries, LossReason
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.smoothing import smooth_area

TICK_S = 0.125
AREAS = (0.0, 0.01, 0.024, 0.025, 0.03, 0.05, 0.06, 0.2, 0.7)
LOSSES = (LossReason.BLURRED, LossReason.GAP, LossReason.PAUSE)
HOLE = "hole"
Row = tuple[float | LossReason | str, int]


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    content = st.one_of(
        st.sampled_from(AREAS), st.sampled_from(AREAS), st.sampled_from((*LOSSES, HOLE))
    )
    rows = draw(st.lists(st.tuples(content, st.integers(1, 12)), min_size=1, max_size=40))
    is_row = [r for r in rows if r[0] != HOLE]
    # A series ends with a row: a hole at its end would be no part of the case clock.
    return rows if rows[-1][0] != HOLE else [*rows, is_row[-1] if is_row else (0.0, 1)]


def _series(rows: list[Row], tick_s: float = TICK_S) -> AreaSeries:
    table = []
    at = 0
    for content, ticks in rows:
        if content != HOLE:
            lost = isinstance(content, LossReason)
            table.append(
                (
                    at * tick_s,
                    ticks * tick_s,
                    np.nan if lost else content,
                    content if lost else LossReason.NONE,
                )
            )
        at += ticks
    time_s, duration_s, area, reason = (list(column) for column in zip(*table, strict=True))
    is_valid = [r is LossReason.NONE for r in reason]
    part_index = np.cumsum([r is LossReason.PAUSE for r in reason])
    return AreaSeries(time_s, duration_s, part_index, area, area, area, is_valid, tuple(reason))


_ticks = st.integers(0, 12).map(lambda n: n * TICK_S)


@st.composite
def _configs(draw: st.DrawFn, smoothing: st.SearchStrategy[float] = _ticks) -> EventConfig:
    return EventConfig(
        min_duration_s=draw(_ticks),
        clear_hold_s=draw(_ticks),
        max_gap_s=draw(_ticks),
        rebleed_window_s=draw(_ticks),
        smoothing_s=draw(smoothing),
    )


@dataclass(frozen=True)
class _Tick:
    number: int
    area: float
    row: int


def _reference_stretches(rows: list[Row], config: EventConfig) -> list[list[_Tick]]:
    """Cut the case into ticks and keep those seen, a list for each stretch of view."""
    stretches: list[list[_Tick]] = [[]]
    at = lost = 0
    is_paused = False
    for row, (content, ticks) in enumerate(rows):
        if content == HOLE or isinstance(content, LossReason):
            lost += ticks
            is_paused = is_paused or content is LossReason.PAUSE
        else:
            if is_paused or lost * TICK_S > config.max_gap_s:
                stretches.append([])
            lost, is_paused = 0, False
            stretches[-1].extend(_Tick(at + k, float(content), row) for k in range(ticks))
        at += ticks
    return [s for s in stretches if s]


def _reference_smoothed(stretch: list[_Tick], config: EventConfig) -> list[float]:
    """Median over half ticks that lie within half the window of the middle of each run."""
    fine = {2 * t.number + k: t.area for t in stretch for k in range(2)}
    start, end = min(fine), max(fine) + 1
    half = round(config.smoothing_s / TICK_S)
    smoothed = []
    for tick in stretch:
        first = last = tick.number
        while fine.get(2 * (first - 1)) == tick.area:
            first -= 1
        while fine.get(2 * (last + 1)) == tick.area:
            last += 1
        middle = first + last + 1
        reach = min(half, middle - start, end - middle)
        inside = [fine[at] for at in range(middle - reach, middle + reach) if at in fine]
        smoothed.append(statistics.median(inside) if inside else tick.area)
    return smoothed


def _reference_events(rows: list[Row], config: EventConfig) -> list[tuple]:
    """Apply the definitions with their quantifiers spelled out, on ticks of equal length."""
    found = []
    stretches = _reference_stretches(rows, config)
    for number, stretch in enumerate(stretches):
        smoothed = _reference_smoothed(stretch, config)
        n_open = max(1, round(config.min_duration_s / TICK_S))
        n_clear = max(1, round(config.clear_hold_s / TICK_S))
        opens = _stays(stretch, [a >= config.onset_frac for a in smoothed], n_open)
        clears = _stays(stretch, [a < config.offset_frac for a in smoothed], n_clear)
        at = 0
        while (first := next((i for i in opens if i >= at), None)) is not None:
            stop = next((i for i in clears if i > first), None)
            inside = stretch[first:stop]
            found.append(
                (
                    stretch[first].number * TICK_S,
                    None if stop is None else stretch[stop].number * TICK_S,
                    (stretch[-1].number + 1) * TICK_S
                    if stop is None
                    else stretch[stop].number * TICK_S,
                    first > 0,
                    max(smoothed[first:stop]),
                    sum(t.area for t in inside) * TICK_S,
                    "" if stop is not None else _reference_reason(rows, stretches, number, config),
                )
            )
            at = len(stretch) if stop is None else stop
    return found


def _stays(stretch: list[_Tick], is_inside: list[bool], n_ticks: int) -> list[int]:
    """Where a stay begins: so many ticks long, and seen in at least two rows."""
    found = []
    for i in range(len(stretch)):
        other = next((j for j in range(i, len(stretch)) if stretch[j].row != stretch[i].row), None)
        end = max(i + n_ticks, len(stretch) if other is None else other + 1)
        if other is not None and end <= len(stretch) and all(is_inside[i:end]):
            found.append(i)
    return found


def _reference_reason(
    rows: list[Row], stretches: list[list[_Tick]], number: int, config: EventConfig
) -> str:
    contents = [content for content, ticks in rows for _ in range(ticks)]
    is_last = number + 1 == len(stretches)
    seen_again = len(contents) if is_last else stretches[number + 1][0].number
    unseen = contents[stretches[number][-1].number + 1 : seen_again]
    n_lost = unseen.index(LossReason.PAUSE) if LossReason.PAUSE in unseen else len(unseen)
    if n_lost * TICK_S > config.max_gap_s:
        return "view_lost"
    return "part_ended" if LossReason.PAUSE in unseen else "recording_ended"


@settings(max_examples=200, deadline=None)
@given(_rows(), _configs())
def test_events_are_those_of_the_definitions_read_tick_by_tick(rows, config):
    events = detect_events(_series(rows), config)
    expected = _reference_events(rows, config)
    assert [
        (e.onset_s, e.clear_s, e.end_s, e.is_onset_observed, str(e.censor_reason)) for e in events
    ] == [(x[0], x[1], x[2], x[3], x[6]) for x in expected]
    np.testing.assert_allclose([e.peak_area_frac for e in events], [x[4] for x in expected])
    np.testing.assert_allclose([e.area_time_frac_s for e in events], [x[5] for x in expected])


@settings(max_examples=60, deadline=None)
@given(_rows(), _configs())
def test_rows_of_two_looks_cut_again_change_nothing(rows, config):
    # One look is no stay, so every row is two looks before it is cut once more.
    twice = [(content, ticks) for content, ticks in rows for _ in range(2)]
    fourfold = [(content, ticks) for content, ticks in rows for _ in range(4)]
    assert _same(
        detect_events(_series(fourfold, TICK_S / 4), config),
        detect_events(_series(twice, TICK_S / 2), config),
    )


@settings(max_examples=60, deadline=None)
@given(_rows(), _configs(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_a_slower_clock_only_stretches_the_events(rows, config, factor):
    slower = dataclasses.replace(
        config,
        **{
            name: getattr(config, name) * factor
            for name in (
                "min_duration_s",
                "clear_hold_s",
                "max_gap_s",
                "rebleed_window_s",
                "smoothing_s",
            )
        },
    )
    stretched = detect_events(_series(rows, TICK_S * factor), slower)
    events = detect_events(_series(rows), config)
    assert [(e.onset_s, e.peak_s, e.end_s, e.is_rebleed) for e in stretched] == [
        (e.onset_s * factor, e.peak_s * factor, e.end_s * factor, e.is_rebleed) for e in events
    ]


@settings(max_examples=60, deadline=None)
@given(_rows(), _configs())
def test_events_are_disjoint_ordered_and_begin_at_the_threshold(rows, config):
    series = _series(rows)
    events = detect_events(series, config)
    smoothed = smooth_area(series, config)
    for before, after in itertools.pairwise(events):
        assert before.end_s <= after.onset_s
    for event in events:
        at_onset = smoothed[series.time_s == event.onset_s]
        assert len(at_onset) == 1
        assert at_onset[0] >= config.onset_frac
        assert event.peak_area_frac >= at_onset[0]
        assert event.censor_reason in set(CensorReason)


@settings(max_examples=60, deadline=None)
@given(_rows(), _configs(), st.sampled_from([0.06, 0.2, 0.7]))
def test_a_higher_onset_threshold_finds_parts_of_the_same_events(rows, config, onset_frac):
    series = _series(rows)
    stricter = detect_events(series, dataclasses.replace(config, onset_frac=onset_frac))
    events = detect_events(series, config)
    for event in stricter:
        assert any(e.onset_s <= event.onset_s and event.end_s <= e.end_s for e in events)


@settings(max_examples=60, deadline=None)
@given(_rows(), _rows(), _configs(smoothing=st.just(0.0)))
def test_what_has_cleared_is_not_changed_by_what_comes_later(rows, later, config):
    cleared = [e for e in detect_events(_series(rows), config) if not e.is_censored]
    assert set(cleared) <= set(detect_events(_series([*rows, *later]), config))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LOSSES), st.integers(1, 12)), min_size=1), _configs())
def test_a_view_lost_throughout_has_no_events(rows, config):
    series = _series(rows)
    assert detect_events(series, config) == ()
    assert np.isnan(smooth_area(series, config)).all()


def _same(first: tuple, second: tuple) -> bool:
    """Whether all fields are equal, sums up to rounding."""
    rounded = [
        [
            dataclasses.replace(
                e,
                mean_area_frac=round(e.mean_area_frac, 9),
                area_time_frac_s=round(e.area_time_frac_s, 9),
                peak_area_frac=round(e.peak_area_frac, 9),
            )
            for e in events
        ]
        for events in (first, second)
    ]
    return rounded[0] == rounded[1]
