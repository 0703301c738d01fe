"""COCO: one JSON file, gzipped or not; polygons, compressed and uncompressed run lengths.

Without any picture, a thousand annotations are half a megabyte: what is committed and shared.
Stills are named by file name and sha256, so that they stay where their licence lets them.

What COCO has no place for stands in keys of its own, which other tools pass over: an image's
``ubereport`` (sha256, group, and every annotator who looked, so that a zero mask is not taken
for an unlabelled still) and an annotation's ``annotator``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import (
    list_of,
    number_of,
    read_bytes,
    read_json,
    table_of,
    text_of,
    to_json,
    zipped,
)
from ubereport.laboratory.annotation.run_lengths import RunLengths
from ubereport.laboratory.annotation.shapes import (
    Shape,
    Sheet,
    annotate,
    drawn_box,
    extras_of,
    fill_polygon,
)
from ubereport.laboratory.annotation.types import (
    DEFAULT_LABELS,
    UNKNOWN_ANNOTATOR,
    Annotation,
    LabelNames,
    Role,
    check_no_repeats,
    check_writable,
    still_name,
)

_FORMER_SCHEMA = "ubereport-annotations/1"
_CATEGORY_IDS = {Role.BLOOD: 1, Role.IGNORE: 2}


def read_coco(path: Path, labels: LabelNames = DEFAULT_LABELS) -> tuple[Annotation, ...]:
    """Read a COCO file; a listed image without annotations is a zero mask.

    Raises
    ------
    AnnotationError
        If the file is no COCO, a category is unknown, an annotation names an image that is not
        listed, a mask does not fit its image, or a name is a path out of the folder.
    """
    table = table_of(read_json(read_bytes(path), path.name), path.name)
    if table.get("schema") == _FORMER_SCHEMA:
        raise AnnotationError(
            f"{path.name} is of our former packed format. Convert it to coco with ubereport 0.1.0."
        )
    roles = _roles(table, labels)
    images = {
        number_of(table_of(i, "An image"), "id", "An image"): i for i in _list(table, "images")
    }
    sheets = {key: _sheets(image) for key, image in images.items()}
    shapes: dict[tuple[int, str], list[Shape]] = {}
    for value in _list(table, "annotations"):
        entry = table_of(value, "An annotation")
        image_id = number_of(entry, "image_id", "An annotation")
        if image_id not in sheets:
            raise AnnotationError(
                f"An annotation names image {image_id}, which is not listed. Export it again."
            )
        annotator = entry.get("annotator", UNKNOWN_ANNOTATOR)
        sheet = _sheet(images[image_id], str(annotator))
        # Files of other tools list no annotators: whoever drew the shape is added as one.
        sheets[image_id].setdefault(str(annotator), sheet)
        category = number_of(entry, "category_id", "An annotation")
        if category not in roles:
            raise AnnotationError(f"An annotation has category {category}, which is not listed.")
        mask = _mask(entry.get("segmentation"), sheet)
        shapes.setdefault((image_id, str(annotator)), []).append((roles[category], mask))
    annotations = [
        annotate(sheet, shapes.get((image_id, annotator), ()))
        # An image that nobody is named for was still looked at by whoever exported it: it is a zero
        # mask.
        for image_id, by_annotator in sheets.items()
        for annotator, sheet in (by_annotator or {"": _sheet(images[image_id])}).items()
    ]
    return check_no_repeats(tuple(annotations))


def write_coco(
    annotations: Sequence[Annotation], path: Path, info: Mapping[str, str] | None = None
) -> None:
    """Write a COCO file with compressed run lengths; `read_coco` gives the same annotations.

    A name that ends in .gz is gzipped. The same annotations give the same bytes.

    Parameters
    ----------
    info
        What the file says of itself, such as who drew the masks, how, and under which licence.

    Raises
    ------
    AnnotationError
        If an annotator has a still twice, or two annotations of a still differ in size.
    OutputError
        If the file cannot be written.
    """
    check_writable(annotations)
    images: dict[str, dict[str, Any]] = {}
    entries: list[dict[str, Any]] = []
    for annotation in annotations:
        image = images.setdefault(annotation.still, _image(annotation, len(images) + 1))
        image["ubereport"]["annotators"].append(annotation.annotator)
        for role, mask in annotation.layers:
            entry = _entry(annotation, role, mask)
            entries.append({"id": len(entries) + 1, "image_id": image["id"], **entry})
    categories = [{"id": i, "name": role.value} for role, i in _CATEGORY_IDS.items()]
    table = {"images": list(images.values()), "annotations": entries, "categories": categories}
    content = to_json(table if info is None else {"info": dict(info), **table})
    write_file(path, zipped(content) if path.suffix == ".gz" else content)


def _image(annotation: Annotation, image_id: int) -> dict[str, Any]:
    own: dict[str, Any] = {"sha256": annotation.sha256, "group": annotation.group, "annotators": []}
    return {
        "id": image_id,
        "file_name": annotation.still,
        "height": annotation.height_px,
        "width": annotation.width_px,
        "ubereport": own,
    }


def _entry(annotation: Annotation, role: Role, mask: BoolArray) -> dict[str, Any]:
    return {
        "category_id": _CATEGORY_IDS[role],
        "annotator": annotation.annotator,
        "segmentation": {
            "size": [annotation.height_px, annotation.width_px],
            "counts": RunLengths.from_mask(mask).to_string(),
        },
        "area": int(mask.sum()),
        "bbox": list(drawn_box(mask)),
        # By COCO's own rule run lengths belong to crowds, polygons to single things; which tools go
        # by.
        "iscrowd": 1,
    }


def _list(table: Mapping[str, Any], key: str) -> Sequence[Any]:
    return list_of(table.get(key), f"{key} of the COCO file")


def _roles(table: Mapping[str, Any], labels: LabelNames) -> dict[int, Role]:
    categories = [table_of(value, "A category") for value in _list(table, "categories")]
    return {
        number_of(c, "id", "A category"): labels.role(text_of(c, "name", "A category"))
        for c in categories
    }


def _sheets(image: Mapping[str, Any]) -> dict[str, Sheet]:
    annotators = _own(image).get("annotators", [])
    return {str(name): _sheet(image, str(name)) for name in list_of(annotators, "annotators")}


def _own(image: Mapping[str, Any]) -> Mapping[str, Any]:
    return table_of(image.get("ubereport", {}), "ubereport of an image")


def _sheet(image: Mapping[str, Any], annotator: str = UNKNOWN_ANNOTATOR) -> Sheet:
    sha256, group = extras_of(_own(image))
    return Sheet(
        still_name(text_of(image, "file_name", "An image")),
        number_of(image, "height", "An image"),
        number_of(image, "width", "An image"),
        annotator,
        sha256,
        group,
    )


def _mask(segmentation: Any, sheet: Sheet) -> BoolArray:  # noqa: ANN401 -- JSON
    if isinstance(segmentation, list):
        mask = np.zeros((sheet.height_px, sheet.width_px), dtype=bool)
        for flat in segmentation:
            if not isinstance(flat, list) or len(flat) % 2:
                raise AnnotationError(
                    f"A polygon on {sheet.still} has an odd number of values. Export it again."
                )
            points = [flat[i : i + 2] for i in range(0, len(flat), 2)]
            mask |= fill_polygon(points, sheet.height_px, sheet.width_px)
        return mask
    table = table_of(segmentation, f"A mask on {sheet.still}")
    if table.get("size") != [sheet.height_px, sheet.width_px]:
        raise AnnotationError(
            f"A mask on {sheet.still} has size {table.get('size')}, the still "
            f"{[sheet.height_px, sheet.width_px]} (height, width). Masks have the size of their "
            "still."
        )
    counts = table.get("counts")
    if isinstance(counts, str):
        return RunLengths.from_string(sheet.height_px, sheet.width_px, counts).decode()
    values = list_of(counts, f"The runs of a mask on {sheet.still}")
    return RunLengths.from_counts(sheet.height_px, sheet.width_px, values).decode()
