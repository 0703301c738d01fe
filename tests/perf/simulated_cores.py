"""How long measuring takes on many cores: decoding processes and the network sleep.

    python -m tests.perf.simulated_cores [--cores 2 16] [--minutes 10]

Everything else is the real thing: passes, processes, hand-over, judging of pictures. A machine of
two cores can so tell how a plan spreads over sixteen, but for judging, which shares the two.
"""

import argparse
import tempfile
import time
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np

from tests.perf import sleeping_reader
from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.measurer import Measurer
from ubereport.analysis.opened_case import candidates_of
from ubereport.analysis.sampling import MeasuredCase, measure_case
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.choices import SamplingMode
from ubereport.core.config import AnalysisConfig, SamplingConfig
from ubereport.core.frames import FieldOfView, FieldShape, PixelBox
from ubereport.core.progress import silent
from ubereport.core.recording import PartIndex, RecordingIndex, VideoFormat
from ubereport.files.kept_files import KeptFiles
from ubereport.video.pool import DecoderPool
from ubereport.video.timeline import place_parts

RATE_HZ = 30
SIZE_PX = 192
NETWORK_S = 0.012
RECORDINGS = ("quiet", "restless")


class SleepingPredictor:
    """Reads the area that the picture carries, after as long as a network takes on all cores."""

    def __init__(self, n_cores: int) -> None:
        self._picture_s = NETWORK_S / n_cores

    def areas(self, rgb: np.ndarray, field_mask: np.ndarray) -> np.ndarray:
        time.sleep(self._picture_s * len(rgb))
        area_frac = rgb[:, 0, 0, 0] / sleeping_reader.CODE_LEVELS
        return np.repeat(area_frac[:, np.newaxis], 4, axis=1)


def recording(minutes: float, group_s: float = 1.5) -> RecordingIndex:
    n = round(60 * minutes * RATE_HZ)
    part = PartIndex(
        path=Path("asleep.mp4"),
        sha256="0" * 64,
        size_bytes=1,
        video=VideoFormat("mov,mp4", "h264", "yuv420p", 1920, 1080, 8, 0, False, "bt709", "limited",
                          Fraction(1), None),
        time_base_s=Fraction(1, RATE_HZ),
        pts=np.arange(n),
        time_s=np.arange(n) / RATE_HZ,
        is_key=np.arange(n) % round(group_s * RATE_HZ) == 0,
        duration_s=n / RATE_HZ,
        declared_duration_s=None,
        declared_n_frames=None,
        gaps=(),
    )  # fmt: skip
    return RecordingIndex((part,))


def measured(
    index: RecordingIndex, kind: str, mode: SamplingMode, n_cores: int, pool: DecoderPool
) -> tuple[float, MeasuredCase]:
    """Return the wall time of measuring, and what came out."""
    config = AnalysisConfig(sampling=SamplingConfig(mode))
    config = replace(config, decode=replace(config.decode, n_threads=n_cores))
    timeline = place_parts(index)
    mask = np.ones((SIZE_PX, SIZE_PX), dtype=bool)
    field = FieldOfView(FieldShape.FULL, PixelBox(0, 0, 1920, 1080), 1920, 1080, mask, 1.0)
    network: Future = Future()
    network.set_result(SleepingPredictor(n_cores))
    stretch = FieldStretch(0, timeline.parts[0].interval, field)
    readers = {"pyav": f"tests.perf.sleeping_reader:{kind}", "decord": "absent:absent"}
    with (
        tempfile.TemporaryDirectory() as work,
        mock.patch("ubereport.video.decode.READERS", readers),
    ):
        measurer = Measurer(
            index,
            candidates_of(index, timeline, config),
            network,
            (SIZE_PX, SIZE_PX),
            config,
            Checkpoint(KeptFiles(Path(work), "0")),
            pool,
        )
        started = time.perf_counter()
        found = measure_case(measurer, [stretch], silent)
        return time.perf_counter() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    warm = recording(0.5)
    index = recording(given.minutes)
    for n_cores in given.cores:
        for kind in RECORDINGS:
            with DecoderPool(60.0) as pool:
                measured(warm, kind, SamplingMode.UNIFORM, n_cores, pool)
                for mode in (SamplingMode.UNIFORM, SamplingMode.ADAPTIVE):
                    wall_s, found = measured(index, kind, mode, n_cores, pool)
                    valid = np.mean([not reason for reason in found.measurement.reason])
                    print(
                        f"{n_cores} cores, {kind}: {wall_s:.1f} s, {valid:.0%} valid, "
                        f"{found.plan.why}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
