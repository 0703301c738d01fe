"""Shapes of one still by one annotator, put together to blood and ignore masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.run_lengths import check_size
from ubereport.laboratory.annotation.types import UNKNOWN_ANNOTATOR, Annotation, Role, still_name

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
