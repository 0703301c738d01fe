"""CVAT for images 1.1: one XML file; polygons, boxes and run-length masks.

An ``annotator`` attribute on shapes, and on a ``seen`` tag that every annotated image gets, keeps
several annotators and zero masks apart. Documents with a DTD are refused: they are how entities
read local files or blow up memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import read_bytes
from ubereport.laboratory.annotation.run_lengths import check_size, counts_of, runs_to_flat
from ubereport.laboratory.annotation.shapes import (
    Shape,
    Sheet,
    annotate,
    drawn_box,
    fill_polygon,
    paste,
    polygons_of,
)
from ubereport.laboratory.annotation.types import (
    DEFAULT_LABELS,
    UNKNOWN_ANNOTATOR,
    Annotation,
    LabelNames,
    check_no_repeats,
    check_writable,
    still_name,
)

_SEEN = "seen"
_SHAPES = ("polygon", "box", "mask")
_PASSED_OVER = ("tag", "attribute")


def read_cvat(path: Path, labels: LabelNames = DEFAULT_LABELS) -> tuple[Annotation, ...]:
    """Read a CVAT file; a listed image without shapes is a zero mask.

    Raises
    ------
    AnnotationError
        If the file is no XML, has a DTD, a label or kind of shape is unknown, a mask does not fit
        its image, or a name is a path out of the folder.
    """
    root = _parse(read_bytes(path), path.name)
    if root.tag != "annotations":
        raise AnnotationError(f"{path.name} is no CVAT file for images 1.1. Export it as such.")
    annotations = [a for image in root.iter("image") for a in _read_image(image, labels)]
    return check_no_repeats(tuple(annotations))


def write_cvat(annotations: Sequence[Annotation], path: Path, *, is_polygon: bool = False) -> None:
    """Write a CVAT file, as masks or as polygons that can be dragged.

    Raises
    ------
    AnnotationError
        If an annotator has a still twice, or two annotations of a still differ in size.
    OutputError
        If the file cannot be written.
    """
    check_writable(annotations)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    images: dict[str, ET.Element] = {}
    for annotation in annotations:
        if annotation.still not in images:
            key = {"id": str(len(images)), "name": annotation.still}
            size = {"width": str(annotation.width_px), "height": str(annotation.height_px)}
            images[annotation.still] = ET.SubElement(root, "image", key | size)
        _write_one(images[annotation.still], annotation, is_polygon)
    ET.indent(root, " ")
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    write_file(path, content + b"\n")


def _parse(content: bytes, name: str) -> ET.Element:
    def refuse(*_: object) -> None:
        raise AnnotationError(
            f"{name} declares a DTD, which could read files of this machine; CVAT writes none. "
            "Export it again."
        )

    # Read twice: once to refuse a DTD before any entity can be expanded, once for the tree.
    checker = expat.ParserCreate()
    checker.StartDoctypeDeclHandler = refuse
    checker.EntityDeclHandler = refuse
    try:
        checker.Parse(content, True)
        return ET.fromstring(content)  # noqa: S314 -- a document with a DTD was refused above
    except (expat.ExpatError, ET.ParseError, ValueError, LookupError):
        raise AnnotationError(f"{name} is no valid XML. Export it again.") from None


def _read_image(image: ET.Element, labels: LabelNames) -> Iterator[Annotation]:
    still = still_name(image.get("name", ""))
    height_px, width_px = _whole(image, "height", still), _whole(image, "width", still)
    check_size(height_px, width_px)
    extras: dict[str, dict[str, str]] = {}
    shapes: dict[str, list[Shape]] = {}
    for element in image:
        attributes = _attributes(element)
        annotator = attributes.pop("annotator", UNKNOWN_ANNOTATOR)
        # CVAT has no place for who looked and drew nothing, so that a tag of ours says it; other
        # tags are somebody else's.
        if element.tag == "tag" and element.get("label") == _SEEN:
            extras[annotator] = attributes
        elif element.tag in _SHAPES:
            role = labels.role(element.get("label", ""))
            mask = _draw(element, still, height_px, width_px)
            shapes.setdefault(annotator, []).append((role, mask))
        elif element.tag not in _PASSED_OVER:
            raise AnnotationError(
                f"Still {still} has a {element.tag!r}; allowed: {', '.join(_SHAPES)}. Draw it as "
                "one of these."
            )
    # A listed image that nobody is named for was looked at by somebody: a zero mask.
    for annotator in sorted({*extras, *shapes} or {UNKNOWN_ANNOTATOR}):
        extra = extras.get(annotator, {})
        sheet = Sheet(
            still, height_px, width_px, annotator, extra.get("sha256"), extra.get("group")
        )
        yield annotate(sheet, shapes.get(annotator, ()))


def _attributes(element: ET.Element) -> dict[str, str]:
    return {child.get("name", ""): child.text or "" for child in element.iter("attribute")}


def _draw(element: ET.Element, still: str, height_px: int, width_px: int) -> BoolArray:
    if element.tag == "mask":
        return _draw_mask(element, still, height_px, width_px)
    if element.tag == "box":
        left, top, right, bottom = (
            _number(element.get(key, ""), still) for key in ("xtl", "ytl", "xbr", "ybr")
        )
        points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    else:
        points = [
            [_number(value, still) for value in pair.split(",")]
            for pair in element.get("points", "").split(";")
        ]
    return fill_polygon(points, height_px, width_px)


def _draw_mask(element: ET.Element, still: str, height_px: int, width_px: int) -> BoolArray:
    left, top, width, height = (
        _whole(element, key, still) for key in ("left", "top", "width", "height")
    )
    check_size(height, width)
    counts = np.array([_number(text, still) for text in element.get("rle", "").split(",")])
    if (counts < 0).any() or (counts % 1).any() or counts.sum() != height * width:
        raise AnnotationError(
            f"The runs of a mask on {still} do not add up to its {width} × {height} px. "
            "Export it again."
        )
    crop = runs_to_flat(counts.astype(np.int64)).reshape(height, width)
    return paste(crop, left, top, height_px, width_px)


def _number(text: str, still: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or abs(value) > 2**31:
        raise AnnotationError(f"A shape on {still} has {text[:40]!r} where a number belongs.")
    return value


def _whole(element: ET.Element, key: str, still: str) -> int:
    value = _number(element.get(key, ""), still)
    if value != int(value):
        raise AnnotationError(f"{key} of a shape on {still} is {value}; it needs a whole number.")
    return int(value)


def _write_one(image: ET.Element, annotation: Annotation, is_polygon: bool) -> None:
    extras = {
        "annotator": annotation.annotator,
        "sha256": annotation.sha256,
        "group": annotation.group,
    }
    _add_attributes(ET.SubElement(image, "tag", label=_SEEN, source="manual"), extras)
    for role, mask in annotation.layers:
        common = {"label": role.value, "source": "manual", "occluded": "0"}
        for tag, geometry in _geometries(mask, is_polygon):
            shape = ET.SubElement(image, tag, common | geometry | {"z_order": "0"})
            _add_attributes(shape, {"annotator": annotation.annotator})


def _add_attributes(element: ET.Element, values: Mapping[str, str | None]) -> None:
    for key, value in values.items():
        if value is not None:
            ET.SubElement(element, "attribute", name=key).text = value


def _geometries(mask: BoolArray, is_polygon: bool) -> Iterator[tuple[str, dict[str, str]]]:
    if is_polygon:
        for polygon in polygons_of(mask):
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
            yield "polygon", {"points": points}
        return
    left, top, width, height = drawn_box(mask)
    crop = mask[top : top + height, left : left + width]
    place = {"left": left, "top": top, "width": width, "height": height}
    counts = ", ".join(map(str, counts_of(crop.ravel()).tolist()))
    yield "mask", {"rle": counts, **{key: str(value) for key, value in place.items()}}
