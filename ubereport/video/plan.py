"""Which pictures to look at, and for how long each of them stands."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.frames import SamplingPlan
from ubereport.core.recording import PartIndex, PlacedPart, RecordingIndex, Timeline

_ROUNDING_S = 1e-9  # a grid point this little before a picture still means that picture


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a part without a gap: half-open range of frame indices, and when it ends."""

    first: int
    stop: int
    end_s: float


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
    chosen = [
        np.concatenate([full_rate_frames(part, run, rate_hz) for run in runs_of_part(part)])
        for part in index.parts
    ]
    return _plan(index, timeline, chosen, f"uniform, the picture shown every {1 / rate_hz:g} s")


def probe_frames(part: PartIndex, n: int) -> IntArray:
    """Choose up to `n` pictures spread over a part, keyframes as far as there are enough.

    Parameters
    ----------
    part
        Index of the part.
    n
        How many pictures at most.

    Returns
    -------
    (m,) int64
        Frame indices, increasing, 1 ≤ m ≤ n.

    Raises
    ------
    ValueError
        If `n` is less than 1.
    """
    if n < 1:
        raise ValueError(f"{n} probe frames; at least 1 is needed")
    keys = np.flatnonzero(part.is_key)
    frames = keys if len(keys) >= n else np.arange(part.n_frames)
    centers_s = (np.arange(n) + 0.5) * part.duration_s / n
    after = np.clip(np.searchsorted(part.time_s[frames], centers_s), 1, max(1, len(frames) - 1))
    if len(frames) == 1:
        return frames.astype(np.int64)
    is_after_nearer = (
        part.time_s[frames[after]] - centers_s < centers_s - part.time_s[frames[after - 1]]
    )
    return np.unique(frames[np.where(is_after_nearer, after, after - 1)]).astype(np.int64)


def runs_of_part(part: PartIndex) -> list[Run]:
    """Return the stretches without a gap that hold pictures, in order."""
    starts = np.searchsorted(part.time_s, [gap.end_s for gap in part.gaps], side="left")
    bounds = [0, *(int(start) for start in starts), part.n_frames]
    ends_s = [*(gap.start_s for gap in part.gaps), part.duration_s]
    pairs = zip(itertools.pairwise(bounds), ends_s, strict=True)
    return [Run(first, stop, end_s) for (first, stop), end_s in pairs if stop > first]


def keyframes_of_run(part: PartIndex, run: Run) -> IntArray:
    """Return the frame indices of a run's first picture and of its keyframes."""
    keys = run.first + np.flatnonzero(part.is_key[run.first : run.stop])
    return np.union1d([run.first], keys).astype(np.int64)


def full_rate_frames(part: PartIndex, run: Run, rate_hz: float) -> IntArray:
    """Return the frame indices shown at a point of the grid that starts with the run.

    A picture is shown until the next one, the last one until the run ends. It is taken if the
    first grid point not before it lies before that.
    """
    shown_s = np.append(part.time_s[run.first : run.stop], run.end_s) - part.time_s[run.first]
    grid_s = np.ceil((shown_s[:-1] - _ROUNDING_S) * rate_hz) / rate_hz
    return run.first + np.flatnonzero(grid_s < shown_s[1:] - _ROUNDING_S)


def _plan(
    index: RecordingIndex, timeline: Timeline, chosen: list[IntArray], why: str
) -> SamplingPlan:
    pieces = [
        (
            np.full(len(frames), placed.part_index),
            frames,
            placed.start_s + index.parts[placed.part_index].time_s[frames],
            _durations(index.parts[placed.part_index], placed, frames),
        )
        for placed, frames in zip(timeline.parts, chosen, strict=True)
    ]
    part_index, frame_index, time_s, duration_s = (
        np.concatenate(column) for column in zip(*pieces, strict=True)
    )
    return SamplingPlan(part_index, frame_index, time_s, duration_s, why)


def _durations(part: PartIndex, placed: PlacedPart, frames: IntArray) -> FloatArray:
    """Until the next picture taken, at most until the next gap or the end of the part.

    Computed from the times on the case clock, so that rows end exactly where the next begin.
    """
    ends_s = np.concatenate((part.time_s[frames[1:]], [part.duration_s]))
    gap_starts_s = np.array([gap.start_s for gap in part.gaps] + [part.duration_s])
    next_gap = np.searchsorted(gap_starts_s, part.time_s[frames], side="right")
    next_gap = np.minimum(next_gap, len(gap_starts_s) - 1)
    ends_s = np.minimum(ends_s, gap_starts_s[next_gap])
    return np.asarray((placed.start_s + ends_s) - (placed.start_s + part.time_s[frames]))
