"""Masks as gray-level PNG files: ``masks/`` and ``ignore/``, a folder inside per annotator.

``stills.csv`` beside them keeps what file names cannot say: the full name, sha256 and group of
each still. Without it, the still is found by the stem.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import png_bytes, read_png_mask
from ubereport.laboratory.annotation.types import (
    UNKNOWN_ANNOTATOR,
    Annotation,
    by_file,
    check_no_repeats,
    still_name,
)
from ubereport.laboratory.csv_rows import read_rows, rows_bytes

_COLUMNS = ("mask", "still", "annotator", "sha256", "group")
_LIST_NAME = "stills.csv"


def read_png(path: Path) -> tuple[Annotation, ...]:
    """Read a folder with ``masks/`` and, where pixels are undecided, ``ignore/``.

    Both hold ``<stem>.png``, or one folder an annotator with such files.

    Raises
    ------
    AnnotationError
        If there are no masks, one is no gray-level PNG of 0 and 255, an ignore mask has another
        size or no mask beside it, or stills.csv names a mask that is missing.
    """
    masks = path / "masks"
    files = sorted(masks.glob("*.png")) + sorted(masks.glob("*/*.png"))
    if not files:
        raise AnnotationError(
            f"{path.name} has no masks. Put PNG files in masks/ or masks/<annotator>/."
        )
    keys = {file.relative_to(masks).as_posix() for file in files}
    ignored = path / "ignore"
    for file in sorted(ignored.glob("*.png")) + sorted(ignored.glob("*/*.png")):
        if file.relative_to(ignored).as_posix() not in keys:
            raise AnnotationError(
                f"ignore/ has {file.name}, but masks/ has none of that name. A still without "
                "blood needs a black mask."
            )
    listed = _read_list(path / _LIST_NAME, keys)
    return check_no_repeats(tuple(_read_one(path, key, listed.get(key)) for key in sorted(keys)))


def write_png(annotations: Sequence[Annotation], path: Path) -> None:
    """Write masks under `path`; several annotators get a folder each.

    Raises
    ------
    AnnotationError
        If two stills differ only in their suffix, or an annotator has a still twice.
    OutputError
        If a file cannot be written.
    """
    keys = by_file(annotations, ".png")
    rows = []
    for key, annotation in sorted(keys.items()):
        write_file(path / "masks" / key, png_bytes(annotation.blood))
        write_file(path / "ignore" / key, png_bytes(annotation.ignore))
        extras = (annotation.sha256 or "", annotation.group or "")
        rows.append((key, annotation.still, annotation.annotator, *extras))
    write_file(path / _LIST_NAME, rows_bytes(_COLUMNS, rows))


def read_mask_pair(folder: Path, name: str) -> tuple[BoolArray, BoolArray]:
    """Return what is blood and what is undecided by the files of one name in two folders.

    Raises
    ------
    AnnotationError
        If a mask is missing or no mask, or the two differ in size.
    """
    blood = read_png_mask(folder / "masks" / name)
    path = folder / "ignore" / name
    ignore = read_png_mask(path) if path.is_file() else np.zeros_like(blood)
    if blood.shape != ignore.shape:
        raise AnnotationError(
            f"The ignore mask {name} is {ignore.shape[1]} × {ignore.shape[0]} px, the blood mask "
            f"{blood.shape[1]} × {blood.shape[0]} px. They have the size of their still."
        )
    return blood, ignore


def _read_one(path: Path, key: str, row: dict[str, str] | None) -> Annotation:
    blood, ignore = read_mask_pair(path, key)
    parts = PurePosixPath(key).parts
    names = row or {
        "still": PurePosixPath(key).stem,
        "annotator": parts[0] if len(parts) == 2 else UNKNOWN_ANNOTATOR,
        "sha256": "",
        "group": "",
    }
    return Annotation.from_masks(
        still_name(names["still"]),
        blood & ~ignore,
        ignore,
        annotator=names["annotator"],
        sha256=names["sha256"] or None,
        group=names["group"] or None,
    )


def _read_list(path: Path, keys: set[str]) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    rows = read_rows(path, *_COLUMNS)
    for row in rows:
        if row["mask"] not in keys:
            raise AnnotationError(
                f"{path.name} lists the mask {row['mask']!r}, which is missing. Add it or take "
                "the row out."
            )
    return {row["mask"]: row for row in rows}
