"""Which pictures of a part lie on a regular grid, are keyframes, or are spread over it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import IntArray
from ubereport.core.recording import PartIndex

_ROUNDING_S = 1e-9  # a grid point this little before a picture still means that picture


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a part without a gap: half-open range of frame indices, and when it ends."""

    first: int
    stop: int
    end_s: float


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
    # Keyframes cost one decoded picture each, others up to a whole group; a recording with too few
    # of them pays that price for a few probes.
    frames = keys if len(keys) >= n else np.arange(part.n_frames)
    # Centers of n equal pieces: the very first picture, which may be a slate, and the very last are
    # not asked for by rule.
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
    # A gap ends exactly where the picture after it is shown, so each gap's end is the time of a
    # run's first picture.
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
