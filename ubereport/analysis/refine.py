"""Where to look next: pure functions from what was seen so far to the pictures that are missing.

Adaptive sampling looks at keyframes first, at most a coarse gap apart, and then, at the full rate,
only where something that counts may lie between them. `next_looks` names the missing pictures; it
is asked again after every pass until it names none.

What is guaranteed
------------------
The reference is what `detect_events` finds in the uniform full-rate plan. The coarse gap ``g`` is
at most ``min_duration_s`` and ``clear_hold_s``, so that no stay that opens or clears an event is
without a coarse sample. A filled gap holds the reference's own pictures and no others.

1. *Without smoothing, and with keyframes on the grid, events are those of the reference*, with
   their onsets and clearings, whatever the area does. The first stay of the reference holds a
   coarse sample on its side; the gap in which the area changes sides before it is filled, so that
   its beginning is exact; the stay itself is filled, so that a break in it is seen, and the search
   goes on behind the break. By induction the same holds for every later stay.
2. *With smoothing the same is true where the smoothed area is on the side of the measured one*:
   a running median follows an area that stays on each side of a threshold for longer than half of
   ``smoothing_s`` and a step, which is 1 s with the defaults. Shorter flicker is smoothed from
   grid pictures wherever it decides something. A stay that smoothing alone holds together, over
   many short dips, can hide if every coarse sample in it falls into a dip.
3. *Keyframes off the grid* show another moment of the same step. Events are the same where the
   area, and the view, stay on each side for at least `g`; in general an event whose first
   ``min_duration_s`` nowhere fall below ``onset_frac × (1 - near_frac)`` is found, alone or as a
   part of a longer one, since its coarse sample shows the threshold reached or neared.
4. *Lost view.* 1 and 2 hold where a view is lost, and had, for at least `g` at a time; damaged
   pictures are exempt, since around them everything is looked at.

Shares and means miss excursions shorter than `g` that coarse samples straddle, as the reference
misses those shorter than a step. Where the area is restless such excursions are expected: there a
threshold counts as neared from farther away, see `restlessness`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.config import EventConfig, SamplingConfig
from ubereport.core.series import AreaSeries, LossReason
from ubereport.metrics.smoothing import ROUNDING_S, smooth_area
from ubereport.video.candidates import Candidates

METRIC_LEVELS = (0.05, 0.20, 0.50)
"""Area fractions at which the shares of `ubereport.metrics` are counted."""

MAX_COARSE_GAP_S = 3.0
# How restless the area is, is asked of half a minute around a gap: long enough for a median of some
# ten coarse samples, short enough to follow the operation from calm to busy.
RESTLESS_S = 15.0
# Samples on either side of a gap that its restlessness rests on, at most.
N_RESTLESS = 30
# Median of the absolute value of a standard normal variable.
NORMAL_MEDIAN = 0.6745
# From this pass on the neighborhood doubles with every pass: their number stays logarithmic.
N_PLAIN_PASSES = 6


def coarse_gap_s(events: EventConfig, sampling: SamplingConfig) -> float:
    """Return how far apart coarse samples may lie: no longer than the shortest stay that counts.

    At least one step of the full rate, with which adaptive sampling is the uniform plan; at most
    3 s however long the stays are, since shares and means need samples too.
    """
    shortest_s = min(events.min_duration_s, events.clear_hold_s, MAX_COARSE_GAP_S)
    return max(shortest_s, 1 / sampling.rate_hz)


def next_looks(
    candidates: Candidates,
    seen: IntArray,
    series: AreaSeries,
    events: EventConfig,
    sampling: SamplingConfig,
    n_passes: int,
) -> IntArray:
    """Return the rows of `candidates` to look at next, increasing; none when all is settled.

    Two neighboring samples with unseen full-rate pictures between them are a gap. All of it is
    wanted where the samples differ in validity or in its reason, where both are damaged, where a
    threshold that counts lies between their areas or near one of them, or where the areas differ
    by ``change_frac``. Thresholds that count: the onset, those of the metrics, those
    of severity, and the offset while an event is open. Keyframes narrow a gap before the
    full-rate grid fills it. Where the smoothed area opens or clears an event, the stay that
    confirms it is wanted too, and what the smoothing takes into account on either side.

    Parameters
    ----------
    candidates
        All pictures that may be looked at.
    seen
        (m,) increasing rows that the series consists of, as `Candidates.chosen` gives them.
    series
        m rows, what was seen there.
    events, sampling
        Thresholds and times.
    n_passes
        How many passes there were; after `N_PLAIN_PASSES` the neighborhood grows.
    """
    # In three steps: read the series as the events will be read; flag the gaps in which something
    # may have gone unseen; ask for what fills them, keyframes before the grid. Then the stays that
    # decide an event are asked for whole, since a break inside one would end it.
    is_waiting = candidates.is_full_rate.copy()
    is_waiting[seen] = False
    if not is_waiting.any():
        return np.empty(0, dtype=np.int64)
    # Read with the same smoothing and in the same stretches as `detect_events` will: only what
    # decides there is worth a picture here.
    smoothed_frac = smooth_area(series, events)
    reading = [
        (rows, _EventReader(smoothed_frac[rows], series.duration_s[rows], events))
        for rows in series.stretches(events.max_gap_s, events.is_continuous)
    ]
    gaps = _Gaps.of(candidates, seen, is_waiting)
    is_flagged, is_near = _flagged(series, _is_open(reading, len(seen)), events, sampling)
    is_flagged &= gaps.is_gap
    is_wanted = np.zeros(len(candidates), dtype=np.bool_)
    for start_s, end_s in _windows(reading, series, is_flagged):
        # The smoothed area of a sample rests on half a window to either side, and a picture stands
        # for a step: what lies that near has a say in the stay and is looked at with it.
        before_s = start_s - (events.smoothing_s / 2 + 1.5 / sampling.rate_hz)
        after_s = end_s + events.smoothing_s / 2 - 0.5 / sampling.rate_hz
        _mark(is_wanted, candidates.time_s, before_s + ROUNDING_S, after_s - ROUNDING_S)
    is_wanted = (is_wanted & is_waiting) | gaps.narrowed(is_flagged, is_near)
    if n_passes >= N_PLAIN_PASSES:
        # An area that flickers about a threshold would go on picture by picture, pass after pass:
        # from here on ever wider surroundings are taken at once.
        reach_s = coarse_gap_s(events, sampling) * 2.0 ** (n_passes - N_PLAIN_PASSES)
        for time_s in candidates.time_s[is_wanted].tolist():
            _mark(is_wanted, candidates.time_s, time_s - reach_s, time_s + reach_s)
        is_wanted &= is_waiting
    return np.flatnonzero(is_wanted).astype(np.int64)


def _is_open(reading: Sequence[tuple[IntArray, _EventReader]], n: int) -> BoolArray:
    """(n,) whether an event is open in each sample."""
    is_open = np.zeros(n, dtype=np.bool_)
    for rows, read in reading:
        for first, last in read.open_spans:
            is_open[rows[first] : rows[last] + 1] = True
    return is_open


def _windows(
    reading: Sequence[tuple[IntArray, _EventReader]], series: AreaSeries, is_flagged: BoolArray
) -> Iterator[tuple[float, float]]:
    """Yield (start, end) of the stays that decide, once it is known where they begin.

    A stay that begins after a gap that is still to be filled will begin earlier: it waits.
    """
    for rows, read in reading:
        time_s = series.time_s[rows].tolist()
        yield from ((time_s[i], time_s[i] + 1e-3) for i in read.breaks)
        for stay in read.stays:
            # Its beginning is found first: filled now, the stay would be measured from a wrong
            # start and filled again.
            if stay.first == 0 or not is_flagged[rows[stay.first] - 1]:
                yield time_s[stay.first], time_s[stay.last] + stay.held_s


@dataclass(frozen=True, slots=True, eq=False)
class _Gaps:
    """Neighboring samples with full-rate pictures between them that nobody looked at.

    Parameters
    ----------
    is_gap
        (m - 1,) whether there are such pictures between a sample and the next.
    gap_of
        (n,) the sample before each candidate.
    is_inside
        (n,) whether each candidate lies strictly between two samples of one run.
    is_waiting
        (n,) full-rate pictures that nobody looked at.
    is_unseen_key
        (n,) the same of keyframes.
    """

    is_gap: BoolArray
    gap_of: IntArray
    is_inside: BoolArray
    is_waiting: BoolArray
    is_unseen_key: BoolArray

    @classmethod
    def of(cls, candidates: Candidates, seen: IntArray, is_waiting: BoolArray) -> _Gaps:
        """Find the gaps between the rows `seen`."""
        is_seen = np.zeros(len(candidates), dtype=np.bool_)
        is_seen[seen] = True
        # Number the samples from 0; a candidate's gap is the number of the last sample before it,
        # so that one array lookup tells of every candidate which pair of samples it lies between.
        gap_of = np.cumsum(is_seen) - 1
        is_one_run = np.append(np.diff(candidates.run_index[seen]) == 0, False)
        is_inside = ~is_seen & (gap_of >= 0) & is_one_run[gap_of]
        is_gap = np.zeros(len(seen), dtype=np.bool_)
        is_gap[gap_of[is_inside & is_waiting]] = True
        is_unseen_key = candidates.is_key & is_inside
        return cls(is_gap[:-1], gap_of, is_inside, is_waiting, is_unseen_key)

    def narrowed(self, is_flagged: BoolArray, is_near: BoolArray) -> BoolArray:
        """(n,) candidates that narrow the flagged gaps: keyframes first, they cost least.

        Where both ends of a gap are near one threshold (`is_near`), what lies between is near it
        too: a keyframe would narrow nothing, and its group be decoded twice.
        """
        is_in_flagged = self.is_inside & np.append(is_flagged, False)[self.gap_of]
        # A keyframe in the middle of a gap costs one picture and often settles half of the gap;
        # filling the gap decodes its whole group. So a gap with unseen keyframes gets these first,
        # and the pass after looks at what is left of it.
        has_key = np.zeros(len(is_flagged) + 1, dtype=np.bool_)
        has_key[self.gap_of[self.is_unseen_key]] = True
        has_key[:-1] &= ~is_near
        is_next = np.where(has_key[self.gap_of], self.is_unseen_key, self.is_waiting)
        return np.asarray(is_in_flagged & is_next)


def _flagged(
    series: AreaSeries, is_open: BoolArray, events: EventConfig, sampling: SamplingConfig
) -> tuple[BoolArray, BoolArray]:
    """(m - 1,) whether something may lie between each sample and the next; whether both are near.

    Near is meant of one and the same threshold.
    """
    area = series.area_frac
    # fmin and fmax pass over NaN, so that a lost sample does not spread; pairs with one are settled
    # by their reasons at the end.
    low, high = np.fmin(area[:-1], area[1:]), np.fmax(area[:-1], area[1:])
    restless = sampling.near_sd * restlessness(series)
    levels = {*METRIC_LEVELS, events.onset_frac, events.moderate_frac, events.major_frac}
    is_flagged = np.asarray(high - low >= sampling.change_frac)
    is_near = np.zeros(len(low), dtype=np.bool_)
    for level in sorted(levels):
        margin = np.fmax(restless, sampling.near_frac * level)
        is_flagged |= _nears(low, high, level, margin)
        is_near |= (level - margin <= low) & (high <= level + margin)
    margin = np.fmax(restless, sampling.near_frac * events.offset_frac)
    # The offset threshold decides nothing while no event is open: an area that wanders about it
    # then is not worth a picture.
    is_near_offset = _nears(low, high, events.offset_frac, margin)
    is_flagged |= is_near_offset & (is_open[:-1] | is_open[1:])
    is_valid = series.is_valid[:-1] & series.is_valid[1:]
    is_flagged &= is_valid
    pairs = zip(series.reason, series.reason[1:], strict=False)
    # A damaged picture says nothing of its neighbors; keyframes may be damaged at regular places.
    is_flagged |= [a is not b or a is LossReason.CORRUPT for a, b in pairs]
    return is_flagged, is_near & is_valid


def _nears(low: FloatArray, high: FloatArray, level: float, margin: FloatArray) -> BoolArray:
    return np.asarray((low - margin < level) & (level <= high + margin))


def restlessness(series: AreaSeries) -> FloatArray:
    """Return how much the area jumps about around each gap, as a standard deviation.

    Each sample is compared with the straight line between its neighbors, so that a steady rise
    counts as calm. The median of what they are off, over samples within `RESTLESS_S` of the gap, is
    not moved by a single jump; divided by 0.6745 it is the standard deviation of samples that are
    normally distributed around the line.

    Returns
    -------
    (m - 1,) float64
        Area fraction; 0 where nothing can be compared.
    """
    time_s, area = series.time_s, series.area_frac
    if len(series) < 3:
        return np.zeros(max(0, len(series) - 1))
    # How far is each sample off the line between its neighbors? For white noise of deviation s that
    # difference has the deviation s * sqrt(1 + later² + (1 - later)²), which is divided out.
    later = (time_s[1:-1] - time_s[:-2]) / (time_s[2:] - time_s[:-2])
    off = np.abs(area[1:-1] - ((1 - later) * area[:-2] + later * area[2:]))
    off /= np.sqrt(1 + later**2 + (1 - later) ** 2)
    middle_s = (time_s[:-1] + time_s[1:]) / 2
    around = np.add.outer(np.arange(len(middle_s)), np.arange(-N_RESTLESS, N_RESTLESS))
    inside = np.clip(around, 0, len(off) - 1)
    is_used = (around == inside) & np.isfinite(off)[inside]
    is_used &= np.abs(time_s[1:-1][inside] - middle_s[:, np.newaxis]) <= RESTLESS_S
    # The median of each row, of which only the first n entries are meant: the others sort to the
    # end.
    ranked = np.sort(np.where(is_used, off[inside], np.inf), axis=1)
    n = is_used.sum(axis=1)
    gap = np.arange(len(n))
    median = (ranked[gap, np.maximum(n - 1, 0) // 2] + ranked[gap, n // 2]) / 2
    return np.asarray(np.where(n > 0, median, 0.0) / NORMAL_MEDIAN)


def _mark(is_wanted: BoolArray, time_s: FloatArray, start_s: float, end_s: float) -> None:
    """Set `is_wanted` where `time_s` lies in ``[start_s, end_s]``."""
    first = int(np.searchsorted(time_s, start_s, side="left"))
    stop = int(np.searchsorted(time_s, end_s, side="right"))
    is_wanted[first:stop] = True


@dataclass(frozen=True, slots=True)
class _Stay:
    """Samples ``first..last`` of a stretch on one side of a threshold, as far as they decide.

    `last` is the sample in which the stay gets long enough, `held_s` into it.
    """

    first: int
    last: int
    held_s: float


class _EventReader:
    """Reads a stretch as `detect_events` does and notes what that rests on.

    `stays` are those that opened or cleared an event, or would if the stretch went on; `breaks`
    the samples at which others ended too soon; `open_spans` the samples (first, last) of each
    event.
    """

    def __init__(self, smoothed: FloatArray, duration_s: FloatArray, events: EventConfig) -> None:
        is_above = (smoothed >= events.onset_frac).tolist()
        is_below = (smoothed < events.offset_frac).tolist()
        self._duration_s = duration_s.tolist()
        self.stays: list[_Stay] = []
        self.breaks: list[int] = []
        self.open_spans: list[tuple[int, int]] = []
        # Alternate as an event does: look for a stay above the onset, then for one below the
        # offset.
        at, n = 0, len(self._duration_s)
        while (first := self._find(is_above, at, events.min_duration_s)) is not None:
            stop = self._find(is_below, first + 1, events.clear_hold_s)
            at = n if stop is None else stop + 1
            self.open_spans.append((first, at - 1))

    def _find(self, is_inside: list[bool], at: int, stay_s: float) -> int | None:
        first: int | None = None
        held_s = 0.0
        for i in range(at, len(is_inside)):
            # A break is noted even where it changes nothing yet: with the pictures around it seen,
            # the stay may turn out to be whole.
            if not is_inside[i]:
                if first is not None:
                    self.breaks.append(i)
                first, held_s = None, 0.0
                continue
            if first is None:
                first = i
            missing_s = stay_s - held_s
            held_s += self._duration_s[i]
            if held_s >= stay_s - ROUNDING_S:
                self.stays.append(_Stay(first, i, max(0.0, missing_s)))
                return first
        if first is not None:
            self.stays.append(_Stay(first, len(is_inside) - 1, self._duration_s[-1]))
        return None
