"""What systems do differently with files, each difference once: Linux, macOS, Windows."""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path

from ubereport.core.errors import DependencyError

IS_WINDOWS = os.name == "nt"
# No link is followed, no pipe waited for, and Windows translates no line ends.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Windows' locks keep others from reading what they cover, so they cover a byte that no file has.
_LOCKED_BYTE = 1 << 30
_PATIENCE_S = 2.0
_PAUSE_S = 0.05


def open_descriptor(path: Path, flags: int) -> int:
    """Open a file as `os.open` does, on every system as bytes and without following a link.

    Raises
    ------
    OSError
        If the system refuses.
    """
    return os.open(path, flags | _PLAIN, 0o666)


def replace(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`.

    Windows refuses while another program has the target open, as scanners and viewers have for
    moments: it is tried for two seconds.

    Raises
    ------
    OSError
        If the system refuses for longer.
    """
    give_up_s = time.monotonic() + (_PATIENCE_S if IS_WINDOWS else 0.0)
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if time.monotonic() >= give_up_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def try_lock(descriptor: int) -> bool:
    """Take the system's lock on an open file; False where another process has it.

    Raises
    ------
    DependencyError
        If the system has no such locks.
    """
    for module, take in (("fcntl", _flock), ("msvcrt", _locking)):
        try:
            system = importlib.import_module(module)
        except ImportError:
            continue
        return take(system, descriptor)
    raise DependencyError(
        "This system has no file locks (neither fcntl nor msvcrt). Run ubereport on Linux, macOS "
        "or Windows."
    )


def _flock(fcntl: object, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    return True


def _locking(msvcrt: object, descriptor: int) -> bool:
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return True


def unlock(descriptor: int, path: Path) -> None:
    """Let go of a locked file and remove it.

    Removed first, so that nobody locks a file that is about to vanish; Windows removes no open
    file, and there a run that comes between finds a file that nobody holds.
    """
    if IS_WINDOWS:
        os.close(descriptor)
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            return  # the next run holds it already
        return
    path.unlink(missing_ok=True)
    os.close(descriptor)
