"""Every picture that a case may look at: those looked at first, and those that wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze
from ubereport.core.frames import SamplingPlan
from ubereport.core.recording import PartIndex, RecordingIndex, Timeline
from ubereport.video.plan import Run, full_rate_frames, keyframes_of_run, runs_of_part
from ubereport.video.process_shares import groups_of

_ROUNDING_S = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pictures in presentation order, of which a plan takes some.

    A run is a stretch of one part without a gap; pictures never stand for time beyond their run.

    Parameters
    ----------
    part_index, frame_index
        (n,) int64, where each picture lies.
    time_s
        (n,) float64, presentation time on the case clock, strictly increasing.
    is_first
        (n,) bool, looked at whatever is seen.
    is_full_rate
        (n,) bool, member of the uniform full-rate plan.
    is_key
        (n,) bool, keyframe: cheap to look at.
    run_index
        (n,) int64, the run each picture lies in, counted through the case.
    run_end_s
        (k,) float64, the end of each run on the case clock.
    """

    part_index: IntArray
    frame_index: IntArray
    time_s: FloatArray
    is_first: BoolArray
    is_full_rate: BoolArray
    is_key: BoolArray
    run_index: IntArray
    run_end_s: FloatArray

    def __post_init__(self) -> None:
        freeze(self, np.int64, "part_index", "frame_index", "run_index")
        freeze(self, np.bool_, "is_first", "is_full_rate", "is_key")
        freeze(self, np.float64, "time_s", "run_end_s")
        n = len(self.time_s)
        for name in self.__slots__[:-1]:
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries; time_s has {n}")
        if np.any(np.diff(self.time_s) <= 0) or np.any(np.diff(self.run_index) < 0):
            raise ValueError("times and runs of candidates must increase")

    def __len__(self) -> int:
        return len(self.time_s)

    def chosen(self, is_seen: BoolArray) -> IntArray:
        """Return the rows that a plan takes once those of `is_seen` (n,) have been looked at.

        All of them, but for pictures off the full-rate grid that lie between two neighbors of
        that grid which were both looked at: there the uniform plan is reproduced exactly.
        """
        # For every picture: which neighbor of the full-rate grid comes before it, which after it?
        # Where both were looked at, the uniform plan is complete there, and a keyframe between them
        # would only add a sample that the uniform plan has not. At a run's end nothing follows.
        rows = np.arange(len(self))
        before = np.maximum.accumulate(np.where(self.is_full_rate, rows, -1))
        after = np.minimum.accumulate(np.where(self.is_full_rate, rows, len(self))[::-1])[::-1]
        is_before_seen = self._is_seen_in_run(before, is_seen)
        is_last_of_run = ~self._is_in_run(after)
        is_after_seen = is_last_of_run | self._is_seen_in_run(after, is_seen)
        is_redundant = ~self.is_full_rate & is_before_seen & is_after_seen
        return np.flatnonzero(is_seen & ~is_redundant).astype(np.int64)

    def durations_s(self, rows: IntArray) -> FloatArray:
        """(m,) how long each of the chosen `rows` (m,) stands: until the next or the run's end."""
        # By default a picture stands until its run ends; where the next chosen one lies in the same
        # run, until that one. Nothing stands across a gap: what nobody recorded is nobody's area.
        ends_s = self.run_end_s[self.run_index[rows]]
        is_followed = np.diff(self.run_index[rows]) == 0
        ends_s[:-1] = np.where(is_followed, self.time_s[rows[1:]], ends_s[:-1])
        return np.asarray(ends_s - self.time_s[rows])

    def plan(self, rows: IntArray, why: str) -> SamplingPlan:
        """Return the plan that takes `rows` (m,)."""
        return SamplingPlan(
            self.part_index[rows],
            self.frame_index[rows],
            self.time_s[rows],
            self.durations_s(rows),
            why,
        )

    def _is_in_run(self, other: IntArray) -> BoolArray:
        is_row = (other >= 0) & (other < len(self))
        runs = self.run_index[np.clip(other, 0, len(self) - 1)]
        return np.asarray(is_row & (runs == self.run_index))

    def _is_seen_in_run(self, other: IntArray, is_seen: BoolArray) -> BoolArray:
        return self._is_in_run(other) & is_seen[np.clip(other, 0, len(self) - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class _RunFrames:
    """Frame indices of one run that may be looked at: first of all, full-rate grid, keyframes."""

    first: IntArray
    grid: IntArray
    keys: IntArray


_NONE = np.empty(0, dtype=np.int64)


def uniform_candidates(index: RecordingIndex, timeline: Timeline, rate_hz: float) -> Candidates:
    """Look at the whole full-rate grid, see `plan_uniform`."""

    def of_run(part: PartIndex, run: Run) -> _RunFrames:
        grid = full_rate_frames(part, run, rate_hz)
        return _RunFrames(grid, grid, _NONE)

    return _candidates(index, timeline, of_run)


def plan_uniform(index: RecordingIndex, timeline: Timeline, rate_hz: float) -> SamplingPlan:
    """Take the picture shown at each point of a regular grid.

    The grid starts anew with every part and after every gap, so that the first picture after a
    gap is always taken. No picture is taken twice: where fewer pictures than grid points exist,
    each stands until the next. A picture stands until the next one taken, at most until a gap or
    the end of its part.

    Parameters
    ----------
    index, timeline
        The recording and where its parts lie on the case clock.
    rate_hz
        Grid points per second.

    Raises
    ------
    ValueError
        If `rate_hz` is not positive.
    """
    if not rate_hz > 0:
        raise ValueError(f"sampling rate of {rate_hz} Hz; it must be positive")
    grid = uniform_candidates(index, timeline, rate_hz)
    why = f"uniform, the picture shown every {1 / rate_hz:g} s"
    return grid.plan(np.arange(len(grid)), why)


def keyframe_candidates(index: RecordingIndex, timeline: Timeline) -> Candidates:
    """Look at the keyframes and at the first picture after each gap, and at nothing else.

    Keyframes decode without any other picture; how densely they lie was up to the recorder.
    """

    def of_run(part: PartIndex, run: Run) -> _RunFrames:
        return _RunFrames(keyframes_of_run(part, run), _NONE, _NONE)

    return _candidates(index, timeline, of_run)


def adaptive_candidates(
    index: RecordingIndex, timeline: Timeline, rate_hz: float, max_gap_s: float
) -> Candidates:
    """Look at keyframes first, at most `max_gap_s` apart; the full-rate grid waits.

    Of keyframes that lie closer together the farthest within `max_gap_s` is taken; the others
    wait too, two full-rate steps apart. Where the next keyframe lies farther away, pictures of
    the grid are taken as soon after a keyframe as the gap allows, so that as little as possible
    of the group has to be decoded; with them all of the grid that is decoded on the way there.
    Every picture that waits lies between two looked at first.

    Whether a coarse look saves anything is thus decided group by group from the index alone: with
    keyframes at most `max_gap_s` apart it does; in groups so long that nearly all of them has to
    be decoded anyway the full-rate grid is looked at in one pass. Neither the number of cores nor
    a clock has a say, so that the same recording gives the same numbers everywhere.

    Raises
    ------
    ValueError
        If `rate_hz` or `max_gap_s` is not positive.
    """
    if not (rate_hz > 0 and max_gap_s > 0):
        raise ValueError(f"{rate_hz} Hz and gaps of {max_gap_s} s; both must be positive")

    def of_run(part: PartIndex, run: Run) -> _RunFrames:
        grid = full_rate_frames(part, run, rate_hz)
        keys = keyframes_of_run(part, run)
        # The first and last pictures of the grid are required, so that every picture that waits has
        # a looked-at neighbor on both sides: what lies between two looks can be asked about, what
        # lies beyond the last one could not.
        first = _coarse(part.time_s, np.union1d(keys, grid[[0, -1]]), grid, max_gap_s)
        first = np.union1d(first, _on_the_way(part, first, grid))
        return _RunFrames(first, grid, _thinned(part.time_s, keys, 2 / rate_hz))

    return _candidates(index, timeline, of_run)


def _on_the_way(part: PartIndex, first: IntArray, grid: IntArray) -> IntArray:
    """Frames of the grid that are decoded anyway to reach those of `first`."""
    # Group by group the last frame that is looked at; whatever of the grid comes before it in its
    # group passes through the decoder anyway, so that looking costs the network alone.
    last = np.full(int(part.is_key.sum()) + 1, -1)
    np.maximum.at(last, groups_of(part.is_key, first), first)
    return grid[grid <= last[groups_of(part.is_key, grid)]]


def _thinned(time_s: FloatArray, frames: IntArray, step_s: float) -> IntArray:
    """Leave out frames so that those left are at least `step_s` apart."""
    picks: list[int] = []
    at = 0
    while at < len(frames):
        picks.append(int(frames[at]))
        at = int(np.searchsorted(time_s[frames], time_s[picks[-1]] + step_s - _ROUNDING_S))
    return np.array(picks, dtype=np.int64)


def _coarse(time_s: FloatArray, marks: IntArray, grid: IntArray, max_gap_s: float) -> IntArray:
    """Thin `marks` (frame indices that are cheap or required), filled from the `grid`."""
    # Walk from mark to mark, each time to the farthest one within reach, or else to the next one.
    # A stretch between two marks that is longer than the reach is filled from the grid, from its
    # end backwards, so that the pictures filled in lie soon after the keyframe they build on.
    reach_s = max_gap_s + _ROUNDING_S
    mark_s, last = time_s[marks], len(marks) - 1
    chosen_marks = [int(marks[0])]
    at = 0
    while at < last:
        beyond = int(np.searchsorted(mark_s, mark_s[at] + reach_s, side="right"))
        following = max(at + 1, beyond - 1)
        chosen_marks.extend(_filled(time_s, int(marks[at]), int(marks[following]), grid, reach_s))
        chosen_marks.append(int(marks[following]))
        at = following
    return np.array(chosen_marks, dtype=np.int64)


def _filled(time_s: FloatArray, start: int, end: int, grid: IntArray, reach_s: float) -> list[int]:
    """Frames of the grid between two marks, as early as gaps of `reach_s` allow."""
    between = grid[(grid > start) & (grid < end)]
    filled: list[int] = []
    while time_s[end] - time_s[start] > reach_s and len(between):
        at = int(np.searchsorted(time_s[between], time_s[end] - reach_s))
        # Where even the last picture of the grid is out of reach there is nothing better: it is
        # taken, and the gap is longer than asked.
        at = min(at, len(between) - 1)
        end = int(between[at])
        filled.append(end)
        between = between[:at]
    return filled[::-1]


def _candidates(
    index: RecordingIndex,
    timeline: Timeline,
    of_run: Callable[[PartIndex, Run], _RunFrames],
) -> Candidates:
    """Collect the pictures of all runs."""
    picks: list[IntArray] = []
    part_index: list[IntArray] = []
    time_s: list[FloatArray] = []
    members: list[tuple[BoolArray, BoolArray, BoolArray]] = []
    run_end_s: list[float] = []
    for placed in timeline.parts:
        part = index.parts[placed.part_index]
        for run in runs_of_part(part):
            frames = of_run(part, run)
            # One sorted row a picture, whatever it is wanted for: a keyframe that lies on the grid
            # is one candidate and not two.
            every = np.unique(np.concatenate([frames.first, frames.grid, frames.keys]))
            picks.append(every)
            part_index.append(np.full(len(every), placed.part_index))
            time_s.append(placed.start_s + part.time_s[every])
            members.append(
                (
                    np.isin(every, frames.first),
                    np.isin(every, frames.grid),
                    np.isin(every, frames.keys),
                )
            )
            run_end_s.append(placed.start_s + run.end_s)
    is_first, is_full_rate, is_key = (np.concatenate(m) for m in zip(*members, strict=True))
    return Candidates(
        part_index=np.concatenate(part_index),
        frame_index=np.concatenate(picks),
        time_s=np.concatenate(time_s),
        is_first=is_first,
        is_full_rate=is_full_rate,
        is_key=is_key,
        run_index=np.repeat(np.arange(len(picks)), [len(frames) for frames in picks]),
        run_end_s=np.array(run_end_s),
    )
