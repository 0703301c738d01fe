"""Composite blood and look-alikes onto frames with exact masks; degradation comes after."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.laboratory.training.blood import (
    SHAPES,
    Field,
    fractal_noise,
    illumination,
    random_optics,
    render,
)
from ubereport.laboratory.training.stills import BLOOD, IGNORE, LabelArray

_HIDDEN_THICKNESS = 0.45
_VISIBLE_THICKNESS = 0.12


def tool_mask(rgb: RgbArray) -> BoolArray:
    """Return where a frame is gray and smooth, as metal and plastic instruments are."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    gray = ((hsv[..., 1] < 60) & (hsv[..., 2] > 35)).astype(np.uint8)
    opened = cv2.morphologyEx(gray, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0)


def add_blood(
    rgb: RgbArray, label: LabelArray, rng: np.random.Generator
) -> tuple[RgbArray, LabelArray]:
    """Lay one to three patches of blood over a square picture and mark them in its label.

    Where the layer hides what lies beneath (thickness at least 0.45) it is BLOOD, where it
    barely shows (below 0.12) the label stays, between the two it is IGNORE. Instruments may lie
    above the blood, bubbles may lie on it; blood outside the field of view is not laid.
    """
    side = rgb.shape[0]
    picture, mask = rgb, label.copy()
    field = rgb.max(axis=-1) > 10
    weights = np.array([w for w, _ in SHAPES])
    keeps_tools = rng.random() < 0.7
    over = tool_mask(rgb) if keeps_tools else np.zeros(rgb.shape[:2], bool)
    light = illumination(rgb)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
        shape = SHAPES[int(rng.choice(len(SHAPES), p=weights / weights.sum()))][1]
        thickness = np.where(field & ~over, shape(side, rng), 0).astype(np.float32)
        picture = render(picture, thickness, random_optics(rng), light, rng)
        mask = _mark(mask, thickness)
    if rng.random() < 0.15:
        picture, mask = _bubbles(picture, mask, rng)
    return picture, mask


def _mark(label: LabelArray, thickness: Field) -> LabelArray:
    unclear = (thickness >= _VISIBLE_THICKNESS) & (label != BLOOD)
    marked = np.where(unclear, IGNORE, label)
    return np.asarray(np.where(thickness >= _HIDDEN_THICKNESS, BLOOD, marked), np.uint8)


def _bubbles(
    rgb: RgbArray, label: LabelArray, rng: np.random.Generator
) -> tuple[RgbArray, LabelArray]:
    """Draw gas bubbles: a bright rim and a highlight; what is seen through them stays."""
    picture = rgb.copy()
    side = rgb.shape[0]
    for _ in range(int(rng.integers(1, 8))):
        center = tuple(int(v) for v in rng.integers(0, side, 2))
        radius = int(rng.integers(3, max(5, side // 12)))
        rim = np.zeros((side, side), np.float32)
        cv2.circle(rim, center, radius, 1.0, 1, cv2.LINE_AA)
        spot = (center[0] - radius // 3, center[1] - radius // 3)
        cv2.circle(rim, spot, max(1, radius // 5), 1.0, -1, cv2.LINE_AA)
        glow = rim[..., None] * rng.uniform(40, 140)
        picture = np.clip(picture + glow, 0, 255).astype(np.uint8)
    return picture, label


def add_red_decoys(
    rgb: RgbArray, label: LabelArray, rng: np.random.Generator
) -> tuple[RgbArray, LabelArray]:
    """Add red that is no blood: erythema, muscle, liver-like texture, RF glow, a vessel loop.

    The label stays: what was blood is blood, what was clean is clean.
    """
    decoys = (_erythema, _muscle, _liver, _glow, _vessel_loop)
    picture = decoys[int(rng.integers(len(decoys)))](rgb, rng)
    outside = rgb.max(axis=-1) <= 10
    picture = np.where(outside[..., None], rgb, picture)
    return np.asarray(picture, np.uint8), label


def _region(side: int, rng: np.random.Generator, soft: float) -> NDArray[np.float32]:
    noise = fractal_noise(side, rng, first=2, octaves=3) + rng.uniform(-0.6, 1)
    return np.asarray(np.clip(noise * soft, 0, 1)[..., None], np.float32)


def _tinted(rgb: RgbArray, color: tuple[float, float, float], weight: Field) -> RgbArray:
    """Multiply: structure beneath stays visible, as it does in red tissue."""
    factor = 1 - weight * (1 - np.asarray(color, np.float32))
    return np.asarray(np.clip(rgb.astype(np.float32) * factor, 0, 255), np.uint8)


def _erythema(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    green = float(rng.uniform(0.35, 0.75))
    color = (float(rng.uniform(0.85, 1.1)), green, green * float(rng.uniform(0.85, 1.15)))
    return _tinted(rgb, color, _region(rgb.shape[0], rng, 1.0))


def _muscle(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle, period = float(rng.uniform(0, np.pi)), float(rng.uniform(3, 9))
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period + fractal_noise(side, rng)
    fibers = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    base = np.array([150, 52, 48], np.float32) * float(rng.uniform(0.6, 1.3))
    shade = rgb.astype(np.float32).mean(axis=-1, keepdims=True) / 110
    tissue = base * (0.65 + 0.35 * fibers[..., None]) * np.clip(shade, 0.3, 1.8)
    weight = _region(side, rng, 2.0) * 0.9
    return np.asarray(np.clip(rgb * (1 - weight) + tissue * weight, 0, 255), np.uint8)


def _liver(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    grain = fractal_noise(side, rng, first=side // 6, octaves=2)[..., None]
    base = np.array([112, 40, 34], np.float32) * float(rng.uniform(0.6, 1.5))
    shade = cv2.GaussianBlur(rgb.astype(np.float32).mean(axis=-1), (0, 0), side / 30)[..., None]
    tissue = base * (1 + 0.08 * grain) * np.clip(shade / 90, 0.3, 1.8)
    weight = _region(side, rng, 6.0)
    return np.asarray(np.clip(rgb * (1 - weight) + tissue * weight, 0, 255), np.uint8)


def _glow(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    center, size = rng.uniform(0.1, 0.9, 2) * side, float(rng.uniform(0.03, 0.25)) * side
    spread = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * size**2))
    color = np.array([255, rng.uniform(60, 180), rng.uniform(20, 140)], np.float32)
    glow = spread[..., None] * color * float(rng.uniform(0.3, 1))
    return np.asarray(np.clip(rgb + glow, 0, 255), np.uint8)


def _vessel_loop(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    t = np.linspace(0, 1, 24)[:, None]
    knots = rng.uniform(-0.1, 1.1, (4, 2)) * side
    curve = (
        (1 - t) ** 3 * knots[0]
        + 3 * (1 - t) ** 2 * t * knots[1]
        + 3 * (1 - t) * t**2 * knots[2]
        + t**3 * knots[3]
    )
    points = np.round(curve).astype(np.int32).reshape(-1, 1, 2)
    width = int(rng.integers(3, max(5, side // 24)))
    picture = rgb.copy()
    color = (int(rng.integers(170, 250)), int(rng.integers(20, 60)), int(rng.integers(20, 70)))
    cv2.polylines(picture, [points], False, color, width, cv2.LINE_AA)
    light = tuple(min(255, c + 90) for c in color)
    cv2.polylines(picture, [points - 1], False, light, max(1, width // 4), cv2.LINE_AA)
    return picture
