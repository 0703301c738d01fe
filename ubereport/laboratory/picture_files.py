"""Pictures in files: which files are some, those below a folder, and one read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def is_picture(path: Path) -> bool:
    """Return whether a path is a file that is called as pictures are, and not hidden."""
    is_named_so = path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    return is_named_so and path.is_file()


def is_hidden(path: Path) -> bool:
    """Return whether a path, relative to the folder looked through, is hidden or lies so."""
    return any(part.startswith(".") for part in path.parts)


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in the folders inside it; hidden folders are left out."""
    pictures = (path for path in folder.rglob("*") if is_picture(path))
    return sorted(path for path in pictures if not is_hidden(path.relative_to(folder)))


def read_rgb(path: Path) -> RgbArray:
    """Read a picture as (H, W, 3) uint8 RGB.

    Raises
    ------
    AnnotationError
        If it is no picture that can be read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise AnnotationError(f"{path.name} is no picture that can be read. Replace it.")
    return np.ascontiguousarray(bgr[..., ::-1])
