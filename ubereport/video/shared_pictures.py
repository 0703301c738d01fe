"""Memory shared with the decoding process: a few pictures, no name, nothing to leak."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from ubereport.core.arrays import RgbArray

__all__ = ["PictureRing", "n_ring_slots"]

_MAX_BYTES = 256 * 2**20


def n_ring_slots(n_wanted: int, height_px: int, width_px: int) -> int:
    """Return how many slots a ring gets: `n_wanted`, fewer where pictures are large, at least 2."""
    return max(2, min(n_wanted, _MAX_BYTES // (height_px * width_px * 3)))


class PictureRing:
    """Slots for uint8 pictures, shared through a file that has no name; without any at first.

    The memory is gone as soon as both processes are, however they end.
    """

    def __init__(self) -> None:
        self.fd = _anonymous_file()
        self.n_slots = 0
        self._shape = (0, 0, 3)
        self._map: mmap.mmap | None = None

    def shape(self, n_slots: int, height_px: int, width_px: int) -> None:
        """Make room for `n_slots` pictures of another size; what was there is forgotten."""
        if self._map is not None:
            self._map.close()
        size = n_slots * height_px * width_px * 3
        os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size)
        self.n_slots, self._shape = n_slots, (height_px, width_px, 3)

    def copy_to(self, sample: int, target: RgbArray) -> None:
        """Copy what the child put into the slot of its `sample`-th picture."""
        if self._map is None:
            raise ValueError("the ring has no slots yet")
        n_bytes = target.size
        start = sample % self.n_slots * n_bytes
        piece = np.frombuffer(self._map, np.uint8, count=n_bytes, offset=start)
        target[...] = piece.reshape(self._shape)

    def close(self) -> None:
        """Give the memory back."""
        if self._map is not None:
            self._map.close()
        os.close(self.fd)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ubereport-pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
