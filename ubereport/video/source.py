"""The file itself: may it be opened at all, what is it, what is its hash."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import IO

from ubereport.core.errors import RecordingFormatError, UsageError

_BLOCK = 1 << 20
_STILLS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_source(path: Path, label: str) -> int:
    """Refuse what is no file of bytes, without opening pipes and devices; return its size.

    Parameters
    ----------
    path
        The file.
    label
        How messages call it, such as "Part 1 of the case"; names may hold patient data.

    Raises
    ------
    UsageError
        If nothing is there, or a folder, pipe, socket or device, or it may not be read.
    RecordingFormatError
        If the file is empty or a still image.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(
            f"{label} cannot be opened ({error.strerror}). Name a video file."
        ) from None
    except ValueError:
        raise UsageError(f"{label} has an impossible path. Name a video file.") from None
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise UsageError(f"{label} is {name}, not a file. Name a video file.")
    if status.st_size == 0:
        raise RecordingFormatError(f"{label} is empty (0 bytes). Copy it again from the recorder.")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UsageError(
            f"{label} cannot be opened ({error.strerror}). Check who may read it."
        ) from None
    _refuse_still(head, label)
    return status.st_size


def _refuse_still(head: bytes, label: str) -> None:
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    for magic, kind in (*_STILLS.items(), (head[:12] if is_webp else b"\0" * 17, "WebP")):
        if head.startswith(magic):
            raise RecordingFormatError(
                f"{label} is a still image ({kind}), not a recording. Name a video file."
            )


def sha256_of(path: str | Path, *, is_unhurried: bool = False) -> str:
    """Hex digest of a file, read in blocks.

    `is_unhurried` rests as long as each block took, where somebody waits for other things.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123 -- the path may hold undecodable bytes
        started_s = time.monotonic()
        while block := file.read(_BLOCK):
            digest.update(block)
            if is_unhurried:
                time.sleep(time.monotonic() - started_s)
                started_s = time.monotonic()
    return digest.hexdigest()


def is_dicom(path: str | Path) -> bool:
    """Whether the file has the DICOM preamble."""
    with open(path, "rb") as file:  # noqa: PTH123 -- the path may hold undecodable bytes
        return file.read(132)[128:] == b"DICM"


def open_source(path: str) -> str | IO[bytes]:
    """Return what FFmpeg is to open: the path, or the video stream inside a DICOM file.

    Raises
    ------
    DependencyError
        If the file is DICOM and pydicom is absent.
    RecordingFormatError
        If the DICOM file holds no encapsulated video.
    """
    if not is_dicom(path):
        return os.path.abspath(path)  # noqa: PTH100 -- the path may hold undecodable bytes
    from ubereport.video.dicom import extract_video

    return extract_video(path)
