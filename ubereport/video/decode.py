"""Pictures of a part, decoded in processes of their own that may hang, die or swell unharmed."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Self

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray, freeze
from ubereport.core.case import ReaderUse
from ubereport.core.choices import DecodeDevice, SamplingMode
from ubereport.core.closing import ClosedOnExit
from ubereport.core.config import DecodeConfig
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.devices import DAMAGE_SEEN, CaseDevices, DeviceChoice, Trial
from ubereport.video.fallback import ReaderOrder, Sample, SampleStream
from ubereport.video.pool import DecoderPool
from ubereport.video.process_shares import share_pictures
from ubereport.video.reader import (
    READERS,
    choose_reader,
    is_decord_usable,
    read_request,
)
from ubereport.video.shared_pictures import n_ring_slots

# Each process holds a decoder with its reference pictures and a ring of its own: memory grows with
# every one of them, however many cores there are.
_MAX_DECODERS = 16
_MAX_SESSIONS = 7  # each has a context on the device; an H100 has seven decoders
_N_TRIED = 4  # pictures for each core, of the first groups
_SEGMENT = 16  # pictures that a process decodes before the next one's turn where there are many


@dataclass(frozen=True, slots=True, eq=False)
class DecodeRequest:
    """Which pictures of one part are wanted, and how.

    Parameters
    ----------
    part, part_index
        The part and its number in the case.
    frame_index
        (n,) int64, strictly increasing positions in the part's index.
    sample_index
        (n,) int64, positions in the plan, handed through.
    time_s
        (n,) float64, presentation times on the case clock, handed through.
    crop
        Rectangle of the upright picture to look at; the whole picture if None.
    height_px, width_px
        Size to which the crop is scaled.
    mode
        How the pictures were chosen; decides which reader is fastest.
    """

    part: PartIndex
    part_index: int
    frame_index: IntArray
    sample_index: IntArray
    time_s: FloatArray
    crop: PixelBox | None
    height_px: int
    width_px: int
    mode: SamplingMode = SamplingMode.UNIFORM

    def __post_init__(self) -> None:
        freeze(self, np.int64, "frame_index", "sample_index")
        freeze(self, np.float64, "time_s")
        if not len(self.frame_index) == len(self.sample_index) == len(self.time_s):
            raise ValueError("frame_index, sample_index and time_s differ in length")
        if self.height_px < 1 or self.width_px < 1:
            raise ValueError(f"pictures of {self.width_px} × {self.height_px} px")

    def __len__(self) -> int:
        return len(self.frame_index)

    def first(self, n: int) -> Self:
        """Return the request for the first `n` pictures alone."""
        return replace(
            self,
            frame_index=self.frame_index[:n],
            sample_index=self.sample_index[:n],
            time_s=self.time_s[:n],
        )


@dataclass(frozen=True, slots=True)
class DecodeOutcome:
    """Who decoded which stretch, what failed, and how many samples are missing or damaged."""

    uses: tuple[ReaderUse, ...]
    failures: tuple[str, ...]
    n_undecoded: int
    n_corrupt: int


@dataclass(slots=True)
class _Tally:
    """What happened so far, told by whoever assembles batches."""

    part_index: int
    devices: CaseDevices
    uses: list[ReaderUse] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    n_undecoded: int = 0
    n_corrupt: int = 0

    # A device conceals damage, so that what the processor saw decides for the rest of the case.
    def note_damage(self, n_undecoded: int, n_corrupt: int) -> None:
        self.n_undecoded += n_undecoded
        self.n_corrupt += n_corrupt
        if n_undecoded or n_corrupt:
            self.devices.refuse(DAMAGE_SEEN)

    def note_reader(self, reader: tuple[str, str] | None, time_s: float) -> None:
        if reader is None:
            return
        name, why = reader
        for at, use in enumerate(self.uses):  # processes may differ in who reads for them
            if (use.reader, use.why) == reader:
                self.uses[at] = replace(use, end_s=time_s)
                return
        self.uses.append(ReaderUse(self.part_index, name, time_s, time_s, why))


class Decoding(ClosedOnExit, Iterator[FrameBatch]):
    """Batches of one part as they are decoded; close it, or use it in a ``with`` statement.

    Every sample asked for comes once and in order; those that no reader could give have
    `is_decoded` False. The decoding processes end, or go back to their pool, with the iteration;
    they end with `close` and with garbage collection. Decoding begins with `start`, or when the
    first batch is asked for.
    """

    def __init__(self, batches: Generator[FrameBatch | None, None, None], tally: _Tally) -> None:
        self._tally = tally
        self._is_started = False
        # They know nothing of this object: forgetting it must end the processes at once.
        self._batches = batches

    @property
    def outcome(self) -> DecodeOutcome:
        """What happened so far; complete when the iteration has ended."""
        return DecodeOutcome(
            tuple(self._tally.uses),
            tuple(self._tally.failures),
            self._tally.n_undecoded,
            self._tally.n_corrupt,
        )

    def start(self) -> None:
        """Let the processes decode, as far ahead as their memory reaches."""
        if not self._is_started:
            self._is_started = True
            # Runs the generator up to its first yield: all processes are at work before anybody
            # waits.
            next(self._batches)

    def __next__(self) -> FrameBatch:
        self.start()
        batch = next(self._batches)
        if batch is None:
            raise TypeError("a decoding starts once")
        return batch

    def close(self) -> None:
        """End the decoding processes that are at work."""
        self._batches.close()


def _assembled(
    request: DecodeRequest,
    streams: Sequence[SampleStream],
    turns: Sequence[tuple[int, int]],
    own_pool: DecoderPool | None,
    batch_size: int,
    tally: _Tally,
) -> Generator[FrameBatch | None, None, None]:
    """Start decoding and yield None, then the batches.

    There is a stream for each decoding process; `turns` says whose turn it is and for how many
    pictures. `own_pool` is one that serves this request alone.
    """
    with ExitStack() as stack:
        if own_pool is not None:
            stack.enter_context(own_pool)
        sources: list[Generator[Sample, None, None]] = []
        for stream in streams:
            stack.callback(stream.close)
            samples = stream.samples()
            stack.callback(samples.close)
            stream.start()
            sources.append(samples)
        # Processes decode at their own speed; pictures are taken from them in the order of the
        # request.
        in_turn = (source for turn, n in turns for source in repeat(sources[turn], n))
        yield None
        for start in range(0, len(request), batch_size):
            yield _batch(request, slice(start, start + batch_size), in_turn, tally)
        for samples in sources:
            # A stream that is asked once more after its last sample gives its process back to the
            # pool; one that is closed instead kills it.
            next(samples, None)  # lets the reader end by itself


def _batch(
    request: DecodeRequest,
    rows: slice,
    in_turn: Iterator[Iterator[Sample]],
    tally: _Tally,
) -> FrameBatch:
    sample_index = request.sample_index[rows]
    n = len(sample_index)
    rgb = np.empty((n, request.height_px, request.width_px, 3), dtype=np.uint8)
    is_decoded, is_corrupt = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    times_s = request.time_s[rows]
    for row, samples in zip(range(n), in_turn, strict=False):
        sample = next(samples)
        sample.copy_to(rgb[row])
        is_decoded[row] = sample.place is not None
        is_corrupt[row] = sample.is_corrupt
        tally.note_reader(sample.reader, float(times_s[row]))
    tally.note_damage(n - int(is_decoded.sum()), int(is_corrupt.sum()))
    return FrameBatch(
        rgb=rgb,
        sample_index=sample_index,
        time_s=times_s,
        part_index=np.full(n, request.part_index, dtype=np.int64),
        is_decoded=is_decoded,
        is_corrupt=is_corrupt,
    )


def decode(
    request: DecodeRequest,
    config: DecodeConfig,
    batch_size: int,
    entry_points: Mapping[str, str] | None = None,
    pool: DecoderPool | None = None,
) -> Decoding:
    """Decode the pictures of a request, in processes of their own.

    Up to `config.n_threads` processes (0: one a core) share the groups of pictures as
    `share_pictures` says; one serves all stretches of the request that fall to it. A process is
    killed when it stays silent for `config.stall_timeout_s`, may take `config.memory_mib`, and
    hands over through a ring of at most `config.ring_batches` batches, so that memory stays flat
    however slow the consumer is. When it fails, the other reader goes on from the last good sample
    where it may read the part at all, else PyAV starts afresh. Where both fail at the same picture,
    all up to the next keyframe is given up. Where `ubereport.video.devices` finds that a graphics
    device gives the same pictures, it decodes, until it fails or meets damage.

    Parameters
    ----------
    request
        What is wanted.
    config
        Choice of the reader, threads and limits.
    batch_size
        Samples in a batch; the last may be smaller.
    entry_points
        ``module:function`` of the readers by name, for tests.
    pool
        Where processes come from and go back to; one for this request alone if None.

    Returns
    -------
    Decoding
        Iterator over `FrameBatch`; its `outcome` tells who read what and what failed.

    Raises
    ------
    ValueError
        If the request or `batch_size` makes no sense.
    """
    if batch_size < 1:
        raise ValueError(f"batches of {batch_size} pictures; at least 1 is needed")
    # The other reader goes on where one fails. Where decord may not read the part, PyAV follows
    # itself in a fresh process: whatever a failure left behind is gone with the old one.
    first, why = choose_reader(request.part, request.mode, config.reader)
    order = ReaderOrder(
        first,
        why,
        second="decord" if first == "pyav" and is_decord_usable(request.part) else "pyav",
        entry_points=READERS if entry_points is None else entry_points,
    )
    n_threads = config.n_threads or min(_n_cores(), _MAX_DECODERS)
    run = _Run(config, n_threads, pool)

    def trial(device: str | None) -> Trial:
        return _trial(request.first(_N_TRIED * n_threads), run, order, device)

    serving = DecoderPool(config.stall_timeout_s) if pool is None else pool
    asked = config.device if first == "pyav" else DecodeDevice.CPU  # decord has no devices
    on_device = serving.devices.choose(request.part, request.frame_index, asked, trial)
    return _decoding(request, run, order.on(on_device), batch_size)


@dataclass(frozen=True, slots=True)
class _Run:
    """What requests are decoded with: limits, cores and processes."""

    config: DecodeConfig
    n_threads: int
    pool: DecoderPool | None


def _decoding(request: DecodeRequest, run: _Run, order: ReaderOrder, batch_size: int) -> Decoding:
    config = run.config
    is_on_device = order.on_device is not None and order.on_device.device is not None
    # On a device cores do not matter: its decoders do, and more sessions than those only take
    # turns.
    n_processes = min(run.n_threads, _MAX_SESSIONS) if is_on_device else run.n_threads
    shares = share_pictures(
        request.part.is_key,
        request.frame_index,
        n_processes,
        max(1, min(batch_size, _SEGMENT, len(request) // (2 * n_processes))),
    )
    whole = read_request(
        request.part,
        request.frame_index,
        request.crop,
        (request.height_px, request.width_px),
        shares.n_threads,
        config.max_width_px * config.max_height_px,
    )
    serving = DecoderPool(config.stall_timeout_s) if run.pool is None else run.pool
    tally = _Tally(request.part_index, serving.devices)
    n_wanted = min(config.ring_batches * batch_size, len(request))
    # What is decoded ahead is bounded in bytes, not in pictures: 4K pictures for a person and 320
    # px pictures for a network go through the same ring.
    n_slots = n_ring_slots(n_wanted, request.height_px, request.width_px)
    streams = tuple(
        SampleStream(
            replace(whole, wanted=request.frame_index[rows]),
            request.time_s[rows],
            request.part_index,
            order,
            config,
            n_slots,
            serving,
            tally.failures,
        )
        for rows in shares.rows
    )
    own_pool = serving if run.pool is None else None
    batches = _assembled(request, streams, shares.turns, own_pool, batch_size, tally)
    return Decoding(batches, tally)


def _trial(request: DecodeRequest, run: _Run, order: ReaderOrder, device: str | None) -> Trial:
    """Decode pictures on a device, or on the processor if None."""
    failures: list[str] = []
    choice = DeviceChoice(device, "", failures.append)
    with _decoding(request, run, order.on(choice), 1) as decoding:
        # The clock starts after the first batch: a device is opened once, and the question is what
        # every picture after that costs.
        batches = [next(decoding)]
        started_s = time.perf_counter()
        batches.extend(decoding)
    duration_s = time.perf_counter() - started_s
    outcome = decoding.outcome
    is_sound = outcome.n_corrupt == outcome.n_undecoded == 0
    rgb = np.concatenate([batch.rgb for batch in batches])
    return Trial(rgb, is_sound, duration_s, failures[0] if failures else None)


def try_device(request: DecodeRequest, config: DecodeConfig, device: str | None) -> Trial:
    """Decode the pictures of a request on a device, or on the processor if None."""
    order = ReaderOrder("pyav", "", second="pyav", entry_points=READERS)
    return _trial(request, _Run(config, 1, None), order, device)


def _n_cores() -> int:
    """Return how many cores this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decode_stills(
    part: PartIndex,
    frame_index: IntArray,
    config: DecodeConfig,
    *,
    height_px: int,
    width_px: int,
    crop: PixelBox | None = None,
    part_index: int = 0,
    start_s: float = 0.0,
    pool: DecoderPool | None = None,
) -> FrameBatch:
    """Decode a few pictures at once, in the order asked for.

    Parameters
    ----------
    part, part_index
        The part and its number in the case.
    frame_index
        (n,) int64 positions in the part's index, in any order, repeats allowed.
    config
        Choice of the reader, threads and limits.
    height_px, width_px
        Size to which the crop is scaled.
    crop
        Rectangle of the upright picture; the whole picture if None.
    start_s
        Where the part starts on the case clock.
    pool
        As for `decode`.

    Returns
    -------
    FrameBatch
        n pictures; `sample_index` counts them.
    """
    # Readers want increasing frame indices without repeats; the caller's order is restored at the
    # end.
    unique, inverse = np.unique(np.asarray(frame_index, dtype=np.int64), return_inverse=True)
    request = DecodeRequest(
        part=part,
        part_index=part_index,
        frame_index=unique,
        sample_index=np.arange(len(unique)),
        time_s=start_s + part.time_s[unique],
        crop=crop,
        height_px=height_px,
        width_px=width_px,
        mode=SamplingMode.KEYFRAMES,
    )
    on_processor = replace(config, device=DecodeDevice.CPU)  # a device takes longer to start
    with decode(request, on_processor, max(1, len(unique)), pool=pool) as decoding:
        batches = list(decoding)
    if not batches:
        raise ValueError("no picture was asked for")
    batch = batches[0]
    return FrameBatch(
        rgb=batch.rgb[inverse],
        sample_index=np.arange(len(inverse)),
        time_s=batch.time_s[inverse],
        part_index=batch.part_index[inverse],
        is_decoded=batch.is_decoded[inverse],
        is_corrupt=batch.is_corrupt[inverse],
    )
