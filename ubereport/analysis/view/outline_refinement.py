"""Move a fitted outline onto the middle of the brightness step along its rim."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.outline import Ellipse, Outline

_REACH_PX = 7
_STEP_PX = 0.5
_REFERENCE_PX = 4.0
_MIN_STEP_LEVELS = 20.0
_MIN_POINTS = 6
_STRAIGHT_PX = 2.5
_MIN_STRAIGHT_SHARE = 0.5
_NUDGE = 1e-3
# Outward normals, x to the right and y down.
_SIDES = {"right": (1.0, 0.0), "left": (-1.0, 0.0), "bottom": (0.0, 1.0), "top": (0.0, -1.0)}
_AT_BORDER = {"right": 1.0, "left": 0.0, "bottom": 1.0, "top": 0.0}


def refined_outline(outline: Outline, level: FloatArray) -> Outline:
    """Shift each side of an outline by the median offset of its edge.

    A fit to what is brighter than black lies a little outside of a soft rim. The rim proper is
    where the level is halfway between a few pixels inside and a few pixels outside.

    Parameters
    ----------
    outline
        In unit coordinates.
    level
        (h, w) typical brightness of the picture, 0..255.
    """
    if outline.ellipse is not None:
        outline = replace(outline, ellipse=_refined_ellipse(outline, outline.ellipse, level))
    return _refined_box(outline, level)


def _refined_ellipse(outline: Outline, ellipse: Ellipse, level: FloatArray) -> Ellipse:
    height, width = level.shape
    angle = np.arange(360) * (2 * np.pi / 360)
    normal = np.column_stack([np.cos(angle), np.sin(angle)])
    x = ellipse.center_x + ellipse.radius_x * normal[:, 0]
    y = ellipse.center_y + ellipse.radius_y * normal[:, 1]
    box = replace(outline, ellipse=None)
    inside = box.contains(x, y) & _away_from_border(x * width, y * height, level)
    offset_px = _edge_offsets_px(
        np.column_stack([x * width, y * height])[inside], normal[inside], level
    )
    # An edge that lies off to the right on both sides moves the center by half of what they differ;
    # one that lies outward on both makes the radius larger by half of their sum.
    sides = [(normal[inside] @ np.array(way)) > np.sqrt(0.5) for way in _SIDES.values()]
    right, left, down, up = (_median_or_nan(offset_px[side]) for side in sides)
    everywhere = _median_or_nan(offset_px)
    if np.isnan(everywhere):
        return ellipse
    right, left, down, up = (everywhere if np.isnan(v) else v for v in (right, left, down, up))
    return Ellipse(
        ellipse.center_x + (right - left) / 2 / width,
        ellipse.center_y + (down - up) / 2 / height,
        ellipse.radius_x + (right + left) / 2 / width,
        ellipse.radius_y + (down + up) / 2 / height,
    )


def without_vague_sides(outline: Outline, level: FloatArray) -> Outline:
    """Give up sides of the box along which no straight edge runs.

    Dark tissue at the rim of a circle looks like a cut to the likelihood, but its border is not
    straight.
    """
    kept: dict[str, float] = {}
    for name in _SIDES:
        offset_px = _side_offsets_px(outline, name, level)
        straight = np.abs(offset_px) <= _STRAIGHT_PX
        if len(straight) == 0 or straight.mean() < _MIN_STRAIGHT_SHARE:
            kept[name] = _AT_BORDER[name]
    return _with_sides(outline, kept)


def _refined_box(outline: Outline, level: FloatArray) -> Outline:
    height, width = level.shape
    moved: dict[str, float] = {}
    for name, way in _SIDES.items():
        offset_px = _median_or_nan(_side_offsets_px(outline, name, level))
        if not np.isnan(offset_px):
            size = width if name in ("left", "right") else height
            place = float(getattr(outline, name)) + offset_px * (way[0] + way[1]) / size
            moved[name] = min(max(place, 0.0), 1.0)
    return _with_sides(outline, moved)


def _with_sides(outline: Outline, sides: dict[str, float]) -> Outline:
    return Outline(
        sides.get("left", outline.left),
        sides.get("top", outline.top),
        sides.get("right", outline.right),
        sides.get("bottom", outline.bottom),
        outline.ellipse,
    )


def _side_offsets_px(outline: Outline, name: str, level: FloatArray) -> FloatArray:
    """Return the edge offsets along one side of the box; empty where the side is the border."""
    place = float(getattr(outline, name))
    if place == _AT_BORDER[name]:
        return np.zeros(0)
    height, width = level.shape
    way = np.array(_SIDES[name])
    along, there = (np.arange(64) + 0.5) / 64, np.full(64, place)
    x, y = (there, along) if way[0] else (along, there)
    on_rim = outline.contains(x - _NUDGE * way[0], y - _NUDGE * way[1])
    points = np.column_stack([x * width, y * height])[on_rim]
    return _edge_offsets_px(points, np.tile(way, (len(points), 1)), level)


def _away_from_border(x_px: FloatArray, y_px: FloatArray, level: FloatArray) -> BoolArray:
    height, width = level.shape
    away = (x_px > 2) & (x_px < width - 2) & (y_px > 2) & (y_px < height - 2)
    return np.asarray(away, dtype=np.bool_)


def _edge_offsets_px(points: FloatArray, normal: FloatArray, level: FloatArray) -> FloatArray:
    """Return how far outward of each point the level falls to half; NaN where there is no step."""
    if len(points) == 0:
        return np.zeros(0)
    offset = np.arange(-_REACH_PX, _REACH_PX + _STEP_PX, _STEP_PX)
    # Pixel centers lie at half pixels.
    x = (points[:, :1] + normal[:, :1] * offset - 0.5).astype(np.float32)
    y = (points[:, 1:] + normal[:, 1:] * offset - 0.5).astype(np.float32)
    # Read the brightness along a short line across the rim at every point. The level well inside
    # and well outside tell how high the step is; the rim is where the profile falls below their
    # middle.
    profile = cv2.remap(
        level.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.median(profile[:, offset <= -_REFERENCE_PX], axis=1)
    outside = np.median(profile[:, offset >= _REFERENCE_PX], axis=1)
    below = profile < ((inside + outside) / 2)[:, None]
    step_px = np.where(
        inside - outside >= _MIN_STEP_LEVELS, offset[np.argmax(below, axis=1)], np.nan
    )
    return np.asarray(step_px - _STEP_PX / 2, dtype=np.float64)


def _median_or_nan(offset_px: FloatArray) -> float:
    offsets_px = offset_px[np.isfinite(offset_px)]
    return float(np.median(offsets_px)) if len(offsets_px) >= _MIN_POINTS else float("nan")
