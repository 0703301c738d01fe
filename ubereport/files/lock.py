"""One run at a time on one output."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ubereport.core.errors import OutputError
from ubereport.files.atomic import check_can_be_folder, output_error, recover_folder
from ubereport.files.system import open_descriptor, try_lock, unlock

_PAUSE_S = 0.02


@contextlib.contextmanager
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
        descriptor = _open(path)
        try:
            holder = None if try_lock(descriptor) else _holder(descriptor)
            # A lock on a file that has been unlinked holds nobody off: whoever opens the name now
            # gets another file.
            if holder is None and _is_same_file(descriptor, path):
                _sign(descriptor, path)
                return descriptor
        # Left open it would hold the lock: the next try would be told that this very run has it.
        except OSError as error:
            os.close(descriptor)
            raise output_error(error, None, path.parent) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if holder is None:
            # The run before removed the file between our opening and our locking it: try again.
            continue
        if time.monotonic() >= give_up_s:
            raise OutputError(
                f"The output is in use by another run ({holder}). Wait for it to end or give"
                " another --out."
            )
        time.sleep(_PAUSE_S)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not emptied by opening it: as long as somebody else holds the lock, what it says is
        # theirs.
        return open_descriptor(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise OutputError(
            f"The output cannot be written ({error.strerror}). Give an --out that this account"
            " may write to."
        ) from error


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int, path: Path) -> None:
    """Say who holds the lock; where the disk takes no more, the file goes and OSError is raised."""
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode("ascii"))
    except OSError:
        # Under the lock, so that it is nobody else's; Windows keeps it, empty, and that does no
        # harm.
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.read(descriptor, 4096))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has not yet said who it is"
