"""Pictures of a part, decoded in a process of its own that may hang, die or swell unharmed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from ubereport.config import DecodeConfig, SamplingMode
from ubereport.core.arrays import FloatArray, IntArray, frozen_array
from ubereport.core.case import ReaderUse
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.fallback import ReaderOrder, Sample, SampleStream
from ubereport.video.reader import READERS, choose_reader, is_decord_usable, read_request
from ubereport.video.ring import PictureRing, n_ring_slots

__all__ = ["DecodeOutcome", "DecodeRequest", "Decoding", "decode", "decode_stills"]


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
        object.__setattr__(self, "frame_index", frozen_array(self.frame_index, np.int64))
        object.__setattr__(self, "sample_index", frozen_array(self.sample_index, np.int64))
        object.__setattr__(self, "time_s", frozen_array(self.time_s, np.float64))
        if not len(self.frame_index) == len(self.sample_index) == len(self.time_s):
            raise ValueError("frame_index, sample_index and time_s differ in length")
        if self.height_px < 1 or self.width_px < 1:
            raise ValueError(f"pictures of {self.width_px} × {self.height_px} px")

    def __len__(self) -> int:
        return len(self.frame_index)


@dataclass(frozen=True, slots=True)
class DecodeOutcome:
    """Who decoded which stretch, what failed, and how many samples are missing or damaged."""

    uses: tuple[ReaderUse, ...]
    failures: tuple[str, ...]
    n_undecoded: int
    n_corrupt: int


@dataclass(slots=True)
class _Tally:
    n_undecoded: int = 0
    n_corrupt: int = 0


class Decoding(Iterator[FrameBatch]):
    """Batches of one part as they are decoded; close it, or use it in a ``with`` statement.

    Every sample asked for comes once and in order; those that no reader could give have
    `is_decoded` False. The decoding process ends with the iteration, with `close`, and with
    garbage collection.
    """

    def __init__(
        self, request: DecodeRequest, stream: SampleStream, batch_size: int, n_slots: int
    ) -> None:
        self._stream = stream
        self._tally = _Tally()
        # Knows nothing of this object: forgetting it must end the process at once.
        self._batches = _assembled(request, stream, batch_size, n_slots, self._tally)

    @property
    def outcome(self) -> DecodeOutcome:
        """What happened so far; complete when the iteration has ended."""
        return DecodeOutcome(
            tuple(self._stream.uses),
            tuple(self._stream.failures),
            self._tally.n_undecoded,
            self._tally.n_corrupt,
        )

    def __next__(self) -> FrameBatch:
        return next(self._batches)

    def close(self) -> None:
        """End the decoding process."""
        self._batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _assembled(
    request: DecodeRequest, stream: SampleStream, batch_size: int, n_slots: int, tally: _Tally
) -> Generator[FrameBatch, None, None]:
    with PictureRing(n_slots, request.height_px, request.width_px) as ring:
        samples = stream.samples(ring)
        try:
            for start in range(0, len(request), batch_size):
                yield _batch(request, slice(start, start + batch_size), samples, ring, tally)
            next(samples, None)  # lets the reader end by itself and its use be noted
        finally:
            samples.close()


def _batch(
    request: DecodeRequest,
    rows: slice,
    samples: Iterator[Sample],
    ring: PictureRing,
    tally: _Tally,
) -> FrameBatch:
    sample_index = request.sample_index[rows]
    n = len(sample_index)
    rgb = np.zeros((n, request.height_px, request.width_px, 3), dtype=np.uint8)
    is_decoded, is_corrupt = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for row, sample in zip(range(n), samples, strict=False):
        if sample.ring_number is not None:
            ring.copy_to(sample.ring_number, rgb[row])
            is_decoded[row] = True
        is_corrupt[row] = sample.is_corrupt
    tally.n_undecoded += n - int(is_decoded.sum())
    tally.n_corrupt += int(is_corrupt.sum())
    return FrameBatch(
        rgb=rgb,
        sample_index=sample_index,
        time_s=request.time_s[rows],
        part_index=np.full(n, request.part_index, dtype=np.int64),
        is_decoded=is_decoded,
        is_corrupt=is_corrupt,
    )


def decode(
    request: DecodeRequest,
    config: DecodeConfig,
    batch_size: int,
    on_reader: Callable[[str, str], None] | None = None,
    entry_points: Mapping[str, str] | None = None,
) -> Decoding:
    """Decode the pictures of a request, in a process of its own.

    The process is killed when it stays silent for `config.stall_timeout_s`, may take
    `config.memory_mib`, and hands over through a ring of at most `config.ring_batches` batches,
    so that memory stays flat however slow the consumer is. When it fails, the other reader goes
    on from the last good sample where it may read the part at all, else PyAV starts afresh.
    Where both fail at the same picture, all up to the next keyframe is given up.

    Parameters
    ----------
    request
        What is wanted.
    config
        Choice of the reader, threads and limits.
    batch_size
        Samples in a batch; the last may be smaller.
    on_reader
        Called with the name of a reader and the reason whenever one starts.
    entry_points
        ``module:function`` of the readers by name, for tests.

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
    first, why = choose_reader(request.part, request.mode, config.reader)
    order = ReaderOrder(
        first,
        why,
        second="decord" if first == "pyav" and is_decord_usable(request.part) else "pyav",
        entry_points=READERS if entry_points is None else entry_points,
    )
    whole = read_request(
        request.part,
        request.frame_index,
        request.crop,
        (request.height_px, request.width_px),
        config.n_threads,
        config.max_width_px * config.max_height_px,
    )
    stream = SampleStream(whole, request.time_s, request.part_index, order, config, on_reader)
    n_wanted = min(config.ring_batches * batch_size, len(request))
    n_slots = n_ring_slots(n_wanted, request.height_px, request.width_px)
    return Decoding(request, stream, batch_size, n_slots)


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

    Returns
    -------
    FrameBatch
        n pictures; `sample_index` counts them.
    """
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
    with decode(request, config, max(1, len(unique))) as decoding:
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
