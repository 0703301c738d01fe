"""The pipe of one case: recording → frames → areas → series → events, metrics → record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.derived_numbers import derive
from ubereport.analysis.key_frames import keep_key_frames
from ubereport.analysis.measurement import assemble_series
from ubereport.analysis.measurer import Measurer
from ubereport.analysis.opened_case import OpenedCase
from ubereport.analysis.part_joins import find_joins
from ubereport.analysis.sampling import MeasuredCase, measure_case
from ubereport.analysis.summaries import part_summaries, recording_flags
from ubereport.analysis.views import distribution_flag, fit_views
from ubereport.core.case import CaseRecord, Provenance, joined_parts
from ubereport.core.config import config_sha256, config_to_toml
from ubereport.core.progress import ProgressHook
from ubereport.core.version import __version__
from ubereport.segmentation.predictor import Predictor

LIBRARIES = (
    "av",
    "decord",
    "numpy",
    "opencv-python-headless",
    "segmentation-models-pytorch",
    "torch",
)


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedCase:
    """A case record, the files that go with it (name → bytes), and how long the stages took."""

    record: CaseRecord
    files: Mapping[str, bytes]
    stage_s: Mapping[str, float]


def analyze_case(
    opened: OpenedCase,
    case_id: str,
    checkpoint: Checkpoint,
    on_progress: ProgressHook,
) -> AnalyzedCase:
    """Measure an opened case and derive everything that its record holds.

    Raises
    ------
    DecodeError
        If no reader can decode the recording at all.
    ModelError
        If the bundle or its answers cannot be trusted.
    OutputError
        If work in progress cannot be kept.
    """
    watch = _Watch(opened.index_s)
    # Started here at the latest: what comes before the first picture of the network needs none.
    opening = opened.loading.begin()
    views = fit_views(opened, on_progress)
    watch.lap("fitting the field of view")
    joins = find_joins(opened, views.stretches)
    joined = joined_parts(joins)
    watch.lap("looking at the ends of parts")
    model = opened.bundle.metadata
    measurer = Measurer(
        opened.index,
        opened.candidates,
        opening,
        (model.input_height_px, model.input_width_px),
        opened.running,
        checkpoint,
        opened.decoders,
    )
    measured = measure_case(measurer, views.stretches, on_progress, joined)
    # Asked for even if no picture was usable: a network that cannot be loaded is an error of the
    # case and not a case without blood.
    predictor = opening.result()
    watch.lap("measuring")
    series = assemble_series(
        measured.plan,
        measured.measurement,
        opened.lost,
        joined,
        has_tissue=model.instruments is not None,
    )
    parts = part_summaries(
        opened.index, opened.timeline, views.stretches, measured.plan, measured.measurement
    )
    derived = derive(series, opened.config.events, opened.config.metrics)
    watch.lap("events and metrics")
    key_frames, files = keep_key_frames(
        opened, predictor, views.stretches, series, derived.events, on_progress
    )
    watch.lap("keeping key frames")
    record = CaseRecord(
        case_id=case_id,
        parts=parts,
        pauses=opened.timeline.pauses,
        series=series,
        events=derived.events,
        metrics=derived.metrics,
        flags=(
            *recording_flags(parts, opened.index, views.changes_s, measured.decoded.failures),
            *distribution_flag(opened.bundle, views),
            *derived.flags,
        ),
        key_frames=key_frames,
        provenance=_provenance(opened, predictor, measured),
        joins=joins,
    )
    return AnalyzedCase(record, files, watch.laps)


def _provenance(opened: OpenedCase, predictor: Predictor, measured: MeasuredCase) -> Provenance:
    return Provenance(
        ubereport_version=__version__,
        library_versions=_versions(),
        model=opened.bundle.summary(),
        config_toml=config_to_toml(opened.config),
        config_sha256=config_sha256(opened.config),
        device=predictor.device,
        precision=predictor.precision,
        sampling=measured.plan.why,
        readers=measured.decoded.uses,
        decode_failures=measured.decoded.failures,
    )


def _versions() -> tuple[tuple[str, str], ...]:
    versions = []
    for name in LIBRARIES:
        try:
            versions.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            versions.append((name, "absent"))
    return tuple(versions)


class _Watch:
    """Wall seconds of each stage."""

    def __init__(self, index_s: float) -> None:
        self.laps: dict[str, float] = {"reading the packet index": index_s}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = now - self._last
        self._last = now
