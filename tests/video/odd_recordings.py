"""Recordings that no recorder should make, and files that are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    rgb = np.full((height, width, 3), (150, 40, 30), dtype=np.uint8)
    rgb[:, (3 * number) % width] = 255
    return rgb


def plain(
    path: Path, n: int = 30, codec: str = "libx264", size: tuple[int, int] = (64, 48)
) -> Path:
    with VideoWriter(path, EncoderSpec(*size, 25, codec, options={"g": "10"})) as writer:
        for number in range(n):
            writer.write(picture(number, *size))
    return path


def with_ticks(path: Path, ticks: Sequence[int], time_base_s: Fraction) -> Path:
    """A recording without reordering whose pictures have these increasing time stamps."""
    with VideoWriter(
        path, EncoderSpec(64, 48, 25, options={"g": "10", "bf": "0"}, time_base_s=time_base_s)
    ) as writer:
        for number, tick in enumerate(ticks):
            writer.write(picture(number), pts=tick)
    return path


def retimed(source: Path, target: Path, ticks: Iterable[tuple[int, int]]) -> Path:
    """Copy a recording's packets with other (pts, dts), without checking them."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(old.streams.video[0]) if packet.size]
        for packet, (pts, dts) in zip(packets, ticks, strict=True):
            packet.stream = stream
            packet.pts, packet.dts = pts, dts
            new.mux(packet)
    return target


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def two_streams(path: Path, is_first_attached: bool) -> Path:
    """A small stream of few pictures, or a cover picture, before the recording itself."""
    with av.open(str(path), "w") as container:
        streams: list[VideoStream] = []
        for size in ((32, 32), (64, 48)):
            stream = container.add_stream("mjpeg" if size == (32, 32) else "libx264", rate=25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if size == (32, 32) else "yuv420p"
            streams.append(stream)
        if is_first_attached:
            streams[0].disposition = av.stream.Disposition.attached_pic
        for number in range(20):
            for stream, size in zip(streams, ((32, 32), (64, 48)), strict=True):
                if size == (32, 32) and is_first_attached and number:
                    continue
                frame = av.VideoFrame.from_ndarray(picture(number, *size))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def size_change(path: Path) -> Path:
    """A transport stream whose second half has larger pictures."""
    halves = [
        plain(path.with_name(f"half{n}.ts"), 20, size=size)
        for n, size in enumerate(((64, 48), (128, 96)))
    ]
    second = path.with_name("later.ts")
    with av.open(str(halves[1])) as old, av.open(str(second), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = stream
                packet.pts += 20 * 3600
                packet.dts += 20 * 3600
                new.mux(packet)
    path.write_bytes(halves[0].read_bytes() + second.read_bytes())
    return path


class _Bits:
    def __init__(self) -> None:
        self.bits = ""

    def u(self, value: int, n: int) -> _Bits:
        self.bits += format(value, f"0{n}b")
        return self

    def ue(self, value: int) -> _Bits:
        coded = format(value + 1, "b")
        self.bits += "0" * (len(coded) - 1) + coded
        return self

    def payload(self) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def bomb(path: Path, width: int = 16384, height: int = 16384) -> Path:
    """An H.264 stream of a few hundred bytes that declares huge pictures (ITU-T H.264, 7.3.2.1)."""
    sps = _Bits().u(66, 8).u(0, 8).u(51, 8).ue(0).ue(0).ue(2).ue(1).u(0, 1)
    sps.ue(width // 16 - 1).ue(height // 16 - 1).u(1, 1).u(1, 1).u(0, 1).u(0, 1)
    pps = _Bits().ue(0).ue(0).u(0, 1).u(0, 1).ue(0).ue(0).ue(0).u(0, 1).u(0, 2)
    pps.ue(0).ue(0).ue(0).u(0, 1).u(0, 1).u(0, 1)
    start = b"\x00\x00\x00\x01"
    stream = b""
    for number in range(8):
        # first_mb, slice_type I, pps, frame_num, idr_pic_id, no flags, qp delta, deblocking
        idr = _Bits().ue(0).ue(7).ue(0).u(0, 4).ue(number % 2).u(0, 2).ue(0)
        stream += start + b"\x67" + sps.payload() + start + b"\x68" + pps.payload()
        stream += start + b"\x65" + idr.payload() + bytes(40)
    path.write_bytes(stream)
    return path


def _shifted(field: bytes, ticks: int) -> bytes:
    """A five-byte PES time stamp moved by `ticks` (ISO/IEC 13818-1, 2.4.3.7)."""
    value = (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15
    value |= field[3] << 7 | field[4] >> 1
    value = (value + ticks) % 2**33
    return bytes(
        (
            field[0] & 0xF1 | (value >> 30 & 7) << 1,
            value >> 22 & 0xFF,
            (value >> 15 & 0x7F) << 1 | 1,
            value >> 7 & 0xFF,
            (value & 0x7F) << 1 | 1,
        )
    )


def shift_ts(source: Path, target: Path, ticks: dict[int, int]) -> Path:
    """Copy a transport stream, moving the times of some pictures (number in file order: ticks)."""
    data = bytearray(source.read_bytes())
    number = -1
    for at in range(0, len(data), 188):
        has_start = data[at + 1] & 0x40
        payload = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if not has_start or data[payload : payload + 4] != b"\x00\x00\x01\xe0":
            continue
        number += 1
        n_stamps = {0x80: 1, 0xC0: 2}.get(data[payload + 7] & 0xC0, 0)
        for stamp in range(n_stamps):
            place = slice(payload + 9 + 5 * stamp, payload + 14 + 5 * stamp)
            data[place] = _shifted(bytes(data[place]), ticks.get(number, 0))
    target.write_bytes(data)
    return target
