"""Frames to areas: decode, judge, segment, one chunk after the other, kept as they are done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ubereport.analysis.checkpoint import Checkpoint, Chunk
from ubereport.analysis.decoded import DecodeReport
from ubereport.analysis.measurement import Measurement
from ubereport.analysis.progress import Progress, ProgressHook, Stage
from ubereport.analysis.views import FieldStretch
from ubereport.config import AnalysisConfig
from ubereport.core.arrays import IntArray
from ubereport.core.case import ReaderUse
from ubereport.core.frames import FrameBatch, SamplingPlan
from ubereport.core.recording import RecordingIndex
from ubereport.segmentation.predictor import Predictor
from ubereport.video.decode import DecodeRequest, Decoding, decode
from ubereport.view.validity import ViewMemory, assess, backdate_frozen

__all__ = ["Measurer"]

BATCHES_PER_CHUNK = 16


@dataclass(slots=True)
class _Tally:
    """Progress of this run."""

    total_s: float
    started: float
    done_s: float = 0.0
    resumed_s: float = 0.0
    n_frames: int = 0

    def progress(self) -> Progress:
        elapsed_s = time.perf_counter() - self.started
        return Progress(
            Stage.MEASURE, self.done_s, self.total_s, self.n_frames, elapsed_s, self.resumed_s
        )


@dataclass(slots=True)
class _Run:
    """One stretch in work: its samples, where the next chunk starts, and what it remembers."""

    number: int
    stretch: FieldStretch
    samples: IntArray
    start: int = 0
    memory: ViewMemory = field(default_factory=ViewMemory)
    reader: tuple[str, str] = ("", "")
    n_failures_told: int = 0

    def note_reader(self, name: str, why: str) -> None:
        """Remember which reader is at work."""
        self.reader = (name, why)


@dataclass(frozen=True, slots=True, eq=False)
class Measurer:
    """Measures the samples of a plan, stretch by stretch of one field of view.

    Chunks and the batches in them lie at fixed places of the plan, so that an interrupted case
    gives the same bytes as an undisturbed one.
    """

    index: RecordingIndex
    predictor: Predictor
    config: AnalysisConfig
    checkpoint: Checkpoint
    on_progress: ProgressHook

    def measure(
        self, plan: SamplingPlan, stretches: Sequence[FieldStretch]
    ) -> tuple[Measurement, DecodeReport]:
        """Measure every sample of `plan`; `stretches` cover it in time order.

        Raises
        ------
        DecodeError
            If no reader can decode at all.
        PredictionError
            If the network's answer cannot be trusted.
        OutputError
            If the checkpoint cannot be written.
        """
        tally = _Tally(float(plan.duration_s.sum()), time.perf_counter())
        chunks: list[Chunk] = []
        for number, stretch in enumerate(stretches):
            run = _Run(number, stretch, _samples_of(plan, stretch))
            chunks.extend(self._stored(plan, run, tally))
            self.on_progress(tally.progress())
            if run.start < len(run.samples):
                chunks.extend(self._fresh(plan, run, tally))
        measured = Measurement.concatenate(c.measurement for c in chunks)
        reason = backdate_frozen(plan.time_s, measured.reason, measured.still_since_s)
        return measured.with_reason(reason), DecodeReport.joined(c.decoded for c in chunks)

    def _stored(self, plan: SamplingPlan, run: _Run, tally: _Tally) -> Iterator[Chunk]:
        """Yield what an earlier run left, from the start up to the first chunk that is missing."""
        while run.start < len(run.samples):
            chunk = self.checkpoint.load(run.number, run.start)
            if chunk is None:
                return
            yield chunk
            run.memory = ViewMemory.from_arrays(chunk.memory)
            done = run.samples[run.start : run.start + len(chunk.measurement)]
            tally.done_s += float(plan.duration_s[done].sum())
            tally.resumed_s = tally.done_s
            run.start += len(chunk.measurement)

    def _fresh(self, plan: SamplingPlan, run: _Run, tally: _Tally) -> Iterator[Chunk]:
        pieces: list[Measurement] = []
        with self._decoding(plan, run) as decoding:
            for batch in decoding:
                measured, run.memory = self._measure_batch(batch, run)
                pieces.append(measured)
                tally.n_frames += len(batch)
                tally.done_s += float(plan.duration_s[batch.sample_index].sum())
                self.on_progress(tally.progress())
                n_done = sum(len(p) for p in pieces)
                if len(pieces) == BATCHES_PER_CHUNK or run.start + n_done == len(run.samples):
                    chunk = self._chunk(plan, run, Measurement.concatenate(pieces), decoding)
                    self.checkpoint.save(run.number, run.start, chunk)
                    yield chunk
                    run.start += n_done
                    pieces = []

    def _chunk(
        self, plan: SamplingPlan, run: _Run, measurement: Measurement, decoding: Decoding
    ) -> Chunk:
        samples = run.samples[run.start : run.start + len(measurement)]
        start_s = float(plan.time_s[samples[0]])
        end_s = float(plan.time_s[samples[-1]] + plan.duration_s[samples[-1]])
        outcome = decoding.outcome
        ended = DecodeReport(outcome.uses, outcome.failures[run.n_failures_told :])
        run.n_failures_told = len(outcome.failures)
        uses = ended.within(start_s, end_s).uses
        told_s = max((use.end_s for use in uses), default=start_s)
        if told_s < end_s:
            name, why = run.reader
            uses = (*uses, ReaderUse(run.stretch.part_index, name, told_s, end_s, why))
        return Chunk(measurement, run.memory.to_arrays(), DecodeReport(uses, ended.failures))

    def _decoding(self, plan: SamplingPlan, run: _Run) -> Decoding:
        samples, part_index = run.samples[run.start :], run.stretch.part_index
        request = DecodeRequest(
            part=self.index.parts[part_index],
            part_index=part_index,
            frame_index=plan.frame_index[samples],
            sample_index=samples,
            time_s=plan.time_s[samples],
            crop=run.stretch.field.crop,
            height_px=self.predictor.input_height_px,
            width_px=self.predictor.input_width_px,
            mode=self.config.sampling.mode,
        )
        batch_size = self.config.segmentation.batch_size
        return decode(request, self.config.decode, batch_size, run.note_reader)

    def _measure_batch(self, batch: FrameBatch, run: _Run) -> tuple[Measurement, ViewMemory]:
        view = run.stretch.field
        assessment, memory = assess(batch, view, self.config.validity, run.memory)
        area_frac = np.full((len(batch), 3), np.nan)
        is_valid = assessment.is_valid
        if is_valid.any():
            area_frac[is_valid] = self.predictor.areas(batch.rgb[is_valid], view.mask)
        measured = Measurement(
            area_frac,
            assessment.reason,
            is_undecoded=~batch.is_decoded,
            is_corrupt=batch.is_decoded & batch.is_corrupt,
            still_since_s=assessment.still_since_s,
        )
        return measured, memory


def _samples_of(plan: SamplingPlan, stretch: FieldStretch) -> IntArray:
    is_inside = (
        (plan.part_index == stretch.part_index)
        & (plan.time_s >= stretch.interval.start_s)
        & (plan.time_s < stretch.interval.end_s)
    )
    return np.flatnonzero(is_inside).astype(np.int64)
