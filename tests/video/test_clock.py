from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.video.clock import build_clock, gap_threshold_s
from ubereport.video.packets import NO_PTS, ClockUnwrapper, PacketTable, is_counted

MS = Fraction(1, 1000)


def _table(
    pts: list[int],
    keys: tuple[int, ...] = (0,),
    dts: list[int] | None = None,
    hidden: tuple[int, ...] = (),
    duration: int = 0,
) -> PacketTable:
    n = len(pts)
    is_key, is_shown = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    is_key[list(keys)] = True
    is_shown[list(hidden)] = False
    given_dts = pts if dts is None else dts
    return PacketTable(np.array(pts), np.array(given_dts), np.full(n, duration), is_key, is_shown)


def test_reordered_packets_come_in_presentation_order() -> None:
    clock = build_clock(_table([0, 120, 40, 80], dts=[-80, -40, 0, 40]), MS, 3600)
    assert clock is not None
    assert clock.pts.tolist() == [0, 40, 80, 120]
    assert clock.is_key.tolist() == [True, False, False, False]
    assert clock.duration_s == pytest.approx(0.16)
    assert not clock.has_open_gops


def test_hidden_pictures_are_left_out_and_not_counted_as_dropped() -> None:
    clock = build_clock(_table([-80, -40, 0, 40], hidden=(0, 1)), MS, 3600)
    assert clock is not None
    assert clock.pts.tolist() == [0, 40]
    assert clock.n_dropped_packets == 0


def test_packets_without_or_with_repeated_times_are_dropped_and_counted() -> None:
    clock = build_clock(_table([0, 40, 40, NO_PTS, 80], dts=[0, 40, 41, 42, 80]), MS, 3600)
    assert clock is not None
    assert clock.pts.tolist() == [0, 40, 80]
    assert clock.n_dropped_packets == 2


def test_pictures_before_the_first_keyframe_are_dropped() -> None:
    # file order: a tail without its keyframe, the keyframe, its leading picture, the rest
    clock = build_clock(
        _table([0, 40, 160, 120, 200], keys=(2,), dts=[0, 40, 80, 120, 160]), MS, 3600
    )
    assert clock is not None
    assert clock.pts.tolist() == [160, 200]
    assert clock.n_dropped_packets == 3


def test_open_group_is_noticed() -> None:
    clock = build_clock(_table([0, 40, 120, 80, 160], keys=(0, 2), dts=[0, 1, 2, 3, 4]), MS, 3600)
    assert clock is not None
    assert clock.has_open_gops


@pytest.mark.parametrize("pts", [[], [0], [NO_PTS, NO_PTS], [5, 5]])
def test_fewer_than_two_times_make_no_clock(pts: list[int]) -> None:
    assert build_clock(_table(pts, keys=(0,) if pts else ()), MS, 3600) is None


def test_step_back_goes_on_where_the_clock_was() -> None:
    clock = build_clock(_table([5000, 5040, 5080, 0, 40], duration=40), MS, 3600)
    assert clock is not None
    np.testing.assert_allclose(clock.time_s, [0, 0.04, 0.08, 0.12, 0.16])
    assert (clock.n_clock_jumps, clock.n_clock_resets) == (1, 1)


def test_times_that_overflow_behind_a_reset_are_dropped_and_counted() -> None:
    clock = build_clock(_table([0, 40, 2**62, 0, 2**62], duration=40), MS, 3600)
    assert clock is not None
    assert clock.pts.tolist() == [0, 40]
    assert (clock.n_clock_resets, clock.n_dropped_packets) == (1, 3)


def test_long_last_picture_is_not_believed() -> None:
    table = _table([0, 40, 80], duration=40)
    durations = table.duration.copy()
    durations[-1] = 10**9
    clock = build_clock(
        PacketTable(table.pts, table.dts, durations, table.is_key, table.is_shown), MS, 3600
    )
    assert clock is not None
    assert clock.duration_s == pytest.approx(0.12)


def test_gap_threshold_follows_the_frame_rate_within_bounds() -> None:
    assert gap_threshold_s(0.04) == 2.0
    assert gap_threshold_s(0.5) == 5.0
    assert gap_threshold_s(1000) == 60.0


ticks = st.integers(-(2**62), 2**62) | st.integers(-5000, 5000) | st.just(NO_PTS)
rows = st.tuples(
    ticks, st.integers(-(10**12), 10**12), st.integers(0, 10**6), st.booleans(), st.booleans()
)


@settings(max_examples=200, deadline=None)
@given(st.lists(rows, max_size=40))
def test_any_times_give_a_steady_bounded_clock(
    packets: list[tuple[int, int, int, bool, bool]],
) -> None:
    numbers = np.array([row[:3] for row in packets], dtype=np.int64).reshape(-1, 3)
    flags = np.array([row[3:] for row in packets], dtype=bool).reshape(-1, 2)
    table = PacketTable(numbers[:, 0], numbers[:, 1], numbers[:, 2], flags[:, 0], flags[:, 1])
    clock = build_clock(table, MS, 3600)
    if clock is None:
        return
    assert clock.time_s[0] == 0
    assert np.all(np.diff(clock.time_s) > 0)
    assert np.all(np.diff(clock.pts) > 0)
    assert np.diff(clock.time_s).max() <= 3600
    assert clock.duration_s > clock.time_s[-1]
    assert clock.duration_s - clock.time_s[-1] <= 60
    assert len(clock.pts) + clock.n_dropped_packets == int(table.is_shown.sum())
    for gap in clock.gaps:
        assert gap.duration_s > 0
        assert not np.any((clock.time_s >= gap.start_s) & (clock.time_s < gap.end_s))


def test_unwrapper_follows_a_reordered_stream_without_a_reset() -> None:
    clock = ClockUnwrapper(1000)
    packets = [(0, -80), (120, -40), (40, 0), (80, 40), (160, 80)]
    resets = [clock.feed(pts, dts, 40) for pts, dts in packets]
    assert resets == [False] * 5
    assert (clock.offset, clock.n_resets) == (0, 0)


def test_unwrapper_bridges_every_reset() -> None:
    clock = ClockUnwrapper(1000)
    seen = []
    for start in (90_000, 5_000, 0):
        for step in range(3):
            clock.feed(start + 40 * step, start + 40 * step, 40)
            seen.append(start + 40 * step + clock.offset)
    assert np.diff(seen).tolist() == [40] * 8
    assert clock.n_resets == 2


def test_unwrapper_passes_over_packets_without_any_time() -> None:
    clock = ClockUnwrapper(1000)
    assert not clock.feed(NO_PTS, NO_PTS, 0)
    assert not clock.feed(0, NO_PTS, 40)


def test_pictures_are_counted_where_the_container_has_no_times() -> None:
    assert is_counted("avi", "h264")
    assert is_counted("h264", "h264")
    assert not is_counted("avi", "mpeg4")
    assert not is_counted("mpegts", "h264")
