"""Color bars in every color matrix and range, and how far a reader's colors are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ubereport.video.pyav import ColorTag, EncoderSpec
from ubereport.video.writer import VideoWriter

COLORS = {
    "red": (200, 30, 20),
    "dark red": (110, 12, 14),
    "pink": (230, 160, 150),
    "green": (30, 180, 40),
    "blue": (20, 40, 200),
    "yellow": (235, 220, 60),
    "gray": (128, 128, 128),
    "near black": (8, 8, 8),
}


def draw(width: int, height: int) -> np.ndarray:
    """Eight bars side by side."""
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    for number, color in enumerate(COLORS.values()):
        rgb[:, number * width // 8 : (number + 1) * width // 8] = color
    return rgb


def write(path: Path, size: tuple[int, int], tag: ColorTag, **options: str) -> Path:
    """Write three pictures of the bars."""
    with VideoWriter(
        path,
        EncoderSpec(
            *size,
            25,
            options={"crf": "3", "preset": "ultrafast"},
            color=tag,
            **options,  # type: ignore[arg-type]
        ),
    ) as writer:
        for _ in range(3):
            writer.write(draw(*size))
    return path


def largest_error(rgb: np.ndarray) -> int:
    """Levels by which the middle of a bar is off, at most."""
    height, width = rgb.shape[:2]
    centers = [(2 * number + 1) * width // 16 for number in range(8)]
    seen = rgb[height // 2, centers].astype(int)
    return int(np.abs(seen - np.array(list(COLORS.values()))).max())


TAGS = [
    (size, ColorTag(matrix, color_range, is_tagged=True))
    for size in ((320, 240), (1280, 720))
    for matrix in ("bt601", "bt709")
    for color_range in ("limited", "full")
] + [
    ((320, 240), ColorTag("bt601", "limited", is_tagged=False)),
    ((1280, 720), ColorTag("bt709", "limited", is_tagged=False)),
]
