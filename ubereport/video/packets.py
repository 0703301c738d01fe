"""What a container says about its video stream: facts and one row a packet, in file order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ubereport.core.arrays import BoolArray, IntArray

NO_PTS: Final = -(2**63)
_RESET_S = 1.0
# FFmpeg's names of containers that carry elementary streams, which have no clock of their own.
_ELEMENTARY = frozenset({"h264", "hevc", "mpegvideo", "m4v", "obu"})


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the header and the first picture say; all values plain, so that they can be sent.

    `declared_end_s` is on the stream's own clock, `declared_duration_s` a length; at most one of
    them is given. `time_base` is (numerator, denominator) seconds of a tick.
    """

    container: str
    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    bit_depth: int
    rotation_deg: int
    is_interlaced: bool
    color_matrix: str
    color_range: str
    sample_aspect_ratio: tuple[int, int]
    time_base: tuple[int, int]
    rate_hz: tuple[int, int]
    declared_duration_s: float | None
    declared_end_s: float | None
    declared_n_frames: int | None
    stream_index: int
    n_video_streams: int
    n_read_errors: int


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """Packets in file (decoding) order.

    Parameters
    ----------
    pts, dts
        (n,) int64 ticks; `NO_PTS` where the container has none.
    duration
        (n,) int64 ticks; 0 where unknown.
    is_key
        (n,) bool, whether decoding can start here.
    is_shown
        (n,) bool, False where an edit list hides the picture.
    """

    pts: IntArray
    dts: IntArray
    duration: IntArray
    is_key: BoolArray
    is_shown: BoolArray

    def __len__(self) -> int:
        return len(self.pts)


def is_counted(container: str, codec: str) -> bool:
    """Whether pictures are timed by counting them, since the container stores no usable times.

    Elementary streams have no clock; AVI stores one number a packet in decoding order, from which
    FFmpeg derives wrong presentation times for H.264 and HEVC with reordered pictures.
    """
    return container in _ELEMENTARY or (container == "avi" and codec in {"h264", "hevc"})


class ClockUnwrapper:
    """Follow a stream's clock in file order and bridge the places where it is set back.

    A recorder that restarts into the same transport stream starts its clock anew. Ticks after
    such a reset are shifted so that they go on where the stretch before ended. Index and reader
    use the same object, so both name a picture by the same shifted ticks.

    Parameters
    ----------
    ticks_per_s
        Ticks of the stream's time base in a second.
    """

    def __init__(self, ticks_per_s: float) -> None:
        self._reset_ticks = max(1, round(_RESET_S * ticks_per_s))
        self._last: int | None = None
        self._end = 0
        self._step = 1
        self.offset = 0
        self.n_resets = 0

    def feed(self, pts: int, dts: int, duration: int) -> bool:
        """Take the next packet; return whether the clock was set back before it."""
        clock = pts if dts == NO_PTS else dts
        if clock == NO_PTS:
            return False
        # Decoding times only rise within one recording; a fall by a second or more is a restart.
        is_reset = self._last is not None and clock < self._last - self._reset_ticks
        if is_reset:
            # A recorder that starts its clock again goes on filming: what follows is moved to where
            # the picture before would have ended.
            self.offset = self._end - (clock if pts == NO_PTS else pts)
            self.n_resets += 1
        elif self._last is not None and clock > self._last:
            self._step = clock - self._last
        self._last = clock
        if pts != NO_PTS:
            step = duration if duration > 0 else self._step
            self._end = max(self._end, pts + self.offset + min(step, self._reset_ticks))
        return is_reset


def has_resets(table: PacketTable, ticks_per_s: float) -> bool:
    """Whether the clock of `table` is set back anywhere."""
    clock = np.where(table.dts == NO_PTS, table.pts, table.dts)
    clock = clock[clock != NO_PTS].astype(np.float64)
    return bool(np.any(np.diff(clock) < -max(1, round(_RESET_S * ticks_per_s))))
