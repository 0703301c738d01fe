from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import reader_recordings


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from the name in `reader_recordings.SPECS` to a recording, made once."""
    return reader_recordings.maker(tmp_path_factory.mktemp("recordings"))
