"""Repeat a short recording without encoding it again, so that hours of video cost minutes.

A fragmented MP4 file is a header and then fragments (``moof`` + ``mdat``), each of which says
where it starts on the clock (``tfdt``) and nothing about where it lies in the file. So the
fragments may be written again and again with later start times (ISO/IEC 14496-12, section 8.8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
"""Muxer flags that make a recording repeatable; it must not have B-frames."""

_HEADER_BYTES = 8
_LONG_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    body: int
    end: int


def repeat_recording(path: Path, n_times: int, period_s: Fraction) -> None:
    """Make a fragmented MP4 recording `n_times` as long, in place.

    Parameters
    ----------
    path
        Recording written with the muxer flags `FRAGMENTED` and without B-frames.
    n_times
        How often its pictures are shown.
    period_s
        Its length, after which they start again.

    Raises
    ------
    ValueError
        If the file is no fragmented MP4 file or `period_s` is no whole number of its ticks.
    OSError
        If it cannot be read or written.
    """
    content = path.read_bytes()
    boxes = list(_boxes(content, 0, len(content)))
    movie = next((box for box in boxes if box.kind == b"moov"), None)
    first = next((box.start for box in boxes if box.kind == b"moof"), None)
    if movie is None or first is None:
        raise ValueError("the recording is no fragmented MP4 file; write it with FRAGMENTED")
    period = period_s * _ticks_per_second(content, movie)
    if period.denominator != 1:
        raise ValueError(f"{period_s} s is no whole number of the recording's ticks")
    last = max(box.end for box in boxes if box.kind == b"mdat")
    fragments = content[first:last]
    fields = list(_clock_fields(fragments))
    with path.open("wb") as file:
        file.write(content[:first])
        for turn in range(n_times):
            file.write(_later(fragments, fields, turn, int(period)))


def _later(
    fragments: bytes, fields: list[tuple[int, int]], turn: int, period_ticks: int
) -> bytearray:
    """Return the fragments as they follow `turn` periods later."""
    moved = bytearray(fragments)
    for number, (sequence_at, start_at) in enumerate(fields, 1):
        struct.pack_into(">I", moved, sequence_at, turn * len(fields) + number)
        start = struct.unpack_from(">Q", moved, start_at)[0]
        struct.pack_into(">Q", moved, start_at, start + turn * period_ticks)
    return moved


def _boxes(content: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + _HEADER_BYTES <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        header = _HEADER_BYTES
        if size == 1:
            size = struct.unpack_from(">Q", content, start + _HEADER_BYTES)[0]
            header = _LONG_HEADER_BYTES
        if size < header or start + size > end:
            raise ValueError("the recording is no MP4 file: a box has an impossible size")
        yield _Box(kind, start, start + header, start + size)
        start += size


def _child(content: bytes, parent: _Box, kind: bytes) -> _Box:
    for box in _boxes(content, parent.body, parent.end):
        if box.kind == kind:
            return box
    raise ValueError(f"the recording lacks an MP4 box {kind.decode()}; write it with FRAGMENTED")


def _ticks_per_second(content: bytes, movie: _Box) -> int:
    media = _child(content, _child(content, movie, b"trak"), b"mdia")
    header = _child(content, media, b"mdhd")
    is_long = content[header.body] == 1
    return int(struct.unpack_from(">I", content, header.body + (20 if is_long else 12))[0])


def _clock_fields(fragments: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each fragment keeps its number and its 64-bit start time."""
    for box in _boxes(fragments, 0, len(fragments)):
        if box.kind == b"moof":
            number = _child(fragments, box, b"mfhd")
            start = _child(fragments, _child(fragments, box, b"traf"), b"tfdt")
            if fragments[start.body] != 1:
                raise ValueError("a fragment's start time has 32 bits; write it with FRAGMENTED")
            yield number.body + 4, start.body + 4
