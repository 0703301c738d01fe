"""Instruments: an RF probe and a shaver as pictures with transparency, and where they are."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.core.frames import PixelBox
from ubereport.laboratory.simulation.drawing import Drawing, channel_tripled, lay_over
from ubereport.laboratory.simulation.motion import Pose
from ubereport.laboratory.simulation.scenario import Tool, ToolKind

_LENGTH = 2.6
_HALF_HEIGHT = 0.15
_TRAVEL_S = 1.2
_N_TURNS = 4


class ToolPainter:
    """Pictures of the instruments for one size of drawing.

    Parameters
    ----------
    drawing
        Sizes to draw at.
    """

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        radius_px = drawing.radius_px
        width, height = round(_LENGTH * radius_px), round(2 * _HALF_HEIGHT * radius_px)
        along = ((np.arange(width, dtype=np.float32) + 0.5) / radius_px)[None, :]
        across = ((np.arange(height, dtype=np.float32) + 0.5) / radius_px - _HALF_HEIGHT)[:, None]
        along, across = np.broadcast_arrays(along, across)
        self._probe = _probe(along, across)
        self._shavers = [_shaver(along, across, turn / _N_TURNS) for turn in range(_N_TURNS)]

    def draw(
        self, picture: np.ndarray, hidden: np.ndarray, tool: Tool, pose: Pose, time_s: float
    ) -> None:
        """Draw a tool into `picture` (h, w, 3); mark what it hides in `hidden` (h, w) uint8."""
        tip = np.array(tip_in_view(tool, pose, time_s))
        matrix = self._placed(tip, tool.entry_rad - pose.roll_rad)
        box = _bounds(matrix, self._probe.shape, picture.shape)
        if box is None:
            return
        matrix[:, 2] -= (box.left_px, box.top_px)
        size = (box.width_px, box.height_px)
        drawn = np.asarray(cv2.warpAffine(self._sprite(tool, time_s), matrix, size))
        rows, columns = slice(box.top_px, box.bottom_px), slice(box.left_px, box.right_px)
        region = picture[rows, columns]
        self._cast_shadow(region, np.ascontiguousarray(drawn[..., 3]))
        alpha = lay_over(region, drawn)
        np.maximum(hidden[rows, columns], alpha, out=hidden[rows, columns])

    def _sprite(self, tool: Tool, time_s: float) -> np.ndarray:
        if tool.kind is ToolKind.RF_PROBE:
            return self._probe
        return self._shavers[int(time_s * 11) % _N_TURNS if tool.is_active(time_s) else 0]

    def _cast_shadow(self, region: np.ndarray, alpha: np.ndarray) -> None:
        radius_px = self._drawing.radius_px
        shift = np.array([[1, 0, 0.05 * radius_px], [0, 1, 0.07 * radius_px]])
        soft = cv2.blur(alpha, (9, 9))
        shadow = cv2.warpAffine(soft, shift, (alpha.shape[1], alpha.shape[0]))
        dim = 255 - np.asarray(cv2.convertScaleAbs(shadow, alpha=0.42))
        region[:] = cv2.multiply(region, channel_tripled(dim), scale=1 / 255)

    def _placed(self, tip: np.ndarray, angle_rad: float) -> np.ndarray:
        """Return the affine map from the sprite to the drawing, its nose at `tip`."""
        per_radius, radius = self._drawing.radius_px, self._drawing.radius
        cos, sin = math.cos(angle_rad), math.sin(angle_rad)
        turn = np.array([[cos, -sin], [sin, cos]]) / per_radius * radius[:, None]
        middle = np.array([0.0, _HALF_HEIGHT * per_radius])
        shift = self._drawing.center + radius * tip - turn @ middle
        return np.hstack([turn, shift[:, None]])


def tip_in_view(tool: Tool, pose: Pose, time_s: float) -> tuple[float, float]:
    """Return where the tip is, in field radii from the middle of the view."""
    x, y = pose.to_view(tool.target_x, tool.target_y)
    coming = min((time_s - tool.start_s) / _TRAVEL_S, (tool.end_s - time_s) / _TRAVEL_S, 1.0)
    coming = max(coming, 0.0)
    away = 1.7 * (1 - coming * coming * (3 - 2 * coming))
    work = 0.05 if tool.is_active(time_s) else 0.02
    x += work * math.sin(2.1 * time_s) + 0.02 * math.sin(5.3 * time_s)
    y += work * math.cos(1.7 * time_s) + 0.02 * math.sin(4.1 * time_s)
    angle_rad = tool.entry_rad - pose.roll_rad
    return x + away * math.cos(angle_rad), y + away * math.sin(angle_rad)


def _bounds(
    matrix: np.ndarray, sprite: tuple[int, ...], picture: tuple[int, ...]
) -> PixelBox | None:
    """Pixels that the placed sprite and its shadow may touch."""
    height, width = sprite[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    x, y = matrix @ corners.T
    left, top = max(0, int(x.min()) - 8), max(0, int(y.min()) - 8)
    right = min(picture[1], int(x.max()) + 16)
    bottom = min(picture[0], int(y.max()) + 20)
    if right - left < 2 or bottom - top < 2:
        return None
    return PixelBox(left, top, right, bottom)


def _round_light(across: np.ndarray, half_width: np.ndarray | float) -> np.ndarray:
    """Light on a cylinder seen from the side."""
    c = np.clip(across / half_width, -1, 1)
    highlight = 0.45 * np.exp(-(((c + 0.35) / 0.14) ** 2))
    rim = 0.12 * np.exp(-(((c - 0.55) / 0.1) ** 2))
    return np.asarray(0.25 + 0.55 * np.sqrt(1 - c * c) + highlight + rim)


def _premultiplied(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    layers = np.dstack([np.clip(rgb, 0, 1) * alpha[..., None], alpha])
    return np.round(layers * 255).astype(np.uint8)


def _soft(distance: np.ndarray, softness: float = 0.006) -> np.ndarray:
    return np.clip(distance / softness + 0.5, 0, 1)


def _probe(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    half = np.where(along < 0.13, 0.075, np.where(along < 0.42, 0.085, 0.10))
    nose = 0.075 - np.sqrt(np.clip(0.06 - along, 0, None) ** 2 * 1.3 + across**2)
    alpha = _soft(np.where(along < 0.06, nose, half - np.abs(across)))
    light = _round_light(across, half)[..., None]
    rgb = np.array([0.70, 0.71, 0.73]) * light
    sleeve = (along >= 0.13) & (along < 0.42)
    rgb[sleeve] = np.array([0.09, 0.09, 0.10]) * (0.6 + light[sleeve])
    ceramic = along < 0.13
    rgb[ceramic] = np.array([0.27, 0.25, 0.24]) * (0.55 + 0.6 * light[ceramic])
    electrode = np.abs(np.hypot(along - 0.055, across) - 0.035) < 0.009
    rgb[electrode] = np.array([0.78, 0.74, 0.66]) * light[electrode]
    ring = np.abs(along - 0.13) < 0.008
    rgb[ring] = np.array([0.50, 0.48, 0.45]) * light[ring]
    return _premultiplied(rgb, alpha)


def _shaver(along: np.ndarray, across: np.ndarray, turn: float) -> np.ndarray:
    half = 0.12
    nose = half - np.hypot(np.clip(half - along, 0, None), across)
    alpha = _soft(np.where(along < half, nose, half - np.abs(across)))
    light = _round_light(across, half)[..., None]
    rgb = np.array([0.74, 0.75, 0.77]) * light
    window = 0.085 - np.hypot(np.clip(np.abs(along - 0.14) - 0.08, 0, None), across)
    opened = _soft(window)[..., None]
    burr = 0.072 - np.hypot(along - 0.11, across)
    swirl = np.sin(across * 60 + along * 45 + 2 * np.pi * turn)
    steel = np.array([0.62, 0.62, 0.64]) * (0.55 + 0.45 * (swirl > 0))[..., None] * light
    rgb += opened * (np.array([0.06, 0.05, 0.05]) - rgb)
    rgb += _soft(burr)[..., None] * (steel - rgb)
    return _premultiplied(rgb, alpha)
