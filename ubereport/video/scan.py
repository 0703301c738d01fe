"""What a file holds before its pictures are read: header, first picture, table of packets."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ubereport.core.errors import RecordingFormatError
from ubereport.video.encryption import encryption_schemes
from ubereport.video.packets import NO_PTS, PacketTable, StreamFacts
from ubereport.video.pyav import OpenStream, Source, VideoFrame

# ISO/IEC 23091-2 code points by the names used in `VideoFormat`.
_MATRIX_NAMES = {0: "rgb", 1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_RANGE_NAMES = {1: "limited", 2: "full"}
# Containers that estimate their length from what is there and declare nothing.
_UNDECLARED = frozenset({"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v", "dv", "obu"})
# A recording that starts inside a group gives its first picture late; after 400 packets, 16 s at 25
# Hz, the header has to do.
_MAX_FIRST_PACKETS = 400


def scan(
    source: Source, max_pixels: int, on_progress: Callable[[], None]
) -> tuple[StreamFacts, PacketTable]:
    """Read the header, the first picture and every packet of the best video stream.

    Parameters
    ----------
    source
        Path or open binary file.
    max_pixels
        Larger pictures are not decoded.
    on_progress
        Called now and then while reading.

    Raises
    ------
    RecordingFormatError
        If the file is no recording that can be read, or its pictures are encrypted.
    """
    first = OpenStream(source, None, max_pixels, 1)
    _refuse_encrypted(source, first)
    frame = _first_picture(first, on_progress)
    index = first.stream.index
    first.close()
    # Opened anew: decoding the first picture has moved the file on, and a table needs every packet.
    opened = OpenStream(source, index, max_pixels, 1)
    ticks, flags = array("q"), array("b")  # 2 hours are 400,000 packets: no object for each
    for packet in opened.packets():
        ticks.append(NO_PTS if packet.pts is None else packet.pts)
        ticks.append(NO_PTS if packet.dts is None else packet.dts)
        ticks.append(packet.duration or 0)
        flags.append(packet.is_keyframe)
        flags.append(not packet.is_discard)
        if len(flags) % 2000 == 0:
            on_progress()
    facts = _facts(opened, frame)
    opened.close()
    pts, dts, duration = np.frombuffer(ticks, dtype=np.int64).reshape(-1, 3).T
    is_key, is_shown = np.frombuffer(flags, dtype=np.bool_).reshape(-1, 2).T
    return facts, PacketTable(pts, dts, duration, is_key, is_shown)


def _refuse_encrypted(source: Source, opened: OpenStream) -> None:
    if not opened.container_name.startswith("mov,mp4"):
        return
    # Encrypted pictures decode to noise that looks like a damaged recording; the boxes of the file
    # say it plainly.
    scheme = encryption_schemes(source).get(opened.stream.id)
    if scheme is not None:
        raise RecordingFormatError(
            f"is encrypted ({scheme}), and its pictures cannot be read without the key. "
            "Export it from the recorder without encryption."
        )


def _first_picture(opened: OpenStream, on_progress: Callable[[], None]) -> VideoFrame | None:
    for n_read, packet in enumerate(opened.packets()):
        frames, _ = opened.decode(packet)
        if frames:
            return frames[0]
        if n_read >= _MAX_FIRST_PACKETS:
            return None
        on_progress()
    return next(iter(opened.decode(None)[0]), None)


def _facts(opened: OpenStream, frame: VideoFrame | None) -> StreamFacts:
    stream, context = opened.stream, opened.stream.codec_context
    # What the decoded picture says goes before what the header says: headers name sizes and colors
    # that the stream changes.
    source = context if frame is None else frame
    pixel_format = context.format if frame is None else frame.format
    duration_s, end_s = _declared(opened)
    sar = stream.sample_aspect_ratio or Fraction(1)
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return StreamFacts(
        container=opened.container_name,
        codec=context.codec.canonical_name,
        pixel_format="unknown" if pixel_format is None else pixel_format.name,
        width_px=source.width,
        height_px=source.height,
        bit_depth=8 if pixel_format is None else max(c.bits for c in pixel_format.components),
        rotation_deg=0 if frame is None else round(frame.rotation / 90) * 90 % 360,
        is_interlaced=context.field_order >= 2 or (frame is not None and frame.interlaced_frame),
        color_matrix=_MATRIX_NAMES.get(source.colorspace, "unspecified"),
        color_range=_RANGE_NAMES.get(source.color_range, "unspecified"),
        sample_aspect_ratio=(sar.numerator, sar.denominator),
        time_base=(opened.time_base_s.numerator, opened.time_base_s.denominator),
        rate_hz=(rate.numerator, rate.denominator),
        declared_duration_s=duration_s,
        declared_end_s=end_s,
        declared_n_frames=stream.frames or None,
        stream_index=stream.index,
        n_video_streams=opened.n_moving_streams,
        n_read_errors=opened.n_read_errors,
    )


def _declared(opened: OpenStream) -> tuple[float | None, float | None]:
    """Return (length, end on the stream's clock) as the header claims; at most one of them."""
    stream = opened.stream
    if opened.container_name in _UNDECLARED:
        return None, None
    if opened.container_name == "avi" and stream.frames and stream.average_rate:
        # FFmpeg shortens the length that a cut AVI file declares, but not its count of pictures.
        return float(stream.frames / stream.average_rate), None
    if stream.duration is not None:
        return float(stream.duration * opened.time_base_s), None
    tag_s = _seconds(stream.metadata.get("DURATION", ""))
    if tag_s is not None:
        return None, tag_s
    total = opened.container_duration_s()
    return (None, total) if opened.container_name.startswith("matroska") else (total, None)


def _seconds(clock: str) -> float | None:
    """Seconds of a Matroska duration tag such as "00:01:02.500000000"."""
    try:
        hours, minutes, seconds = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
