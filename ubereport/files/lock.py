"""One run at a time on one output."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ubereport.core.errors import OutputError
from ubereport.files.atomic import check_can_be_folder, recover_folder
from ubereport.files.system import open_descriptor, try_lock, unlock

_PAUSE_S = 0.02


@contextmanager
def hold_lock(folder: Path, name: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the output `name` in `folder` for this process; a second run is told who holds it.

    The lock is the operating system's, on the file ``.<name>.lock`` in `folder`. It ends with the
    process, so that a file left by a killed run holds nobody up; the file only says who holds the
    lock. On a network drive it works as far as the drive's own locks do.

    Once the lock is held, what crashed runs left beside the output is put in order
    (`recover_folder`).

    Raises
    ------
    OutputError
        If another run holds the output for longer than `wait_s`, or the lock file cannot be made,
        as where `folder` is a file.
    DependencyError
        If the system has no such locks.
    """
    check_can_be_folder(folder)
    path = folder / f".{name}.lock"
    descriptor = _acquire(path, time.monotonic() + wait_s)
    try:
        recover_folder(folder / name)
        yield
    finally:
        unlock(descriptor, path)


def _acquire(path: Path, give_up_s: float) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not emptied by opening it: as long as somebody else holds the lock, what it says is
            # theirs.
            descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise OutputError(
                f"The output cannot be written ({error.strerror}). Give an --out that this account"
                " may write to."
            ) from error
        if not try_lock(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            if time.monotonic() < give_up_s:
                time.sleep(_PAUSE_S)
                continue
            raise OutputError(
                f"The output is in use by another run ({holder}). Wait for it to end or give"
                " another --out."
            )
        # A lock on a file that has been unlinked holds nobody off: whoever opens the name now gets
        # another file.
        if _is_same_file(descriptor, path):
            _sign(descriptor)
            return descriptor
        # The run before removed the file between our opening and our locking it: try again.
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(holder).encode("ascii"))


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.read(descriptor, 4096))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has not yet said who it is"
