"""Shapes on a still: polygons to masks and back, exactly, and put together to an annotation.

A pixel is inside when its center is. Coordinates are in pixels from the upper left corner of the
picture, so the center of the first pixel is (0.5, 0.5). A polygon may go to a hole and back on the
same line (a keyhole).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.run_lengths import check_size
from ubereport.laboratory.annotation.types import UNKNOWN_ANNOTATOR, Annotation, Role, still_name

MAX_VERTICES = 100_000
_MAX_CROSSINGS = 2**23


def fill_polygon(points: ArrayLike, height_px: int, width_px: int) -> BoolArray:
    """Return the (H, W) mask of one polygon by the even-odd rule.

    Parameters
    ----------
    points
        (n, 2) x and y in pixels, n >= 3; parts outside the picture are cut off.

    Raises
    ------
    AnnotationError
        If there are fewer than 3 or more than `MAX_VERTICES` points, or one is not finite.
    """
    check_size(height_px, width_px)
    xy = _checked(points)
    following = np.roll(xy, -1, axis=0)
    # Every edge from its upper end: the two ways along a keyhole then cross at the same pixel.
    is_down = (xy[:, 1] <= following[:, 1])[:, None]
    start, end = np.where(is_down, xy, following), np.where(is_down, following, xy)
    # Rows whose center line an edge crosses; half-open, so that a shared corner counts once.
    first = np.clip(np.ceil(start[:, 1] - 0.5), 0, height_px).astype(np.int64)
    last = np.clip(np.ceil(end[:, 1] - 0.5), 0, height_px).astype(np.int64)
    n_rows = last - first
    if int(n_rows.sum()) > _MAX_CROSSINGS:
        raise AnnotationError(
            f"A polygon of {len(xy)} points crosses the picture too often to be an outline. "
            "Simplify it."
        )
    # For every row that an edge crosses, note the first pixel whose center lies right of the
    # crossing. Summed along a row, an odd number of crossings means inside: the even-odd rule for
    # all rows at once.
    edge = np.repeat(np.arange(len(xy)), n_rows)
    offset = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    row = first[edge] + offset
    share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    column = np.clip(np.ceil(x - 0.5), 0, width_px).astype(np.int64)
    crossings = np.bincount(row * (width_px + 1) + column, minlength=height_px * (width_px + 1))
    parity = np.cumsum(crossings.reshape(height_px, width_px + 1), axis=1) % 2
    return np.asarray(parity[:, :width_px] == 1)


def polygons_of(mask: BoolArray) -> tuple[NDArray[np.int64], ...]:
    """Return one polygon (n, 2) x, y a connected region; filled, they give the mask again.

    Holes are reached by keyholes.
    """
    # Three pixels for each: then the pixels along an outline of OpenCV, on either side of a pixel's
    # edge, all lie nearest to that edge, and dividing by three gives its corners exactly.
    tripled = cv2.resize(
        mask.astype(np.uint8), None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST_EXACT
    )
    outlines, links = cv2.findContours(tripled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = np.empty(0, dtype=np.int64) if links is None else links[0][:, 3]
    polygons = []
    for outer in np.flatnonzero(parents < 0):
        first, *holes = (_corners(outlines[i]) for i in (outer, *np.flatnonzero(parents == outer)))
        # To the hole, around it and back the same way: filled, the two ways cancel out.
        ways = [piece for hole in holes for piece in (hole, hole[:1], first[:1])]
        polygons.append(np.concatenate([first, first[:1], *ways]) if holes else first)
    return tuple(polygons)


def _corners(outline: NDArray[Any]) -> NDArray[np.int64]:
    corners = (outline[:, 0].astype(np.int64) + 1) // 3
    # Points that became one by dividing are one corner.
    is_new = (corners != np.roll(corners, 1, axis=0)).any(axis=1)
    return np.asarray(corners[is_new])


def _checked(points: ArrayLike) -> NDArray[np.float64]:
    try:
        xy = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        xy = np.empty(0)
    if xy.ndim != 2 or xy.shape[1] != 2 or not 3 <= len(xy) <= MAX_VERTICES:
        raise AnnotationError(
            f"A polygon has points of shape {xy.shape}; it needs 3 to {MAX_VERTICES} pairs of x "
            "and y. Mend or simplify it."
        )
    if not np.isfinite(xy).all() or np.abs(xy).max() > 1e6:
        raise AnnotationError("A polygon has points that are not finite pixel positions. Mend it.")
    return xy


Shape = tuple[Role, BoolArray]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What shapes are drawn on: one still under one annotator."""

    still: str
    height_px: int
    width_px: int
    annotator: str = UNKNOWN_ANNOTATOR
    sha256: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        check_size(self.height_px, self.width_px)


def annotate(sheet: Sheet, shapes: Iterable[Shape]) -> Annotation:
    """Put shapes together; where blood and undecided overlap, undecided wins.

    No shapes make a zero mask.

    Raises
    ------
    AnnotationError
        If a shape has another size than the still.
    """
    size = (sheet.height_px, sheet.width_px)
    masks = {role: np.zeros(size, dtype=bool) for role in Role}
    for role, mask in shapes:
        if mask.shape != size:
            raise AnnotationError(
                f"A mask on still {sheet.still} is {mask.shape[1]} × {mask.shape[0]} px, the still "
                f"{size[1]} × {size[0]} px. Masks have the size of their still."
            )
        masks[role] |= mask
    return Annotation.from_masks(
        sheet.still,
        masks[Role.BLOOD] & ~masks[Role.IGNORE],
        masks[Role.IGNORE],
        annotator=sheet.annotator,
        sha256=sheet.sha256,
        group=sheet.group,
    )


def drawn_box(mask: BoolArray) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the smallest box around what is on, in pixels."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return int(left), int(top), int(width), int(height)


def paste(crop: BoolArray, left_px: int, top_px: int, height_px: int, width_px: int) -> BoolArray:
    """Return a (H, W) mask with `crop` at a place.

    Raises
    ------
    AnnotationError
        If it reaches beyond the still.
    """
    check_size(height_px, width_px)
    bottom, right = top_px + crop.shape[0], left_px + crop.shape[1]
    if left_px < 0 or top_px < 0 or bottom > height_px or right > width_px:
        raise AnnotationError(
            f"A mask at {left_px}, {top_px} to {right}, {bottom} reaches beyond its still of "
            f"{width_px} × {height_px} px. Export it again."
        )
    mask = np.zeros((height_px, width_px), dtype=bool)
    mask[top_px:bottom, left_px:right] = crop
    return mask


def extras_of(table: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the sha256 and group that our own writers leave beside a tool's keys."""
    values = []
    for key in ("sha256", "group"):
        value = table.get(key)
        if value is not None and not isinstance(value, str):
            raise AnnotationError(f"{key} = {value!r} of a still is no text. Remove or mend it.")
        values.append(value)
    return values[0], values[1]


def name_of_path(path: str) -> str:
    """Return the file name at the end of a tool's own path or address of a still.

    The rest is never used, so that it may climb or name another machine.
    """
    last = path.replace("\\", "/").split("?")[0].rpartition("/")[2]
    return still_name(last)
