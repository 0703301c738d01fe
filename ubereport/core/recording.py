"""What a recording is before anyone looked at its pictures: parts, packets, one clock."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze
from ubereport.core.intervals import Interval


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How the pictures of a part are stored; `width_px` and `height_px` are as coded."""

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
    sample_aspect_ratio: Fraction
    average_rate_hz: Fraction | None

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0:
            raise ValueError(f"picture of {self.width_px} × {self.height_px} px")
        if self.rotation_deg not in (0, 90, 180, 270):
            raise ValueError(f"rotation of {self.rotation_deg}°; allowed: 0, 90, 180, 270")


@dataclass(frozen=True, slots=True, eq=False)
class PartIndex:
    """Every packet of one file's video stream, in presentation order.

    Parameters
    ----------
    path
        Where the file lies. Never printed, logged or reported unless asked for.
    sha256
        Hex digest of the whole file.
    size_bytes
        Size of the file.
    video
        How the pictures are stored.
    time_base_s
        Seconds of one PTS tick, exact.
    pts
        (n,) int64, strictly increasing presentation time stamps in ticks.
    time_s
        (n,) float64, presentation times in seconds from the part's first picture, with clock
        jumps that no camera makes taken out; strictly increasing, first is 0.
    is_key
        (n,) bool, whether decoding can start at the packet.
    duration_s
        Length found: from the first picture to the end of the last one.
    declared_duration_s
        Length that the container claims, if it claims one.
    declared_n_frames
        Frame count that the container claims, if it claims one.
    gaps
        Stretches inside the part for which no packet exists, in part time.
    n_clock_jumps
        How many impossible clock jumps were taken out.
    n_dropped_packets
        Packets without usable or with repeated time stamps, or before the first keyframe.
    n_clock_resets
        How many of the clock jumps went backwards; `pts` then counts on from the end of the
        stretch before, and only reading from the start finds a picture.
    has_open_gops
        Whether pictures shown before a keyframe are stored after it and build on what precedes it.
    stream_index
        Which stream of the file holds the pictures.
    notes
        Sentences about the file that a reader of the report should know; no names in them.
    """

    path: Path
    sha256: str
    size_bytes: int
    video: VideoFormat
    time_base_s: Fraction
    pts: IntArray
    time_s: FloatArray
    is_key: BoolArray
    duration_s: float
    declared_duration_s: float | None
    declared_n_frames: int | None
    gaps: tuple[Interval, ...]
    n_clock_jumps: int = 0
    n_dropped_packets: int = 0
    n_clock_resets: int = 0
    has_open_gops: bool = False
    stream_index: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        freeze(self, np.int64, "pts")
        freeze(self, np.float64, "time_s")
        freeze(self, np.bool_, "is_key")
        n = len(self.pts)
        if n == 0 or len(self.time_s) != n or len(self.is_key) != n:
            raise ValueError("pts, time_s and is_key need one common length of at least 1")
        if np.any(np.diff(self.pts) <= 0) or np.any(np.diff(self.time_s) <= 0):
            raise ValueError("pts and time_s must increase strictly")
        if self.duration_s <= self.time_s[-1]:
            raise ValueError("a part lasts longer than its last presentation time")

    @property
    def n_frames(self) -> int:
        """Pictures found in the index."""
        return len(self.pts)

    @property
    def missing_tail_s(self) -> float:
        """Seconds that the container declares beyond what was found; 0 if none."""
        if self.declared_duration_s is None:
            return 0.0
        return max(0.0, self.declared_duration_s - self.duration_s)


@dataclass(frozen=True, slots=True)
class RecordingIndex:
    """The ordered parts of one case."""

    parts: tuple[PartIndex, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a recording needs at least one part")


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """One part on the case clock: its frames cover ``[start_s, start_s + duration_s)``.

    `duration_s` includes a declared but missing tail, so that lost time has a place.
    """

    part_index: int
    start_s: float
    duration_s: float

    @property
    def interval(self) -> Interval:
        """The stretch of the case clock that the part occupies."""
        return Interval(self.start_s, self.start_s + self.duration_s)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The parts of one case on one clock that starts at 0, in order, without overlap."""

    parts: tuple[PlacedPart, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.parts, self.parts[1:], strict=False):
            # Sums of lengths round: less than a nanosecond is no overlap.
            if after.start_s < before.interval.end_s - 1e-9:
                raise ValueError(f"part {after.part_index + 1} starts before its predecessor ends")

    @property
    def end_s(self) -> float:
        """End of the last part."""
        return self.parts[-1].interval.end_s

    @property
    def pauses(self) -> tuple[Interval, ...]:
        """Stretches between parts in which nothing was recorded."""
        return tuple(
            Interval(before.interval.end_s, after.start_s)
            for before, after in zip(self.parts, self.parts[1:], strict=False)
            if after.start_s > before.interval.end_s
        )

    @property
    def recorded_s(self) -> float:
        """Seconds of recording, pauses between parts left out."""
        return sum(p.duration_s for p in self.parts)
