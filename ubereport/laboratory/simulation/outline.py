"""Where the field of view lies in the recorded picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.frames import PixelBox
from ubereport.laboratory.simulation.config import FieldOutline, SimulationConfig


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The field of view in the picture.

    Parameters
    ----------
    box
        Rectangle around the field, within the picture.
    center_x_px, center_y_px
        Middle of the field, in the box.
    radius_x_px, radius_y_px
        One field radius along each axis; they differ where a recorder squashed the picture.
    mask
        (height, width) bool of the whole picture.
    edge
        (box height, box width, 3) uint8, 255 inside and fading over a pixel at the rim.
    is_rectangle
        Whether the field fills its box.
    """

    box: PixelBox
    center_x_px: float
    center_y_px: float
    radius_x_px: float
    radius_y_px: float
    mask: BoolArray
    edge: np.ndarray
    is_rectangle: bool


def lay_out(config: SimulationConfig) -> Outline:
    """Place the field of view that `config` asks for."""
    width, height = config.width_px, config.height_px
    short = min(width, height)
    if config.field is FieldOutline.FULL:
        return _rectangle(config, PixelBox(0, 0, width, height))
    if config.field is FieldOutline.RECTANGLE:
        side, top = round(width * 0.11), round(height * 0.05)
        return _rectangle(config, PixelBox(side, top, width - side, height - top))
    radius_y = {FieldOutline.CUT: 0.60, FieldOutline.SQUASHED: 0.48}.get(config.field, 0.485)
    radius_x = 0.30 if config.field is FieldOutline.SQUASHED else radius_y
    return _ellipse(config, radius_x * short, radius_y * short)


def _rectangle(config: SimulationConfig, box: PixelBox) -> Outline:
    mask = np.zeros((config.height_px, config.width_px), np.bool_)
    mask[box.top_px : box.bottom_px, box.left_px : box.right_px] = True
    radius = max(box.width_px, box.height_px) / 2
    edge = np.full((box.height_px, box.width_px, 3), 255, np.uint8)
    return Outline(box, box.width_px / 2, box.height_px / 2, radius, radius, mask, edge, True)


def _ellipse(config: SimulationConfig, radius_x: float, radius_y: float) -> Outline:
    center_x, center_y = config.width_px / 2, config.height_px / 2
    y, x = np.mgrid[0 : config.height_px, 0 : config.width_px] + 0.5
    reach = np.hypot((x - center_x) / radius_x, (y - center_y) / radius_y)
    mask = np.asarray(reach <= 1, np.bool_)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    inside = np.clip((1 - reach) * min(radius_x, radius_y) + 0.5, 0, 1) * 255
    edge = inside[box.top_px : box.bottom_px, box.left_px : box.right_px, None]
    return Outline(
        box,
        center_x - box.left_px,
        center_y - box.top_px,
        radius_x,
        radius_y,
        mask,
        np.ascontiguousarray(np.repeat(edge, 3, axis=2).astype(np.uint8)),
        False,
    )
