"""FFmpeg's own complaints: the only place where concealed damage shows.

FFmpeg hides bit errors by painting over them and says so on standard error alone; neither PyAV
nor decord hands that on. The decoding process therefore sends its standard error to a private
file without a name, and a reader looks whether it grew.
"""

from __future__ import annotations

import os
import re
import tempfile

# Said about sound streams too: a lost reference right after a jump is looked at elsewhere.
_HARMLESS = (
    b"co located POCs unavailable",
    b"mmco: unref short failure",
    b"Last message repeated",
    b"deprecated pixel format",
    b"Application provided invalid",
)


class ErrorLog:
    """Take over standard error of this process and count what is written there."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(mode="ab+", buffering=0)  # noqa: SIM115 -- kept open
        os.dup2(self._file.fileno(), 2)

    def take(self) -> int:
        """Return how many complaints came since the last call, and forget them."""
        if os.fstat(self._file.fileno()).st_size == 0:
            return 0
        self._file.seek(0)
        lines = self._file.read(1 << 16).splitlines()
        self._file.truncate(0)
        return sum(1 for line in lines if not any(text in line for text in _HARMLESS))

    def refused_size(self) -> tuple[int, int]:
        """Return (width, height) of pictures that FFmpeg refused as too large; (0, 0) if none."""
        self._file.seek(0)
        size = re.search(rb"Picture size (\d+)x(\d+)", self._file.read(1 << 16))
        return (int(size[1]), int(size[2])) if size else (0, 0)
