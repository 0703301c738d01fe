from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.core.recording import PartIndex, RecordingIndex, Timeline, VideoFormat
from ubereport.core.series import LossReason
from ubereport.video.candidates import keyframe_candidates, plan_uniform
from ubereport.video.clock import build_clock
from ubereport.video.packets import PacketTable
from ubereport.video.plan import probe_frames
from ubereport.video.timeline import lost_stretches, place_parts

VIDEO = VideoFormat(
    "mov,mp4", "h264", "yuv420p", 64, 48, 8, 0, False, "bt709", "limited", Fraction(1), None
)


def part(
    ticks_ms: list[int], keys: list[int] | None = None, declared_s: float | None = None
) -> PartIndex:
    n = len(ticks_ms)
    is_key = np.zeros(n, dtype=bool)
    is_key[[0] if keys is None else keys] = True
    pts = np.array(ticks_ms, dtype=np.int64)
    table = PacketTable(pts, pts, np.zeros(n, dtype=np.int64), is_key, np.ones(n, dtype=bool))
    clock = build_clock(table, Fraction(1, 1000), 3600)
    assert clock is not None
    return PartIndex(
        path=Path("part.mp4"),
        sha256="0" * 64,
        size_bytes=1,
        video=VIDEO,
        time_base_s=Fraction(1, 1000),
        pts=clock.pts,
        time_s=clock.time_s,
        is_key=clock.is_key,
        duration_s=clock.duration_s,
        declared_duration_s=declared_s,
        declared_n_frames=None,
        gaps=clock.gaps,
    )


def _regular(n: int, period_ms: int = 40) -> list[int]:
    return [period_ms * number for number in range(n)]


def _tiles(index: RecordingIndex, timeline: Timeline, rate_hz: float | None) -> None:
    keys = keyframe_candidates(index, timeline)
    plan = (
        keys.plan(np.arange(len(keys)), "")
        if rate_hz is None
        else plan_uniform(index, timeline, rate_hz)
    )
    rows = [(t, t + d) for t, d in zip(plan.time_s, plan.duration_s, strict=True)]
    rows += [(i.start_s, i.end_s) for i, _, _ in lost_stretches(index, timeline)]
    rows.sort()
    assert rows[0][0] == 0
    assert rows[-1][1] == pytest.approx(timeline.end_s, abs=1e-6)
    for (_, end_s), (start_s, _) in itertools.pairwise(rows):
        assert start_s == pytest.approx(end_s, abs=1e-6)


parts = st.lists(
    st.integers(1, 30) | st.integers(30, 200) | st.integers(2000, 9000), min_size=1, max_size=80
).map(lambda steps: part(np.cumsum([0, *steps]).tolist(), keys=[0]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(parts, min_size=1, max_size=3),
    st.floats(0.05, 60) | st.none(),
    st.lists(st.floats(0, 500), min_size=2, max_size=2),
    st.floats(0, 30),
)
def test_samples_gaps_and_pauses_tile_the_clock(
    made: list[PartIndex], rate_hz: float | None, pauses: list[float], tail_s: float
) -> None:
    made[-1] = dataclasses.replace(made[-1], declared_duration_s=made[-1].duration_s + tail_s)
    index = RecordingIndex(tuple(made))
    _tiles(index, place_parts(index, pauses[: len(made) - 1]), rate_hz)


@settings(max_examples=100, deadline=None)
@given(parts, st.floats(0.1, 30))
def test_the_picture_shown_at_each_grid_time_is_taken(made: PartIndex, rate_hz: float) -> None:
    """Against the definition, point by point."""
    index = RecordingIndex((made,))
    plan = plan_uniform(index, place_parts(index), rate_hz)
    starts = [0.0, *(gap.end_s for gap in made.gaps)]
    ends = [*(gap.start_s for gap in made.gaps), made.duration_s]
    expected: set[int] = set()
    for start_s, end_s in zip(starts, ends, strict=True):
        inside = np.flatnonzero((made.time_s >= start_s - 1e-9) & (made.time_s < end_s))
        step = 0
        while start_s + step / rate_hz < end_s - 1e-9:
            grid_s = start_s + step / rate_hz
            expected.add(int(inside[made.time_s[inside] <= grid_s + 1e-9][-1]))
            step += 1
    assert plan.frame_index.tolist() == sorted(expected)


def test_uniform_takes_two_a_second_from_25() -> None:
    index = RecordingIndex((part(_regular(100)),))
    plan = plan_uniform(index, place_parts(index), 2.0)
    assert plan.frame_index.tolist() == [0, 12, 25, 37, 50, 62, 75, 87]
    np.testing.assert_allclose(plan.time_s, plan.frame_index * 0.04)
    np.testing.assert_allclose(plan.time_s + plan.duration_s, [*plan.time_s[1:], 4.0])


def test_no_drift_over_three_hours_at_29_97() -> None:
    n = 300_000
    pts = np.arange(n) * 1001
    table = PacketTable(pts, pts, np.full(n, 1001), np.ones(n, dtype=bool), np.ones(n, dtype=bool))
    clock = build_clock(table, Fraction(1, 30000), 3600)
    assert clock is not None
    assert clock.time_s[-1] == pytest.approx(float(Fraction(1001 * (n - 1), 30000)), abs=1e-9)


def test_faster_than_the_recording_takes_every_picture_once() -> None:
    index = RecordingIndex((part(_regular(50)),))
    plan = plan_uniform(index, place_parts(index), 60.0)
    assert plan.frame_index.tolist() == list(range(50))


def test_picture_before_a_gap_does_not_stand_for_it() -> None:
    made = part([*_regular(25), *(6000 + t for t in _regular(25))])
    index = RecordingIndex((made,))
    plan = plan_uniform(index, place_parts(index), 2.0)
    before = np.flatnonzero(plan.time_s < 1.0)[-1]
    assert plan.time_s[before] + plan.duration_s[before] == pytest.approx(1.0)
    assert plan.time_s[before + 1] == pytest.approx(6.0)  # the grid starts anew


def test_keyframes_and_the_first_picture_after_a_gap() -> None:
    made = part([*_regular(25), *(6000 + t for t in _regular(25))], keys=[0, 10, 40])
    index = RecordingIndex((made,))
    keys = keyframe_candidates(index, place_parts(index))
    assert keys.frame_index.tolist() == [0, 10, 25, 40]
    assert keys.is_first.all()


def test_why_tells_the_rate() -> None:
    index = RecordingIndex((part(_regular(100), keys=[0, 50]),))
    timeline = place_parts(index)
    assert "every 0.5 s" in plan_uniform(index, timeline, 2.0).why


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_senseless_rate_is_refused(rate_hz: float) -> None:
    index = RecordingIndex((part(_regular(10)),))
    with pytest.raises(ValueError, match="positive"):
        plan_uniform(index, place_parts(index), rate_hz)


def test_probes_are_keyframes_spread_over_the_part() -> None:
    made = part(_regular(1000), keys=list(range(0, 1000, 10)))
    probes = probe_frames(made, 8)
    assert len(probes) == 8
    assert np.all(probes % 10 == 0)
    np.testing.assert_allclose(made.time_s[probes], (np.arange(8) + 0.5) * 5, atol=0.41)


@pytest.mark.parametrize("n_frames", [2, 3, 40])
def test_few_keyframes_are_filled_up(n_frames: int) -> None:
    probes = probe_frames(part(_regular(n_frames)), 16)
    assert len(probes) == min(16, n_frames)
    assert np.all(np.diff(probes) > 0)


def test_no_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        probe_frames(part(_regular(10)), 0)


def test_parts_follow_each_other_with_their_pauses_and_tails() -> None:
    index = RecordingIndex((part(_regular(25), declared_s=5.0), part(_regular(50))))
    timeline = place_parts(index, [10.0])
    assert [p.start_s for p in timeline.parts] == [0.0, 15.0]
    assert timeline.end_s == pytest.approx(17.0)
    assert lost_stretches(index, timeline) == [
        (Interval(1.0, 5.0), 0, LossReason.GAP),
        (Interval(5.0, 15.0), -1, LossReason.PAUSE),
    ]
    assert timeline.recorded_s == pytest.approx(7.0)


def test_second_part_lies_after_the_first_in_the_plan() -> None:
    index = RecordingIndex((part(_regular(25)), part(_regular(25))))
    plan = plan_uniform(index, place_parts(index, [3.0]), 2.0)
    assert plan.part_index.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(plan.time_s, [0, 0.48, 4.0, 4.48])


@pytest.mark.parametrize(
    ("pauses", "words"),
    [([], "give 1"), ([1.0, 2.0], "give 1"), ([-1.0], "overlap"), ([float("inf")], "overlap")],
)
def test_pauses_that_do_not_fit_are_refused(pauses: list[float], words: str) -> None:
    index = RecordingIndex((part(_regular(25)), part(_regular(25))))
    with pytest.raises(UsageError, match=words):
        place_parts(index, pauses)
