from __future__ import annotations

from pathlib import Path

import pytest
import reader_recordings

from ubereport.core.config import DecodeConfig
from ubereport.core.recording import PartIndex
from ubereport.video.index import index_part


@pytest.fixture(scope="session")
def coded_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures with their time as a bar code, keyframes at 0, 12, 24, 36, 48."""
    path = tmp_path_factory.mktemp("coded") / "coded.mp4"
    return reader_recordings.make(reader_recordings.SPECS["constant_rate_mp4"], path)


@pytest.fixture(scope="session")
def coded_part(coded_path: Path) -> PartIndex:
    return index_part(coded_path, DecodeConfig())
