"""Stills on disk and a model that calls exactly what is bright red in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

SIDE_PX = 64


class RedPredictor:
    """Probability is the red channel over 255: the pictures say what the model shall call."""

    input_height_px = SIDE_PX
    input_width_px = SIDE_PX
    thresholds = (0.3, 0.5, 0.7)
    device = "cpu"
    precision = "fp32"

    def probabilities(self, rgb: np.ndarray) -> np.ndarray:
        assert rgb.shape[1:] == (SIDE_PX, SIDE_PX, 3)
        return rgb[..., 0].astype(np.float32) / 255

    def masks(self, rgb: np.ndarray) -> np.ndarray:
        return self.probabilities(rgb) >= self.thresholds[1]

    def areas(self, rgb: np.ndarray, field_mask: np.ndarray) -> np.ndarray:
        maps = self.probabilities(rgb)[:, field_mask]
        return np.stack([(maps >= t).mean(axis=1) for t in self.thresholds], axis=1)


@pytest.fixture
def predictor() -> RedPredictor:
    return RedPredictor()


@pytest.fixture
def write_still(tmp_path: Path) -> Callable[..., None]:
    """Write a still whose model answer is `predicted` and whose masks are `masks` by annotator."""

    def write(
        name: str,
        predicted: np.ndarray,
        masks: dict[str, np.ndarray],
        ignore: np.ndarray | None = None,
    ) -> None:
        image = np.zeros((*predicted.shape, 3), np.uint8)
        image[predicted] = (10, 20, 250)  # BGR
        _write(tmp_path / "images" / f"{name}.png", image)
        for who, mask in masks.items():
            _write(tmp_path / "masks" / who / f"{name}.png", mask.astype(np.uint8) * 255)
        if ignore is not None:
            _write(tmp_path / "ignore" / f"{name}.png", ignore.astype(np.uint8) * 255)

    return write


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture
def box() -> Callable[..., np.ndarray]:
    def build(top: int, left: int, bottom: int, right: int, side: int = SIDE_PX) -> np.ndarray:
        mask = np.zeros((side, side), bool)
        mask[top:bottom, left:right] = True
        return mask

    return build
