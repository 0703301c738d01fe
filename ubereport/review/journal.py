"""The journal of a case's review: lines that are only ever added, each sealing the one before.

A line holds the SHA-256 of the line before it, the first one that of the case id. Whoever changes,
cuts out or brings in a line breaks the chain at that line, and is told which one it is. The last
line may be cut off in the middle where a machine died while writing it: it was never answered as
kept, and is dropped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ubereport.core.errors import OutputError, ReviewError
from ubereport.files.lock import hold_lock
from ubereport.files.records.store import REVIEW_NAME
from ubereport.files.system import open_descriptor
from ubereport.review.strokes import Stroke, line_of_stroke, stroke_of_line

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL_NAME = REVIEW_NAME
MAX_LINE_BYTES = 16_384
_MAX_BYTES = 64 * 2**20
_LOCK_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Journal:
    """Everything that was said of a case, in order.

    Parameters
    ----------
    case_id
        Whose journal it is.
    strokes
        Line 1 first.
    head_sha256
        Digest of the last line, or of the case id where nothing was said yet: it stands for the
        whole journal.
    n_bytes
        Length of the whole lines in the file; what lies beyond is a line that was cut off.
    """

    case_id: str
    strokes: tuple[Stroke, ...]
    head_sha256: str
    n_bytes: int

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who said something, in the order in which they first did."""
        return tuple(dict.fromkeys(stroke.reviewer for stroke in self.strokes))

    def standing(self, reviewer: str) -> tuple[tuple[int, Stroke], ...]:
        """Return the numbered strokes of `reviewer` that were not taken back, in order."""
        # Everybody takes back their own words alone. An undo never stands itself, so that a second
        # one reaches the stroke before, and so on back to the first.
        own = [(n, s) for n, s in enumerate(self.strokes, 1) if s.reviewer == reviewer]
        undone = {stroke.undoes for _, stroke in own if stroke.undoes is not None}
        return tuple((n, s) for n, s in own if s.undoes is None and n not in undone)


def read_journal(folder: Path, case_id: str) -> Journal:
    """Read the journal in a case folder; an empty one where nobody has reviewed the case.

    Raises
    ------
    ReviewError
        If it is too large, or a line was changed, cut out, brought in, or belongs to another
        case; the message names the line.
    """
    path = folder / JOURNAL_NAME
    try:
        descriptor = open_descriptor(path, os.O_RDONLY)
    except FileNotFoundError:
        return parse_journal(b"", case_id)
    except OSError as error:
        raise ReviewError(
            f"The review of the case cannot be read ({error.strerror}). Check who may read"
            f" {JOURNAL_NAME} in its folder; the measured numbers stand."
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        # One byte more than allowed tells that there is more, and nothing larger is ever held in
        # memory.
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ReviewError(
            f"The review of the case is larger than {_MAX_BYTES} bytes, which no person wrote."
            " Bring it back from a backup; the measured numbers stand."
        )
    return parse_journal(content, case_id)


def parse_journal(content: bytes, case_id: str) -> Journal:
    """Check the chain of a journal's lines and return what they say.

    Raises
    ------
    ReviewError
        As for `read_journal`.
    """
    # What lies behind the last line break was never acknowledged to anybody.
    whole = content[: content.rfind(b"\n") + 1]
    # The chain starts from the case id, so that a whole journal copied into another case breaks at
    # its first line.
    head = _seed(case_id)
    strokes: list[Stroke] = []
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        strokes.append(_checked(line, number, head, len(strokes)))
        head = hashlib.sha256(line).hexdigest()
    return Journal(case_id, tuple(strokes), head, len(whole))


def append_stroke(
    folder: Path,
    case_id: str,
    make: Callable[[Journal], Stroke],
) -> tuple[Journal, Stroke]:
    """Add one stroke to the journal of a case and bring it to disk; return both.

    Parameters
    ----------
    folder
        The case folder.
    case_id
        Whose it is.
    make
        Is given the journal as it stands at that moment, under the lock of the case, so that two
        tabs or two people at once cannot write past each other; may raise to refuse the stroke.

    Raises
    ------
    ReviewError
        If the journal is damaged.
    OutputError
        If the disk is full or read-only, or an analysis of the case is running; the journal is
        then as it was.
    """
    # Others hold the case for one stroke, too: a little wait is enough.
    with hold_lock(folder.parent, folder.name, _LOCK_WAIT_S):
        journal = read_journal(folder, case_id)
        stroke = make(journal)
        line = line_of_stroke(stroke, len(journal.strokes) + 1, journal.head_sha256)
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"a line of {len(line)} bytes; allowed are {MAX_LINE_BYTES}")
        _append(folder / JOURNAL_NAME, line + b"\n", journal.n_bytes)
    head = hashlib.sha256(line).hexdigest()
    grown = Journal(case_id, (*journal.strokes, stroke), head, journal.n_bytes + len(line) + 1)
    return grown, stroke


def review_files(folder: Path) -> dict[str, bytes]:
    """Return the journal of a case folder and the pictures it names, by relative path."""
    names = [JOURNAL_NAME] if (folder / JOURNAL_NAME).is_file() else []
    names += [f"review/{path.name}" for path in sorted((folder / "review").glob("*.png"))]
    return {name: (folder / name).read_bytes() for name in names}


def _seed(case_id: str) -> str:
    return hashlib.sha256(f"ubereport review\n{case_id}\n".encode()).hexdigest()


def _checked(line: bytes, number: int, head: str, n_before: int) -> Stroke:
    try:
        stroke, own_number, previous = stroke_of_line(line)
    except ValueError:
        raise _broken(number, "cannot be read") from None
    if number == 1 and previous != head:
        raise _broken(number, "belongs to another case or does not begin the review")
    if previous != head or own_number != number:
        raise _broken(number, "does not follow from the line before it")
    # Only what stands before can be taken back: an undo that waits for a later line would unsay
    # words that nobody had spoken yet.
    if stroke.undoes is not None and stroke.undoes > n_before:
        raise _broken(number, "takes back a line that is not there")
    return stroke


def _broken(number: int, what: str) -> ReviewError:
    return ReviewError(
        f"Line {number} of the review {what}: the file was changed after it was written. Bring"
        f" {JOURNAL_NAME} back from a backup, or move it away and review the case again; the"
        " measured numbers stand."
    )


def _append(path: Path, line: bytes, n_bytes: int) -> None:
    """Write a line behind the first `n_bytes`, which are whole lines, and bring it to disk."""
    try:
        descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT)
        try:
            os.ftruncate(descriptor, n_bytes)
            # Behind the last whole line: half a line that a dead machine left is written over.
            os.lseek(descriptor, n_bytes, os.SEEK_SET)
            try:
                _write_whole(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, n_bytes)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"The stroke cannot be kept ({error.strerror}; {len(line)} bytes are needed). Free"
            " some space or check who may write to the case folder, and make the stroke again;"
            " everything before it is kept."
        ) from None


def _write_whole(descriptor: int, content: Sequence[int] | bytes) -> None:
    rest = memoryview(bytes(content))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
