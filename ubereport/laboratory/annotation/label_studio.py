"""Label Studio: one JSON file of tasks; brush strokes, polygons and rectangles.

Brush strokes are a bit stream of runs of RGBA bytes (thi.ng rle-pack): 32 bits number of bytes, 5
bits word size - 1, 4 × 4 bits of run-size widths - 1; then for each run 1 bit (repeated or
literal), 2 bits which width, the length - 1, and the byte or bytes.
Source: https://github.com/thi-ng/umbrella, packages/rle-pack.
"""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
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
)
from ubereport.laboratory.annotation.run_lengths import check_size
from ubereport.laboratory.annotation.shapes import (
    Shape,
    Sheet,
    annotate,
    extras_of,
    fill_polygon,
    name_of_path,
    polygons_of,
)
from ubereport.laboratory.annotation.still_index import StillIndex, still_size
from ubereport.laboratory.annotation.types import (
    DEFAULT_LABELS,
    UNKNOWN_ANNOTATOR,
    Annotation,
    LabelNames,
    Role,
    check_no_repeats,
    check_writable,
)

_WIDTHS = (3, 4, 8, 16)
_WORD_BITS = 8
_N_CHANNELS = 4


def brush_to_mask(rle: Sequence[int], height_px: int, width_px: int) -> BoolArray:
    """Return the (H, W) mask of a brush stroke: where it is not transparent.

    Raises
    ------
    AnnotationError
        If the stream is damaged or of another size than the still.
    """
    check_size(height_px, width_px)
    try:
        content = bytes(rle)
    except (TypeError, ValueError):
        raise AnnotationError("A brush stroke is no list of bytes. Export it again.") from None
    bits = _Bits(content)
    n_bytes = bits.read(32)
    if n_bytes != height_px * width_px * _N_CHANNELS or bits.read(5) + 1 != _WORD_BITS:
        raise AnnotationError(
            f"A brush stroke has another size than its still of {width_px} × {height_px} px. "
            "Export it again."
        )
    # Runs of bytes follow, 4 a pixel: one bit says whether a byte is repeated, two which of four
    # widths the run's length is written in. Only the last byte, opacity, says where was painted.
    widths = [bits.read(4) + 1 for _ in range(4)]
    words = np.zeros(n_bytes, dtype=np.uint8)
    position = 0
    while position < n_bytes:
        is_repeated = bits.read(1)
        end = position + 1 + bits.read(widths[bits.read(2)])
        if end > n_bytes:
            raise AnnotationError("A brush stroke runs past its still. Export it again.")
        if is_repeated:
            words[position:end] = bits.read(_WORD_BITS)
        else:
            n_words = end - position
            run = bits.read(n_words * _WORD_BITS).to_bytes(n_words)
            words[position:end] = np.frombuffer(run, dtype=np.uint8)
        position = end
    return np.asarray(words[_N_CHANNELS - 1 :: _N_CHANNELS].reshape(height_px, width_px) > 0)


def mask_to_brush(mask: BoolArray) -> list[int]:
    """Return a (H, W) mask as the bytes of a brush stroke, opaque white where it is on."""
    flat = mask.ravel()
    fields: list[tuple[int, int]] = [(len(flat) * _N_CHANNELS, 32), (_WORD_BITS - 1, 5)]
    fields += [(width - 1, 4) for width in _WIDTHS]
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [0, *changes.tolist(), len(flat)]
    for start, end in itertools.pairwise(edges):
        # All four bytes of a pixel are alike, so that one run serves color and opacity.
        value = 255 if flat[start] else 0
        fields += _run_fields((end - start) * _N_CHANNELS, value)
    text = "".join(f"{value:0{n_bits}b}" for value, n_bits in fields)
    padded = text + "0" * (-len(text) % 8)
    return list(int(padded, 2).to_bytes(len(padded) // 8, "big"))


def _run_fields(length: int, value: int) -> list[tuple[int, int]]:
    longest = 2 ** _WIDTHS[-1]
    fields: list[tuple[int, int]] = []
    while length > 0:
        part = min(length, longest)
        which = next(i for i, width in enumerate(_WIDTHS) if part <= 2**width)
        # A run is never empty, hence its length less one.
        fields += [(1, 1), (which, 2), (part - 1, _WIDTHS[which]), (value, _WORD_BITS)]
        length -= part
    return fields


class _Bits:
    """Reads numbers from bytes, highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._text = f"{int.from_bytes(content):0{8 * len(content)}b}"
        self._position = 0

    def read(self, n_bits: int) -> int:
        bits = self._text[self._position : self._position + n_bits]
        if len(bits) < n_bits:
            raise AnnotationError("A brush stroke ends too early. Export it again.")
        self._position += n_bits
        return int(bits, 2) if bits else 0


_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
_KINDS = {"brushlabels": "brush", "polygonlabels": "polygon", "rectanglelabels": "rectangle"}


def read_label_studio(
    path: Path, stills: StillIndex | None = None, labels: LabelNames = DEFAULT_LABELS
) -> tuple[Annotation, ...]:
    """Read a Label Studio export (JSON, not JSON-MIN).

    A submitted annotation without shapes is a zero mask; skipped ones (``was_cancelled``) and
    tasks nobody looked at are left out. Label Studio gives a size with each shape only, so zero
    masks of files that it wrote itself need `stills`.

    Raises
    ------
    AnnotationError
        If the file is no such export, a label or kind of shape is unknown, a still is turned, a
        mask does not fit its still, or the size of a zero mask is not known.
    """
    tasks = list_of(read_json(read_bytes(path), path.name), path.name)
    drawings = [a for task in tasks for a in _read_task(table_of(task, "A task"), stills, labels)]
    return check_no_repeats(tuple(drawings))


def write_label_studio(
    annotations: Sequence[Annotation], path: Path, *, is_polygon: bool = False
) -> None:
    """Write tasks for Label Studio, as brush strokes or as polygons.

    Raises
    ------
    AnnotationError
        If an annotator has a still twice, or two annotations of a still differ in size.
    OutputError
        If the file cannot be written.
    """
    check_writable(annotations)
    tasks: dict[str, dict[str, Any]] = {}
    for annotation in annotations:
        task = tasks.setdefault(annotation.still, _task(annotation, len(tasks) + 1))
        entry = {
            "completed_by": {"email": annotation.annotator},
            "was_cancelled": False,
            "result": list(_results(annotation, is_polygon)),
        }
        task["annotations"].append(entry)
    write_file(path, to_json(list(tasks.values())))


def _read_task(
    task: Mapping[str, Any], stills: StillIndex | None, labels: LabelNames
) -> Iterator[Annotation]:
    where = table_of(task.get("data"), "data of a task")
    still = _still(text_of(where, "image", "data of a task"), stills)
    sha256, group = extras_of(where)
    for value in list_of(task.get("annotations"), f"annotations of {still}"):
        entry = table_of(value, f"An annotation of {still}")
        if entry.get("was_cancelled"):
            continue
        results = [
            table_of(result, f"A shape on {still}")
            for result in list_of(entry.get("result"), f"result of {still}")
        ]
        height_px, width_px = _size(results, where, still, stills)
        annotator = _annotator(entry.get("completed_by"))
        sheet = Sheet(still, height_px, width_px, annotator, sha256, group)
        yield annotate(sheet, [s for result in results for s in _shapes(result, sheet, labels)])


def _still(address: str, stills: StillIndex | None) -> str:
    name = name_of_path(urllib.parse.unquote(address))
    bare = _UPLOAD_PREFIX.sub("", name, count=1)
    # An upload gets eight hex digits before its name. A still may really be called so, hence the
    # shorter name only where it alone is known.
    if stills is not None and name not in stills.by_name and bare in stills.by_name:
        return bare
    return name


def _size(
    results: Sequence[Mapping[str, Any]],
    where: Mapping[str, Any],
    still: str,
    stills: StillIndex | None,
) -> tuple[int, int]:
    what = f"A shape on {still}"
    sizes = {
        (number_of(r, "original_height", what), number_of(r, "original_width", what))
        for r in results
        if r.get("type") in _KINDS
    }
    if len(sizes) > 1:
        raise AnnotationError(f"Shapes on {still} have different sizes: {sorted(sizes)}.")
    if sizes:
        return sizes.pop()
    if "height_px" in where:
        return number_of(where, "height_px", still), number_of(where, "width_px", still)
    path = None if stills is None else stills.named(still)
    if path is None:
        raise AnnotationError(
            f"Still {still} has a zero mask of unknown size. Give the folder of stills."
        )
    return still_size(path)


def _annotator(completed_by: Any) -> str:  # noqa: ANN401 -- JSON
    if isinstance(completed_by, dict):
        named = [completed_by.get(key) for key in ("email", "username", "id")]
        return next((str(n) for n in named if n not in (None, "")), UNKNOWN_ANNOTATOR)
    return UNKNOWN_ANNOTATOR if completed_by is None else str(completed_by)


def _shapes(result: Mapping[str, Any], sheet: Sheet, labels: LabelNames) -> list[Shape]:
    kind = result.get("type")
    # An answer about the whole still draws nothing.
    if kind == "choices":
        return []
    if kind not in _KINDS:
        raise AnnotationError(
            f"Still {sheet.still} has a {kind!r}; allowed: {', '.join(_KINDS)}. Draw it as one of "
            "these."
        )
    if result.get("image_rotation", 0) != 0:
        raise AnnotationError(f"Still {sheet.still} was turned in Label Studio. Turn it back.")
    value = table_of(result.get("value"), f"A shape on {sheet.still}")
    names = list_of(value.get(str(kind)), f"The labels of a shape on {sheet.still}")
    mask = _draw(_KINDS[str(kind)], value, sheet)
    return [(labels.role(str(name)), mask) for name in names]


def _draw(kind: str, value: Mapping[str, Any], sheet: Sheet) -> BoolArray:
    height_px, width_px = sheet.height_px, sheet.width_px
    if kind == "brush":
        return brush_to_mask(list_of(value.get("rle"), "A brush stroke"), height_px, width_px)
    if kind == "polygon":
        points = _percent(list_of(value.get("points"), "A polygon"), sheet)
    else:
        points = _percent(_rectangle(value, sheet), sheet)
    return fill_polygon(points * (width_px / 100, height_px / 100), height_px, width_px)


def _rectangle(value: Mapping[str, Any], sheet: Sheet) -> list[list[float]]:
    numbers = [value.get(key) for key in ("x", "y", "width", "height")]
    if not all(isinstance(n, int | float) for n in numbers) or value.get("rotation", 0) != 0:
        raise AnnotationError(
            f"A rectangle on {sheet.still} is turned or incomplete. Draw it as a polygon."
        )
    x, y, width, height = (float(n) for n in numbers if n is not None)
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def _percent(points: Any, sheet: Sheet) -> np.ndarray[Any, np.dtype[np.float64]]:  # noqa: ANN401
    try:
        values = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] != 2:
        raise AnnotationError(f"A shape on {sheet.still} has points that are no pairs. Mend it.")
    return values


def _task(annotation: Annotation, task_id: int) -> dict[str, Any]:
    where = {
        "image": annotation.still,
        "sha256": annotation.sha256,
        "group": annotation.group,
        "height_px": annotation.height_px,
        "width_px": annotation.width_px,
    }
    return {"id": task_id, "data": where, "annotations": []}


def _results(annotation: Annotation, is_polygon: bool) -> Iterator[dict[str, Any]]:
    for role, mask in annotation.layers:
        if is_polygon:
            scale = (100 / annotation.width_px, 100 / annotation.height_px)
            for polygon in polygons_of(mask):
                value = {"points": (polygon * scale).tolist(), "closed": True}
                yield _result(annotation, role, "polygonlabels", value)
        else:
            value = {"format": "rle", "rle": mask_to_brush(mask)}
            yield _result(annotation, role, "brushlabels", value)


def _result(
    annotation: Annotation, role: Role, kind: str, value: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "type": kind,
        "from_name": "tag",
        "to_name": "image",
        "original_width": annotation.width_px,
        "original_height": annotation.height_px,
        "image_rotation": 0,
        "value": {**value, kind: [role.value]},
    }
