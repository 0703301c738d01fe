"""What is known of a case before its pictures are measured: index, clock, candidates, bundle."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ubereport.analysis.refine import coarse_gap_s
from ubereport.core.arrays import IntArray
from ubereport.core.case import SCHEMA_VERSION
from ubereport.core.config import AnalysisConfig, SamplingMode, config_sha256
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.core.recording import RecordingIndex, Timeline
from ubereport.core.version import __version__
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.predictor import Predictor, open_predictor
from ubereport.segmentation.shared_network import NetworkAddress, SharedPredictor
from ubereport.video.candidates import (
    Candidates,
    adaptive_candidates,
    keyframe_candidates,
    uniform_candidates,
)
from ubereport.video.decode import decode_stills
from ubereport.video.index import index_recording
from ubereport.video.picture_scaling import display_size
from ubereport.video.pool import DecoderPool
from ubereport.video.timeline import LostStretch, lost_stretches, place_parts


class PredictorLoading:
    """The promise of a predictor; its libraries take four seconds of one core.

    Parameters
    ----------
    load
        Loads the predictor.
    """

    def __init__(self, load: Callable[[], Predictor]) -> None:
        self._load = load
        self._loading: Future[Predictor] | None = None

    def begin(self) -> Future[Predictor]:
        """Begin to load, the first time; return the promise, which raises as `load` does.

        Nobody waits for a thread whose predictor is not needed after all.
        """
        if self._loading is None:
            thread = ThreadPoolExecutor(1)
            self._loading = thread.submit(self._load)
            thread.shutdown(wait=False)
        return self._loading


@dataclass(frozen=True, slots=True, eq=False)
class OpenedCase:
    """Everything that decides the numbers of a case; `fingerprint` is its hex digest.

    `running` is `config` with the threads that this run may use: they decide how long a case
    takes, not what comes out, so the record keeps `config`. `loading` gives the predictor;
    `decoders` are the processes that decode it.
    """

    config: AnalysisConfig
    running: AnalysisConfig
    bundle: Bundle
    index: RecordingIndex
    timeline: Timeline
    candidates: Candidates
    lost: tuple[LostStretch, ...]
    fingerprint: str
    index_s: float
    loading: PredictorLoading
    decoders: DecoderPool

    def small_pictures(
        self, part_index: int, frame_index: IntArray, crop: PixelBox, width_px: int
    ) -> FrameBatch:
        """Decode some pictures of a part inside `crop`, `width_px` wide at most."""
        size_px = display_size(crop.width_px, crop.height_px, width_px)
        return self.pictures_of_size(part_index, frame_index, crop, size_px)

    def pictures_of_size(
        self, part_index: int, frame_index: IntArray, crop: PixelBox, size_px: tuple[int, int]
    ) -> FrameBatch:
        """Decode some pictures of a part inside `crop`, stretched to (height, width) `size_px`."""
        height_px, width_px = size_px
        return decode_stills(
            self.index.parts[part_index],
            frame_index,
            self.running.decode,
            height_px=height_px,
            width_px=width_px,
            crop=crop,
            part_index=part_index,
            pool=self.decoders,
        )


@contextmanager
def open_case(
    parts: Sequence[Path],
    config: AnalysisConfig,
    on_progress: ProgressHook,
    n_threads: int = 0,
    *,
    network: NetworkAddress | None = None,
    is_loaded_at_once: bool = False,
) -> Iterator[OpenedCase]:
    """Index the parts, place them on one clock, plan the samples, check the bundle.

    Leaving the context ends the decoding processes.

    `n_threads` bounds the cores that decoding and the network use; 0 leaves it to `config`.
    `network` is where a network that several cases share answers; None loads one for this case,
    before anything else where `is_loaded_at_once`, else when it is first asked for.

    Raises
    ------
    RecordingError
        If a part cannot be read.
    ModelError
        If the bundle is missing or altered.
    """
    started = time.perf_counter()
    on_progress(Progress(Stage.INDEX, 0.0, 1.0, 0, 0.0))
    # The bundle comes first: a wrong name is told at once and not after minutes of indexing.
    bundle = load_bundle(find_bundle(config.segmentation.model))
    running = _bounded(config, n_threads)
    loading = PredictorLoading(lambda: _predictor(bundle, running, network))
    # A network's libraries load while the index is read; a case that may be finished already would
    # load them for nothing.
    if is_loaded_at_once:
        loading.begin()
    index = index_recording(parts, config.decode)
    timeline = place_parts(index)
    elapsed_s = time.perf_counter() - started
    on_progress(Progress(Stage.INDEX, 1.0, 1.0, 0, elapsed_s))
    with DecoderPool(config.decode.stall_timeout_s) as decoders:
        yield OpenedCase(
            config=config,
            running=running,
            bundle=bundle,
            index=index,
            timeline=timeline,
            candidates=candidates_of(index, timeline, config),
            lost=tuple(lost_stretches(index, timeline)),
            fingerprint=fingerprint(index, bundle, config),
            index_s=elapsed_s,
            loading=loading,
            decoders=decoders,
        )


def recorded_s(parts: Sequence[Path], config: AnalysisConfig) -> float:
    """Return how long the parts of a case are together; no picture is decoded.

    Raises
    ------
    RecordingError
        If a part cannot be read.
    """
    return sum(part.duration_s for part in index_recording(parts, config.decode).parts)


def fingerprint(index: RecordingIndex, bundle: Bundle, config: AnalysisConfig) -> str:
    """Return the digest of everything that decides the numbers: recording, bundle, settings."""
    # Of the recording its hashes alone: a file that was renamed or moved is the same case.
    parts = [part.sha256 for part in index.parts]
    model = [digest for digest in (bundle.sha256, bundle.instruments_sha256) if digest]
    # The same weights may be shipped under another version with other thresholds, another size of
    # the picture, a rule of presence or another network around them.
    stated = bundle.metadata
    size_px = (stated.input_height_px, stated.input_width_px)
    model.append(
        f"{stated.thresholds} {stated.presence} {stated.test_time} {size_px} {stated.network}"
    )
    text = "\n".join([__version__, SCHEMA_VERSION, *model, config_sha256(config), *parts])
    return hashlib.sha256(text.encode()).hexdigest()


def _predictor(bundle: Bundle, config: AnalysisConfig, network: NetworkAddress | None) -> Predictor:
    if network is None:
        return open_predictor(bundle, config.segmentation)
    return SharedPredictor(network, bundle)


def _bounded(config: AnalysisConfig, n_threads: int) -> AnalysisConfig:
    if n_threads == 0:
        return config
    return replace(
        config,
        decode=replace(
            config.decode, n_threads=min(config.decode.n_threads or n_threads, n_threads)
        ),
        segmentation=replace(config.segmentation, n_threads=n_threads),
    )


def candidates_of(index: RecordingIndex, timeline: Timeline, config: AnalysisConfig) -> Candidates:
    """Return the pictures that a case may look at under the sampling of `config`."""
    sampling = config.sampling
    if sampling.mode is SamplingMode.KEYFRAMES:
        return keyframe_candidates(index, timeline)
    if sampling.mode is SamplingMode.UNIFORM:
        return uniform_candidates(index, timeline, sampling.rate_hz)
    gap_s = coarse_gap_s(config.events, sampling)
    return adaptive_candidates(index, timeline, sampling.rate_hz, gap_s)
