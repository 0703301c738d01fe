"""Frames to areas: decode, judge, segment, one chunk after the other, kept as they are done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from ubereport.analysis.checkpoint import Checkpoint, Chunk, ChunkPlace
from ubereport.analysis.decode_report import DecodeReport
from ubereport.analysis.measurement import Measurement
from ubereport.analysis.view.validity import Look, ViewMemory, look_at
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze
from ubereport.core.config import AnalysisConfig
from ubereport.core.frames import FieldOfView, FrameBatch
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.core.recording import RecordingIndex
from ubereport.segmentation.predictor import Predictor
from ubereport.segmentation.routes import batch_size_for
from ubereport.video.candidates import Candidates
from ubereport.video.decode import DecodeOutcome, DecodeRequest, Decoding, decode
from ubereport.video.pool import DecoderPool

BATCHES_PER_CHUNK = 16
# Judged while the network looks at the one before, or still loads; more would only take memory.
BATCHES_AHEAD = 3
BATCHES_WHILE_LOADING = 16


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """The pictures of one pass over the case.

    Parameters
    ----------
    pass_index
        0 for the first pass.
    rows
        (n,) increasing rows of the case's candidates.
    is_new
        (n,) bool; the others were looked at before and are only compared with their neighbors.
    """

    pass_index: int
    rows: IntArray
    is_new: BoolArray

    def __post_init__(self) -> None:
        freeze(self, np.int64, "rows")
        freeze(self, np.bool_, "is_new")
        if self.rows.shape != self.is_new.shape:
            raise ValueError("rows and is_new differ in length")


@dataclass(slots=True)
class PassProgress:
    """How far the passes are, counted in seconds of recording.

    Nobody knows how many pictures the passes after the first will want: a pass counts for
    `share` of what is left when it starts.
    """

    total_s: float
    on_progress: ProgressHook
    started: float = field(default_factory=time.perf_counter)
    base_s: float = 0.0
    pass_s: float = 0.0
    resumed_s: float = 0.0
    n_frames: int = 0
    n_due: int = 1
    n_done: int = 0

    def start(self, n_due: int, share: float) -> None:
        """Begin a pass over `n_due` pictures."""
        self.base_s += self.pass_s
        self.pass_s = (self.total_s - self.base_s) * share
        self.n_due, self.n_done = max(1, n_due), 0

    def advance(self, n: int, is_resumed: bool) -> None:
        """Note `n` pictures, and whether an earlier run had looked at them."""
        self.n_done += n
        if is_resumed:
            self.resumed_s += n / self.n_due * self.pass_s
        else:
            self.n_frames += n

    def tell(self, is_over: bool = False) -> None:
        """Tell the hook."""
        done_s = self.base_s + self.n_done / self.n_due * self.pass_s
        self.on_progress(
            Progress(
                Stage.MEASURE,
                self.total_s if is_over else done_s,
                self.total_s,
                self.n_frames,
                time.perf_counter() - self.started,
                self.resumed_s,
            )
        )


@dataclass(slots=True)
class _Run:
    """One stretch in work: its samples, where the next chunk starts, and what it remembers.

    `decoding` is at work on all samples that no earlier run had measured.
    """

    pass_index: int
    number: int
    stretch: FieldStretch
    rows: IntArray
    is_new: BoolArray
    start: int = 0
    memory: ViewMemory = field(default_factory=ViewMemory)
    n_failures_told: int = 0
    decoding: Decoding | None = None

    @property
    def place(self) -> ChunkPlace:
        return ChunkPlace(self.pass_index, self.number, self.start)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A batch that was judged, and what the network is still to say of it.

    `memory` and `outcome` are those of the moment at which the batch was taken.
    """

    batch: FrameBatch
    look: Look
    memory: ViewMemory
    outcome: DecodeOutcome
    areas: Future[FloatArray]

    def measured(self) -> Measurement:
        """Wait for the network and return what was measured."""
        batch, look = self.batch, self.look
        return Measurement(
            self.areas.result(),
            look.reason,
            is_undecoded=~batch.is_decoded,
            is_corrupt=batch.is_decoded & batch.is_corrupt,
            moved_frac=look.moved_frac,
            moved_from_s=look.moved_from_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Measurer:
    """Measures pictures pass by pass, stretch by stretch of one field of view.

    Chunks and the batches in them lie at fixed places of a pass, so that an interrupted case
    gives the same bytes as an undisturbed one. `predictor` may still be loading while the first
    pictures are decoded; `size_px` (height, width) is what it takes.
    """

    index: RecordingIndex
    candidates: Candidates
    predictor: Future[Predictor]
    size_px: tuple[int, int]
    config: AnalysisConfig
    checkpoint: Checkpoint
    decoders: DecoderPool | None = None

    def measure(
        self, looks: Looks, stretches: Sequence[FieldStretch], told: PassProgress
    ) -> tuple[Measurement, DecodeReport]:
        """Measure all pictures of a pass; `stretches` cover the case in time order.

        Raises
        ------
        DecodeError
            If no reader can decode at all.
        PredictionError, BundleError, DependencyError
            If the network cannot be loaded, or its answer not be trusted.
        OutputError
            If the checkpoint cannot be written.
        """
        runs = [self._run(looks, number, stretch) for number, stretch in enumerate(stretches)]
        kept = [list(self._stored(run, told)) for run in runs]
        told.tell()
        chunks: list[Chunk] = []
        # One thread asks the network, so that answers come in the order of the batches; it spends
        # its time outside of Python's lock, while this one judges the next pictures.
        with ThreadPoolExecutor(1) as asking, ExitStack() as at_work:
            for run, stored, following in zip(runs, kept, [*runs[1:], None], strict=True):
                chunks.extend(stored)
                if run.start == len(run.rows):
                    continue
                # The next stretch begins where processes are idle while this one ends.
                for begun in (run, following):
                    if begun is not None:
                        self._begin(begun, at_work)
                chunks.extend(self._fresh(run, asking, told))
        measured = Measurement.concatenate(c.measurement for c in chunks)
        return measured, DecodeReport.joined(c.decoded for c in chunks)

    def _run(self, looks: Looks, number: int, stretch: FieldStretch) -> _Run:
        inside = self._inside(looks.rows, stretch)
        return _Run(looks.pass_index, number, stretch, looks.rows[inside], looks.is_new[inside])

    def _inside(self, rows: IntArray, stretch: FieldStretch) -> IntArray:
        time_s = self.candidates.time_s[rows]
        return np.flatnonzero(
            (self.candidates.part_index[rows] == stretch.part_index)
            & (time_s >= stretch.interval.start_s)
            & (time_s < stretch.interval.end_s)
        )

    def _stored(self, run: _Run, told: PassProgress) -> Iterator[Chunk]:
        """Yield what an earlier run left, from the start up to the first chunk that is missing."""
        while run.start < len(run.rows):
            chunk = self.checkpoint.load(run.place)
            # Chunks behind a missing one are measured again although they may exist: the view's
            # memory runs from chunk to chunk without a hole.
            if chunk is None:
                return
            yield chunk
            run.memory = ViewMemory.from_arrays(chunk.memory)
            run.start += len(chunk.measurement)
            told.advance(len(chunk.measurement), is_resumed=True)

    def _begin(self, run: _Run, at_work: ExitStack) -> None:
        """Let the processes decode what no earlier run had measured."""
        if run.decoding is None and run.start < len(run.rows):
            run.decoding = at_work.enter_context(self._decoding(run))
            run.decoding.start()

    def _fresh(self, run: _Run, asking: ThreadPoolExecutor, told: PassProgress) -> Iterator[Chunk]:
        pieces: list[Measurement] = []
        at = run.start
        for judged in self._judged(run, asking):
            pieces.append(judged.measured())
            at += len(pieces[-1])
            told.advance(len(pieces[-1]), is_resumed=False)
            told.tell()
            if len(pieces) == BATCHES_PER_CHUNK or at == len(run.rows):
                chunk = self._chunk(run, Measurement.concatenate(pieces), judged)
                self.checkpoint.save(run.place, chunk)
                yield chunk
                run.start, pieces = at, []

    def _judged(self, run: _Run, asking: ThreadPoolExecutor) -> Iterator[_Judged]:
        """Yield batches in order; the network looks at one while the next ones are judged."""
        decoding, waiting = run.decoding, deque[_Judged]()
        if decoding is None:
            return
        memory, at = run.memory, run.start
        for batch in decoding:
            look, memory = look_at(batch, run.stretch.field, self.config.validity, memory)
            # Pictures that are looked at again for a comparison keep their area: asking the network
            # twice would cost its time and bring the same number.
            is_asked = run.is_new[at : at + len(batch)] & look.is_usable
            areas = asking.submit(self._areas, batch, is_asked, run.stretch.field)
            # The outcome is taken with the batch and not when its areas are there: decoding has
            # gone on meanwhile, and a chunk must not tell of failures that belong to the next.
            waiting.append(_Judged(batch, look, memory, decoding.outcome, areas))
            at += len(batch)
            # Judging runs ahead of the network by a few batches, by more while the network still
            # loads: its four seconds are then spent decoding.
            n_ahead = BATCHES_AHEAD if self.predictor.done() else BATCHES_WHILE_LOADING
            while len(waiting) >= n_ahead:
                yield waiting.popleft()
        yield from waiting

    def _areas(self, batch: FrameBatch, is_asked: BoolArray, field: FieldOfView) -> FloatArray:
        area_frac = np.full((len(batch), 4), np.nan)
        if is_asked.any():
            # Only usable pictures go to the network; a lost view has no area, not one of 0.
            rgb = batch.rgb if is_asked.all() else batch.rgb[is_asked]
            area_frac[is_asked] = self.predictor.result().areas(rgb, field.mask)
        return area_frac

    def _chunk(self, run: _Run, measurement: Measurement, last_batch: _Judged) -> Chunk:
        first, last = run.start, run.start + len(measurement) - 1
        start_s = self.candidates.time_s[run.rows]
        end_s = start_s + self.candidates.durations_s(run.rows)
        outcome = last_batch.outcome
        report = DecodeReport(outcome.uses, outcome.failures[run.n_failures_told :])
        # The outcome counts from the start of the stretch; a chunk keeps only what is new in it.
        run.n_failures_told = len(outcome.failures)
        report = report.within(float(start_s[first]), float(end_s[last])).extended_to(
            float(end_s[last])
        )
        return Chunk(measurement, last_batch.memory.to_arrays(), report)

    def _decoding(self, run: _Run) -> Decoding:
        rows, part_index = run.rows[run.start :], run.stretch.part_index
        request = DecodeRequest(
            part=self.index.parts[part_index],
            part_index=part_index,
            frame_index=self.candidates.frame_index[rows],
            sample_index=rows,
            time_s=self.candidates.time_s[rows],
            crop=run.stretch.field.crop,
            height_px=self.size_px[0],
            width_px=self.size_px[1],
            mode=self.config.sampling.mode,
        )
        return decode(
            request,
            self.config.decode,
            batch_size_for(self.config.segmentation),
            pool=self.decoders,
        )
