from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import odd_recordings as odd

from ubereport.core.config import DecodeConfig, ReaderChoice
from ubereport.video.decode import DecodeRequest, decode
from ubereport.video.index import index_part


def _peak_mib(path: Path, reader: ReaderChoice) -> float:
    """Largest resident size of the decoding process while it reads every picture."""
    part = index_part(path, DecodeConfig())
    frames = np.arange(part.n_frames)
    request = DecodeRequest(part, 0, frames, frames, part.time_s, None, 240, 320)
    peak = 0.0
    with decode(request, DecodeConfig(reader=reader), 16) as decoding:
        for batch in decoding:
            assert batch.is_decoded.all()
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
            for child in children.split():
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peak = max(peak, int(line.split()[1]) / 1024)
        assert [use.reader for use in decoding.outcome.uses] == [reader.value]
    return peak


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """PyAV's; decord keeps several groups of decoded pictures, which the memory limit bounds."""
    short = odd.plain(tmp_path / "short.mp4", 100, size=(320, 240))
    long = odd.plain(tmp_path / "long.mp4", 500, size=(320, 240))
    picture_mib = 320 * 240 * 3 / 2**20
    grown_mib = _peak_mib(long, ReaderChoice.PYAV) - _peak_mib(short, ReaderChoice.PYAV)
    assert grown_mib < 0.1 * 400 * picture_mib  # what is decoded is not kept
