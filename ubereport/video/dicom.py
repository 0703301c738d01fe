"""The only door to pydicom: the video stream inside a DICOM file."""

from __future__ import annotations

import importlib
import tempfile
from typing import IO, Any, cast

from ubereport.errors import DependencyError, RecordingFormatError

__all__ = ["extract_video"]

# DICOM PS3.5 A.4.5–A.4.9 and A.4.11: encapsulated MPEG-2, MPEG-4 AVC/H.264 and HEVC/H.265.
_VIDEO_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109)) | {
    f"1.2.840.10008.1.2.4.{number}.1" for number in range(100, 107)
}


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
        encaps = importlib.import_module("pydicom.encaps")
    except ImportError:
        raise DependencyError(
            "is a DICOM file, and pydicom is not installed. "
            "Install it with: pip install 'ubereport[dicom]'."
        ) from None
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- the path may hold undecodable bytes
            dataset = pydicom.dcmread(file, defer_size=None)
            return _copy(dataset, encaps)
    except RecordingFormatError:
        raise
    except Exception as error:  # noqa: BLE001 -- pydicom raises many kinds on damaged files
        raise RecordingFormatError(
            f"is a DICOM file that cannot be read ({type(error).__name__}). "
            "Export it again from the archive."
        ) from None


def _copy(dataset: Any, encaps: Any) -> IO[bytes]:  # noqa: ANN401 -- pydicom has no types
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", ""))
    if syntax not in _VIDEO_SYNTAXES or "PixelData" not in dataset:
        raise RecordingFormatError(
            "is a DICOM file without encapsulated video (MPEG-2, H.264 or HEVC). "
            "Export the video object."
        )
    file = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 -- handed to the caller
    for fragment in encaps.generate_fragments(dataset.PixelData):
        file.write(fragment)
    file.seek(0)
    return file
