"""Between the folder layout that training reads (manifest, masks/, ignore/) and annotations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import png_bytes
from ubereport.laboratory.annotation.png import read_mask_pair, read_png
from ubereport.laboratory.annotation.still_index import Joined, still_size
from ubereport.laboratory.annotation.types import (
    UNKNOWN_ANNOTATOR,
    Annotation,
    AnnotationKind,
    check_no_repeats,
)
from ubereport.laboratory.csv_rows import read_rows, rows_bytes

MANIFEST_NAME = "MANIFEST.csv"
ANNOTATORS_DIR = "annotators"
_COLUMNS = ("name", "image", "group", "annotator", "second", "kind")
_KINDS = {
    AnnotationKind.BLOOD: "blood",
    AnnotationKind.ZERO: "zero",
    AnnotationKind.UNDECIDED: "unlabelled",
}


def read_manifest_folder(folder: Path) -> tuple[Annotation, ...]:
    """Read MANIFEST.csv (name, image, group) with masks/ and ignore/.

    The columns annotator and second may say who drew; a second annotator's masks lie in
    second/masks and second/ignore. Where annotators/ holds a folder of masks for each of several
    annotators, these are read instead. Digests are those of the stills that the manifest points
    to; a still that nobody annotated ("unlabelled", without a mask) is passed over.

    Raises
    ------
    AnnotationError
        If the manifest lacks a column, a still or mask is missing, or a mask does not fit.
    """
    rows = read_rows(folder / MANIFEST_NAME, "name", "image", "group")
    by_annotator = folder / ANNOTATORS_DIR
    if by_annotator.is_dir():
        return read_png(by_annotator)
    drawings = []
    for row in rows:
        is_drawn = (folder / "masks" / f"{row['name']}.png").is_file()
        if row.get("kind") == "unlabelled" and not is_drawn:
            continue
        drawings.append(_read_one(folder, folder, row, row.get("annotator") or UNKNOWN_ANNOTATOR))
        if row.get("second"):
            drawings.append(_read_one(folder, folder / "second", row, row["second"]))
    return check_no_repeats(tuple(drawings))


def write_manifest_folder(joined: Joined, folder: Path) -> Path:
    """Write MANIFEST.csv, masks/ and ignore/ for training; return the manifest's path.

    Training takes one annotation a still: choose whose before.

    Raises
    ------
    AnnotationError
        If a still has two annotations or two stills differ only in their suffix.
    OutputError
        If a file cannot be written.
    """
    names = [Path(annotation.still).stem for annotation, _ in joined.pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnnotationError(
            f"Still {twice[0]} has more than one annotation. Choose one annotator a still."
        )
    rows = []
    for name, (annotation, path) in zip(names, joined.pairs, strict=True):
        write_file(folder / "masks" / f"{name}.png", png_bytes(annotation.blood))
        write_file(folder / "ignore" / f"{name}.png", png_bytes(annotation.ignore))
        # Relative, so that a labelled folder can be moved together with its stills and names
        # nobody's folders.
        image = os.path.relpath(path.resolve(), folder.resolve())
        group = annotation.group if annotation.group is not None else name
        kind = _KINDS[annotation.kind]
        rows.append((name, Path(image).as_posix(), group, annotation.annotator, "", kind))
    write_file(folder / MANIFEST_NAME, rows_bytes(_COLUMNS, rows))
    return folder / MANIFEST_NAME


def without_annotators(
    annotations: Sequence[Annotation], names: Sequence[str]
) -> tuple[Annotation, ...]:
    """Return the annotations of all annotators but those."""
    return tuple(a for a in annotations if a.annotator not in names)


def _read_one(folder: Path, masks: Path, row: dict[str, str], annotator: str) -> Annotation:
    still = folder / row["image"]
    if not still.is_file():
        raise AnnotationError(f"Still {row['name']} is missing. Add it or take its row out.")
    blood, ignore = read_mask_pair(masks, f"{row['name']}.png")
    if blood.shape != still_size(still):
        raise AnnotationError(
            f"The masks of {row['name']} differ in size from their still. Masks have the size of "
            "their still."
        )
    return Annotation.from_masks(
        still.name,
        blood,
        ignore,
        annotator=annotator,
        sha256=hashlib.sha256(still.read_bytes()).hexdigest(),
        group=row["group"],
    )
