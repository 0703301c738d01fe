"""Which files are the parts that were measured: by size at once, by hash as soon as it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ubereport.core.case import PartSummary
from ubereport.core.errors import UsageError
from ubereport.files.names import RECORDING_SUFFIXES
from ubereport.video.source import sha256_of


class PartState(StrEnum):
    """Whether the file of a part is the one that was measured."""

    MISSING = "missing"
    CHECKING = "checking"
    SAME = "same"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FoundPart:
    """A part of a case and the file that holds it, if one was given."""

    part_index: int
    path: Path | None
    state: PartState


def recording_files(given: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files among `given`, and those with a recording's suffix in given folders.

    Raises
    ------
    UsageError
        If something given is not there.
    """
    files: list[Path] = []
    for number, path in enumerate(given, 1):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in RECORDING_SUFFIXES)
            files += [p for p in inside if p.is_file()]
        elif path.is_file():
            files.append(path)
        else:
            raise UsageError(
                f"Recording {number} that was given is not there. Name the files of the recording,"
                " or the folder that holds them, with --recording."
            )
    return tuple(files)


def find_parts(parts: Sequence[PartSummary], files: Sequence[Path]) -> tuple[FoundPart, ...]:
    """Find each part among `files` by its exact size; whether it is the same is checked later.

    Where several files have the size of a part, their hashes decide at once.
    """
    by_size: dict[int, list[Path]] = {}
    for path in files:
        by_size.setdefault(path.stat().st_size, []).append(path)
    part_files: list[FoundPart] = []
    for index, part in enumerate(parts):
        # Size first: hashing hours of video takes minutes, and pictures can be shown meanwhile.
        alike = by_size.get(part.size_bytes, [])
        if len(alike) > 1:
            alike = [path for path in alike if sha256_of(path) == part.sha256][:1]
        state = PartState.CHECKING if alike else PartState.MISSING
        part_files.append(FoundPart(index, alike[0] if alike else None, state))
    return tuple(part_files)


def check_in_background(
    parts: Sequence[PartSummary],
    part_files: Sequence[FoundPart],
    on_checked: Callable[[FoundPart], None],
) -> threading.Thread:
    """Read the files whole and tell for each whether it is the part that was measured."""

    def check() -> None:
        for candidate in part_files:
            if candidate.path is None:
                continue
            try:
                sha256 = sha256_of(candidate.path, is_unhurried=True)
                is_same = sha256 == parts[candidate.part_index].sha256
            except OSError:
                is_same = False
            state = PartState.SAME if is_same else PartState.OTHER
            on_checked(replace(candidate, state=state))

    thread = threading.Thread(target=check, name="checking recordings", daemon=True)
    thread.start()
    return thread
