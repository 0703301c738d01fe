"""Which pictures a case may look at, and how little the first pass has to decode."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan import _regular, part

from ubereport.core.recording import PartIndex, RecordingIndex
from ubereport.video.candidates import (
    Candidates,
    adaptive_candidates,
    keyframe_candidates,
    plan_uniform,
    uniform_candidates,
)
from ubereport.video.process_shares import share_pictures
from ubereport.video.timeline import place_parts


def adaptive(*parts: PartIndex, gap_s: float = 3.0, rate_hz: float = 2.0) -> Candidates:
    index = RecordingIndex(parts)
    return adaptive_candidates(index, place_parts(index), rate_hz, gap_s)


def first_times(candidates: Candidates) -> list[float]:
    return candidates.time_s[candidates.is_first].tolist()


made_parts = st.lists(
    st.integers(20, 60) | st.integers(20, 200) | st.integers(2500, 9000), min_size=1, max_size=120
).flatmap(
    lambda steps: st.lists(st.integers(0, len(steps)), max_size=20).map(
        lambda keys: part(np.cumsum([0, *steps]).tolist(), keys=sorted({0, *keys}))
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(made_parts, min_size=1, max_size=3), st.sampled_from([0.5, 1.0, 3.0]))
def test_every_waiting_picture_lies_between_two_first_looks_and_no_gap_is_long(
    parts: list[PartIndex], gap_s: float
) -> None:
    index = RecordingIndex(tuple(parts))
    timeline = place_parts(index)
    candidates = adaptive_candidates(index, timeline, 2.0, gap_s)
    uniform = plan_uniform(index, timeline, 2.0)
    np.testing.assert_array_equal(candidates.time_s[candidates.is_full_rate], uniform.time_s)
    for run in np.unique(candidates.run_index):
        rows = np.flatnonzero(candidates.run_index == run)
        grid = rows[candidates.is_full_rate[rows]]
        assert candidates.is_first[rows[0]]
        first = rows[candidates.is_first[rows]]
        assert first[-1] >= grid[-1]
        for before, after in itertools.pairwise(first):
            is_wide = candidates.time_s[after] - candidates.time_s[before] > gap_s + 1e-6
            nothing_between = not candidates.is_full_rate[before + 1 : after].any()
            assert not is_wide or nothing_between


@settings(max_examples=80, deadline=None)
@given(st.lists(made_parts, min_size=1, max_size=2))
def test_the_uniform_plan_and_every_keyframe_can_be_had(parts: list[PartIndex]) -> None:
    index = RecordingIndex(tuple(parts))
    timeline = place_parts(index)
    plan = plan_uniform(index, timeline, 2.0)
    candidates = uniform_candidates(index, timeline, 2.0)
    assert candidates.is_first.all()
    taken = candidates.plan(candidates.chosen(candidates.is_first), plan.why)
    np.testing.assert_array_equal(taken.frame_index, plan.frame_index)
    np.testing.assert_array_equal(taken.time_s, plan.time_s)
    np.testing.assert_array_equal(taken.duration_s, plan.duration_s)
    keys = keyframe_candidates(index, timeline)
    assert keys.is_first.all()
    for number, made in enumerate(parts):
        frames = set(keys.frame_index[keys.part_index == number].tolist())
        assert frames >= set(np.flatnonzero(made.is_key).tolist())
        assert len(frames) <= made.is_key.sum() + len(made.gaps) + 1


def test_dense_keyframes_are_thinned_and_wait_a_second_apart() -> None:
    candidates = adaptive(part(_regular(251), keys=list(range(251))))
    assert first_times(candidates) == pytest.approx([0, 3, 6, 9, 10])
    assert np.diff(candidates.time_s[candidates.is_key]) == pytest.approx([1.0] * 10)


def test_rare_keyframes_are_filled_as_soon_after_a_keyframe_as_the_gap_allows() -> None:
    """10 s groups: of each only the first 7 s are decoded, and all of the grid in them is seen."""
    candidates = adaptive(part(_regular(501), keys=[0, 250, 500]))
    wanted = [*np.arange(0, 7.1, 0.5), *np.arange(10, 17.1, 0.5), 20]
    assert first_times(candidates) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize(("spacing_s", "share"), [(1.5, 0.0), (4.0, 0.29), (10.0, 0.74), (60, 1.0)])
def test_how_much_is_seen_at_once_follows_from_the_groups_alone(
    spacing_s: float, share: float
) -> None:
    """What has to be decoded on the way to a coarse look is looked at with it."""
    n, rate_hz = 3001, 25
    candidates = adaptive(part(_regular(n), keys=list(range(0, n, round(spacing_s * rate_hz)))))
    grid = candidates.is_full_rate & ~candidates.is_key
    assert candidates.is_first[grid].mean() == pytest.approx(share, abs=0.05)


def test_a_group_a_little_longer_than_the_gap_costs_half_a_second_of_decoding() -> None:
    candidates = adaptive(part(_regular(321), keys=[0, 80, 160, 240, 320]))
    assert first_times(candidates)[:5] == pytest.approx([0, 0.5, 3.2, 3.5, 6.4], abs=0.05)


def test_a_keyframe_off_the_grid_gives_way_to_the_grid_around_it() -> None:
    candidates = adaptive(
        part(_regular(101), keys=[0, 55, 100])
    )  # 2.2 s; the grid shows 2.0 and 2.48
    row = int(np.searchsorted(candidates.time_s, 2.2))
    assert not candidates.is_full_rate[row]
    is_seen = candidates.is_first.copy()
    assert row in candidates.chosen(is_seen)
    is_seen[row - 1] = True
    assert row in candidates.chosen(is_seen)  # nothing else shows what follows
    is_seen[row + 1] = True
    assert row not in candidates.chosen(is_seen)


@pytest.mark.parametrize(("rate_hz", "gap_s"), [(0.0, 3.0), (2.0, 0.0), (float("nan"), 1.0)])
def test_senseless_rates_and_gaps_are_refused(rate_hz: float, gap_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        adaptive(part(_regular(10)), gap_s=gap_s, rate_hz=rate_hz)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.data(),
    st.integers(1, 8),
    st.integers(1, 20),
)
def test_shares_hold_every_picture_once_in_order_and_split_no_group(
    is_key: list[bool], data: st.DataObject, n_threads: int, n_together: int
) -> None:
    frames = st.lists(st.integers(0, len(is_key) - 1), min_size=1, unique=True).map(sorted)
    wanted = np.array(data.draw(frames))
    shares = share_pictures(np.array(is_key), wanted, n_threads, n_together)
    at = [0] * len(shares.rows)
    dealt: list[int] = []
    for process, n in shares.turns:
        dealt.extend(shares.rows[process][at[process] : at[process] + n].tolist())
        at[process] += n
    assert dealt == list(range(len(wanted)))
    assert len(shares.rows) * shares.n_threads <= n_threads
    owner = np.cumsum(is_key)[wanted]
    for group in np.unique(owner):
        rows = np.flatnonzero(owner == group)
        assert sum(np.isin(rows, mine).any() for mine in shares.rows) == 1


def test_every_core_gets_work_where_few_pictures_are_wanted() -> None:
    """A late pass over a case wants a few groups: they go to as many processes."""
    is_key = np.arange(4500) % 45 == 0
    wanted = np.flatnonzero(is_key)[::5] + 20
    shares = share_pictures(is_key, wanted, 16, 1)
    assert [len(rows) for rows in shares.rows] == [2] * 4 + [1] * 12


@pytest.mark.parametrize(("spacing", "n_each"), [(45, 1), (4500, 8)])
def test_threads_of_their_own_are_for_long_groups(spacing: int, n_each: int) -> None:
    is_key = np.arange(9000) % spacing == 0
    wanted = np.array([spacing - 5, 2 * spacing - 5])
    shares = share_pictures(is_key, wanted, 16, 1)
    assert (len(shares.rows), shares.n_threads) == (2, n_each)
