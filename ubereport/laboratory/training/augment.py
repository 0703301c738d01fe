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
        n matrices (2, 3) from crop to still pixels, of `augmentation.draw_matrix`.
    recolorings
        n, of `augmentation.draw_recoloring`.

    Returns
    -------
    (n, 3, side_px, side_px) float32 whole levels of 0..255, and (n, side_px, side_px) uint8.
    """
    grid = _sampling_grid(matrices, rgb.shape[1], side_px, rgb.device)
    planes = rgb.permute(0, 3, 1, 2).float()
    planes = F.grid_sample(planes, grid, mode="bilinear", align_corners=False)
    mask = F.grid_sample(label[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    planes, mask = _surround(planes, mask, recolorings)
    planes = _tint(planes, recolorings)
    planes = _shade(planes, recolorings)
    planes = _resample(planes, recolorings)
    planes = _blur(planes, recolorings)
    planes = _add_noise(planes, recolorings).clamp(0, 255).round()
    if planes.device.type == "cpu":
        planes = _compress(planes, recolorings)
    return planes, mask.to(torch.uint8)


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


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    """Return (n, 1, 1, 1) of one number a still."""
    return torch.tensor(values, dtype=torch.float32).to(like.device)[:, None, None, None]


def _chosen(values: Sequence[object | None], like: Tensor) -> tuple[list[int], Tensor]:
    index = [i for i, value in enumerate(values) if value is not None]
    return index, torch.tensor(index, device=like.device)


def _places(side_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    along = torch.arange(side_px, device=device, dtype=torch.float32) / side_px
    return along[None, :], along[:, None]


def _surround(
    planes: Tensor, mask: Tensor, recolorings: Sequence[Recoloring]
) -> tuple[Tensor, Tensor]:
    rounds = [r.surround for r in recolorings]
    index, at = _chosen(rounds, planes)
    if not index:
        return planes, mask
    x, y = _places(planes.shape[-1], planes.device)
    kept = [r for r in rounds if r is not None]
    center_x = _column([r.center[0] for r in kept], planes)[:, 0]
    center_y = _column([r.center[1] for r in kept], planes)[:, 0]
    radius = _column([r.radius for r in kept], planes)[:, 0]
    outside = (x - center_x) ** 2 + (y - center_y) ** 2 > radius**2
    level = _column([float(r.level) for r in kept], planes)
    planes, mask = planes.clone(), mask.clone()
    planes[at] = torch.where(outside[:, None], level, planes[at])
    mask[at] = torch.where(outside, torch.zeros_like(mask[at]), mask[at])
    return planes, mask


def _tint(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    tints = [r.tint for r in recolorings]
    gain = torch.tensor([t.gain for t in tints], dtype=torch.float32).to(planes.device)
    curve = (planes / 255).clamp(0, 1) ** _column([t.gamma for t in tints], planes)
    lit = curve * gain[:, :, None, None] * _column([t.exposure for t in tints], planes)
    lit = lit.clamp(0, 1)
    turned = _turn_hue(lit, _column([t.hue_steps / 30 for t in tints], planes))
    return _saturate(turned, _column([t.saturation for t in tints], planes)) * 255


def _turn_hue(planes: Tensor, sixths: Tensor) -> Tensor:
    """Turn the hue by a share of a sixth of the circle; value and chroma stay (HSV hexagon)."""
    # HSV's hexagon without leaving RGB: hue is a place on a circle of six sixths, and each channel
    # is a trapezoid over it that is shifted by a third of the circle from the next (Smith 1978).
    value = planes.amax(1, keepdim=True)
    chroma = value - planes.amin(1, keepdim=True)
    safe = chroma.clamp(min=1e-6)
    red, green, blue = (planes[:, i : i + 1] for i in range(3))
    sector = torch.where(
        value == red,
        ((green - blue) / safe) % 6,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = (sector + sixths) % 6
    shift = torch.tensor([5.0, 3.0, 1.0], device=planes.device)[None, :, None, None]
    k = (shift + hue) % 6
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def _saturate(planes: Tensor, factor: Tensor) -> Tensor:
    """Scale HSV's saturation, at most to 1: what each channel lacks of the value is scaled."""
    value = planes.amax(1, keepdim=True)
    lack = value - planes
    most = lack.amax(1, keepdim=True)
    allowed = torch.where(most > 0, value / most.clamp(min=1e-6), torch.ones_like(most))
    return value - lack * torch.minimum(factor.expand_as(most), allowed)


def _shade(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    shades = [r.shade for r in recolorings]
    index, at = _chosen(shades, planes)
    if not index:
        return planes
    x, y = _places(planes.shape[-1], planes.device)
    kept = [s for s in shades if s is not None]
    center_x = _column([s.center[0] for s in kept], planes)[:, 0]
    center_y = _column([s.center[1] for s in kept], planes)[:, 0]
    stretch = _column([s.stretch for s in kept], planes)[:, 0]
    bright = _column([s.bright for s in kept], planes)[:, 0]
    dark = _column([s.dark for s in kept], planes)[:, 0]
    rest = _column([s.rest for s in kept], planes)[:, 0]
    distance = torch.hypot((y - center_y) * stretch, (x - center_x) / stretch)
    t = ((distance - bright) / (dark - bright)).clamp(0, 1)
    light = 1 - (1 - rest) * t * t * (3 - 2 * t)
    planes = planes.clone()
    planes[at] = planes[at] * light[:, None] ** (1 / 2.2)
    return planes


def _resample(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    factors = [None if r.degradation is None else r.degradation.resampling for r in recolorings]
    side_px = planes.shape[-1]
    result = planes.clone()
    for i, factor in enumerate(factors):
        if factor is not None:
            small = F.interpolate(planes[i : i + 1], size=int(side_px * factor), mode="area")
            result[i : i + 1] = F.interpolate(small, size=side_px, mode="bilinear")
    return result


def _blur(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    """Blur each still by its own Gaussian: one grouped convolution along each axis."""
    widths = [None if r.degradation is None else r.degradation.blur_px for r in recolorings]
    index, at = _chosen(widths, planes)
    if not index:
        return planes
    sigma = torch.tensor([w for w in widths if w is not None], device=planes.device)
    offset = torch.arange(_BLUR_PX, device=planes.device) - _BLUR_PX // 2
    weight = torch.exp(-(offset**2) / (2 * sigma[:, None] ** 2))
    weight = (weight / weight.sum(1, keepdim=True)).repeat_interleave(3, 0)
    n, half = len(index), _BLUR_PX // 2
    # One convolution for stills of different blur: every channel of every still is a group of its
    # own.
    flat = planes[at].reshape(1, 3 * n, *planes.shape[-2:])
    flat = F.pad(flat, (half, half, half, half), mode="reflect")
    flat = F.conv2d(flat, weight[:, None, None, :], groups=3 * n)
    flat = F.conv2d(flat, weight[:, None, :, None], groups=3 * n)
    planes = planes.clone()
    planes[at] = flat.reshape(n, 3, *planes.shape[-2:])
    return planes


def _add_noise(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    given = [None if r.degradation is None else r.degradation.noise for r in recolorings]
    if not any(given):
        return planes
    seed = next(r.degradation.seed for r in recolorings if r.degradation is not None)
    generator = torch.Generator(planes.device).manual_seed(seed)
    together = _column([0.0 if noise is None else noise[0] for noise in given], planes)
    alone = _column([0.0 if noise is None else noise[1] for noise in given], planes)
    shape = (len(planes), 1, *planes.shape[-2:])
    gray = torch.randn(shape, generator=generator, device=planes.device)
    color = torch.randn(planes.shape, generator=generator, device=planes.device)
    return planes + gray * together + color * alone


def _compress(planes: Tensor, recolorings: Sequence[Recoloring]) -> Tensor:
    planes = planes.clone()
    for i, recoloring in enumerate(recolorings):
        quality = recoloring.degradation and recoloring.degradation.jpeg_quality
        if quality:
            bgr = planes[i].flip(0).permute(1, 2, 0).to(torch.uint8).numpy()
            _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            bgr = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
            planes[i] = torch.from_numpy(bgr).permute(2, 0, 1).flip(0)
    return planes
