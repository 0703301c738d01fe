from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import reader_recordings


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from the name in `reader_recordings.SPECS` to a recording, made once."""
    return reader_recordings.maker(tmp_path_factory.mktemp("recordings"))
