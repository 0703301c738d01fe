"""Turn, scale, tint and degrade a batch of stills with their labels, as cameras and recorders do.

What is done is drawn from a seed apart from doing it. On the processor pictures are compressed too;
a graphics device leaves that out, since no tensor operation does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2.functional import adjust_hue, gaussian_blur

from ubereport.laboratory.training.config import AugmentConfig
from ubereport.laboratory.training.labelled_stills import CLEAN


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
    # Even in the logarithm: doubling a view's size is as likely as halving it.
    crop_px = still_px * np.exp(
        rng.uniform(np.log(config.min_crop_frac), np.log(config.max_crop_frac))
    )
    angle = np.deg2rad(rng.uniform(-config.max_rotation_deg, config.max_rotation_deg))
    if rng.random() < 0.4:
        angle = np.deg2rad(rng.integers(0, 4) * 90.0 + rng.uniform(-8, 8))
    aspect = np.exp(rng.uniform(-0.3, 0.3))
    scale = np.diag([aspect**0.5 * (-1 if rng.random() < 0.5 else 1), aspect**-0.5])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # From crop to still: stretch and mirror, turn, scale; then move the crop's middle to where the
    # still is to be looked at, at most as far as the crop stays inside.
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
    surround = _draw_surround(rng) if rng.random() < config.surround_share else None
    tint = _draw_tint(rng, config)
    shade = _draw_shade(rng) if rng.random() < config.shade_share else None
    degradation = _draw_degradation(rng) if rng.random() < config.degrade_share else None
    return Recoloring(tint, surround, shade, degradation)


def _draw_surround(rng: np.random.Generator) -> Surround:
    x, y = 0.5 + rng.uniform(-0.08, 0.08, 2)
    return Surround((float(x), float(y)), float(rng.uniform(0.4, 0.6)), int(rng.integers(0, 8)))


def _draw_tint(rng: np.random.Generator, config: AugmentConfig) -> Tint:
    gain = np.exp(rng.uniform(-config.max_gain, config.max_gain, 3))
    # Color and brightness are drawn apart: a white balance that also brightened would tie the two
    # together.
    red, green, blue = gain / gain.mean()
    exposure, gamma = np.exp(rng.uniform(-config.max_exposure, config.max_exposure, 2))
    return Tint(
        (float(red), float(green), float(blue)),
        float(gamma),
        float(exposure),
        round(rng.uniform(-config.max_hue_deg, config.max_hue_deg) / 2),
        float(np.exp(rng.uniform(-config.max_saturation, config.max_saturation))),
    )


def _draw_shade(rng: np.random.Generator) -> Shade:
    x, y = rng.uniform(0.2, 0.8, 2)
    return Shade(
        (float(x), float(y)),
        float(np.exp(rng.uniform(-0.5, 0.5))),
        float(rng.uniform(0.1, 0.35)),
        float(rng.uniform(0.6, 1.1)),
        float(rng.uniform(0.2, 0.67)),
    )


def _draw_degradation(rng: np.random.Generator) -> Degradation:
    return Degradation(
        float(rng.uniform(0.4, 0.9)) if rng.random() < 0.4 else None,
        float(rng.uniform(0.3, 1.6)) if rng.random() < 0.3 else None,
        (float(rng.uniform(1, 8)), float(rng.uniform(0.5, 4))) if rng.random() < 0.5 else None,
        int(rng.integers(30, 95)) if rng.random() < 0.6 else None,
        int(rng.integers(2**31)),
    )


# Three deviations of the widest blur that is drawn (1.6 px), to either side.
_BLUR_PX = 11


def augment_batch(
    rgb: Tensor,
    label: Tensor,
    side_px: int,
    matrices: Sequence[NDArray[np.float64]],
    recolorings: Sequence[Recoloring],
) -> tuple[Tensor, Tensor]:
    """Crop, turn, stretch, mirror, surround, tint, shade, resample, blur, add noise and compress.

    Parameters
    ----------
    rgb, label
        (n, S, S, 3) and (n, S, S) uint8 on one device.
    matrices
        n matrices (2, 3) from crop to still pixels, of `draw_matrix`.
    recolorings
        n, of `draw_recoloring`.

    Returns
    -------
    (n, 3, side_px, side_px) float32 whole levels of 0..255, and (n, side_px, side_px) uint8.
    """
    grid = _sampling_grid(matrices, rgb.shape[1], side_px, rgb.device)
    planes = rgb.permute(0, 3, 1, 2).float()
    planes = F.grid_sample(planes, grid, mode="bilinear", align_corners=False)
    # Nearest, as a label is a class: between blood and undecided no mean exists.
    mask = F.grid_sample(label[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    shown = [_shown(*crop) for crop in zip(planes, mask, recolorings, strict=True)]
    return torch.stack([p for p, _ in shown]), torch.stack([m for _, m in shown]).to(torch.uint8)


def _sampling_grid(
    matrices: Sequence[NDArray[np.float64]], still_px: int, side_px: int, device: torch.device
) -> Tensor:
    """Turn pixel matrices into those of `affine_grid`.

    OpenCV's pixel i of the crop is at i; `affine_grid` puts its center at (2 i + 1) / side - 1.
    """
    stack = torch.from_numpy(np.stack(matrices))
    linear = stack[:, :, :2] * side_px / still_px
    middle = stack[:, :, :2] @ torch.full((2, 1), (side_px - 1) / 2, dtype=stack.dtype)
    offset = 2 * (middle + stack[:, :, 2:] + 0.5) / still_px - 1
    theta = torch.cat([linear, offset], 2).float().to(device)
    size = [len(matrices), 1, side_px, side_px]
    return F.affine_grid(theta, size, align_corners=False)


def _shown(planes: Tensor, mask: Tensor, how: Recoloring) -> tuple[Tensor, Tensor]:
    """Return a (3, S, S) crop and its (S, S) mask as another optic and recorder show them."""
    along = torch.arange(planes.shape[-1], device=planes.device) / planes.shape[-1]
    x, y = along[None, :], along[:, None]
    if how.surround is not None:
        center_x, center_y = how.surround.center
        is_outside = (x - center_x) ** 2 + (y - center_y) ** 2 > how.surround.radius**2
        planes = planes.masked_fill(is_outside, how.surround.level)
        # Outside of the view nothing is blood, and that is learned: pictures come with their
        # surround.
        mask = mask.masked_fill(is_outside, CLEAN)
    planes = _tinted(planes, how.tint)
    if how.shade is not None:
        # Light falls off in linear light, pictures are gamma coded.
        planes = planes * _light(x, y, how.shade) ** (1 / 2.2)
    # Last of all, as a recorder comes last: noise and compression are of the colors as shown.
    if how.degradation is not None:
        planes = _degraded(planes, how.degradation)
    return planes.clamp(0, 255).round(), mask


def _tinted(planes: Tensor, tint: Tint) -> Tensor:
    gain = torch.tensor(tint.gain, device=planes.device)[:, None, None] * tint.exposure
    lit = ((planes / 255).clamp(0, 1) ** tint.gamma * gain).clamp(0, 1)
    turned = adjust_hue(lit, tint.hue_steps / 180)
    return _saturate(turned, tint.saturation) * 255


def _light(x: Tensor, y: Tensor, shade: Shade) -> Tensor:
    """Return how much light falls on each place of a crop."""
    center_x, center_y = shade.center
    distance = torch.hypot((y - center_y) * shade.stretch, (x - center_x) / shade.stretch)
    t = ((distance - shade.bright) / (shade.dark - shade.bright)).clamp(0, 1)
    return 1 - (1 - shade.rest) * t * t * (3 - 2 * t)


def _degraded(planes: Tensor, how: Degradation) -> Tensor:
    side_px = planes.shape[-1]
    if how.resampling is not None:
        small = F.interpolate(planes[None], size=int(side_px * how.resampling), mode="area")
        planes = F.interpolate(small, size=side_px, mode="bilinear")[0]
    if how.blur_px is not None:
        planes = gaussian_blur(planes, [_BLUR_PX, _BLUR_PX], [how.blur_px, how.blur_px])
    if how.noise is not None:
        generator = torch.Generator(planes.device).manual_seed(how.seed)
        for deviation, n_channels in zip(how.noise, (1, 3), strict=True):
            shape = (n_channels, side_px, side_px)
            # Noise of all channels together is brightness, of each alone color; sensors have both.
            noise = torch.randn(shape, generator=generator, device=planes.device)
            planes = planes + noise * deviation
    if how.jpeg_quality is not None and planes.device.type == "cpu":
        bgr = planes.clamp(0, 255).round().to(torch.uint8).flip(0).permute(1, 2, 0).numpy()
        _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, how.jpeg_quality])
        shown = torch.from_numpy(np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR)))
        planes = shown.permute(2, 0, 1).flip(0).float()
    return planes


def _saturate(planes: Tensor, factor: float) -> Tensor:
    """Scale HSV's saturation, at most to 1: what each channel lacks of the value is scaled."""
    value = planes.amax(0)
    lack = value - planes
    most = value / lack.amax(0).clamp(min=1e-6)
    return value - lack * most.clamp(max=factor)
