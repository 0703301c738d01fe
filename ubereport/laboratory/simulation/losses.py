"""What is seen when the view is lost: drapes, gauze, the room, slates, white-out."""

from __future__ import annotations

import cv2
import numpy as np

from ubereport.laboratory.simulation.noise import Float32Array, clouds, fibers, smoothstep
from ubereport.laboratory.simulation.scenario import Loss


def paint_out_of_body(loss: Loss, size_px: int) -> np.ndarray:
    """Paint the room, a drape or gauze, larger than the view so that the camera can move.

    Returns
    -------
    (size_px, size_px, 3) uint8.
    """
    rng = np.random.default_rng([loss.seed, 29])
    painter = (_drape, _gauze, _room)[loss.seed % 3]
    return (np.clip(painter(rng, size_px), 0, 1) * 255).astype(np.uint8)


def paint_slate(loss: Loss, width_px: int, height_px: int) -> np.ndarray:
    """Paint what a recorder shows without a signal: a blue or black slate, or color bars."""
    slate = np.zeros((height_px, width_px, 3), np.uint8)
    kind = loss.seed % 3
    if kind == 0:
        slate[:] = (12, 28, 170)
    elif kind == 1:
        bars = [(180, 180, 180), (180, 180, 16), (16, 180, 180), (16, 180, 16)]
        bars += [(180, 16, 180), (180, 16, 16), (16, 16, 180)]
        edges = np.linspace(0, width_px, len(bars) + 1).astype(int)
        for left, right, color in zip(edges, edges[1:], bars, strict=False):
            slate[:, left:right] = color
        return slate
    size = height_px / 300
    (text_width, text_height), _ = cv2.getTextSize("NO SIGNAL", cv2.FONT_HERSHEY_SIMPLEX, size, 2)
    corner = ((width_px - text_width) // 2, (height_px + text_height) // 2)
    cv2.putText(
        slate, "NO SIGNAL", corner, cv2.FONT_HERSHEY_SIMPLEX, size, (225, 225, 225), 2, cv2.LINE_AA
    )
    return slate


def white_out_level(x: Float32Array, y: Float32Array, time_s: float) -> Float32Array:
    """Return the light (0..255) that a lens against a bright surface adds."""
    level = 345 - 55 * np.hypot(x - 0.2 * np.sin(time_s), y) ** 2
    return np.asarray(np.clip(level, 0, 255), np.float32)


def _drape(rng: np.random.Generator, n: int) -> Float32Array:
    color = np.array([[0.10, 0.42, 0.48], [0.16, 0.34, 0.62]], np.float32)[int(rng.integers(2))]
    folds = fibers(rng, n, 5, float(rng.uniform(0, 3.1)), 3) + 0.6 * clouds(rng, n, n, 3, 3)
    slope_y, slope_x = np.gradient(folds)
    light = np.clip(0.85 - (slope_x + 0.7 * slope_y) * np.float32(n / 48), 0.45, 1.35)
    axis = np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * 110 / n)
    weave = 1 + 0.06 * np.sin(axis)[:, None] * np.sin(axis)[None, :]
    picture = color * (light * weave)[..., None]
    if rng.random() < 0.5:
        glove = smoothstep(-0.1, 0.5, clouds(rng, n, n, 2, 2) - 0.9)[..., None]
        picture = picture + glove * (
            np.array([0.93, 0.90, 0.84], np.float32) * light[..., None] - picture
        )
    return np.asarray(picture, np.float32)


def _gauze(rng: np.random.Generator, n: int) -> Float32Array:
    axis = np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * 60 / n)
    wander = clouds(rng, n, n, 5, 3) * np.float32(0.9)
    threads = np.maximum(
        np.abs(np.sin(axis[:, None] + wander)), np.abs(np.sin(axis[None, :] + 0.8 * wander))
    )
    folds = clouds(rng, n, n, 3, 4)
    light = np.clip(0.62 + 0.22 * threads + 0.12 * folds, 0, 1)
    picture = light[..., None] * np.array([0.97, 0.95, 0.92], np.float32)
    stain = smoothstep(0.9, 1.6, clouds(rng, n, n, 3, 4))[..., None]
    return np.asarray(
        picture * (1 + stain * (np.array([0.78, 0.22, 0.18], np.float32) - 1)), np.float32
    )


def _room(rng: np.random.Generator, n: int) -> Float32Array:
    floor = np.array([0.30, 0.34, 0.38], np.float32) + 0.10 * clouds(rng, n, n, 2, 2)[..., None]
    canvas = np.clip(floor, 0.05, 1).astype(np.float32)
    for _ in range(14):
        color = rng.uniform(0.1, 0.8) + rng.uniform(-0.10, 0.10, 3)
        corner = rng.integers(-n // 6, n, 2)
        size = rng.integers(n // 12, n // 3, 2)
        cv2.rectangle(
            canvas, corner.tolist(), (corner + size).tolist(), color.tolist(), -1, cv2.LINE_8
        )
    for _ in range(3):
        at = rng.integers(n // 6, 5 * n // 6, 2)
        cv2.circle(canvas, at.tolist(), int(n * rng.uniform(0.02, 0.07)), (1.6, 1.55, 1.4), -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), n * 0.006), np.float32)
