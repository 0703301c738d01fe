"""Files that unfinished work leaves for the next try, kept until it is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from ubereport.files.atomic import write_file

_MARK_LENGTH = 16
"""Digits of a fingerprint in a name; Windows allows 260 characters for a whole path."""


class KeptFiles:
    """A folder of files that belong to one fingerprint; those of another are thrown away.

    The fingerprint is part of each file's name: one that another program holds open, and that
    therefore stays (Windows), is never taken for one of another fingerprint.

    Parameters
    ----------
    folder
        Where they are kept; made if absent.
    fingerprint
        Hex digest of all that decides what they hold.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._mark = fingerprint[:_MARK_LENGTH]
        key = folder / "fingerprint"
        if not key.is_file() or key.read_bytes() != fingerprint.encode("ascii"):
            # What cannot be removed now goes with the next try; its name vouches for nothing.
            self.discard()
            write_file(key, fingerprint.encode("ascii"))

    def read(self, name: str) -> bytes:
        """Return the content of a file; raise OSError where it is missing or cannot be read."""
        return self._path(name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Keep a file, whole or not at all; raises as `write_file`."""
        write_file(self._path(name), content)

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._mark}-{name}"

    def discard(self) -> None:
        """Remove everything kept; the work is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
