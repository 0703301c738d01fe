"""Augmentation of one still with OpenCV: an independent reference for tensors on a batch."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.laboratory.training.augment import (
    Degradation,
    Recoloring,
    Shade,
    Surround,
    Tint,
)
from ubereport.laboratory.training.labelled_stills import CLEAN, LabelArray


def warp(
    rgb: RgbArray, label: LabelArray, side_px: int, matrix: NDArray[np.float64]
) -> tuple[RgbArray, LabelArray]:
    """Return the crop that `matrix` (2, 3) takes from a still.

    What lies outside the still is black and clean, as outside a field of view.
    """
    size = (side_px, side_px)
    picture = cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    mask = cv2.warpAffine(
        label, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=CLEAN
    )
    return _as_levels(picture), _as_levels(mask)


def recolor(
    rgb: RgbArray, label: LabelArray, recoloring: Recoloring
) -> tuple[RgbArray, LabelArray]:
    """Show a crop through another optic, light, camera and recorder."""
    picture, mask = rgb.copy(), label.copy()
    if recoloring.surround is not None:
        outside = _outside(rgb.shape[0], recoloring.surround)
        picture[outside] = recoloring.surround.level
        mask[outside] = CLEAN
    picture = tint(picture, recoloring.tint)
    if recoloring.shade is not None:
        picture = shade(picture, recoloring.shade)
    if recoloring.degradation is not None:
        picture = degrade(picture, recoloring.degradation)
    return picture, mask


def _as_levels(array: Any) -> NDArray[np.uint8]:
    return np.asarray(array, dtype=np.uint8)


def _outside(side_px: int, surround: Surround) -> BoolArray:
    y, x = np.mgrid[:side_px, :side_px]
    center_x, center_y = (share * side_px for share in surround.center)
    radius_px = surround.radius * side_px
    return np.asarray((x - center_x) ** 2 + (y - center_y) ** 2 > radius_px**2)


def tint(rgb: RgbArray, change: Tint) -> RgbArray:
    """Change white balance, exposure, contrast, saturation and hue of a picture."""
    curve = np.linspace(0, 1, 256)[:, None] ** change.gamma
    levels = curve * np.asarray(change.gain) * change.exposure
    table = np.clip(levels * 255, 0, 255).astype(np.uint8).reshape(1, 256, 3)
    mapped = cv2.LUT(np.ascontiguousarray(rgb), table)
    hsv = cv2.cvtColor(mapped, cv2.COLOR_RGB2HSV)
    identity = np.arange(256)
    lut = np.stack(
        [
            (identity + change.hue_steps) % 180,
            np.clip(identity * change.saturation, 0, 255),
            identity,
        ],
        axis=-1,
    ).astype(np.uint8)
    hsv = cv2.LUT(hsv, lut.reshape(1, 256, 3))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def shade(rgb: RgbArray, change: Shade) -> RgbArray:
    """Let the light fall off from some place to a fifth to two thirds, as scopes light a cavity.

    Tissue far from the light is dark red and easily taken for blood.
    """
    side_y, side_x = rgb.shape[:2]
    y, x = np.mgrid[:side_y, :side_x].astype(np.float32)
    center_x, center_y = change.center
    distance = np.hypot(
        (y / side_y - center_y) * change.stretch, (x / side_x - center_x) / change.stretch
    )
    t = np.clip((distance - change.bright) / (change.dark - change.bright), 0, 1)
    light = 1 - (1 - change.rest) * t * t * (3 - 2 * t)
    # Levels are about the 2.2th root of light.
    return np.asarray(rgb * light[..., np.newaxis] ** (1 / 2.2), dtype=np.uint8)


def degrade(rgb: RgbArray, change: Degradation) -> RgbArray:
    """Resample, blur, add noise and compress a picture as a camera and a recorder do."""
    side_y, side_x = rgb.shape[:2]
    picture: Any = rgb
    if change.resampling is not None:
        small_size = (int(side_x * change.resampling), int(side_y * change.resampling))
        small = cv2.resize(picture, small_size, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (side_x, side_y), interpolation=cv2.INTER_LINEAR)
    if change.blur_px is not None:
        picture = cv2.GaussianBlur(picture, (0, 0), change.blur_px)
    if change.noise is not None:
        rng = np.random.default_rng(change.seed)
        together, alone = change.noise
        noise = rng.normal(0, together, (side_y, side_x, 1))
        noise = noise + rng.normal(0, alone, (side_y, side_x, 3))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if change.jpeg_quality is not None:
        settings = [cv2.IMWRITE_JPEG_QUALITY, change.jpeg_quality]
        _, code = cv2.imencode(".jpg", picture[..., ::-1], settings)
        picture = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]
    return np.asarray(picture, np.uint8)
