"""Key frames of a case folder as ``data:`` URIs; a hostile record cannot name another file."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath

from ubereport.documents.page.blocks import Image
from ubereport.language.speaking import _

MAX_STILL_BYTES = 4 * 2**20
_JPEG_START = b"\xff\xd8\xff"


def load_still(frames_dir: Path | None, path: str, alt: str) -> Image:
    """Read one JPEG that belongs to a case.

    Parameters
    ----------
    frames_dir
        The case folder that `path` is relative to, or its ``frames/`` folder; None where no
        stills were kept.
    path
        As in `KeyFrame`.
    alt
        What the still shows.

    Returns
    -------
    Image
        Without URI, and with the reason, where the still is not kept, lies outside the folder,
        is too large or no JPEG.
    """
    if frames_dir is None:
        return Image("", alt, _("no stills were kept"))
    try:
        file = _inside(frames_dir, path)
        if file is None or not file.is_file():
            return Image("", alt, _("the still is missing"))
        if file.stat().st_size > MAX_STILL_BYTES:
            return Image("", alt, _("the still is too large"))
        content = file.read_bytes()
    except OSError:
        return Image("", alt, _("the still cannot be read"))
    if not content.startswith(_JPEG_START):
        return Image("", alt, _("the still is no JPEG"))
    return Image("data:image/jpeg;base64," + base64.b64encode(content).decode("ascii"), alt)


def _inside(frames_dir: Path, path: str) -> Path | None:
    pure = PurePosixPath(path)
    if "\0" in path or "\\" in path or ":" in path or pure.is_absolute() or ".." in pure.parts:
        return None
    if len(pure.parts) > 1 and frames_dir.name == pure.parts[0]:
        pure = PurePosixPath(*pure.parts[1:])
    # Resolved too: a link inside of the folder may lead out of it, which its name does not show.
    root = frames_dir.resolve()
    file = root.joinpath(*pure.parts).resolve()
    return file if file.is_relative_to(root) else None
