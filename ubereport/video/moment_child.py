"""Single pictures of a recording on demand, in the decoding process: any moment, in any order.

A reviewer jumps. Where `pyav_reader` reads what a plan wants in order, this goes to the keyframe
before a moment and decodes up to it, and gives way at once when somebody already asks for another.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import RecordingFormatError
from ubereport.video import source
from ubereport.video.moment_part import MomentPart
from ubereport.video.packet_stream import STEPS_BACK_S
from ubereport.video.packets import NO_PTS
from ubereport.video.picture_scaling import encode_jpeg, scale
from ubereport.video.pyav import (
    FieldPicker,
    OpenStream,
    Packet,
    VideoFrame,
    VideoStream,
    speak_on_stderr,
    to_rgb,
)

_JPEG_QUALITY = 85
_ASKS_A_TRIM = 16
_PLAYED_ON_S = 2.5
_MAX_PACKETS = 4000
"""Packets fed for one moment at most; two minutes of video without a keyframe are no recording."""
_PACKETS_A_LOOK = 32
_NO_PICTURE = "has no picture there that can be decoded."


class _Superseded(Exception):  # noqa: N818 -- a change of mind, not an error
    """Somebody already asks for another moment."""


class _PartStream:
    """One part, kept open where the last moment was found, so that playing on does not seek."""

    def __init__(self, part: MomentPart, is_asked: Callable[[], bool]) -> None:
        self.part = part
        self._is_asked = is_asked
        self._opened = self._open()
        self._fields = FieldPicker(self._opened.is_bottom_first)
        self._packets: Iterator[Packet[VideoStream]] = self._opened.packets()
        self._ready: deque[VideoFrame] = deque()
        self._held: VideoFrame | None = None
        first = self._next_picture()
        if first is None:
            raise RecordingFormatError(_NO_PICTURE)
        self._first_pts = first.pts or 0

    def _open(self) -> OpenStream:
        return OpenStream(source.open_source(self.part.path), None, self.part.max_pixels, 1)

    def near(self, time_s: float) -> tuple[VideoFrame, float]:
        """Return the keyframe at or before a moment, and its time in the part."""
        return self._timed(self._go_to(self._pts(time_s)))

    def exact(self, time_s: float) -> tuple[VideoFrame, float]:
        """Return the picture that stands at a moment, and its time in the part."""
        target = self._pts(time_s)
        if not self._is_just_before(target):
            self._go_to(target)
        self._decode_to(target)
        if self._held is None:
            raise RecordingFormatError(_NO_PICTURE)
        return self._timed(self._held)

    def _is_just_before(self, target: int) -> bool:
        """Whether going on from the picture at hand is cheaper than going to a keyframe."""
        if self._held is None or self._held.pts is None:
            return False
        ahead_s = (target - self._held.pts) * self._opened.time_base_s
        return 0 <= ahead_s <= _PLAYED_ON_S

    def _go_to(self, target: int) -> VideoFrame:
        """Make the keyframe at or before `target` the picture at hand, and return it."""
        # Transport streams are sought by decoding times and land between keyframes, where the
        # decoder is silent until the next one, which is too late: try further back, at last from
        # the start. So it is with a keyframe that is damaged; the one before it is tried then.
        bound = target
        for back_s in (*STEPS_BACK_S, None):
            if not self._restart(bound, back_s):
                continue
            key = self._find_key(bound, back_s)
            if key is None and back_s is not None:
                continue
            first = self._next_picture()
            if first is not None and _is_at_most(first, target):
                return first
            bound = bound if key is None else min(bound, key - 1)
        # From the start and still too late: nothing before the moment can be decoded.
        if self._held is None:
            raise RecordingFormatError(_NO_PICTURE)
        return self._held

    def _restart(self, bound: int, back_s: float | None) -> bool:
        """Read on from `back_s` before a moment, None from the start; False where it cannot be."""
        if back_s is None:
            opened = self._open()
            self._opened.close()
            self._opened = opened
        elif self._opened.seek(bound - round(back_s / self._opened.time_base_s)):
            self._opened.flush()
        else:
            return False
        self._packets = self._opened.packets()
        self._ready.clear()
        self._held = None
        return True

    def _find_key(self, bound: int, back_s: float | None) -> int | None:
        """Make the last keyframe at or before `bound` the next packet; return its ticks, if any.

        From the start (`back_s` None) it is the first packet where there is no such keyframe.
        """
        key: int | None = None
        kept: list[Packet[VideoStream]] = []
        for n_read, packet in enumerate(self._packets, 1):
            if packet.is_keyframe and _ticks(packet) <= bound:
                key = _ticks(packet)
                kept.clear()
            if key is not None or back_s is None:
                kept.append(packet)
            # Where the plain seek finds a keyframe it is the one that the container's index names;
            # from further back others may follow. No picture is shown before it is decoded.
            is_found = key is not None and back_s == 0
            is_past = packet.dts is not None and packet.dts > bound
            if is_found or is_past or len(kept) >= _MAX_PACKETS:
                break
            if back_s is not None and n_read >= _MAX_PACKETS:
                break
            if n_read % _PACKETS_A_LOOK == 0 and self._is_asked():
                raise _Superseded
        self._packets = itertools.chain(kept, self._packets)
        return key

    def _next_picture(self) -> VideoFrame | None:
        """Make the next picture that comes out of the decoder the one at hand, and return it."""
        fed = itertools.islice(self._packets, _MAX_PACKETS)
        # At the end of the file the decoder gives out what it holds back.
        for packet in itertools.chain(fed, (None,)):
            self._ready.extend(self._opened.decode(packet)[0])
            if self._ready:
                self._held = self._ready.popleft()
                return self._held
        return None

    def _decode_to(self, target: int) -> None:
        """Make the picture that stands at `target` the one at hand; those after it wait."""
        # A picture stands until the next one is shown, so the one wanted is known only once a later
        # one has come out of the decoder. What comes out early waits in line; what somebody asks
        # for meanwhile ends the search.
        for n_fed in range(_MAX_PACKETS):
            while self._ready and (self._held is None or _is_at_most(self._ready[0], target)):
                self._held = self._ready.popleft()
            if self._ready:
                return
            # Dragging along a timeline asks faster than pictures come: an ask that is out of date
            # is given up within four packets.
            if n_fed % 4 == 3 and self._is_asked():
                raise _Superseded
            packet = next(self._packets, None)
            frames, _ = self._opened.decode(packet, self._is_needed(packet, target))
            self._ready.extend(frames)
            if packet is None and not frames:
                return

    def _is_needed(self, packet: Packet[VideoStream] | None, target: int) -> bool:
        """Whether a packet may hold the picture that stands at a moment, or nothing is certain."""
        if packet is None or packet.pts is None or not packet.duration:
            return True
        if packet.is_keyframe or not self._opened.has_single_pictures:
            return True
        return packet.pts + 2 * packet.duration >= target

    def _pts(self, time_s: float) -> int:
        # A moment named by a picture's own time lies on its stamp, give or take rounding.
        return self._first_pts + int(Fraction(time_s + 1e-6) / self._opened.time_base_s)

    def _timed(self, frame: VideoFrame) -> tuple[VideoFrame, float]:
        pts = self._first_pts if frame.pts is None else frame.pts
        return frame, float((pts - self._first_pts) * self._opened.time_base_s)

    def rgb(self, frame: VideoFrame) -> RgbArray:
        """Convert a picture as the analysis does; of an interlaced one the first field."""
        shown = self._fields.first_field(frame) if frame.interlaced_frame else frame
        return to_rgb(shown, self.part.color_matrix, self.part.color_range)


def serve_moments(task: Mapping[str, Any], channel: Any) -> None:  # noqa: ANN401 -- child's own
    """Answer asks for pictures until standard input closes.

    An ask is ``{"id", "part", "time_s", "is_exact", "width_px", "seen_px"}``; the answer has the
    same ``id``, the ``time_s`` of the picture, and arrays: ``jpeg`` (bytes) and, where ``seen_px``
    is given, ``seen`` (side × side × 3, flat) as the model sees it. Asks that came while an older
    one was worked on supersede it; it is answered by ``{"id", "superseded": 1}``.
    """
    cv2.setNumThreads(1)
    speak_on_stderr()
    parts = [MomentPart(**_tuples(plain)) for plain in task["parts"]]
    opened: dict[int, _PartStream] = {}
    channel.send({"ready": 1})
    for n_answered in itertools.count():
        if n_answered % _ASKS_A_TRIM == 0:
            _trim_heap()
        ask, _ = channel.tasks.get()
        try:
            answer, arrays = _answered(ask, parts, opened, lambda: not channel.tasks.empty())
        except _Superseded:
            answer, arrays = {"superseded": 1}, {}
        except RecordingFormatError as error:
            answer, arrays = {"refused": str(error)}, {}
        channel.send({"id": ask["id"], **answer}, arrays)


def _trim_heap() -> None:
    """Give free memory back to the system, where glibc keeps it.

    Every jump takes and frees a keyframe of another size, and what lies free between two that
    live is not used again: 0.24 MiB a jump, without end on a recording that is scrubbed.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and no need of it
        if trim is not None:
            trim(0)


def _tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}


def _answered(
    ask: Mapping[str, Any],
    parts: list[MomentPart],
    opened: dict[int, _PartStream],
    is_asked: Callable[[], bool],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    number = int(ask["part"])
    if number not in opened:
        opened[number] = _PartStream(parts[number], is_asked)
    stream = opened[number]
    look = stream.exact if ask["is_exact"] else stream.near
    frame, time_s = look(float(ask["time_s"]))
    rgb = stream.rgb(frame)
    shown = stream.part.fitted(rgb, int(ask["width_px"]))
    arrays: dict[str, NDArray[Any]] = {
        "jpeg": np.frombuffer(encode_jpeg(shown, _JPEG_QUALITY), np.uint8)
    }
    if ask["seen_px"]:
        seen_height_px, seen_width_px = ask["seen_px"]
        whole = stream.part.fitted(rgb, stream.part.source_size_px[0])
        arrays["seen"] = scale(whole, seen_height_px, seen_width_px).reshape(-1)
    return {"time_s": time_s}, arrays


def _ticks(packet: Packet[VideoStream]) -> int:
    """Return when a packet is shown, as far as the container says; without times any will do."""
    if packet.pts is not None:
        return packet.pts
    return NO_PTS if packet.dts is None else packet.dts


def _is_at_most(frame: VideoFrame, target: int) -> bool:
    return frame.pts is None or frame.pts <= target
