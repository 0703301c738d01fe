"""Samples of one part from whichever reader can give them: the other goes on where one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ubereport.core.arrays import FloatArray, RgbArray
from ubereport.core.config import DecodeConfig
from ubereport.video.devices import DeviceChoice
from ubereport.video.guarded_child import ChildFailure
from ubereport.video.pool import Decoder, DecoderPool
from ubereport.video.reader import ReadRequest, device_reader
from ubereport.video.shared_pictures import PictureRing

# A recording that breaks its readers again and again is not worth minutes of restarts: what is left
# counts as lost, and the record says so.
MAX_FAILURES = 8
_TITLES = {"pyav": "PyAV"}


@dataclass(frozen=True, slots=True)
class ReaderOrder:
    """Who reads first and why, who goes on when that fails, and where their code lies.

    `on_device` is the graphics device that goes before them, if any; when it failed it is not asked
    again.
    """

    first: str
    why: str
    second: str
    entry_points: Mapping[str, str]
    on_device: DeviceChoice | None = None

    def on(self, choice: DeviceChoice) -> Self:
        """Return the order with a device before it; where none is taken, the words that say why."""
        if choice.device is None:
            return dataclasses.replace(self, why=choice.why or self.why)
        return dataclasses.replace(self, on_device=choice)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: its ring and its number there, or None where no reader could give it.

    `reader` is the name of the reader that was at it and why, None where it was given up.
    """

    place: tuple[PictureRing, int] | None
    is_corrupt: bool
    reader: tuple[str, str] | None = None

    def copy_to(self, target: RgbArray) -> None:
        """Copy the picture; black where there is none."""
        if self.place is None:
            target[...] = 0
        else:
            ring, number = self.place
            ring.copy_to(number, target)


@dataclass(eq=False)
class SampleStream:
    """All samples of one request in order, each exactly once.

    Parameters
    ----------
    request
        What is wanted.
    time_s
        (n,) case times of the pictures wanted, for the record.
    part_index
        0-based number of the part, for the record.
    order
        Readers to use.
    config
        Limits.
    n_slots
        Pictures that may be decoded ahead.
    pool
        Where decoding processes come from.
    failures
        Receives a sentence for every failure.
    """

    request: ReadRequest
    time_s: FloatArray
    part_index: int
    order: ReaderOrder
    config: DecodeConfig
    n_slots: int
    pool: DecoderPool
    failures: list[str]
    _n_failures: int = field(default=0, init=False)
    _at: int = field(default=0, init=False)
    _started: Decoder | None = field(default=None, init=False)
    _device: str | None = field(init=False)

    def __post_init__(self) -> None:
        on_device = self.order.on_device
        self._device = None if on_device is None else on_device.device

    def start(self) -> None:
        """Let the first reader begin before its first sample is asked for."""
        self._started = self._begun(self._first()[0], self.request)

    def _first(self) -> tuple[str, str]:
        """Return who reads first, and why."""
        if self._device is None or self.order.on_device is None:
            return self.order.first, self.order.why
        return device_reader(self._device), self.order.on_device.why

    def close(self) -> None:
        """End a reader that was started and never asked; others end with their generator."""
        if self._started is not None:
            self._started.close()
            self._started = None

    def samples(self) -> Generator[Sample, None, None]:
        """Yield samples; a sample's picture is there until the next one is asked for.

        Where both readers fail at the same picture, everything up to the next keyframe is given
        up; after `MAX_FAILURES` failures all that is left is.
        """
        name, why = self._first()
        n_failed_here = 0
        # Each turn lets one reader go as far as it gets. It failed without a picture twice in a row
        # at the same place: neither can read it, so that all up to the next keyframe is given up,
        # or everything if the file itself is bad or there were too many failures.
        while self._at < len(self.time_s):
            start = self._at
            failure = yield from self._attempt(name, why)
            if failure is None:
                return
            if self._device is not None:
                name, why = self._after_device(failure, name)
                continue
            n_failed_here = n_failed_here + 1 if self._at == start else 1
            name, why = self._after(failure, name)
            is_hopeless = n_failed_here >= 2 and failure.kind == "format"
            if is_hopeless or self._n_failures >= MAX_FAILURES:
                self.failures.append(
                    f"{self._place()} reading was given up after {self._n_failures} failures."
                )
                yield from self._lost(len(self.time_s))
            elif n_failed_here >= 2:
                n_failed_here = 0
                yield from self._lost(self._next_group())

    def _attempt(self, name: str, why: str) -> Generator[Sample, None, ChildFailure | None]:
        """Let one reader read on; return its failure, or None when all is read."""
        try:
            yield from self._read(name, why)
        except ChildFailure as failure:
            return failure
        return None

    def _read(self, name: str, why: str) -> Iterator[Sample]:
        # A reader that goes on is asked for what is still missing and for nothing that was already
        # handed over: every sample comes once, whoever reads.
        rest = dataclasses.replace(self.request, wanted=self.request.wanted[self._at :])
        started, self._started = self._started, None
        decoder = started or self._begun(name, rest)
        is_read = False
        try:
            for number in range(len(rest.wanted)):
                header, _ = decoder.child.receive()
                if header.get("sample") != number:
                    raise ChildFailure("died", "ended before all pictures were read")
                self._at += 1
                place = (decoder.ring, number) if header["ok"] else None
                # The slot is freed only when the next sample is asked for, since the consumer
                # copies the picture out of shared memory between the two.
                yield Sample(place, header["corrupt"], (name, why))
                decoder.child.acknowledge(1)
            is_read = True
        finally:
            if is_read:
                self.pool.give_back(decoder, name, rest.n_threads)
            else:
                decoder.close()

    def _begun(self, name: str, request: ReadRequest) -> Decoder:
        entry_point = self.order.entry_points[name]
        memory_mib = self.config.memory_mib
        request = dataclasses.replace(request, device=self._device)
        return self.pool.begin(entry_point, request, self.n_slots, memory_mib)

    def _after_device(self, failure: ChildFailure, name: str) -> tuple[str, str]:
        """Leave all that is left, here and in the rest of the case, to the processor."""
        # A device gets one chance in a case: every failure may cost a whole timeout, and the
        # processor gives the same pictures.
        what = f"{_title(name)} failed: it {failure}"
        if self.order.on_device is not None:
            self.order.on_device.refuse(what)
        self._device = None
        self.failures.append(f"{self._place()} {what}; the processor went on.")
        return self.order.first, f"{_title(self.order.first)} on the processor, because {what}."

    def _after(self, failure: ChildFailure, name: str) -> tuple[str, str]:
        """Note a failure; return who goes on, and why."""
        other = self.order.second if name == self.order.first else self.order.first
        self._n_failures += 1
        self.failures.append(
            f"{self._place()} {_title(name)} failed: it {failure}; {_title(other)} went on."
        )
        return other, f"{_title(other)}, because {_title(name)} failed: it {failure}."

    def _place(self) -> str:
        return f"Part {self.part_index + 1}, at {self.time_s[self._at]:.1f} s:"

    def _next_group(self) -> int:
        """Return the first wanted picture from the next keyframe on; at least the next one."""
        keys = np.flatnonzero(self.request.is_key)
        wanted = self.request.wanted
        # Damage inside a group spoils all that builds on it; the next keyframe builds on nothing,
        # so it is the first place at which another try makes sense.
        after = int(np.searchsorted(keys, wanted[self._at], side="right"))
        if after == len(keys):
            return len(wanted)
        return max(self._at + 1, int(np.searchsorted(wanted, keys[after])))

    def _lost(self, until: int) -> Iterator[Sample]:
        while self._at < until:
            self._at += 1
            yield Sample(None, is_corrupt=False)


def _title(name: str) -> str:
    reader, _, device = name.partition("-")
    title = _TITLES.get(reader, reader)
    return f"{title} on {device}" if device else title
