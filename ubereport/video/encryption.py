"""Which tracks of an MP4 or MOV file are encrypted, as its boxes say (ISO/IEC 14496-12, 23001-7).

FFmpeg tells nobody: without the key it decodes an encrypted picture as it lies there, and what
comes out may look like one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO

_SIZE_AND_KIND = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_COUNTED_HEADER = 8  # version and flags, then how many entries follow
_VISUAL_ENTRY = 78  # what lies before the boxes of a VisualSampleEntry
_TRACK_ID_AT = (12, 20)  # by version of the track header
_UNKNOWN = "unknown scheme"

Span = tuple[int, int]


def encryption_schemes(source: str | IO[bytes]) -> dict[int, str]:
    """Return track id → scheme, such as "cenc" or "cbcs", of every encrypted video track.

    A file that is cut or is no MP4 gives what could be read of it.

    Parameters
    ----------
    source
        Path or open binary file.
    """
    if isinstance(source, str):
        with open(source, "rb") as file:  # noqa: PTH123 -- a string from outside
            return _schemes(file)
    return _schemes(source)


def _schemes(file: IO[bytes]) -> dict[int, str]:
    whole = (0, file.seek(0, os.SEEK_END))
    scheme_of: dict[int, str] = {}
    for track in _at(file, whole, b"moov", b"trak"):
        header = next(_at(file, track, b"tkhd"), None)
        entries = _at(file, track, b"mdia", b"minf", b"stbl", b"stsd")
        scheme = next((s for entry in entries for s in _schemes_of(file, entry)), None)
        if header is not None and scheme is not None:
            scheme_of[_track_id(file, header)] = scheme
    return scheme_of


def _schemes_of(file: IO[bytes], descriptions: Span) -> Iterator[str]:
    """Yield the scheme of every encrypted kind of picture that a track holds."""
    start, end = descriptions
    for _, (entry_start, entry_end) in _boxes(file, (start + _COUNTED_HEADER, end)):
        for protection in _at(file, (entry_start + _VISUAL_ENTRY, entry_end), b"sinf"):
            scheme = next(_at(file, protection, b"schm"), None)
            yield _UNKNOWN if scheme is None else _scheme_name(file, scheme)


def _scheme_name(file: IO[bytes], scheme: Span) -> str:
    file.seek(scheme[0] + 4)
    name = file.read(4).decode("ascii", "ignore")
    return name if len(name) == 4 and name.isalnum() else _UNKNOWN


def _track_id(file: IO[bytes], header: Span) -> int:
    file.seek(header[0])
    content = file.read(_TRACK_ID_AT[1] + 4)
    at = _TRACK_ID_AT[1] if content[:1] == b"\1" else _TRACK_ID_AT[0]
    return int.from_bytes(content[at : at + 4], "big")


def _at(file: IO[bytes], span: Span, kind: bytes, *deeper: bytes) -> Iterator[Span]:
    """Yield the content of every box that lies under the given kinds, one inside the other."""
    for box_kind, content in _boxes(file, span):
        if box_kind == kind:
            yield from _at(file, content, *deeper) if deeper else (content,)


def _boxes(file: IO[bytes], span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield (kind, content) of the boxes of a span, up to the first that cannot be one."""
    at, end = span
    while at + _SIZE_AND_KIND.size <= end:
        file.seek(at)
        head = file.read(_SIZE_AND_KIND.size + _LARGE_SIZE.size)
        size, kind = _SIZE_AND_KIND.unpack_from(head)
        n_head = _SIZE_AND_KIND.size
        # A box says its size before its kind: 1 means that eight more bytes hold it, 0 that it is
        # the last.
        if size == 1 and len(head) == n_head + _LARGE_SIZE.size:
            (size,) = _LARGE_SIZE.unpack_from(head, n_head)
            n_head += _LARGE_SIZE.size
        elif size == 0:  # up to the end
            size = end - at
        if size < n_head:
            return
        yield kind, (at + n_head, min(at + size, end))
        at += size
