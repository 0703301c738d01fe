"""Turn, scale, tint and degrade a still with its label, as cameras and recorders do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.training.config import AugmentConfig
from ubereport.training.stills import CLEAN, LabelArray

__all__ = ["augment", "crop", "degrade", "recolor", "shade", "tint"]


def augment(
    rgb: RgbArray,
    label: LabelArray,
    side_px: int,
    rng: np.random.Generator,
    config: AugmentConfig,
    center: tuple[float, float] | None = None,
) -> tuple[RgbArray, LabelArray]:
    """Return a (side_px, side_px) crop as another camera would show it: `crop`, then `recolor`."""
    picture, mask = crop(rgb, label, side_px, rng, config, center)
    return recolor(picture, mask, rng, config)


def crop(
    rgb: RgbArray,
    label: LabelArray,
    side_px: int,
    rng: np.random.Generator,
    config: AugmentConfig,
    center: tuple[float, float] | None = None,
) -> tuple[RgbArray, LabelArray]:
    """Return a turned, scaled, mirrored crop of (side_px, side_px).

    `center` (x, y in pixels) asks for a crop that shows that place. What lies outside the still
    is black and clean, as outside a field of view.
    """
    matrix = _crop_matrix(rgb.shape[0], side_px, rng, config, center)
    size = (side_px, side_px)
    picture = cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    mask = cv2.warpAffine(
        label, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=CLEAN
    )
    return _as_levels(picture), _as_levels(mask)


def recolor(
    rgb: RgbArray, label: LabelArray, rng: np.random.Generator, config: AugmentConfig
) -> tuple[RgbArray, LabelArray]:
    """Show a crop through another optic, light, camera and recorder."""
    picture, mask = rgb.copy(), label.copy()
    if rng.random() < config.surround_share:
        outside = _outside_circle(rgb.shape[0], rng)
        picture[outside] = rng.integers(0, 8)
        mask[outside] = CLEAN
    picture = tint(picture, rng, config)
    if config.shade_share and rng.random() < config.shade_share:
        picture = shade(picture, rng)
    if rng.random() < config.degrade_share:
        picture = degrade(picture, rng)
    return picture, mask


def _as_levels(array: Any) -> NDArray[np.uint8]:  # noqa: ANN401 -- OpenCV's wide types
    return np.asarray(array, dtype=np.uint8)


def _crop_matrix(
    still_px: int,
    side_px: int,
    rng: np.random.Generator,
    config: AugmentConfig,
    center: tuple[float, float] | None,
) -> NDArray[np.float64]:
    """Return the 2 × 3 matrix from crop to still pixels."""
    crop_px = still_px * np.exp(
        rng.uniform(np.log(config.min_crop_frac), np.log(config.max_crop_frac))
    )
    angle = np.deg2rad(rng.uniform(-config.max_rotation_deg, config.max_rotation_deg))
    if rng.random() < 0.4:
        angle = np.deg2rad(rng.integers(0, 4) * 90.0 + rng.uniform(-8, 8))
    aspect = np.exp(rng.uniform(-0.3, 0.3))
    scale = np.diag([aspect**0.5 * (-1 if rng.random() < 0.5 else 1), aspect**-0.5])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ scale * crop_px / side_px
    slack = max(0.0, still_px - crop_px) / 2
    middle = still_px / 2 + rng.uniform(-slack, slack, 2)
    if center is not None:
        wanted = np.asarray(center) + rng.uniform(-0.35, 0.35, 2) * crop_px
        middle = np.clip(wanted, still_px / 2 - slack, still_px / 2 + slack)
    offset = middle - linear @ np.array([side_px / 2, side_px / 2])
    return np.column_stack([linear, offset])


def _outside_circle(side_px: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side_px, :side_px]
    center = side_px / 2 + rng.uniform(-0.08, 0.08, 2) * side_px
    radius = side_px * rng.uniform(0.4, 0.6)
    return np.asarray((x - center[0]) ** 2 + (y - center[1]) ** 2 > radius**2)


def tint(rgb: RgbArray, rng: np.random.Generator, config: AugmentConfig) -> RgbArray:
    """Change white balance, exposure, contrast, saturation and hue of a picture."""
    gain = np.exp(rng.uniform(-config.max_gain, config.max_gain, 3))
    exposure = np.exp(rng.uniform(-config.max_exposure, config.max_exposure))
    gamma = np.exp(rng.uniform(-config.max_exposure, config.max_exposure))
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain / gain.mean() * exposure
    table = np.clip(levels * 255, 0, 255).astype(np.uint8).reshape(1, 256, 3)
    mapped = cv2.LUT(np.ascontiguousarray(rgb), table)
    hsv = cv2.cvtColor(mapped, cv2.COLOR_RGB2HSV)
    shift = round(rng.uniform(-config.max_hue_deg, config.max_hue_deg) / 2)
    factor = np.exp(rng.uniform(-config.max_saturation, config.max_saturation))
    identity = np.arange(256)
    lut = np.stack(
        [(identity + shift) % 180, np.clip(identity * factor, 0, 255), identity], axis=-1
    ).astype(np.uint8)
    hsv = cv2.LUT(hsv, lut.reshape(1, 256, 3))
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def shade(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    """Let the light fall off from some place to a fifth to two thirds, as scopes light a cavity.

    Tissue far from the light is dark red and easily taken for blood.
    """
    side_y, side_x = rgb.shape[:2]
    y, x = np.mgrid[:side_y, :side_x].astype(np.float32)
    center_y, center_x = rng.uniform(0.2, 0.8, 2)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    distance = np.hypot((y / side_y - center_y) * stretch, (x / side_x - center_x) / stretch)
    bright, dark = rng.uniform(0.1, 0.35), rng.uniform(0.6, 1.1)
    t = np.clip((distance - bright) / (dark - bright), 0, 1)
    light = 1 - (1 - rng.uniform(0.2, 0.67)) * t * t * (3 - 2 * t)
    # Levels are about the 2.2th root of light.
    return np.asarray(rgb * light[..., np.newaxis] ** (1 / 2.2), dtype=np.uint8)


def degrade(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    """Resample, blur, add noise and compress a picture as a camera and a recorder do."""
    side_y, side_x = rgb.shape[:2]
    picture: Any = rgb
    if rng.random() < 0.4:
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(
            picture, (int(side_x * factor), int(side_y * factor)), interpolation=cv2.INTER_AREA
        )
        picture = cv2.resize(small, (side_x, side_y), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 8), (side_y, side_x, 1))
        noise = noise + rng.normal(0, rng.uniform(0.5, 4), (side_y, side_x, 3))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(30, 95))
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return np.asarray(picture, np.uint8)
