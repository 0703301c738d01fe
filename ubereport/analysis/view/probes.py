"""What a few pictures of a part say about where its content lies: a bright/dark map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import ViewConfig

# Longest side of the map: a circle's outline is found to a third of its pixel, 0.2 % of the
# diameter, and a fit takes some tens of milliseconds.
_MAP_SIDE_PX = 288
# A pixel belongs to the content where at least this share of the usable pictures is bright:
# tissue at the rim may be dark in most of them, a few slates may light up the surround.
_BRIGHT_SHARE = 0.25
# A surround that the recorder paints dark gray stands still to this many levels.
_STILL_LEVELS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class SupportMap:
    """Where the pictures are bright.

    Parameters
    ----------
    is_bright
        (h, w) bool, brighter than the surround in enough of the usable pictures.
    level
        (h, w) upper quartile of the brightest channel over the usable pictures, 0..255.
    n_usable
        Pictures that showed anything; 0 where all were black or slates.
    dark_level
        The level (0..255) that was taken for the upper end of the surround.
    """

    is_bright: BoolArray
    level: FloatArray
    n_usable: int
    dark_level: float


def support_map(probe_rgb: RgbArray, config: ViewConfig) -> SupportMap:
    """Combine the probe pictures into one bright/dark map.

    Parameters
    ----------
    probe_rgb
        (n, H, W, 3) uint8 whole pictures, n ≥ 1.
    config
        Dark level and the ceiling up to which a gray surround is believed.
    """
    levels = np.stack([_level(rgb) for rgb in probe_rgb])
    kept = levels[usable_probes(probe_rgb, config)]
    if len(kept) == 0:
        nothing = np.zeros(levels.shape[1:])
        return SupportMap(nothing > 0, nothing, 0, float(config.dark_level))
    dark_level = _surround_level(kept, config)
    n_needed = max(1, round(_BRIGHT_SHARE * len(kept)))
    is_bright = (kept > dark_level).sum(axis=0) >= n_needed
    level = np.percentile(kept, 75, axis=0).astype(np.float64)
    return SupportMap(is_bright, level, len(kept), dark_level)


def bright_maps(probe_rgb: RgbArray, config: ViewConfig, side_px: int) -> BoolArray:
    """Return (n, side, side) bool: where each picture is brighter than the common surround."""
    levels = np.stack([_level(rgb) for rgb in probe_rgb])
    dark_level = _surround_level(levels, config)
    size = (side_px, side_px)
    scaled = [cv2.resize(level, size, interpolation=cv2.INTER_AREA) for level in levels]
    return np.asarray(np.stack(scaled) > dark_level)


def usable_probes(probe_rgb: RgbArray, config: ViewConfig) -> BoolArray:
    """Tell which pictures show content: neither black (but for text) nor a slate of one color.

    Parameters
    ----------
    probe_rgb
        (n, H, W, 3) uint8 whole pictures.
    config
        The dark level.
    """
    return np.array(
        [_shows_light(_level(rgb), config.dark_level) and not _is_slate(rgb) for rgb in probe_rgb],
        dtype=np.bool_,
    )


def _level(rgb: RgbArray) -> FloatArray:
    """Return the brightest channel at map size, as float32."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _MAP_SIDE_PX / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    level = small.max(axis=2).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(level, (3, 3), 0))


def _shows_light(level: FloatArray, dark_level: int) -> bool:
    """Tell whether a picture shows more than black and a line of text."""
    return bool((level > dark_level + 20).mean() > 0.05)


def _is_slate(rgb: RgbArray) -> bool:
    """Tell whether nearly every pixel has one and the same color that is not black."""
    small = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA).astype(np.int16)
    middle = np.median(small.reshape(-1, 3), axis=0)
    near = np.abs(small - middle).max(axis=2) <= 10
    return bool(near.mean() > 0.85 and middle.max() > 40)


def _surround_level(levels: FloatArray, config: ViewConfig) -> float:
    """Return the level below which a pixel is dark.

    Some recorders paint the surround dark gray, not black: where three corners stand still over
    the pictures (or are flat in a single one) at one level well below the content, the surround
    is taken to be that bright.
    """
    margin_px = max(2, min(levels.shape[1:]) // 32)
    corners = np.stack(
        [
            levels[:, :margin_px, :margin_px],
            levels[:, :margin_px, -margin_px:],
            levels[:, -margin_px:, :margin_px],
            levels[:, -margin_px:, -margin_px:],
        ]
    )
    medians = np.median(corners, axis=(2, 3))
    spread = np.ptp(medians, axis=1) if len(levels) > 1 else corners.std(axis=(1, 2, 3))
    gray = medians.mean(axis=1)[spread <= _STILL_LEVELS]
    gray = gray[gray <= config.max_surround_level]
    content = float(np.percentile(levels, 75))
    if len(gray) < 3 or np.ptp(gray) > 2 * _STILL_LEVELS or content < gray.max() + 30:
        return float(config.dark_level)
    return max(float(config.dark_level), float(gray.max()) + 10.0)
