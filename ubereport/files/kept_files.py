"""Files that unfinished work leaves for the next try, kept until it is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from ubereport.files.atomic import write_file


class KeptFiles:
    """A folder of files that belong to one fingerprint; those of another are thrown away.

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
        key = folder / "fingerprint"
        if not key.is_file() or key.read_bytes() != fingerprint.encode("ascii"):
            # Thrown away before the new key is written: a key that lay over old files would vouch
            # for them.
            self.discard()
            write_file(key, fingerprint.encode("ascii"))

    def read(self, name: str) -> bytes:
        """Return the content of a file; raise OSError where it is missing or cannot be read."""
        return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Keep a file, whole or not at all; raises as `write_file`."""
        write_file(self._folder / name, content)

    def discard(self) -> None:
        """Remove everything kept; the work is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
