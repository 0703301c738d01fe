"""Measure each sample: the numbers from which validity is decided, kept for an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray, frozen_array
from ubereport.core.config import ValidityConfig
from ubereport.core.frames import FieldOfView, FrameBatch

# All scores are taken at this size whatever the model's, so that thresholds mean the same.
_SCORE_PX = 256
_HALF_PX = 128
_TINY_PX = 32
# OpenCV hue (0..179) from yellow-green over blue to violet: no tissue, bone, blood or char.
# Of 1,230 real laparoscopic stills none has more than 16 % of them, steel and blue tools included.
_FOREIGN_HSV = (38, 40, 50)
_LAST_FOREIGN_HUE = 130
_GRAY_SATURATION = 29
_GRAY_VALUE = 41
_RED_RATIO = 1.5
_RED_LEVEL = 40
_NEAR_LEVELS = 10
_FLAT_LEVELS = 2
_LIT_LEVEL = 21
# Levels by which a pixel of a still picture may differ: rounding and re-encoding of a freeze.
_MOVED_LEVELS = 3


@dataclass(frozen=True, slots=True, eq=False)
class LastPicture:
    """The last readable picture, carried from batch to batch to notice a frozen one."""

    gray: RgbArray
    time_s: float
    part_index: int


@dataclass(frozen=True, slots=True, eq=False)
class SampleScores:
    """What was measured of each sample inside the field of view; NaN where not readable.

    Parameters
    ----------
    time_s
        (n,) presentation time on the case clock.
    is_readable
        (n,) bool, decoded and not marked as damaged.
    mean_level
        (n,) mean of the brightest channel, 0..255.
    white_frac
        (n,) share of pixels with all three channels at the configured white level or above.
    red_frac
        (n,) share of pixels whose red is 1.5 times their green and blue.
    median_red_ratio
        (n,) red over the larger of green and blue of the median color.
    foreign_frac
        (n,) share of green, cyan, blue and violet pixels.
    gray_frac
        (n,) share of pixels without color that are neither dark nor saturated.
    flat_frac
        (n,) share of pixels, black ones left out, that differ from no neighbor by over 2 levels.
    mode_frac
        (n,) share of pixels within 10 levels of the median color.
    sharpness
        (n,) 0..1: how much of the strongest edges is lost by smoothing (0 = nothing, blurred).
    detail_level
        (n,) 99th percentile of the gradient in levels per pixel, in its weaker direction.
    coarse_contrast
        (n,) standard deviation of the strongly smoothed picture, in levels.
    veil_level
        (n,) level that 95 % of the pixels exceed in every channel: what smoke adds to the dark.
    usual_gradient
        (n,) median size of the gradient at half size, in levels per pixel; glints do not move it.
    moved_frac
        (n,) share of pixels that differ from the readable picture before; NaN for the first.
    since_s
        (n,) seconds since that picture; NaN for the first.
    """

    time_s: FloatArray
    is_readable: BoolArray
    mean_level: FloatArray
    white_frac: FloatArray
    red_frac: FloatArray
    median_red_ratio: FloatArray
    foreign_frac: FloatArray
    gray_frac: FloatArray
    flat_frac: FloatArray
    mode_frac: FloatArray
    sharpness: FloatArray
    detail_level: FloatArray
    coarse_contrast: FloatArray
    veil_level: FloatArray
    usual_gradient: FloatArray
    moved_frac: FloatArray
    since_s: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            dtype = np.bool_ if field.name == "is_readable" else np.float64
            object.__setattr__(self, field.name, frozen_array(getattr(self, field.name), dtype))
            if getattr(self, field.name).shape != self.time_s.shape:
                raise ValueError(f"{field.name} and time_s differ in length")

    def __len__(self) -> int:
        return len(self.time_s)


def score_samples(
    batch: FrameBatch, field: FieldOfView, config: ValidityConfig, previous: LastPicture | None
) -> tuple[SampleScores, LastPicture | None]:
    """Measure a batch of cropped samples; also return what the next batch needs.

    Parameters
    ----------
    batch
        Samples of one part, in time order, cropped to the field and at the mask's size.
    field
        The field of view they were cropped to.
    config
        The white level.
    previous
        What the call before returned; None at the start. A picture of another part is ignored.

    Raises
    ------
    ValueError
        If samples and mask differ in size.
    """
    if batch.rgb.shape[1:3] != field.mask.shape:
        raise ValueError(f"samples of {batch.rgb.shape[1:3]} px, mask of {field.mask.shape} px")
    region = _Region.of(field.mask)
    rows: list[dict[str, float]] = []
    for row in range(len(batch)):
        time_s, part = float(batch.time_s[row]), int(batch.part_index[row])
        if not batch.is_decoded[row] or batch.is_corrupt[row]:
            rows.append({})
            continue
        rgb = _scaled(batch.rgb[row], _SCORE_PX)
        gray = _rgb(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
        colors = _color_scores(_scaled(rgb, _HALF_PX), region, config.white_level)
        scores = colors | _structure_scores(gray, region)
        if previous is not None and previous.part_index == part:
            scores["moved_frac"] = _moved_frac(gray, previous.gray, region)
            scores["since_s"] = time_s - previous.time_s
        rows.append(scores)
        previous = LastPicture(gray, time_s, part)
    names = [f.name for f in fields(SampleScores) if f.name not in ("time_s", "is_readable")]
    columns = {n: np.array([r.get(n, np.nan) for r in rows], dtype=np.float64) for n in names}
    is_readable = np.array([bool(r) for r in rows], dtype=np.bool_)
    return SampleScores(time_s=batch.time_s, is_readable=is_readable, **columns), previous


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """The field's mask (0 or 1) in the sizes that scoring uses."""

    full: RgbArray
    half: RgbArray
    inner: RgbArray
    inner_half: RgbArray
    inner_tiny: RgbArray
    n_full_px: int
    n_half_px: int

    @classmethod
    def of(cls, mask: BoolArray) -> _Region:
        full = _scaled(mask.astype(np.uint8), _SCORE_PX, cv2.INTER_NEAREST)
        # The rim of the field is an edge of its own: gradients are taken away from it.
        inner = _rgb(cv2.erode(full, np.ones((11, 11), np.uint8), borderValue=0))
        inner = inner if inner.any() else full
        half = _any(_scaled(full, _HALF_PX, cv2.INTER_NEAREST))
        inner_half = _any(_scaled(inner, _HALF_PX, cv2.INTER_NEAREST))
        inner_tiny = _any(_scaled(inner, _TINY_PX, cv2.INTER_NEAREST))
        n_px = (int(full.sum()), int(half.sum()))
        return cls(full, half, inner, inner_half, inner_tiny, *n_px)


def _any(mask: RgbArray) -> RgbArray:
    return mask if mask.any() else np.ones_like(mask)


def _rgb(picture: NDArray[Any]) -> RgbArray:
    """Tell the type checker that a picture from OpenCV is uint8."""
    return np.asarray(picture, dtype=np.uint8)


def _scaled(picture: RgbArray, side_px: int, how: int = cv2.INTER_AREA) -> RgbArray:
    """Scale a picture down so that neither side is longer than `side_px`."""
    height, width = picture.shape[:2]
    if max(height, width) <= side_px:
        return picture
    size = (min(width, side_px), min(height, side_px))
    return _rgb(cv2.resize(picture, size, interpolation=how))


def _color_scores(rgb: RgbArray, region: _Region, white_level: int) -> dict[str, float]:
    """Score colors at half size; `rgb` is (h, w, 3)."""
    hsv = _rgb(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    red, green, blue = (_rgb(channel) for channel in cv2.split(rgb))
    other = _rgb(cv2.max(green, blue))
    too_red = cv2.compare(red, cv2.convertScaleAbs(other, alpha=_RED_RATIO), cv2.CMP_GT)
    is_red = cv2.bitwise_and(too_red, cv2.compare(red, _RED_LEVEL, cv2.CMP_GT))  # type: ignore[call-overload]
    median = [_percentile(_histogram(c, region.half), 0.5) for c in (red, green, blue)]
    value_counts = _histogram(_rgb(cv2.max(red, other)), region.half)
    return {
        "mean_level": float(value_counts @ np.arange(256)) / region.n_half_px,
        "white_frac": _share_between(rgb, (white_level,) * 3, (255,) * 3, region),
        "red_frac": _share(_rgb(is_red), region),
        "median_red_ratio": median[0] / max(median[1], median[2], 1.0),
        "foreign_frac": _share_between(hsv, _FOREIGN_HSV, (_LAST_FOREIGN_HUE, 255, 255), region),
        "gray_frac": _share_between(hsv, (0, 0, _GRAY_VALUE), (179, _GRAY_SATURATION, 255), region),
        "veil_level": _percentile(_histogram(_rgb(rgb.min(axis=2)), region.inner_half), 0.05),
        "mode_frac": _share_between(
            rgb, [m - _NEAR_LEVELS for m in median], [m + _NEAR_LEVELS for m in median], region
        ),
    }


def _share_between(
    picture: RgbArray, low: Sequence[float], high: Sequence[float], region: _Region
) -> float:
    bounds = np.asarray([low, high], dtype=np.float64)
    return _share(_rgb(cv2.inRange(picture, bounds[0], bounds[1])), region)


def _share(is_set: RgbArray, region: _Region) -> float:
    return cv2.countNonZero(cv2.bitwise_and(is_set, is_set, mask=region.half)) / region.n_half_px


def _structure_scores(gray: RgbArray, region: _Region) -> dict[str, float]:
    half = _scaled(gray, _HALF_PX)
    scale = gray.shape[0] / half.shape[0]
    fine = _rgb(cv2.GaussianBlur(gray, (5, 5), 1.0))
    rough = _rgb(cv2.GaussianBlur(half, (9, 9), 3.0 / scale))
    # Sharpness is how much of the strongest gradients a strong blur takes away: a sharp edge loses
    # most, an edge that was soft before loses little. Of both directions the worse one counts, for
    # detail as well: motion blurs along one alone, and lines of lettering have strong edges across
    # one.
    kept: list[float] = []
    detail: list[float] = []
    for dx, dy in ((1, 0), (0, 1)):
        strong_fine = _strong_gradient(fine, dx, dy, region.inner)
        strong_rough = _strong_gradient(rough, dx, dy, region.inner_half) / scale
        kept.append(strong_rough / max(strong_fine, 0.25))
        detail.append(strong_fine)
    tiny = _scaled(half, _TINY_PX)
    return {
        "flat_frac": _flat_frac(gray, region),
        "sharpness": max(0.0, 1.0 - max(kept)),
        "detail_level": min(detail),
        "coarse_contrast": float(tiny[region.inner_tiny == 1].std()),
        "usual_gradient": _usual_gradient(half, region.inner_half),
    }


def _flat_frac(gray: RgbArray, region: _Region) -> float:
    kernel = np.ones((3, 3), np.uint8)
    spread = _rgb(cv2.subtract(cv2.dilate(gray, kernel), cv2.erode(gray, kernel)))
    is_flat = _rgb(cv2.inRange(spread, np.zeros(1), np.full(1, float(_FLAT_LEVELS))))
    is_lit = _rgb(cv2.inRange(gray, np.full(1, float(_LIT_LEVEL)), np.full(1, 255.0)))
    flat_lit = cv2.bitwise_and(is_flat, is_lit, mask=region.full)
    return cv2.countNonZero(flat_lit) / region.n_full_px


def _usual_gradient(half: RgbArray, mask: RgbArray) -> float:
    """Return the median size of the gradient, in levels per pixel."""
    smooth = cv2.GaussianBlur(half, (0, 0), 1.0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, dy) for dx, dy in ((1, 0), (0, 1)))
    return float(np.median(cv2.magnitude(across, down)[mask == 1])) / 8.0


def _strong_gradient(gray: RgbArray, dx: int, dy: int, mask: RgbArray) -> float:
    """Return the 99th percentile of the gradient's size, in levels per pixel."""
    gradient = _rgb(cv2.convertScaleAbs(cv2.Sobel(gray, cv2.CV_16S, dx, dy), alpha=0.5))
    return _percentile(_histogram(gradient, mask), 0.99) / 4.0


def _histogram(values: RgbArray, mask: RgbArray) -> FloatArray:
    counts = cv2.calcHist([values], [0], mask, [256], [0, 256])
    return np.asarray(counts, dtype=np.float64).ravel()


def _percentile(counts: FloatArray, share: float) -> float:
    """Return the level of a 256-bin histogram below which `share` of the pixels lie."""
    cumulative = np.cumsum(counts)
    return float(np.searchsorted(cumulative, share * cumulative[-1]))


def _moved_frac(gray: RgbArray, before: RgbArray, region: _Region) -> float:
    if gray.shape != before.shape:
        return 1.0
    difference = _rgb(cv2.absdiff(gray, before))
    moved = _rgb(cv2.inRange(difference, np.full(1, _MOVED_LEVELS + 1.0), np.full(1, 255.0)))
    return cv2.countNonZero(cv2.bitwise_and(moved, moved, mask=region.full)) / region.n_full_px
