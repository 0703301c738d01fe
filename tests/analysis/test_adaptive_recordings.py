"""Adaptive against uniform sampling on recordings whose keyframes lie where they please."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import BLEED_END_S, BLEED_START_S, HEIGHT_PX, RATE_HZ, WIDTH_PX, scene

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.opened_case import open_case
from ubereport.analysis.pipeline import analyze_case
from ubereport.core.case import CaseRecord
from ubereport.core.config import (
    AnalysisConfig,
    RecordsConfig,
    SamplingConfig,
    SamplingMode,
    SegmentationConfig,
)
from ubereport.core.progress import silent
from ubereport.files.kept_files import KeptFiles
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

pytestmark = pytest.mark.slow
CONFIG = AnalysisConfig(
    segmentation=SegmentationConfig(model="hsv-red"), records=RecordsConfig(is_frames_kept=False)
)
N_PICTURES = 36 * RATE_HZ


def write(path: Path, group: int, ticks_ms: list[int] | None = None, **options: str) -> Path:
    """36 s with the known bleed; a keyframe every `group` pictures and nowhere else."""
    coding = {"crf": "12", "g": str(group), "keyint_min": str(group), "sc_threshold": "0"}
    base_s = Fraction(1, 1000)
    with VideoWriter(
        path,
        EncoderSpec(
            WIDTH_PX, HEIGHT_PX, RATE_HZ, options={**coding, **options}, time_base_s=base_s
        ),
    ) as writer:
        times_ms = [round(1000 * i / RATE_HZ) for i in range(N_PICTURES)]
        for time_ms in times_ms if ticks_ms is None else ticks_ms:
            writer.write(scene(time_ms * RATE_HZ // 1000), pts=time_ms)
    return path


def irregular_ms() -> list[int]:
    """Pictures 20 to 260 ms apart, as a recorder with a variable rate writes them."""
    rng = np.random.default_rng(7)
    times = np.cumsum(rng.integers(20, 260, 600))
    return [0, *times[times < 1000 * N_PICTURES // RATE_HZ].tolist()]


def with_damaged_keyframes(path: Path, every: int) -> Path:
    """Overwrite a third of every `every`-th keyframe, the first one spared.

    Every third one of those 1 s apart is what a thinned plan would look at.
    """
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        keys = [bytes(packet) for packet in packets if packet.is_keyframe]
    content = path.read_bytes()
    for key in keys[every::every]:
        a, b = len(key) // 3, 2 * len(key) // 3
        content = content.replace(key, key[:a] + bytes(b - a) + key[b:])
    path.write_bytes(content)
    return path


@dataclass(frozen=True)
class Pair:
    uniform: CaseRecord
    adaptive: CaseRecord


def analyzed(path: Path, work: Path, mode: SamplingMode) -> CaseRecord:
    config = replace(CONFIG, sampling=SamplingConfig(mode))
    with open_case([path], config, silent) as opened:
        checkpoint = Checkpoint(KeptFiles(work / mode.value, opened.fingerprint))
        return analyze_case(opened, "C1", checkpoint, silent).record


def both(path: Path, work: Path) -> Pair:
    return Pair(
        analyzed(path, work, SamplingMode.UNIFORM), analyzed(path, work, SamplingMode.ADAPTIVE)
    )


RECORDINGS = {
    "keyframe only at the start": lambda path: write(path, 10**6),
    "every picture a keyframe": lambda path: write(path, 1),
    "keyframes 10 s apart": lambda path: write(path, 10 * RATE_HZ),
    "keyframes off the grid": lambda path: write(path, 13),
    "variable rate": lambda path: write(path, 17, irregular_ms()),
    "damaged keyframes": lambda path: with_damaged_keyframes(write(path, 10), 3),
}

# In long groups the grid is decoded on the way to a coarse look and is looked at with it.
MOST_LOOKS = {
    "keyframe only at the start": 1.0,
    "keyframes 10 s apart": 0.95,
    "damaged keyframes": 1.0,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_answers_do_not_depend_on_where_keyframes_lie(name: str, tmp_path: Path) -> None:
    pair = both(RECORDINGS[name](tmp_path / "recording.mp4"), tmp_path)
    (expected,), (found,) = pair.uniform.events, pair.adaptive.events
    assert found.onset_s == pytest.approx(expected.onset_s, abs=0.5)
    assert found.clear_s == pytest.approx(expected.clear_s, abs=0.5)
    if name != "damaged keyframes":
        assert found.onset_s == pytest.approx(BLEED_START_S, abs=0.51)
        assert found.clear_s == pytest.approx(BLEED_END_S, abs=0.51)
    for key in ("impaired_share_5", "impaired_share_20", "area_mean_frac", "coverage_frac"):
        value = pair.adaptive.metric(key).value
        assert value == pytest.approx(pair.uniform.metric(key).value, abs=0.005), key
    assert len(pair.adaptive.series) <= MOST_LOOKS.get(name, 0.85) * len(pair.uniform.series)
    assert pair.adaptive.series.duration_s.max() <= 3.0 + 1e-6
    assert "pictures looked at" in pair.adaptive.provenance.sampling
