"""The only door to pydicom: the video stream inside a DICOM file."""

from __future__ import annotations

import importlib
import os
import tempfile
from typing import IO, Any, cast

from ubereport.core.errors import DependencyError, RecordingFormatError

# DICOM PS3.5 A.4.5–A.4.9 and A.4.11: encapsulated MPEG-2, MPEG-4 AVC/H.264 and HEVC/H.265.
_VIDEO_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109)) | {
    f"1.2.840.10008.1.2.4.{number}.1" for number in range(100, 107)
}
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"
_BLOCK = 1 << 20
_NO_VIDEO = (
    "is a DICOM file without encapsulated video (MPEG-2, H.264 or HEVC). Export the video object."
)


def extract_video(path: str) -> IO[bytes]:
    """Copy the encapsulated video stream of a DICOM file into a private file without a name.

    Parameters
    ----------
    path
        The DICOM file.

    Returns
    -------
    file
        Open at its start; the system removes it when it is closed, however the program ends.

    Raises
    ------
    DependencyError
        If pydicom is absent.
    RecordingFormatError
        If the file is no DICOM file that can be read, or holds no encapsulated video.
    """
    try:
        pydicom = importlib.import_module("pydicom")
    except ImportError:
        raise DependencyError(
            "is a DICOM file, and pydicom is not installed. "
            "Install it with: pip install 'ubereport[dicom]'."
        ) from None
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- the path may hold undecodable bytes
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            _check_syntax(dataset)
            return _copy_stream(file)
    except RecordingFormatError:
        raise
    except Exception as error:  # noqa: BLE001 -- pydicom raises many kinds on damaged files
        raise RecordingFormatError(
            f"is a DICOM file that cannot be read ({type(error).__name__}). "
            "Export it again from the archive."
        ) from None


def _check_syntax(dataset: Any) -> None:  # noqa: ANN401 -- pydicom has no types
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", ""))
    if syntax not in _VIDEO_SYNTAXES:
        raise RecordingFormatError(_NO_VIDEO)


def _copy_stream(file: IO[bytes]) -> IO[bytes]:
    """Copy all fragments of the pixel data at which `file` stands, in blocks (PS3.5 A.4)."""
    tag, length = file.read(4), file.read(8)[4:]
    if tag != _PIXEL_DATA or length != _UNDEFINED:
        raise RecordingFormatError(_NO_VIDEO)
    stream = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 -- handed to the caller
    n_items = 0
    while file.read(4) == _ITEM:
        n_remaining = int.from_bytes(file.read(4), "little")
        n_items += 1
        if n_items == 1:  # the offset table, empty or not
            file.seek(n_remaining, os.SEEK_CUR)
            continue
        while n_remaining > 0 and (block := file.read(min(n_remaining, _BLOCK))):
            stream.write(block)
            n_remaining -= len(block)
    stream.seek(0)
    return stream
