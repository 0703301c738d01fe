"""Every annotation format under one name: which it is, reading it, writing it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from ubereport.core.errors import AnnotationError, UsageError
from ubereport.laboratory.annotation.coco import read_coco, write_coco
from ubereport.laboratory.annotation.cvat import read_cvat, write_cvat
from ubereport.laboratory.annotation.files import read_bytes, read_json
from ubereport.laboratory.annotation.folders import MANIFEST_NAME, read_manifest_folder
from ubereport.laboratory.annotation.label_studio import read_label_studio, write_label_studio
from ubereport.laboratory.annotation.labelme import read_labelme, write_labelme
from ubereport.laboratory.annotation.packed import PACKED_SCHEMA, Packed, read_packed, write_packed
from ubereport.laboratory.annotation.png import read_png, write_png
from ubereport.laboratory.annotation.stills import StillIndex
from ubereport.laboratory.annotation.types import DEFAULT_LABELS, Annotation, LabelNames

_PACKED_HOW = "Written by `ubereport train convert`; say here who drew the masks and how."
_PACKED_LICENCE = "Not stated; say here under which licence the masks may be used."


class Format(StrEnum):
    """Formats of annotations; `FOLDER` is what training reads."""

    PNG = "png"
    COCO = "coco"
    LABELME = "labelme"
    CVAT = "cvat"
    LABEL_STUDIO = "label-studio"
    PACKED = "packed"
    FOLDER = "folder"


def detect_format(path: Path) -> Format:
    """Return the format of a file or folder by what it holds.

    Raises
    ------
    AnnotationError
        If it is none of those known, or missing.
    """
    if not path.exists():
        raise AnnotationError(f"There is nothing at {path.name!r}. Check the path.")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None:
        known = ", ".join(Format)
        raise AnnotationError(
            f"{path.name} is of no known format ({known}). Unpack archives first, or say which "
            "it is with --format."
        )
    return found


def _of_folder(path: Path) -> Format | None:
    if (path / MANIFEST_NAME).is_file():
        return Format.FOLDER
    if (path / "masks").is_dir():
        return Format.PNG
    if any(path.glob("*.json")) or any(path.glob("*/*.json")):
        return Format.LABELME
    return None


def _of_file(path: Path) -> Format | None:
    content = read_bytes(path)
    if path.suffix == ".gz":
        return Format.PACKED
    if content.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        return Format.CVAT
    if path.suffix.lower() != ".json":
        return None
    table = read_json(content, path.name)
    if isinstance(table, list):
        return Format.LABEL_STUDIO
    if not isinstance(table, dict):
        return None
    if table.get("schema") == PACKED_SCHEMA:
        return Format.PACKED
    if "images" in table:
        return Format.COCO
    return Format.LABELME if "shapes" in table else None


def read_annotations(
    path: Path,
    kind: Format | None = None,
    labels: LabelNames = DEFAULT_LABELS,
    stills: StillIndex | None = None,
) -> tuple[Annotation, ...]:
    """Read a file or folder of annotations; its format is found where `kind` is None.

    Parameters
    ----------
    labels
        What the tool's labels mean.
    stills
        Needed for zero masks of Label Studio alone, which does not say how large a still is.

    Raises
    ------
    AnnotationError
        As the reader of the format.
    """
    chosen = detect_format(path) if kind is None else kind
    if chosen is Format.LABEL_STUDIO:
        return read_label_studio(path, stills, labels)
    if chosen is Format.PACKED:
        return read_packed(path).annotations
    if chosen is Format.PNG:
        return read_png(path)
    if chosen is Format.FOLDER:
        return read_manifest_folder(path)
    readers = {Format.COCO: read_coco, Format.LABELME: read_labelme, Format.CVAT: read_cvat}
    return readers[chosen](path, labels)


def write_annotations(
    annotations: Sequence[Annotation], kind: Format, path: Path, *, is_polygon: bool = False
) -> None:
    """Write annotations in a format; see `write_manifest_folder` for the one that training reads.

    Parameters
    ----------
    path
        A folder for png and labelme, a file else.
    is_polygon
        Polygons that can be dragged in place of masks, for labelme, CVAT and Label Studio.

    Raises
    ------
    UsageError
        If the format has no such polygons, or is the folder.
    AnnotationError
        As the writer of the format.
    OutputError
        If a file cannot be written.
    """
    drawn = {
        Format.LABELME: write_labelme,
        Format.CVAT: write_cvat,
        Format.LABEL_STUDIO: write_label_studio,
    }
    if kind in drawn:
        drawn[kind](annotations, path, is_polygon=is_polygon)
        return
    if is_polygon or kind is Format.FOLDER:
        raise UsageError(
            f"{kind.value} cannot be written {'as polygons' if is_polygon else 'here'}; allowed: "
            f"{', '.join(drawn)}{'' if is_polygon else ', png, coco, packed'}. Choose another."
        )
    if kind is Format.PACKED:
        title = f"{len(annotations)} annotations of visible blood"
        write_packed(Packed(title, _PACKED_HOW, _PACKED_LICENCE, tuple(annotations)), path)
    elif kind is Format.PNG:
        write_png(annotations, path)
    else:
        write_coco(annotations, path)
