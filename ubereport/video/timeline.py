"""The parts of one case on one clock, and what of that clock has no picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.core.recording import PlacedPart, RecordingIndex, Timeline
from ubereport.core.series import LossReason


class LostStretch(NamedTuple):
    """Time on the case clock for which no picture exists; `part_index` is -1 for a pause."""

    interval: Interval
    part_index: int
    reason: LossReason


def place_parts(index: RecordingIndex, pauses_s: Sequence[float] | None = None) -> Timeline:
    """Put the parts of a case one after the other on a clock that starts at 0.

    Parameters
    ----------
    index
        The parts in the order of recording. A declared but missing tail keeps its place.
    pauses_s
        Seconds between each part and the next, one fewer than parts; none unless given.

    Raises
    ------
    UsageError
        If the number of pauses does not fit or a pause is negative or infinite: parts of one
        case do not overlap.
    """
    n_pauses = len(index.parts) - 1
    pauses = [0.0] * n_pauses if pauses_s is None else [float(pause) for pause in pauses_s]
    if len(pauses) != n_pauses:
        raise UsageError(
            f"{len(pauses)} pauses were given for {len(index.parts)} parts; give {n_pauses}, "
            "one between each part and the next."
        )
    for number, pause_s in enumerate(pauses):
        if not (math.isfinite(pause_s) and pause_s >= 0):
            raise UsageError(
                f"The pause after part {number + 1} is {pause_s} s; parts of one case cannot "
                "overlap. Give 0 or more seconds, or correct the order of the parts."
            )
    placed: list[PlacedPart] = []
    start_s = 0.0
    for number, part in enumerate(index.parts):
        # A tail that the header declares and the file lacks was filmed: its time is kept on the
        # clock, as lost, so that what follows stays where it was and coverage falls.
        placed.append(PlacedPart(number, start_s, part.duration_s + part.missing_tail_s))
        if number < n_pauses:
            start_s = placed[-1].interval.end_s + pauses[number]
    return Timeline(tuple(placed))


def lost_stretches(index: RecordingIndex, timeline: Timeline) -> list[LostStretch]:
    """List what of the case clock no picture can stand for, in order.

    Gaps inside parts and missing tails are GAP with their part, pauses between parts PAUSE.
    """
    lost = [LostStretch(pause, -1, LossReason.PAUSE) for pause in timeline.pauses]
    for placed in timeline.parts:
        part = index.parts[placed.part_index]
        for gap in part.gaps:
            moved = Interval(placed.start_s + gap.start_s, placed.start_s + gap.end_s)
            lost.append(LostStretch(moved, placed.part_index, LossReason.GAP))
        found_end_s = placed.start_s + part.duration_s
        if placed.interval.end_s > found_end_s:
            tail = Interval(found_end_s, placed.interval.end_s)
            lost.append(LostStretch(tail, placed.part_index, LossReason.GAP))
    return sorted(lost, key=lambda stretch: stretch.interval)
