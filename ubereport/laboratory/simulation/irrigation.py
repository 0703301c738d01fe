"""What floats in the irrigation: bubbles, debris and turbidity, each a function of time."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.laboratory.simulation.drawing import COARSE_PX, Drawing, lay_over
from ubereport.laboratory.simulation.noise import Float32Array, clouds

_N_BUBBLES = 5
_N_TIP_BUBBLES = 9
_N_DEBRIS = 7


class Floating:
    """Bubbles and debris.

    Parameters
    ----------
    seed
        Decides sizes and ways.
    drawing
        Sizes to draw at.
    """

    def __init__(self, seed: int, drawing: Drawing) -> None:
        rng = np.random.default_rng([seed, 19])
        self._drawing = drawing
        self._ways = rng.random((_N_BUBBLES + _N_TIP_BUBBLES + _N_DEBRIS, 6))
        sizes = (0.022, 0.034, 0.05, 0.085)
        self._bubbles = [_bubble(max(2.0, size * drawing.radius_px)) for size in sizes]
        self._debris = [_strand(rng, drawing.radius_px) for _ in range(_N_DEBRIS)]

    def draw(
        self,
        picture: np.ndarray,
        hidden: np.ndarray,
        time_s: float,
        tip: tuple[float, float] | None,
        n_debris: int,
    ) -> None:
        """Draw what floats at `time_s`; mark in `hidden` (h, w) uint8 what debris covers.

        `tip` is where a working probe makes bubbles, in field radii.
        """
        for row in range(n_debris):
            way = self._ways[_N_BUBBLES + _N_TIP_BUBBLES + row % _N_DEBRIS]
            at = _drifting(way, time_s, 14.0)
            self._put(picture, self._debris[row % _N_DEBRIS], at, hidden)
        for way in self._ways[:_N_BUBBLES]:
            if math.sin(time_s * (0.13 + 0.1 * way[5]) + 6.28 * way[4]) > 0.55:
                at = _drifting(way, time_s, 7.0)
                self._put(picture, self._bubbles[int(way[3] * 3.99)], at, None)
        if tip is not None:
            self._draw_at_tip(picture, tip, time_s)

    def _draw_at_tip(self, picture: np.ndarray, tip: tuple[float, float], time_s: float) -> None:
        for way in self._ways[_N_BUBBLES : _N_BUBBLES + _N_TIP_BUBBLES]:
            age = (time_s * (0.7 + 0.6 * way[0]) + way[1]) % 1.0
            spread = (way[2] - 0.5) * 0.5 + 0.08 * math.sin(9 * age + 6 * way[3])
            at = tip[0] + spread * age, tip[1] - 0.75 * age * way[5]
            self._put(picture, self._bubbles[int(way[4] * 2.99)], at, None)

    def _put(
        self,
        picture: np.ndarray,
        sprite: np.ndarray,
        at: tuple[float, float],
        hidden: np.ndarray | None,
    ) -> None:
        """Lay a sprite over the picture, its middle at a point in field radii."""
        x, y = self._drawing.center + self._drawing.radius * at
        height, width = sprite.shape[:2]
        left, top = round(x - width / 2), round(y - height / 2)
        cut_left, cut_top = max(0, -left), max(0, -top)
        cut_right = min(width, picture.shape[1] - left)
        cut_bottom = min(height, picture.shape[0] - top)
        if cut_right <= cut_left or cut_bottom <= cut_top:
            return
        rows = slice(top + cut_top, top + cut_bottom)
        columns = slice(left + cut_left, left + cut_right)
        alpha = lay_over(picture[rows, columns], sprite[cut_top:cut_bottom, cut_left:cut_right])
        if hidden is not None:
            np.maximum(hidden[rows, columns], alpha, out=hidden[rows, columns])


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

    def veil(self, time_s: float, strength: float) -> Float32Array:
        """Return the veil's opacity on the coarse grid, about `strength` on average."""
        swell = 1 + 0.5 * math.sin(0.11 * time_s + self._phase[0])
        swell += 0.3 * math.sin(0.37 * time_s + self._phase[1])
        step = 80 / COARSE_PX
        patch = np.array(
            [
                [step, 0, 24 + 20 * math.sin(0.09 * time_s)],
                [0, step, 24 + 20 * math.sin(0.13 * time_s + 1)],
            ]
        )
        noise = np.asarray(
            cv2.warpAffine(
                self._texture,
                patch,
                (COARSE_PX, COARSE_PX),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
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
    side = max(8, int(radius_px * float(rng.uniform(0.04, 0.18))))
    mask = np.zeros((side, side), np.uint8)
    t = np.linspace(0, 1, 12)
    x = side * (0.15 + 0.7 * t)
    y = side * (0.5 + 0.2 * np.sin(t * float(rng.uniform(1, 4)) + float(rng.uniform(0, 6))))
    points = np.round(np.stack([x, y], -1) * 16).astype(np.int32)
    thickness = max(1, round(radius_px * float(rng.uniform(0.006, 0.014))))
    cv2.polylines(mask, [points], False, 255, thickness, cv2.LINE_AA, 4)
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float64) / 255 * 0.62
    color = np.array([0.95, 0.90, 0.78]) * float(rng.uniform(0.75, 1.0))
    return np.round(np.dstack([color * alpha[..., None], alpha]) * 255).astype(np.uint8)
