"""Memory shared with the decoding process: a few pictures, no name, nothing to leak."""

from __future__ import annotations

import mmap
import os
import tempfile
from types import TracebackType
from typing import Self

import numpy as np

from ubereport.core.arrays import RgbArray

__all__ = ["PictureRing", "n_ring_slots"]

_MAX_BYTES = 256 * 2**20


def n_ring_slots(n_wanted: int, height_px: int, width_px: int) -> int:
    """Return how many slots a ring gets: `n_wanted`, fewer where pictures are large, at least 2."""
    return max(2, min(n_wanted, _MAX_BYTES // (height_px * width_px * 3)))


class PictureRing:
    """Slots of (height_px, width_px, 3) uint8, shared through a file that has no name.

    The memory is gone as soon as both processes are, however they end.
    """

    def __init__(self, n_slots: int, height_px: int, width_px: int) -> None:
        self.n_slots = n_slots
        size = n_slots * height_px * width_px * 3
        self.fd = _anonymous_file()
        os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size)
        self._shape = (n_slots, height_px, width_px, 3)

    def copy_to(self, sample: int, target: RgbArray) -> None:
        """Copy what the child put into the slot of its `sample`-th picture."""
        n_bytes = target.size
        start = sample % self.n_slots * n_bytes
        piece = np.frombuffer(self._map, np.uint8, count=n_bytes, offset=start)
        target[...] = piece.reshape(self._shape[1:])

    def close(self) -> None:
        """Give the memory back."""
        self._map.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ubereport-pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
