"""Readers that misbehave; they run in the decoding process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import numpy as np

from ubereport.core.errors import DecodeError
from ubereport.video.reader import Picture, ReadRequest

Beat = Callable[[], None]
Complaints = Callable[[], int]


def _picture(request: ReadRequest, frame: int) -> Picture:
    shape = (request.height_px, request.width_px, 3)
    return Picture(np.full(shape, frame, dtype=np.uint8), is_corrupt=False)


def good(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        beat()
        yield _picture(request, frame)


def sleeps_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        if frame >= 20:
            time.sleep(3600)
        yield _picture(request, frame)


def dies_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        if frame >= 20:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield _picture(request, frame)


def raises_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        if frame >= 20:
            raise DecodeError("met a wall")
        yield _picture(request, frame)


def names_the_path(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    raise OSError(f"cannot read {request.path}")
    yield None


def swells_at_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    held = []
    for frame in request.wanted.tolist():
        while frame >= 20:
            held.append(np.ones(2**24))  # 128 MiB
        yield _picture(request, frame)


def loads_much(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    loaded = np.ones(2**26)  # 512 MiB

    def read() -> Iterator[Picture | None]:
        for frame in request.wanted.tolist():
            yield _picture(request, int(frame * loaded[0]))

    return read()


def chokes_on_20(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        if frame == 20:
            os._exit(7)
        yield _picture(request, frame)


def chokes_always(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    os._exit(7)
    yield None


def slow_but_alive(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        for _ in range(14):
            time.sleep(0.5)
            beat()
        yield _picture(request, frame)


def prints(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    for frame in request.wanted.tolist():
        os.write(1, b"a library that talks\n")
        yield _picture(request, frame)


def stops_early(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    yield _picture(request, int(request.wanted[0]))


_KEPT: list[bytearray] = []


def keeps_200_mib(request: ReadRequest, take: Complaints, beat: Beat) -> Iterator[Picture | None]:
    """Take 200 MiB while reading and never give them back."""
    for frame in request.wanted.tolist():
        if frame == 20:
            _KEPT.append(bytearray(200 * 2**20))
        yield _picture(request, frame)
