"""Share the pictures of a part among decoding processes so that none waits for another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, IntArray

# Frame threads are drained at the end of every group, and a process with some is not kept: they
# pay from about so many pictures on (two seconds of decoding at 1080p).
_LONG_GROUP = 300


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Who decodes what, decided by the request alone.

    Parameters
    ----------
    turns
        (process, pictures) in the order of the request: take so many pictures from that process,
        then go on with the next turn. The order in which pictures come is thus always the
        request's, however fast the processes are.
    rows
        Rows of the request that each process decodes, increasing.
    n_threads
        Decoder threads of each process.
    """

    turns: tuple[tuple[int, int], ...]
    rows: tuple[IntArray, ...]
    n_threads: int


def groups_of(is_key: BoolArray, frame_index: IntArray) -> IntArray:
    """(n,) which group of pictures each frame is decoded in; 0 before the first keyframe."""
    return np.searchsorted(np.flatnonzero(is_key), frame_index, side="right").astype(np.int64)


def share_pictures(
    is_key: BoolArray,
    wanted: IntArray,
    n_threads: int,
    n_together: int,
) -> Shares:
    """Deal segments of whole groups of pictures to up to `n_threads` processes in turn.

    A group is what decodes from one keyframe; it is never split, so that nothing is decoded
    twice. Processes decode groups independently and need no threads of their own; only where long
    groups are fewer than threads, each process gets several.

    Parameters
    ----------
    is_key
        (k,) bool of the whole part.
    wanted
        (n,) increasing frame indices.
    n_threads
        Cores that decoding may use.
    n_together
        Pictures that make a segment, at least.
    """
    # Cut the request where a new group of pictures begins, but not before a piece is long enough;
    # deal the pieces to the processes like cards. Whoever takes the pictures goes round in the same
    # order, so that it gets them in the order of the request, whatever the speed of each process.
    group_starts = np.flatnonzero(np.diff(groups_of(is_key, wanted), prepend=-1))
    starts: list[int] = []
    for start in group_starts.tolist():
        if not starts or start - starts[-1] >= n_together:
            starts.append(start)
    edges = [*starts, len(wanted)]
    # More processes than pieces would start for nothing: starting one takes a third of a second.
    n_processes = max(1, min(n_threads, len(starts)))
    turns = tuple((i % n_processes, edges[i + 1] - edges[i]) for i in range(len(starts)))
    process_of_row = np.repeat([process for process, _ in turns], [n for _, n in turns])
    rows = tuple(
        np.flatnonzero(process_of_row == process).astype(np.int64) for process in range(n_processes)
    )
    longest = _longest_group(is_key, wanted[group_starts[1:] - 1], wanted[-1:])
    # Cores that no piece is left for help inside the processes as decoder threads, but only where
    # groups are long enough to pay for draining them.
    n_each = n_threads // n_processes if longest >= _LONG_GROUP else 1
    return Shares(turns, rows, max(1, n_each))


def _longest_group(is_key: BoolArray, *last_wanted: IntArray) -> int:
    """Return how many pictures are decoded, at most, to reach the last one wanted of a group."""
    last = np.concatenate(last_wanted)
    keys = np.flatnonzero(is_key)
    key = np.searchsorted(keys, last, side="right") - 1
    first = np.where(key >= 0, keys[np.maximum(key, 0)], 0) if len(keys) else np.zeros_like(last)
    return int((last - first).max(initial=0)) + 1
