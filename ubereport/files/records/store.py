"""A case folder: written whole, read back exactly."""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ubereport.core.case import CaseRecord, KeyFrame
from ubereport.core.errors import CaseRecordError, OutputError, UsageError
from ubereport.core.review import CaseReview, ReviewState
from ubereport.core.series import AreaSeries
from ubereport.files.atomic import check_relative_name, files_inside, publish_folder, write_file
from ubereport.files.names import validate_case_id
from ubereport.files.records.schema import case_json, parse_case_json, record_of
from ubereport.files.records.subtitles import subtitle_files
from ubereport.files.records.tables import events_csv, series_from_parquet, series_parquet
from ubereport.files.system import open_descriptor

REVIEW_NAME = "review.jsonl"
RECORD_NAMES = ("case.json", "series.parquet", "events.csv")
_MAX_JSON_BYTES = 256 * 2**20
_MAX_SERIES_BYTES = 2 * 2**30
_MAX_FRAME_BYTES = 64 * 2**20
_OWN_NAMES = (
    "case.json",
    "series.parquet",
    "events.csv",
    "*.srt",
    "frames/*",
    "report.html",
    "report.*.html",
    "report.pdf",
    "report.*.pdf",
    "run.json",
)


def case_files(record: CaseRecord) -> dict[str, bytes]:
    """Return the files of a case that follow from its record alone, by name.

    ``case.json``, ``series.parquet``, ``events.csv`` and the subtitles: the same record gives the
    same bytes on every machine with the same libraries.
    """
    return {
        "case.json": case_json(record),
        "series.parquet": series_parquet(record.series),
        "events.csv": events_csv(record.events),
        **subtitle_files(record.series, record.events, record.parts),
    }


def write_case(
    record: CaseRecord,
    folder: Path,
    files: Mapping[str, bytes] | None = None,
    run: Mapping[str, object] | None = None,
) -> None:
    """Write a case folder in one step; an older one of the same case gives way to it.

    Hold `hold_lock` around it where another run might write the same folder. Files
    that others put into an older case folder (notes, say) are kept.

    Parameters
    ----------
    record
        The case.
    folder
        Where it goes: new, empty, or a case folder.
    files
        Key frames and reports: content by relative POSIX path, such as ``frames/001_onset.png``.
        Must have every picture that ``record.key_frames`` names.
    run
        What differs from run to run (start, stage times), JSON values; becomes ``run.json``.

    Raises
    ------
    OutputError
        If the disk is full or read-only, or `folder` has another case or other things in it;
        nothing has changed then.
    CaseRecordError
        If `folder` is there and cannot be looked into.
    UsageError
        If the case id cannot be used.
    ValueError
        If a key frame's picture is missing, a name is no plain relative path or taken, or a
        number is not finite.
    """
    validate_case_id(record.case_id)
    content = case_files(record)
    extras = files or {}
    for name in extras:
        if check_relative_name(name) in content or name == "run.json":
            raise ValueError(f"{name} is written by the record itself")
    for path in _frame_paths(record.key_frames):
        if path not in extras:
            raise ValueError(f"the record names the key frame {path}, which is not given")
    # The record's own files come first and cannot be given: a report must never lie beside numbers
    # of another run.
    content |= extras
    if run is not None:
        content["run.json"] = f"{json.dumps(run, indent=2, allow_nan=False)}\n".encode("ascii")
    _check_same_case(folder, record.case_id)
    # A folder is replaced as a whole; notes that a person put there must come along.
    kept = [name for name in _foreign_files(folder) if name not in content]
    publish_folder(folder, content, carried_over=kept, gives_way=_OWN_NAMES)


def write_into_case(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write reports into an existing case folder, each in one step.

    Raises
    ------
    CaseRecordError
        If `folder` is no case folder, or cannot be looked into.
    OutputError
        If the disk is full or read-only.
    ValueError
        If a name is no plain relative path, or one of the record's own files.
    """
    if not is_case_folder(folder):
        raise _no_case_folder()
    for name in files:
        if check_relative_name(name) in RECORD_NAMES:
            raise ValueError(f"{name} is written by the record itself")
    for name, content in files.items():
        write_file(folder / name, content)


def read_case(folder: Path) -> CaseRecord:
    """Read a case folder; gives back exactly the record that was written.

    Raises
    ------
    CaseRecordError
        If `folder` is no case folder, was made by a newer version, or its files are damaged or
        do not belong together.
    """
    tree = parse_case_json(read_case_json(folder))
    series = series_from_parquet(_read_regular(folder, "series.parquet", _MAX_SERIES_BYTES))
    return record_of(tree, series)


def read_case_json(folder: Path) -> bytes:
    """Return the content of ``case.json``; raises CaseRecordError if it is no plain file."""
    return _read_regular(folder, "case.json", _MAX_JSON_BYTES)


def read_series(folder: Path) -> AreaSeries:
    """Read the series of a case folder alone.

    Raises
    ------
    CaseRecordError
        If it is missing or damaged.
    """
    return series_from_parquet(_read_regular(folder, "series.parquet", _MAX_SERIES_BYTES))


def read_frames(folder: Path, record: CaseRecord) -> dict[str, bytes]:
    """Return the pictures of the record's key frames, by relative path, to write them again.

    Raises
    ------
    CaseRecordError
        If one is missing or is no plain file inside the folder.
    """
    return {
        path: _read_regular(folder, path, _MAX_FRAME_BYTES)
        for path in _frame_paths(record.key_frames)
    }


def holds_file(folder: Path, name: str) -> bool:
    """Whether `folder` has a plain file called `name`.

    Raises
    ------
    CaseRecordError
        If this account may not look into the folder, or the disk does not answer.
    """
    # Asked of the system and not of `Path.is_file`, which breaks off at a closed folder in one
    # version of Python and takes it for an empty one in another.
    try:
        return stat.S_ISREG((folder / name).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        # A link that leads back to itself is no file, and no closed folder.
        if error.errno == errno.ELOOP:
            return False
        raise CaseRecordError(
            f"The case folder cannot be read ({error.strerror}). Let this account read it, or move "
            "it out of the library."
        ) from None


def is_case_folder(folder: Path) -> bool:
    """Whether `folder` holds a case record; raises as `holds_file`."""
    return holds_file(folder, "case.json") and holds_file(folder, "series.parquet")


def require_case(folder: Path) -> None:
    """Refuse a folder in which nothing is of a case, before anything is done with it.

    Raises
    ------
    UsageError
        If the folder does not exist, or holds no file of a record.
    CaseRecordError
        If it cannot be looked into.
    """
    if not any(holds_file(folder, name) for name in RECORD_NAMES):
        raise UsageError(_NO_RECORD)


def case_folders(folder: Path) -> tuple[Path, ...]:
    """Return `folder` if it is a case, else the case folders in it; none where there are none.

    Folders that cannot be looked into are left out.
    """
    if is_case_folder(folder):
        return (folder,)
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if _is_open_case(path)))


def count_review_lines(folder: Path) -> int:
    """Return how many lines the review of a case has; 0 where nobody reviewed it.

    Raises
    ------
    OSError
        If the file is there and cannot be read.
    """
    try:
        return (folder / REVIEW_NAME).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def is_review_standing(review: Mapping[str, Any] | None, folder: Path) -> bool:
    """Whether one review of a case stands, and its record holds all that was said.

    What was said after the report was last rendered is in the journal alone; until the report is
    rendered again the measured numbers stand.

    Parameters
    ----------
    review
        As ``case.json`` holds it; None where nobody reviewed the case.
    folder
        The case folder.
    """
    if review is None:
        return False
    return _is_standing(ReviewState(review["state"]), int(review["n_lines"]), folder)


def standing_review(record: CaseRecord, folder: Path) -> CaseReview | None:
    """Return the review whose numbers stand for a case; None as `is_review_standing`."""
    review = record.review
    if review is None or not _is_standing(review.state, review.n_lines, folder):
        return None
    return review


def _is_standing(state: ReviewState, n_lines: int, folder: Path) -> bool:
    try:
        # Counted and not compared: lines are only ever added, so that as many are the same ones.
        return state is ReviewState.COMPLETE and count_review_lines(folder) == n_lines
    except OSError:
        return False


def _is_open_case(folder: Path) -> bool:
    try:
        return is_case_folder(folder)
    except CaseRecordError:
        return False


def _frame_paths(key_frames: Sequence[KeyFrame]) -> list[str]:
    return [path for frame in key_frames for path in (frame.raw_path, frame.overlay_path)]


def _check_same_case(folder: Path, case_id: str) -> None:
    if not is_case_folder(folder):
        return
    try:
        stored_id = json.loads(read_case_json(folder))["case_id"]
    except (CaseRecordError, ValueError, KeyError, TypeError):
        return  # A damaged record names no case; analyzing again is how to mend it.
    # Nobody means to replace one case by another.
    if stored_id != case_id:
        raise OutputError(
            "The output folder holds another case. Give another --out, or the --case-id of the case"
            " that is to be replaced; nothing was changed."
        )


def _foreign_files(folder: Path) -> list[str]:
    """Return what others put into the case folder that is to be replaced."""
    if not folder.is_dir():
        return []
    names = files_inside(folder)
    if names and not is_case_folder(folder):
        raise OutputError(
            "The output folder has files in it and is no case folder. Give an empty or a new"
            " folder as --out; nothing was changed."
        )
    return [name for name in names if not any(fnmatch.fnmatchcase(name, own) for own in _OWN_NAMES)]


def _read_regular(folder: Path, name: str, max_bytes: int) -> bytes:
    try:
        check_relative_name(name)
        path = folder / name
        # A case folder may come from anywhere; a link in it must not make a report show another
        # file of this machine.
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _unreadable(name, "it lies outside the case folder")
        descriptor = open_descriptor(path, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            # Asked of the open file and not of the name, which may be another file a moment later.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
                raise _unreadable(name, f"it is no plain file of at most {max_bytes} bytes")
            return file.read()
    except FileNotFoundError:
        if name == "case.json":
            raise _no_case_folder() from None
        raise _unreadable(name, "it is missing") from None
    except (OSError, ValueError) as error:
        raise _unreadable(name, getattr(error, "strerror", None) or "no plain name") from error


def _unreadable(name: str, why: str) -> CaseRecordError:
    return CaseRecordError(
        f"{name} of the case cannot be read: {why}. Analyze the recording again or bring the file"
        " back from a backup."
    )


_NO_RECORD = "The folder has no case record (case.json and series.parquet). Name a case folder."


def _no_case_folder() -> CaseRecordError:
    return CaseRecordError(_NO_RECORD)
