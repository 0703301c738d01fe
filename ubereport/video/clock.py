"""From packets in file order to pictures in presentation order on one steady clock."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.intervals import Interval
from ubereport.video.packets import NO_PTS, ClockUnwrapper, PacketTable, has_resets

# Single pictures that a recorder drops are no gap. A gap is a stretch that the picture before it
# can no longer stand for: ten periods, but never less than 2 s, and more than 60 s whatever the
# rate.
_MIN_GAP_S = 2.0
_MIN_GAP_PERIODS = 10.0
_MAX_HOLD_S = 60.0
_DEFAULT_S = Fraction(1, 25)
# Damaged packets name times of any size; within this bound sums and differences of two stay far
# inside int64.
_PTS_BOUND = 2**60


@dataclass(frozen=True, slots=True, eq=False)
class PartClock:
    """Pictures of one part in presentation order; the fields are those of `PartIndex`.

    `period_s` is the median distance of two pictures.
    """

    pts: IntArray
    time_s: FloatArray
    is_key: BoolArray
    duration_s: float
    period_s: float
    gaps: tuple[Interval, ...]
    n_clock_jumps: int
    n_clock_resets: int
    has_open_gops: bool
    n_dropped_packets: int


def gap_threshold_s(period_s: float) -> float:
    """Longest distance of two pictures, in seconds, that is no gap: 10 periods, 2 to 60 s."""
    return min(_MAX_HOLD_S, max(_MIN_GAP_S, _MIN_GAP_PERIODS * period_s))


def build_clock(table: PacketTable, time_base_s: Fraction, max_gap_s: float) -> PartClock | None:
    """Put the pictures of a stream in order and take out what no camera does to a clock.

    A jump forward of more than `max_gap_s` and every step back are taken out: the picture after
    it follows one period later. Packets without a time stamp, with one that another packet has
    already, and pictures before the first keyframe, which nothing can decode, are dropped.

    Parameters
    ----------
    table
        Packets in file order.
    time_base_s
        Seconds of one tick.
    max_gap_s
        Longest gap that is believed.

    Returns
    -------
    PartClock or None
        None if fewer than two pictures have a time.
    """
    # Packets lie in decoding order. Sort them by presentation time, drop what repeats a time, and
    # look at the steps between pictures: a step longer than any believed gap is a jump of the
    # clock, not of the camera, and is replaced by one usual step. Summing the steps up gives a
    # clock that never jumps.
    # Restarts of the clock first: sorted by time, what was filmed after a restart would be shuffled
    # into what was filmed before.
    pts, n_resets = _unwrapped_pts(table, time_base_s)
    usable = _usable(table, pts)
    shown = usable & table.is_shown
    order = np.flatnonzero(shown)[np.argsort(pts[shown], kind="stable")]
    sorted_pts = pts[order]
    # Of pictures that share a time the first in the file stays: the sort is stable, so that the
    # choice does not depend on the machine.
    is_first = np.concatenate(([True], np.diff(sorted_pts) > 0))[: len(order)]
    order, sorted_pts = order[is_first], sorted_pts[is_first]
    if len(order) < 2:
        return None
    steps = np.diff(sorted_pts)
    is_jump = steps * float(time_base_s) > max_gap_s
    # The median of the steps, not the frame rate of the header, which may be wrong and which a
    # variable rate does not have. Jumps are left out, and where nothing else is left (two pictures
    # a day apart) 25 Hz is assumed.
    usual = steps[~is_jump]
    period = max(1, int(np.median(usual)) if len(usual) else round(_DEFAULT_S / time_base_s))
    steps = np.where(is_jump, period, steps)
    ticks = np.concatenate(([0], np.cumsum(steps)))
    time_s = ticks * time_base_s.numerator / time_base_s.denominator
    period_s = min(_MAX_HOLD_S, float(period * time_base_s))
    return PartClock(
        pts=sorted_pts,
        time_s=time_s,
        is_key=table.is_key[order],
        duration_s=float(time_s[-1])
        + _last_s(int(table.duration[order[-1]]) * float(time_base_s), period_s),
        period_s=period_s,
        gaps=_gaps(time_s, period_s),
        n_clock_jumps=int(is_jump.sum()) + n_resets,
        n_clock_resets=n_resets,
        has_open_gops=_has_leading(pts[usable], table.is_key[usable]),
        # Pictures that an edit list hides were never meant to be seen and are not missing.
        n_dropped_packets=int(table.is_shown.sum()) - len(order),
    )


def _unwrapped_pts(table: PacketTable, time_base_s: Fraction) -> tuple[IntArray, int]:
    ticks_per_s = float(1 / time_base_s)
    if not has_resets(table, ticks_per_s):
        return table.pts, 0
    clock = ClockUnwrapper(ticks_per_s)
    pts = table.pts.copy()
    rows = zip(table.pts.tolist(), table.dts.tolist(), table.duration.tolist(), strict=True)
    for row, (at, dts, duration) in enumerate(rows):
        clock.feed(at, dts, duration)
        if at != NO_PTS:
            unwrapped = at + clock.offset
            pts[row] = unwrapped if abs(unwrapped) < _PTS_BOUND else NO_PTS
    return pts, clock.n_resets


def _usable(table: PacketTable, pts: IntArray) -> BoolArray:
    usable: BoolArray = (pts != NO_PTS) & (pts < _PTS_BOUND) & (pts > -_PTS_BOUND)
    # Nothing decodes before the first keyframe. What is stored after it and shown before it builds
    # on a picture that is not in the file (an open group that was cut), so it goes as well.
    keys = np.flatnonzero(table.is_key & usable)
    if len(keys):
        usable[: keys[0]] = False
        usable &= pts >= pts[keys[0]]
    return usable


def _has_leading(pts: IntArray, is_key: BoolArray) -> bool:
    """Whether a picture is stored after a keyframe that is shown after it; rows in file order."""
    # In file order: a packet behind a keyframe with an earlier time is a leading picture, which
    # decoders that start at that keyframe cannot give; readers that count on it must know.
    passed_key = np.maximum.accumulate(np.where(is_key, pts, -_PTS_BOUND))
    return bool(np.any(pts < passed_key))


def _last_s(declared_s: float, period_s: float) -> float:
    """How long the last picture stands: as declared, unless that is nothing or absurd."""
    return declared_s if 0 < declared_s <= gap_threshold_s(period_s) else period_s


def _gaps(time_s: FloatArray, period_s: float) -> tuple[Interval, ...]:
    before = np.flatnonzero(np.diff(time_s) > gap_threshold_s(period_s))
    return tuple(Interval(float(time_s[i]) + period_s, float(time_s[i + 1])) for i in before)
