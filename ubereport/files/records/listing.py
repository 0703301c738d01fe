"""The cases of a library as a list shows them, read from their folders each time.

Only ``case.json`` is read, and of it what a list shows: two thousand cases take about a second, so
that no copy beside the folders is needed, which could be stale, damaged or locked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubereport.core.case import FlagLevel
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.names import natural_key
from ubereport.files.records.schema import read_tree
from ubereport.files.records.store import (
    RECORD_NAMES,
    holds_file,
    is_case_folder,
    is_review_standing,
    read_case_json,
)

REVIEWED, MEASURED = "reviewed", "measured"


def numbers_word(is_reviewed: bool) -> str:
    """Return the word for whose numbers a case stands with."""
    return REVIEWED if is_reviewed else MEASURED


@dataclass(frozen=True, slots=True)
class ListedCase:
    """One case as a list shows it.

    `numbers` says whether they are the "reviewed" or the "measured" ones; `problem` why a folder
    cannot be read, else empty.
    """

    folder: str
    case_id: str
    model: str
    recorded_s: float | None
    coverage_frac: float | None
    impaired_share_20: float | None
    event_count: float | None
    n_warnings: int
    numbers: str
    problem: str


def list_cases(library: Path, *, is_measured: bool = False) -> tuple[ListedCase, ...]:
    """Return the cases of a library by folder name, C2 before C10.

    Cases that were reviewed whole come with their reviewed numbers, unless `is_measured`.

    Raises
    ------
    UsageError
        If the library does not exist or cannot be read.
    """
    folders = sorted(library_folders(library), key=lambda path: natural_key(path.name))
    listed = (_listed(folder, is_measured) for folder in folders)
    return tuple(case for case in listed if case is not None)


def library_folders(library: Path) -> list[Path]:
    """Return the folders of a library that may be cases, in no order.

    Hidden folders are work in progress; a link may lead out of the library.

    Raises
    ------
    UsageError
        If the library does not exist or cannot be read.
    """
    try:
        with os.scandir(library) as entries:
            return [
                library / entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            "The library folder does not exist. Name the folder given to --library."
        ) from None
    except OSError as error:
        raise UsageError(
            f"The library folder cannot be read ({error.strerror}). Let this account read it, or "
            "name another folder."
        ) from None


def _listed(folder: Path, is_measured: bool) -> ListedCase | None:
    """Return a case as a list shows it; None for a folder in which nothing is of a case."""
    try:
        if not any(holds_file(folder, name) for name in RECORD_NAMES):
            return None
        if not is_case_folder(folder):
            raise CaseRecordError("The folder is half-written. Run the batch again.")
        return _row(folder, read_tree(read_case_json(folder)), is_measured)
    except CaseRecordError as error:
        return ListedCase(folder.name, "", "", None, None, None, None, 0, "", str(error))


def _row(folder: Path, tree: Mapping[str, Any], is_measured: bool) -> ListedCase:
    try:
        is_reviewed = not is_measured and is_review_standing(tree.get("review"), folder)
        numbers = tree["review"] if is_reviewed else tree
        # A metric that another version of the program did not know is missing, not an error.
        values = {metric["key"]: metric["value"] for metric in numbers["metrics"]}
        model = tree["provenance"]["model"]
        return ListedCase(
            folder=folder.name,
            case_id=str(tree["case_id"]),
            model=f"{model['name']} {model['version']}",
            recorded_s=values.get("recorded_s"),
            coverage_frac=values.get("coverage_frac"),
            impaired_share_20=values.get("impaired_share_20"),
            event_count=values.get("event_count"),
            n_warnings=sum(flag["level"] == FlagLevel.WARNING for flag in tree["flags"]),
            numbers=numbers_word(is_reviewed),
            problem="",
        )
    except (KeyError, TypeError) as error:
        raise CaseRecordError(
            f"case.json lacks what a list shows ({error}). Analyze the recording again."
        ) from None
