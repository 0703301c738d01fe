"""Instruments: an RF probe and a shaver as pictures with transparency, and where they are."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.simulation.motion import Pose
from ubereport.simulation.outline import Outline
from ubereport.simulation.scenario import Tool, ToolKind

__all__ = ["ToolPainter", "tip_in_view"]

_LENGTH = 2.6
_HALF_HEIGHT = 0.15
_TRAVEL_S = 1.2
_N_TURNS = 4


class ToolPainter:
    """Pictures of the instruments for one size of the field.

    Parameters
    ----------
    radius_px
        Field radius in the pictures to draw on.
    """

    def __init__(self, radius_px: float) -> None:
        self._per_radius = radius_px
        width, height = round(_LENGTH * radius_px), round(2 * _HALF_HEIGHT * radius_px)
        along = ((np.arange(width, dtype=np.float32) + 0.5) / radius_px)[None, :]
        across = ((np.arange(height, dtype=np.float32) + 0.5) / radius_px - _HALF_HEIGHT)[:, None]
        along, across = np.broadcast_arrays(along, across)
        self._probe = _probe(along, across)
        self._shavers = [_shaver(along, across, turn / _N_TURNS) for turn in range(_N_TURNS)]

    def draw(
        self,
        picture: np.ndarray,
        opaque: np.ndarray,
        outline: Outline,
        scale: float,
        tool: Tool,
        pose: Pose,
        time_s: float,
    ) -> None:
        """Draw a tool into `picture` (h, w, 3) and mark what it hides in `opaque` (h, w) uint8."""
        tip_x, tip_y = tip_in_view(tool, pose, time_s)
        matrix = self._placed(tip_x, tip_y, tool.entry_rad - pose.roll_rad, outline, scale)
        box = _bounds(matrix, self._probe.shape, picture.shape)
        if box is None:
            return
        left, top, right, bottom = box
        matrix[:, 2] -= (left, top)
        sprite = self._probe
        if tool.kind is ToolKind.SHAVER:
            turn = int(time_s * 11) % _N_TURNS if tool.is_active(time_s) else 0
            sprite = self._shavers[turn]
        drawn = cv2.warpAffine(sprite, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        shift = np.float32([[1, 0, 0.05 * self._per_radius * scale], [0, 1, 0.07 * self._per_radius * scale]])
        alpha = np.ascontiguousarray(drawn[..., 3])
        shadow = cv2.warpAffine(cv2.blur(alpha, (9, 9)), shift, (right - left, bottom - top))
        region = picture[top:bottom, left:right]
        dim = 255 - cv2.convertScaleAbs(shadow, alpha=0.42)
        region[:] = cv2.multiply(region, cv2.merge([dim] * 3), scale=1 / 255)
        keep = 255 - alpha
        region[:] = cv2.add(
            cv2.multiply(region, cv2.merge([keep] * 3), scale=1 / 255), drawn[..., :3]
        )
        np.maximum(opaque[top:bottom, left:right], alpha, out=opaque[top:bottom, left:right])

    def _placed(
        self, tip_x: float, tip_y: float, angle_rad: float, outline: Outline, scale: float
    ) -> np.ndarray:
        radius = np.array([outline.radius_x_px, outline.radius_y_px]) * scale
        center = np.array([outline.center_x_px, outline.center_y_px]) * scale
        cos, sin = math.cos(angle_rad), math.sin(angle_rad)
        turn = np.array([[cos, -sin], [sin, cos]]) / self._per_radius * radius[:, None]
        middle = np.array([0.0, _HALF_HEIGHT * self._per_radius])
        shift = center + radius * (tip_x, tip_y) - turn @ middle
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
) -> tuple[int, int, int, int] | None:
    height, width = sprite[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    x, y = matrix @ corners.T
    left, top = max(0, int(x.min()) - 8), max(0, int(y.min()) - 8)
    right = min(picture[1], int(x.max()) + 16)
    bottom = min(picture[0], int(y.max()) + 20)
    return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None


def _round_light(across: np.ndarray, half_width: np.ndarray | float) -> np.ndarray:
    """Light on a cylinder seen from the side."""
    c = np.clip(across / half_width, -1, 1)
    return (
        0.25
        + 0.55 * np.sqrt(1 - c * c)
        + 0.45 * np.exp(-(((c + 0.35) / 0.14) ** 2))
        + 0.12 * np.exp(-(((c - 0.55) / 0.1) ** 2))
    )


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
    rgb[sleeve] = (np.array([0.09, 0.09, 0.10]) * (0.6 + light[sleeve]))
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
