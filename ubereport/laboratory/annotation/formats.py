"""Every annotation format under one name: which it is, reading it, writing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ubereport.core.choices import LabelFormat
from ubereport.core.errors import AnnotationError, UsageError
from ubereport.laboratory.annotation.coco import read_coco, write_coco
from ubereport.laboratory.annotation.cvat import read_cvat, write_cvat
from ubereport.laboratory.annotation.files import read_bytes, read_json
from ubereport.laboratory.annotation.folders import MANIFEST_NAME, read_manifest_folder
from ubereport.laboratory.annotation.label_studio import read_label_studio, write_label_studio
from ubereport.laboratory.annotation.labelme import read_labelme, write_labelme
from ubereport.laboratory.annotation.png import read_png, write_png
from ubereport.laboratory.annotation.still_index import StillIndex
from ubereport.laboratory.annotation.types import DEFAULT_LABELS, Annotation, LabelNames


def detect_format(path: Path) -> LabelFormat:
    """Return the format of a file or folder by what it holds.

    Raises
    ------
    AnnotationError
        If it is none of those known, or missing.
    """
    if not path.exists():
        raise AnnotationError(f"There is nothing at {path.name!r}. Check the path.")
    kind = _of_folder(path) if path.is_dir() else _of_file(path)
    if kind is None:
        known = ", ".join(f for f in LabelFormat if f is not LabelFormat.AUTO)
        raise AnnotationError(
            f"{path.name} is of no known format ({known}). Unpack archives first, or say which "
            "it is with --format."
        )
    return kind


def _of_folder(path: Path) -> LabelFormat | None:
    if (path / MANIFEST_NAME).is_file():
        return LabelFormat.FOLDER
    if (path / "masks").is_dir():
        return LabelFormat.PNG
    if any(path.glob("*.json")) or any(path.glob("*/*.json")):
        return LabelFormat.LABELME
    return None


def _of_file(path: Path) -> LabelFormat | None:
    content = read_bytes(path)
    if content.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        return LabelFormat.CVAT
    if not path.name.lower().endswith((".json", ".json.gz")):
        return None
    table = read_json(content, path.name)
    if isinstance(table, list):
        return LabelFormat.LABEL_STUDIO
    if not isinstance(table, dict):
        return None
    if "images" in table or "schema" in table:
        return LabelFormat.COCO
    return LabelFormat.LABELME if "shapes" in table else None


def read_annotations(
    path: Path,
    kind: LabelFormat | None = None,
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
    if chosen is LabelFormat.LABEL_STUDIO:
        return read_label_studio(path, stills, labels)
    if chosen is LabelFormat.PNG:
        return read_png(path)
    if chosen is LabelFormat.FOLDER:
        return read_manifest_folder(path)
    readers = {
        LabelFormat.COCO: read_coco,
        LabelFormat.LABELME: read_labelme,
        LabelFormat.CVAT: read_cvat,
    }
    return readers[chosen](path, labels)


def write_annotations(
    annotations: Sequence[Annotation], kind: LabelFormat, path: Path, *, is_polygon: bool = False
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
    writers = {
        LabelFormat.LABELME: write_labelme,
        LabelFormat.CVAT: write_cvat,
        LabelFormat.LABEL_STUDIO: write_label_studio,
    }
    if kind in writers:
        writers[kind](annotations, path, is_polygon=is_polygon)
        return
    if is_polygon or kind in (LabelFormat.FOLDER, LabelFormat.AUTO):
        raise UsageError(
            f"{kind.value} cannot be written {'as polygons' if is_polygon else 'here'}; allowed: "
            f"{', '.join(writers)}{'' if is_polygon else ', png, coco'}. Choose another."
        )
    if kind is LabelFormat.PNG:
        write_png(annotations, path)
    else:
        write_coco(annotations, path)
