"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import glob
import os
import secrets
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from ubereport.core.errors import OutputError
from ubereport.files.system import IS_WINDOWS, replace

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TAKES_NO_MORE = frozenset({*_FULL, errno.EROFS})
"""Errors of a disk that takes nothing more: no bug, and whoever reads of it can mend it."""
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# Of Linux's renameat2, which Python does not offer: its flag, and "relative to where we are".
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def check_relative_name(name: str) -> str:
    """Return `name` if it is a plain POSIX path inside a case folder.

    Raises
    ------
    ValueError
        If it is empty, absolute, has ``.`` or ``..`` parts, backslashes, drive letters or
        characters other than printable ASCII.
    """
    parts = PurePosixPath(name).parts
    is_plain = (
        name.isascii()
        and name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and parts
        and str(PurePosixPath(*parts)) == name
        and not name.startswith("/")
        and ".." not in parts
    )
    if not is_plain:
        raise ValueError(f"{name!r} is no plain relative path inside a case folder")
    return name


def check_can_be_folder(folder: Path) -> None:
    """Refuse a name for a folder that is a file's, or that lies in a file.

    Raises
    ------
    OutputError
        If it is so. Whether the folder can be made and written to is not asked.
    """
    for path in (folder, *folder.parents):
        # What may not be looked at is told by whoever writes there.
        with contextlib.suppress(OSError):
            if path.is_dir():
                return
            if path.is_symlink():
                raise OutputError(
                    "The output is a file or a link where a folder is needed. Give another --out."
                )
            if path.exists():
                raise OutputError(
                    "The output is a file where a folder is needed. Give another --out."
                )


def write_file(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Write `content` to `path` in one step: readers see the old file or the new one.

    Folders on the way are made if need be. What is private nobody but its owner may read, from the
    first byte on (Windows: whoever may read the folder).

    Raises
    ------
    OutputError
        If the disk is full or read-only, or a file is where a folder is needed; `path` is then as
        it was.
    """
    check_can_be_folder(path.parent)
    staged = _sibling(path, "new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Asked before a byte is written: a disk that fills up halfway fails other programs, too.
        _check_space(path.parent, len(content))
        _write_through(staged, content, 0o600 if is_private else 0o666)
        replace(staged, path)
        _sync(path.parent)
    except OSError as error:
        raise output_error(error, len(content), path.parent) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()


def publish_folder(
    target: Path,
    files: Mapping[str, bytes],
    *,
    carried_over: Collection[str] = (),
    gives_way: Collection[str] = (),
) -> None:
    """Make `target` a folder of `files`, in one step.

    The files are written to a sibling, brought to disk, and put in the place of `target`. Where
    the system can exchange two names in one step (Linux, most file systems) there is no moment
    without the folder; elsewhere the old one is moved aside first, and the next `hold_lock`
    brings it back should the machine die in that moment.

    Parameters
    ----------
    target
        The folder; its parents are made if need be.
    files
        Content by relative POSIX path.
    carried_over
        Relative paths of files in the old `target` that the new one keeps.
    gives_way
        Patterns of files in the old `target` that may vanish, such as ``frames/*``. Without any,
        only files of the same names are replaced.

    Raises
    ------
    OutputError
        If the disk is full or read-only, or `target` is a file or has files in it that would be
        lost; nothing has changed then.
    ValueError
        If a name is no plain relative path.
    """
    for name in files:
        check_relative_name(name)
    check_can_be_folder(target.parent)
    n_bytes = sum(len(content) for content in files.values())
    staged = _sibling(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise OutputError(
                "The output is a file or a link where a folder is needed. Give another --out."
            )
        _check_nothing_lost(target, {*files, *carried_over}, gives_way)
        _check_space(target.parent, n_bytes)
        _write_folder(staged, files, {name: target / name for name in carried_over})
        _swap_in(staged, target)
    except OSError as error:
        raise output_error(error, n_bytes, target.parent) from error
    finally:
        # After an exchange this is the name of the old folder, which goes only now.
        shutil.rmtree(staged, ignore_errors=True)


@contextlib.contextmanager
def staged_for(target: Path) -> Iterator[Path]:
    """Give a name beside `target` to build a file or folder under; it is published at the end.

    Where the block fails, nothing of it is left and `target` is as it was.

    Raises
    ------
    OutputError
        If the disk is full or read-only, or a file is where a folder is needed.
    """
    check_can_be_folder(target.parent)
    staged = _sibling(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        publish_staged(staged, target)
    except OSError as error:
        raise output_error(error, None, target.parent) from error
    finally:
        _remove(staged)


def publish_staged(staged: Path, target: Path) -> None:
    """Bring the file or folder `staged` to disk and give it the name `target`, in one step.

    Both lie in one folder. What was `target` before is gone.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    try:
        for path in sorted(staged.rglob("*"), reverse=True):
            _sync(path)
        _sync(staged)
        _swap_in(staged, target)
    except OSError as error:
        raise output_error(error, None, target.parent) from error
    _remove(staged)


def files_inside(folder: Path) -> list[str]:
    """Return the relative POSIX paths of all files and links below `folder`, sorted."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def recover_folder(target: Path) -> None:
    """Bring back the old `target` where a crash came between moving it aside and the new one.

    Call it under the lock of `target`: what other crashed runs left beside it is removed.
    """
    for aside in sorted(target.parent.glob(f".{glob.escape(target.name)}.old-*")):
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            replace(aside, target)
    for staged in target.parent.glob(f".{glob.escape(target.name)}.new-*"):
        shutil.rmtree(staged, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _check_nothing_lost(
    target: Path, replaced: Collection[str], gives_way: Collection[str]
) -> None:
    for name in files_inside(target):
        may_vanish = any(fnmatch.fnmatchcase(name, pattern) for pattern in gives_way)
        if not may_vanish and name not in replaced:
            raise OutputError(
                "The output folder has other files in it, which would be lost. Give an empty or a"
                " new folder as --out; nothing was changed."
            )


def _sibling(path: Path, role: str) -> Path:
    # Beside the target, since a rename is one step only within a file system; with a dot in front,
    # so that a library does not list it; by chance, so that two runs never build under one name.
    return path.with_name(f".{path.name}.{role}-{secrets.token_hex(6)}")


def _write_folder(folder: Path, files: Mapping[str, bytes], carried: Mapping[str, Path]) -> None:
    folder.mkdir()
    folders = {folder}

    def placed(name: str) -> Path:
        path = folder.joinpath(*PurePosixPath(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        folders.update(p for p in path.parents if p.is_relative_to(folder))
        return path

    for name, content in files.items():
        _write_through(placed(name), content)
    for name, source in carried.items():
        _copy_through(source, placed(name))
    # Deepest first: a folder is safe on disk once what it names is.
    for level in sorted(folders, reverse=True):
        _sync(level)


def _write_through(path: Path, content: bytes, mode: int = 0o666) -> None:
    # Exclusive: a name that exists already is somebody else's.
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _copy_through(source: Path, copy: Path) -> None:
    shutil.copy2(source, copy, follow_symlinks=False)
    # What is carried over may be a person's review, and the old folder goes right after.
    if not copy.is_symlink():
        _sync(copy)


def _sync(path: Path) -> None:
    # Windows opens no folder, and brings to disk only what is open for writing.
    if IS_WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if IS_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network drives cannot do this for folders; their rename is all there is.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _swap_in(staged: Path, target: Path) -> None:
    # A rename replaces a file; onto a folder with files in it no system allows one.
    if not target.exists() or not staged.is_dir():
        replace(staged, target)
    # Exchanged in one step where the system can. Else the old folder is moved aside: for that
    # moment there is none, and `recover_folder` knows what to do.
    elif not _exchange(staged, target):
        aside = _sibling(target, "old")
        replace(target, aside)
        try:
            replace(staged, target)
        except BaseException:
            # A scanner may hold a file of the new one: the old one is still whole, and goes back.
            # Should that fail as well, the next `hold_lock` does it.
            with contextlib.suppress(OSError):
                replace(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _sync(target.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = [os.fsencode(path.absolute()) for path in (first, second)]
    result = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return bool(result == 0)


def _check_space(folder: Path, n_bytes: int) -> None:
    if shutil.disk_usage(folder).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def output_error(error: OSError, n_bytes: int | None, folder: Path | None) -> OutputError:
    """Return what to tell of an error of the disk: bytes needed and free in `folder`, if known."""
    if error.errno in _FULL and folder is not None:
        facts = f"{_free_bytes(folder)} bytes are free (or a quota or size limit is reached)"
        if n_bytes is not None:
            facts = f"{n_bytes} bytes ({n_bytes / 1e6:.1f} MB) are needed, {facts}"
        return OutputError(
            f"The output does not fit: {facts}. Free some space or give another --out; nothing was"
            " changed."
        )
    if error.errno in _READ_ONLY:
        return OutputError(
            f"The output cannot be written ({error.strerror}). Give an --out that this account may"
            " write to; nothing was changed."
        )
    reason = error.strerror or type(error).__name__
    if n_bytes is not None:
        reason = f"{reason}; {n_bytes} bytes were needed"
    return OutputError(
        f"The output cannot be written ({reason}). Check the disk or"
        " give another --out; nothing was changed."
    )


def _free_bytes(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
