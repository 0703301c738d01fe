"""labelme: one JSON file a still; polygon, rectangle, circle and mask shapes.

A folder inside per annotator where there are several. ``sha256``, ``group`` and ``annotator``
stand beside labelme's own keys, which labelme keeps. Pictures inside the JSON are never read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import (
    list_of,
    number_of,
    png_bytes,
    png_mask,
    read_bytes,
    read_json,
    table_of,
    text_of,
    to_json,
)
from ubereport.laboratory.annotation.shapes import (
    Shape,
    Sheet,
    annotate,
    drawn_box,
    extras_of,
    fill_polygon,
    name_of_path,
    paste,
    polygons_of,
)
from ubereport.laboratory.annotation.types import (
    DEFAULT_LABELS,
    UNKNOWN_ANNOTATOR,
    Annotation,
    LabelNames,
    Role,
    by_file,
    check_no_repeats,
)

_CIRCLE_POINTS = 180


def read_labelme(path: Path, labels: LabelNames = DEFAULT_LABELS) -> tuple[Annotation, ...]:
    """Read one labelme file, or a folder of them with, perhaps, a folder an annotator.

    A file without shapes is a zero mask.

    Raises
    ------
    AnnotationError
        If there is no file, one is no labelme file, a label or kind of shape is unknown, or a
        mask does not fit its still.
    """
    files = [path]
    if path.is_dir():
        # One folder deep, an annotator each; deeper ones may hold anything.
        files = sorted(path.glob("*.json")) + sorted(path.glob("*/*.json"))
    if not files:
        raise AnnotationError(f"{path.name} holds no labelme files (.json). Check the path.")
    annotations = []
    for file in files:
        is_inside = path.is_dir() and file.parent != path
        annotator = file.parent.name if is_inside else UNKNOWN_ANNOTATOR
        annotations.append(_read_file(file, annotator, labels))
    return check_no_repeats(tuple(annotations))


def write_labelme(
    annotations: Sequence[Annotation], path: Path, *, is_polygon: bool = False
) -> None:
    """Write a folder of labelme files, as masks or as polygons that can be dragged.

    Raises
    ------
    AnnotationError
        If two stills differ only in their suffix, or an annotator has a still twice.
    OutputError
        If a file cannot be written.
    """
    for file, annotation in by_file(annotations, ".json").items():
        write_file(path / file, to_json(_table(annotation, is_polygon)))


def _read_file(path: Path, annotator: str, labels: LabelNames) -> Annotation:
    table = table_of(read_json(read_bytes(path), path.name), path.name)
    sha256, group = extras_of(table)
    sheet = Sheet(
        name_of_path(text_of(table, "imagePath", path.name)),
        number_of(table, "imageHeight", path.name),
        number_of(table, "imageWidth", path.name),
        text_of(table, "annotator", path.name) if "annotator" in table else annotator,
        sha256,
        group,
    )
    shapes = list_of(table.get("shapes"), f"shapes of {path.name}")
    return annotate(sheet, [_shape(table_of(s, "A shape"), sheet, labels) for s in shapes])


def _shape(shape: Mapping[str, Any], sheet: Sheet, labels: LabelNames) -> Shape:
    what = f"A shape on {sheet.still}"
    role = labels.role(text_of(shape, "label", what))
    kind = shape.get("shape_type", "polygon")
    if kind not in _DRAW:
        raise AnnotationError(
            f"{what} is a {kind!r}; allowed: {', '.join(_DRAW)}. Draw it as one of these."
        )
    return role, _DRAW[kind](shape, sheet)


def _points(shape: Mapping[str, Any], sheet: Sheet, n_points: int | None = None) -> Sequence[Any]:
    points = list_of(shape.get("points"), f"points on {sheet.still}")
    if n_points is not None:
        are_pairs = len(points) == n_points and all(
            isinstance(p, list)
            and len(p) == 2
            and all(isinstance(v, int | float) and abs(v) < 1e6 for v in p)
            for p in points
        )
        if not are_pairs:
            raise AnnotationError(
                f"A shape on {sheet.still} has points {str(points)[:80]}; it needs {n_points} "
                "pairs of x and y. Draw it again."
            )
    return points


def _polygon(shape: Mapping[str, Any], sheet: Sheet) -> BoolArray:
    return fill_polygon(_points(shape, sheet), sheet.height_px, sheet.width_px)


def _rectangle(shape: Mapping[str, Any], sheet: Sheet) -> BoolArray:
    (x0, y0), (x1, y1) = _points(shape, sheet, 2)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return fill_polygon(corners, sheet.height_px, sheet.width_px)


def _circle(shape: Mapping[str, Any], sheet: Sheet) -> BoolArray:
    (x0, y0), (x1, y1) = _points(shape, sheet, 2)
    angle = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    radius = np.hypot(x1 - x0, y1 - y0)
    points = np.stack([x0 + radius * np.cos(angle), y0 + radius * np.sin(angle)], axis=1)
    return fill_polygon(points, sheet.height_px, sheet.width_px)


def _mask(shape: Mapping[str, Any], sheet: Sheet) -> BoolArray:
    what = f"A mask on {sheet.still}"
    left, top = (round(v) for v in _points(shape, sheet, 2)[0])
    try:
        content = base64.b64decode(text_of(shape, "mask", what), validate=True)
    except binascii.Error:
        raise AnnotationError(f"{what} is no base64 text. Export it again.") from None
    # labelme writes masks as 0 and 1 that its own reader takes for bool.
    return paste(
        png_mask(content, f"on {sheet.still}", is_one_allowed=True),
        left,
        top,
        sheet.height_px,
        sheet.width_px,
    )


_DRAW: Mapping[str, Callable[[Mapping[str, Any], Sheet], BoolArray]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _mask,
}


def _table(annotation: Annotation, is_polygon: bool) -> dict[str, Any]:
    shapes = []
    for role, mask in annotation.layers:
        shapes += _polygon_shapes(role, mask) if is_polygon else [_mask_shape(role, mask)]
    table: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": annotation.still,
        # Left out: labelme would otherwise carry the whole picture along in every file.
        "imageData": None,
        "imageHeight": annotation.height_px,
        "imageWidth": annotation.width_px,
        "annotator": annotation.annotator,
    }
    extras = {"sha256": annotation.sha256, "group": annotation.group}
    return table | {key: value for key, value in extras.items() if value is not None}


def _polygon_shapes(role: Role, mask: BoolArray) -> list[dict[str, Any]]:
    return [
        _shape_table(role, "polygon", polygon.astype(float).tolist())
        for polygon in polygons_of(mask)
    ]


def _mask_shape(role: Role, mask: BoolArray) -> dict[str, Any]:
    # labelme keeps a mask cut to its box, with both corners inside.
    left, top, width, height = drawn_box(mask)
    shape = _shape_table(role, "mask", [[left, top], [left + width - 1, top + height - 1]])
    content = png_bytes(mask[top : top + height, left : left + width])
    return shape | {"mask": base64.b64encode(content).decode("ascii")}


def _shape_table(role: Role, kind: str, points: list[Any]) -> dict[str, Any]:
    return {
        "label": role.value,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
    }
