"""Single pictures on demand: a process that is asked a thousand times stays as small as it was."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests_support import decoding_children

from ubereport.core.config import DecodeConfig
from ubereport.video.moment_part import MomentPart
from ubereport.video.moments import MomentReader
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

WIDTH_PX, HEIGHT_PX, RATE_HZ, N_PICTURES = 1280, 720, 10, 24


@pytest.fixture
def restless_recording(tmp_path: Path) -> Path:
    """Grain of another strength in each picture, so that no keyframe is as large as the next."""
    rng = np.random.default_rng(5)
    path = tmp_path / "restless.mp4"
    spec = EncoderSpec(
        WIDTH_PX, HEIGHT_PX, RATE_HZ, options={"g": "2", "crf": "20", "preset": "ultrafast"}
    )
    with VideoWriter(path, spec) as writer:
        for _ in range(N_PICTURES):
            grain = rng.integers(0, rng.integers(20, 200), (HEIGHT_PX, WIDTH_PX, 3))
            writer.write(grain.astype(np.uint8))
    return path


def _resident_mib() -> float:
    (child,) = decoding_children()
    status = Path(f"/proc/{child}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_jumps(restless_recording: Path) -> None:
    """It grew by 0.24 MiB a jump in a real recording: a keyframe freed is no memory given back."""
    box = (0, 0, WIDTH_PX, HEIGHT_PX)
    size_px = (WIDTH_PX, HEIGHT_PX)
    part = MomentPart(str(restless_recording), "bt709", "limited", 0, size_px, box, 10**7)
    moments_s = np.random.default_rng(1).uniform(0, N_PICTURES / RATE_HZ, 400)
    with MomentReader([part], DecodeConfig()) as reader:
        for number, time_s in enumerate(moments_s):
            reader.moment(0, float(time_s), is_exact=False, width_px=160, is_patient=True)
            if number == 80:
                early_mib = _resident_mib()
        grown_mib = _resident_mib() - early_mib
    assert grown_mib < 12  # 21 MiB before, for 320 jumps
