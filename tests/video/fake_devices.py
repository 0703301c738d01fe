"""Graphics devices that are none, well-behaved and not; they run in the decoding process.

They decode on the processor and hand pictures back in the layouts of real devices.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from ubereport.core.errors import DecodeError
from ubereport.video import packet_stream
from ubereport.video.pyav import OpenStream, Packet, VideoFrame, VideoStream
from ubereport.video.pyav_reader import read_on_device
from ubereport.video.reader import Picture, ReadRequest

Beat = Callable[[], None]
Complaints = Callable[[], int]
LAYOUTS = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


class StubStream(OpenStream):
    """A stream whose pictures come back as NVDEC hands them over."""

    def __init__(
        self,
        source: object,
        stream_index: int | None,
        max_pixels: int,
        n_threads: int,
        device: str | None = None,
    ) -> None:
        super().__init__(source, stream_index, max_pixels, n_threads)

    def decode(
        self, packet: Packet[VideoStream] | None, is_wanted: bool = True
    ) -> tuple[list[VideoFrame], bool]:
        frames, is_damaged = super().decode(packet, is_wanted)
        return [_handed_over(frame) for frame in frames], is_damaged


def _handed_over(frame: VideoFrame) -> VideoFrame:
    handed = frame.reformat(format=LAYOUTS[frame.format.name], threads=1)
    handed.pts = frame.pts
    return handed


def good(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    packet_stream.OpenStream = StubStream
    return read_on_device(request, take, beat)


def _until(frame: int, request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    """Well-behaved before a frame, and so while it is tried on the first groups."""
    n_before = int(np.searchsorted(request.wanted, frame))
    for number, picture in enumerate(good(request, take, beat)):
        if number == n_before:
            return
        yield picture


def raises_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    yield from _until(20, request, take, beat)
    raise DecodeError("lost cuda:0 (Generic error in an external library)")


def raises_at_100(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    yield from _until(100, request, take, beat)
    raise DecodeError("lost cuda:0 (Generic error in an external library)")


def dies_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    yield from _until(20, request, take, beat)
    os.kill(os.getpid(), signal.SIGSEGV)


def stalls_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    yield from _until(20, request, take, beat)
    time.sleep(3600)


def swells_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    """Reserve 64 GiB of addresses as a driver does, then take memory without end."""
    reserved = mmap.mmap(-1, 2**36, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    yield from _until(20, request, take, beat)
    held = []
    while len(reserved) == 2**36:
        held.append(np.ones(2**24))  # 128 MiB


def one_level_off(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    for picture in good(request, take, beat):
        rgb = picture.rgb.copy()
        rgb[0, 0, 0] ^= 1
        yield Picture(rgb, picture.is_corrupt)


def room_for_some(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    """Out of the memory of the device once so many sessions were opened."""
    for number in range(int(os.environ["FAKE_DEVICE_ROOM"])):
        with suppress(FileExistsError):
            Path(os.environ["FAKE_DEVICE_FOLDER"], str(number)).touch(exist_ok=False)
            return good(request, take, beat)
    raise DecodeError("cannot open cuda:0 (Cannot allocate memory)")


def first_is_busy(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    if request.device == "cuda:0":
        raise DecodeError("cannot open cuda:0 (Device or resource busy)")
    return good(request, take, beat)


def takes_its_time(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    for picture in good(request, take, beat):
        time.sleep(0.05)
        yield picture


def raises_at_0(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture]:
    raise DecodeError("lost cuda:0 (no such device)")
