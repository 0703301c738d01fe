"""Memory shared with the decoding process: a few pictures, no name, nothing to leak."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np

from ubereport.core.arrays import RgbArray

CAN_INHERIT = hasattr(os, "fork")
_SHORT_LIVED = getattr(os, "O_SHORT_LIVED", 0) | getattr(os, "O_BINARY", 0)
# Per process. With sixteen of them the rings stay below what a small server has.
_MAX_BYTES = 256 * 2**20


def n_ring_slots(n_wanted: int, height_px: int, width_px: int) -> int:
    """Return how many slots a ring gets: `n_wanted`, fewer where pictures are large, at least 2."""
    return max(2, min(n_wanted, _MAX_BYTES // (height_px * width_px * 3)))


class PictureRing:
    """Slots for uint8 pictures, shared through a file; without any at first.

    Where processes inherit open files it has no name, and the memory is gone as soon as both
    processes are, however they end. Windows hands none on: there each shape is a short-lived file
    in a folder of its own.
    """

    def __init__(self) -> None:
        self._folder = None if CAN_INHERIT else _own_folder()
        self._fd = _anonymous_file() if CAN_INHERIT else -1
        self._n_files = 0
        self.n_slots = 0
        self._shape = (0, 0, 3)
        self._map: mmap.mmap | None = None

    def shape(self, n_slots: int, height_px: int, width_px: int) -> None:
        """Make room for `n_slots` pictures of another size; what was there is forgotten."""
        if self._map is not None:
            self._map.close()
        size = n_slots * height_px * width_px * 3
        if self._folder is not None:
            self._fd = self._next_file(self._folder.name)
        os.ftruncate(self._fd, size)
        self._map = mmap.mmap(self._fd, size)
        self.n_slots, self._shape = n_slots, (height_px, width_px, 3)

    @property
    def inherited(self) -> tuple[int, ...]:
        """Open files that the other process inherits."""
        return (self._fd,) if self._folder is None else ()

    @property
    def address(self) -> int | str:
        """Where the other process finds the pictures: an inherited file, or a path."""
        return self._fd if self._folder is None else _path(self._folder.name, self._n_files)

    def _next_file(self, folder: str) -> int:
        if self._n_files:
            os.close(self._fd)
        self._n_files += 1
        path = _path(folder, self._n_files)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SHORT_LIVED, 0o600)

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
        if self._fd >= 0:
            os.close(self._fd)
        if self._folder is not None:
            self._folder.cleanup()


def map_ring(address: int | str, n_bytes: int) -> mmap.mmap:
    """Map what `PictureRing.address` names, in the other process."""
    if isinstance(address, int):
        return mmap.mmap(address, n_bytes)
    descriptor = os.open(address, os.O_RDWR | _SHORT_LIVED)
    try:
        return mmap.mmap(descriptor, n_bytes)
    finally:
        os.close(descriptor)


def _path(folder: str, number: int) -> str:
    return str(Path(folder) / f"pictures-{number}")


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    # The other process may still have the last file open when the folder goes.
    return tempfile.TemporaryDirectory(prefix="ubereport-ring-", ignore_cleanup_errors=True)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ubereport-pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
