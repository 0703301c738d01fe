"""Synthetic views: textured content in an outline, on a dark surround."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ubereport.core.frames import FieldOfView, FieldShape, FrameBatch, PixelBox

WIDTH_PX, HEIGHT_PX = 480, 270


def tissue(rng: np.random.Generator, height_px: int, width_px: int) -> np.ndarray:
    """Reddish content with structure at several scales, uint8."""
    picture = np.zeros((height_px, width_px), np.float32)
    for cells, weight in ((4, 0.5), (12, 0.3), (40, 0.25), (120, 0.2)):
        noise = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        picture += weight * cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    light = np.clip(150 + 45 * picture, 45, 250)
    return (light[..., None] * np.float32([1.0, 0.78, 0.66])).astype(np.uint8)


def ellipse_mask(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX] + 0.5
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1


def box_mask(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    mask[top:bottom, left:right] = True
    return mask


OUTLINES: dict[str, tuple[FieldShape, np.ndarray]] = {
    "circle": (FieldShape.CIRCLE, ellipse_mask(245, 137, 120, 120)),
    "circle_cut_top_and_bottom": (FieldShape.CIRCLE, ellipse_mask(236, 140, 190, 190)),
    "circle_cut_all_around": (FieldShape.CIRCLE, ellipse_mask(240, 135, 245, 245)),
    "circle_in_letterbox": (
        FieldShape.CIRCLE,
        ellipse_mask(240, 135, 150, 150) & box_mask(0, 30, 480, 240),
    ),
    "squashed_circle": (FieldShape.CIRCLE, ellipse_mask(230, 130, 170, 110)),
    "off_center_circle": (FieldShape.CIRCLE, ellipse_mask(150, 120, 110, 110)),
    "pillarbox": (FieldShape.RECTANGLE, box_mask(61, 0, 420, 270)),
    "letterbox": (FieldShape.RECTANGLE, box_mask(0, 33, 480, 238)),
    "window": (FieldShape.RECTANGLE, box_mask(40, 25, 400, 251)),
    "full": (FieldShape.FULL, box_mask(0, 0, 480, 270)),
}


def probes(mask: np.ndarray, n: int = 8, seed: int = 0, surround_level: float = 3.0) -> np.ndarray:
    """`n` different pictures with content in `mask` and sensor noise everywhere."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        content = tissue(rng, *mask.shape).astype(np.float32)
        frame = np.where(mask[..., None], content, surround_level)
        frame = cv2.GaussianBlur(frame.astype(np.float32), (3, 3), 0)
        frames.append(np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


def put_text(frames: np.ndarray, text: str, at: tuple[int, int], scale: float = 0.7) -> np.ndarray:
    frames = frames.copy()
    for frame in frames:
        cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 2)
    return frames


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture
def views() -> SimpleNamespace:
    """The generators above, for tests."""
    return SimpleNamespace(
        outlines=OUTLINES,
        probes=probes,
        put_text=put_text,
        tissue=tissue,
        iou=iou,
        ellipse_mask=ellipse_mask,
        box_mask=box_mask,
    )


@pytest.fixture
def full_field() -> FieldOfView:
    return FieldOfView(
        FieldShape.FULL, PixelBox(0, 0, 256, 256), 256, 256, np.ones((256, 256), bool), 1.0
    )


@pytest.fixture
def as_batch() -> Callable[..., FrameBatch]:
    def build(rgb: np.ndarray, time_s: np.ndarray | None = None, part_index: int = 0) -> FrameBatch:
        n = len(rgb)
        return FrameBatch(
            rgb=rgb,
            sample_index=np.arange(n),
            time_s=np.arange(n) * 0.5 if time_s is None else np.asarray(time_s, dtype=float),
            part_index=np.full(n, part_index),
            is_decoded=np.ones(n, bool),
            is_corrupt=np.zeros(n, bool),
        )

    return build
