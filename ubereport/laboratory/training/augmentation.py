"""What is done to a crop, drawn from a seed apart from doing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubereport.laboratory.training.config import AugmentConfig


@dataclass(frozen=True, slots=True)
class Surround:
    """A round field of view on black: center (x, y) and radius as shares of the side."""

    center: tuple[float, float]
    radius: float
    level: int


@dataclass(frozen=True, slots=True)
class Tint:
    """White balance (mean 1), contrast, exposure, hue and saturation.

    `hue_steps` are OpenCV's, of two degrees.
    """

    gain: tuple[float, float, float]
    gamma: float
    exposure: float
    hue_steps: int
    saturation: float


@dataclass(frozen=True, slots=True)
class Shade:
    """Light that falls off around a place: tissue far from it is dark red, like blood."""

    center: tuple[float, float]
    stretch: float
    bright: float
    dark: float
    rest: float


@dataclass(frozen=True, slots=True)
class Degradation:
    """What a camera and a recorder lose; None where nothing of the kind is lost.

    `noise` are standard deviations in levels, of all channels together and of each alone.
    """

    resampling: float | None
    blur_px: float | None
    noise: tuple[float, float] | None
    jpeg_quality: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Recoloring:
    """How another optic, light, camera and recorder show a crop."""

    tint: Tint
    surround: Surround | None
    shade: Shade | None
    degradation: Degradation | None


def draw_matrix(
    still_px: int,
    side_px: int,
    rng: np.random.Generator,
    config: AugmentConfig,
    center: tuple[float, float] | None,
) -> NDArray[np.float64]:
    """Draw the 2 × 3 matrix from crop to still pixels: scale, turn, stretch, mirror, place.

    `center` (x, y in pixels) asks for a crop that shows that place.
    """
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


def draw_recoloring(rng: np.random.Generator, config: AugmentConfig) -> Recoloring:
    """Draw how a crop is shown."""
    surround = _surround(rng) if rng.random() < config.surround_share else None
    tint = _tint(rng, config)
    shade = _shade(rng) if rng.random() < config.shade_share else None
    degradation = _degradation(rng) if rng.random() < config.degrade_share else None
    return Recoloring(tint, surround, shade, degradation)


def _surround(rng: np.random.Generator) -> Surround:
    x, y = 0.5 + rng.uniform(-0.08, 0.08, 2)
    return Surround((float(x), float(y)), float(rng.uniform(0.4, 0.6)), int(rng.integers(0, 8)))


def _tint(rng: np.random.Generator, config: AugmentConfig) -> Tint:
    gain = np.exp(rng.uniform(-config.max_gain, config.max_gain, 3))
    red, green, blue = gain / gain.mean()
    exposure, gamma = np.exp(rng.uniform(-config.max_exposure, config.max_exposure, 2))
    return Tint(
        (float(red), float(green), float(blue)),
        float(gamma),
        float(exposure),
        round(rng.uniform(-config.max_hue_deg, config.max_hue_deg) / 2),
        float(np.exp(rng.uniform(-config.max_saturation, config.max_saturation))),
    )


def _shade(rng: np.random.Generator) -> Shade:
    x, y = rng.uniform(0.2, 0.8, 2)
    return Shade(
        (float(x), float(y)),
        float(np.exp(rng.uniform(-0.5, 0.5))),
        float(rng.uniform(0.1, 0.35)),
        float(rng.uniform(0.6, 1.1)),
        float(rng.uniform(0.2, 0.67)),
    )


def _degradation(rng: np.random.Generator) -> Degradation:
    return Degradation(
        float(rng.uniform(0.4, 0.9)) if rng.random() < 0.4 else None,
        float(rng.uniform(0.3, 1.6)) if rng.random() < 0.3 else None,
        (float(rng.uniform(1, 8)), float(rng.uniform(0.5, 4))) if rng.random() < 0.5 else None,
        int(rng.integers(30, 95)) if rng.random() < 0.6 else None,
        int(rng.integers(2**31)),
    )
