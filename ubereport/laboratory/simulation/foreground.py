"""What lies before the tissue: instruments, bubbles, debris and the turbid water itself."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.core.frames import PixelBox
from ubereport.laboratory.simulation.camera import (
    COARSE_PX,
    Drawing,
    Pose,
    channel_tripled,
    lay_over,
)
from ubereport.laboratory.simulation.noise import Float32Array, clouds, ease
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
        # Painted once; a picture only places the turn that is due.
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
        sprite = np.asarray(cv2.warpAffine(self._sprite(tool, time_s), matrix, size))
        rows, columns = slice(box.top_px, box.bottom_px), slice(box.left_px, box.right_px)
        region = picture[rows, columns]
        self._cast_shadow(region, np.ascontiguousarray(sprite[..., 3]))
        # The shadow falls before the tool is laid over it: it must not darken the tool itself.
        alpha = lay_over(region, sprite)
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
    coming = ease(min(time_s - tool.start_s, tool.end_s - time_s) / _TRAVEL_S)
    # 1.7 field radii off, the tip is out of view; sines of unlike periods look like a hand at work.
    away = 1.7 * (1 - coming)
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
    # Colors times opacity: turning a sprite interpolates it, and plain colors would mix what lies
    # under full transparency into its rim.
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
            # From 0 at the tip to 1, where the bubble has risen and spread; then it begins anew.
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
        # Below the opacity that counts as blood: turbid water alone makes no true area.
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
    # What makes it a bubble: a rim that is bright above and dark below, the lamp's glint at the
    # upper left, and an arc at the lower right where that light leaves again.
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
