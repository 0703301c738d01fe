"""What floats in the irrigation: bubbles, debris and turbidity, each a function of time."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.simulation.noise import Float32Array, clouds
from ubereport.simulation.outline import Outline

__all__ = ["Floating", "Turbidity"]

_N_BUBBLES = 5
_N_TIP_BUBBLES = 9
_N_DEBRIS = 7


class Floating:
    """Bubbles and debris.

    Parameters
    ----------
    seed
        Decides sizes and ways.
    radius_px
        Field radius in the pictures to draw on.
    """

    def __init__(self, seed: int, radius_px: float) -> None:
        rng = np.random.default_rng([seed, 19])
        self._per_radius = radius_px
        self._ways = rng.random((_N_BUBBLES + _N_TIP_BUBBLES + _N_DEBRIS, 6))
        sizes = (0.022, 0.034, 0.05, 0.085)
        self._bubbles = [_bubble(max(2.0, size * radius_px)) for size in sizes]
        self._debris = [_strand(rng, radius_px) for _ in range(_N_DEBRIS)]

    def draw(
        self,
        picture: np.ndarray,
        opaque: np.ndarray,
        outline: Outline,
        scale: float,
        time_s: float,
        tip: tuple[float, float] | None,
        n_debris: int,
    ) -> None:
        """Draw what floats at `time_s`; `tip` is where a working instrument makes bubbles."""
        radius = (outline.radius_x_px * scale, outline.radius_y_px * scale)
        center = (outline.center_x_px * scale, outline.center_y_px * scale)

        def put(sprite: np.ndarray, x: float, y: float, hides: np.ndarray | None) -> None:
            _paste(picture, sprite, center[0] + radius[0] * x, center[1] + radius[1] * y, hides)

        for row in range(n_debris):
            way = self._ways[_N_BUBBLES + _N_TIP_BUBBLES + row % _N_DEBRIS]
            x, y = _drifting(way, time_s, 14.0)
            put(self._debris[row % _N_DEBRIS], x, y, opaque)
        for row in range(_N_BUBBLES):
            way = self._ways[row]
            if math.sin(time_s * (0.13 + 0.1 * way[5]) + 6.28 * way[4]) > 0.55:
                x, y = _drifting(way, time_s, 7.0)
                put(self._bubbles[int(way[3] * 3.99)], x, y, None)
        if tip is not None:
            self._draw_at_tip(put, tip, time_s)

    def _draw_at_tip(self, put, tip: tuple[float, float], time_s: float) -> None:  # noqa: ANN001
        for row in range(_N_BUBBLES, _N_BUBBLES + _N_TIP_BUBBLES):
            way = self._ways[row]
            age = (time_s * (0.7 + 0.6 * way[0]) + way[1]) % 1.0
            spread = (way[2] - 0.5) * 0.5 + 0.08 * math.sin(9 * age + 6 * way[3])
            size = int(way[4] * 2.99)
            put(self._bubbles[size], tip[0] + spread * age, tip[1] - 0.75 * age * way[5], None)


class Turbidity:
    """Milky or pinkish water: a slow, uneven veil that is never dense enough to count as blood.

    Parameters
    ----------
    seed
        Decides its eddies.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 23])
        self._texture = clouds(rng, 128, 128, 4, 3)
        self._phase = rng.uniform(0, 6.28, 3)

    def veil(self, height: int, width: int, time_s: float, strength: float) -> Float32Array:
        """Return the veil's opacity (height, width) at `time_s`, about `strength` on average."""
        swell = 1 + 0.5 * math.sin(0.11 * time_s + self._phase[0])
        swell += 0.3 * math.sin(0.37 * time_s + self._phase[1])
        offset = 24 + 20 * math.sin(0.09 * time_s), 24 + 20 * math.sin(0.13 * time_s + 1)
        patch = np.array([[80 / width, 0, offset[0]], [0, 80 / height, offset[1]]])
        noise = cv2.warpAffine(
            self._texture, patch, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        veil = np.float32(strength * swell) * (1 + np.float32(0.5) * noise)
        return np.asarray(np.clip(veil, 0, 0.45), np.float32)


def _drifting(way: np.ndarray, time_s: float, period_s: float) -> tuple[float, float]:
    """Cross the view slowly, again and again, each time the same way."""
    part = (time_s / (period_s * (0.7 + 0.6 * way[2])) + way[1]) % 1.0
    angle_rad = 6.28 * way[0]
    off = (way[3] - 0.5) * 1.4
    along = 2.6 * (part - 0.5)
    x = along * math.cos(angle_rad) - off * math.sin(angle_rad)
    y = along * math.sin(angle_rad) + off * math.cos(angle_rad)
    return x + 0.04 * math.sin(3 * time_s + 6 * way[4]), y - 0.1 * part


def _paste(
    picture: np.ndarray, sprite: np.ndarray, x: float, y: float, opaque: np.ndarray | None
) -> None:
    """Lay a premultiplied RGBA sprite over the picture, its middle at x, y."""
    height, width = sprite.shape[:2]
    left, top = round(x - width / 2), round(y - height / 2)
    cut_left, cut_top = max(0, -left), max(0, -top)
    cut_right = min(width, picture.shape[1] - left)
    cut_bottom = min(height, picture.shape[0] - top)
    if cut_right <= cut_left or cut_bottom <= cut_top:
        return
    cut = np.ascontiguousarray(sprite[cut_top:cut_bottom, cut_left:cut_right])
    rows = slice(top + cut_top, top + cut_bottom)
    columns = slice(left + cut_left, left + cut_right)
    alpha = np.ascontiguousarray(cut[..., 3])
    keep = cv2.merge([255 - alpha] * 3)
    picture[rows, columns] = cv2.add(
        cv2.multiply(picture[rows, columns], keep, scale=1 / 255),
        np.ascontiguousarray(cut[..., :3]),
    )
    if opaque is not None:
        np.maximum(opaque[rows, columns], alpha, out=opaque[rows, columns])


def _bubble(radius_px: float) -> np.ndarray:
    side = int(np.ceil(radius_px)) * 2 + 3
    axis = (np.arange(side) - (side - 1) / 2) / radius_px
    x, y = np.meshgrid(axis, axis)
    r = np.hypot(x, y)
    inside = np.clip((1 - r) * radius_px + 0.5, 0, 1)
    rim = np.exp(-(((r - 0.86) / 0.13) ** 2))
    glint = np.exp(-((np.hypot(x + 0.38, y + 0.42) / 0.20) ** 2))
    arc = np.exp(-(((r - 0.70) / 0.12) ** 2)) * np.clip(x * 0.6 + y * 0.8, 0, 1)
    white = np.clip(0.35 * rim * (0.4 - 0.6 * y) + glint + 0.55 * arc, 0, 1)
    dark = 0.42 * rim * np.clip(0.5 + 0.5 * y, 0, 1)
    alpha = np.clip(0.05 + white + dark, 0, 1) * inside
    level = np.clip(white / np.maximum(0.05 + white + dark, 1e-6), 0, 1)
    rgb = level[..., None] * np.array([1.0, 1.0, 0.98])
    return np.round(np.dstack([rgb * alpha[..., None], alpha]) * 255).astype(np.uint8)


def _strand(rng: np.random.Generator, radius_px: float) -> np.ndarray:
    side = max(8, int(radius_px * float(rng.uniform(0.05, 0.22))))
    mask = np.zeros((side, side), np.uint8)
    t = np.linspace(0, 1, 12)
    x = side * (0.15 + 0.7 * t)
    y = side * (0.5 + 0.3 * np.sin(t * float(rng.uniform(2, 6)) + float(rng.uniform(0, 6))))
    points = np.round(np.stack([x, y], -1) * 16).astype(np.int32)
    thickness = max(1, round(radius_px * 0.012))
    cv2.polylines(mask, [points], False, 255, thickness, cv2.LINE_AA, 4)
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float64) / 255 * 0.75
    color = np.array([0.95, 0.90, 0.78]) * float(rng.uniform(0.75, 1.0))
    return np.round(np.dstack([color * alpha[..., None], alpha]) * 255).astype(np.uint8)
