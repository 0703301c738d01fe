"""From what a person names (files, a folder, a glob) to the ordered parts of one case."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from ubereport.core.errors import UsageError
from ubereport.files.names import RECORDING_SUFFIXES, natural_key


def resolve_parts(named: Sequence[str]) -> tuple[Path, ...]:
    """Return the parts of one case, in order.

    Files keep the order they are given in; the files of a folder or a glob are put in natural
    order (``part2`` before ``part10``). Files of a folder that are no recordings by their suffix
    are passed over.

    Raises
    ------
    UsageError
        If something named does not exist, may not be read, is no regular file or folder, holds no
        recording, or is named twice. The message counts arguments and never repeats a name.
    """
    if not named:
        raise UsageError("No recording was given. Name one or more files, a folder or a glob.")
    parts: list[Path] = []
    for position, text in enumerate(named, start=1):
        which = f"Argument {position}"
        try:
            parts += _expand(text, which)
        except OSError as error:
            raise _unopened(which, error) from None
    identities: set[tuple[int, int]] = set()
    for path in parts:
        status = path.stat()
        # The file and not its name: links and two spellings of a path name the same recording.
        identity = (status.st_dev, status.st_ino)
        if identity in identities:
            raise UsageError(
                "A recording was given twice. Name each part of the case once, in order."
            )
        identities.add(identity)
    return tuple(parts)


def doubts_about_parts(parts: Sequence[Path]) -> tuple[str, ...]:
    """Say what the numbers in the names of the parts suggest is wrong: a part missing, an order.

    Only names that are alike but for one number are believed. Names are not repeated.

    Examples
    --------
    >>> doubts_about_parts([Path("case_001.mp4"), Path("case_003.mp4")])
    ('The numbers in the names of the parts skip 2: a part may be missing.',)
    """
    numbers = _counted([path.stem for path in parts])
    doubts = []
    if numbers != sorted(numbers):
        doubts.append(
            "The numbers in the names of the parts do not rise: they are analyzed in the order "
            "given."
        )
    skipped = sorted(set(range(min(numbers, default=0), max(numbers, default=0))) - set(numbers))
    if 0 < len(skipped) <= len(parts):  # more are no count of parts, but times of day and the like
        listed = ", ".join(map(str, skipped))
        doubts.append(
            f"The numbers in the names of the parts skip {listed}: a part may be missing."
        )
    return tuple(doubts)


def _counted(names: Sequence[str]) -> list[int]:
    """Return the one number in which names differ; empty where they differ otherwise."""
    # Cut names into text and numbers; believed only if they differ in one number and in nothing
    # else.
    pieces = [re.split(r"(\d+)", name.casefold()) for name in names]
    if len({len(p) for p in pieces}) != 1:
        return []
    differing = [at for at, column in enumerate(zip(*pieces, strict=True)) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return []
    return [int(p[differing[0]]) for p in pieces]


def _expand(text: str, which: str) -> list[Path]:
    if "\0" in text:
        raise UsageError(f"{which} holds a NUL character. Name a file, a folder or a glob.")
    path = Path(text)
    try:
        mode = path.stat().st_mode
    # What exists is taken literally first, so that a file whose name holds brackets is no glob.
    except (FileNotFoundError, NotADirectoryError):
        return _expand_glob(text, which)
    if stat.S_ISDIR(mode):
        return _recordings_in(path, which)
    if not stat.S_ISREG(mode):
        raise UsageError(
            f"{which} is a pipe, device or socket. Allowed: files, folders, globs. "
            "Copy the recording to a file first."
        )
    return [path]


def _unopened(which: str, error: OSError) -> UsageError:
    if isinstance(error, PermissionError):
        return UsageError(
            f"{which} may not be read by you. Ask whoever owns it for access, or name a readable "
            "file, folder or glob."
        )
    return UsageError(
        f"{which} cannot be opened ({os.strerror(error.errno or 0)}). "
        "Name a readable file, folder or glob."
    )


def _recordings_in(folder: Path, which: str) -> list[Path]:
    recordings = [
        p
        for p in folder.iterdir()
        if p.is_file() and p.suffix.lower() in RECORDING_SUFFIXES and not p.name.startswith(".")
    ]
    if not recordings:
        raise UsageError(
            f"{which} is a folder without recordings. "
            f"Files count as recordings with one of these endings: "
            f"{' '.join(sorted(RECORDING_SUFFIXES))}. Name the folder that holds them."
        )
    return sorted(recordings, key=lambda path: natural_key(path.name))


def _expand_glob(text: str, which: str) -> list[Path]:
    files = [Path(p) for p in glob.glob(text)] if glob.has_magic(text) else []  # noqa: PTH207 -- absolute patterns
    files = [p for p in files if p.is_file()]
    if not files:
        raise UsageError(
            f"{which} names no existing file or folder. Check the spelling and the folder you "
            "are in; put a glob in quotes."
        )
    return sorted(files, key=lambda path: natural_key(path.name))
