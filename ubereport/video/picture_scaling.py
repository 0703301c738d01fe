"""From a decoded picture to what a model or a person sees: upright, cropped, scaled, as JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.video.reader import ReadRequest


@dataclass(frozen=True, slots=True)
class Framing:
    """How a decoded picture is turned, cropped and scaled; fields as in `ReadRequest`."""

    rotation_deg: int
    source_width_px: int
    source_height_px: int
    crop: tuple[int, int, int, int]
    width_px: int
    height_px: int


def fit_picture(rgb: RgbArray, request: ReadRequest | Framing) -> RgbArray:
    """Turn, crop and scale one picture.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8 as decoded. It may differ in size from what the index says, where the
        recorder changed it midway or one field was taken; the crop is scaled along.
    request
        Says how to turn, crop and scale.

    Returns
    -------
    (height_px, width_px, 3) uint8
    """
    upright = np.rot90(rgb, request.rotation_deg // 90)
    height, width = upright.shape[:2]
    left, top, right, bottom = request.crop
    across, down = width / request.source_width_px, height / request.source_height_px
    x0, y0 = min(round(left * across), width - 1), min(round(top * down), height - 1)
    x1, y1 = max(x0 + 1, round(right * across)), max(y0 + 1, round(bottom * down))
    return scale(upright[y0:y1, x0:x1], request.height_px, request.width_px)


def scale(rgb: RgbArray, height_px: int, width_px: int) -> RgbArray:
    """Scale to an exact size: averaging over areas where it shrinks, linear where it grows."""
    height, width = rgb.shape[:2]
    scaled = np.ascontiguousarray(rgb)
    if height_px < height or width_px < width:
        smaller = (min(width, width_px), min(height, height_px))
        scaled = _resized(scaled, smaller, cv2.INTER_AREA)
    if scaled.shape[:2] != (height_px, width_px):
        scaled = _resized(scaled, (width_px, height_px), cv2.INTER_LINEAR)
    return scaled


def _resized(rgb: RgbArray, size: tuple[int, int], interpolation: int) -> RgbArray:
    return np.asarray(cv2.resize(rgb, size, interpolation=interpolation), dtype=np.uint8)


def encode_jpeg(rgb: RgbArray, quality: int = 88) -> bytes:
    """Encode a picture as JPEG without any metadata.

    Raises
    ------
    ValueError
        If OpenCV cannot encode it.
    """
    is_done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not is_done:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be encoded as JPEG")
    return bytes(encoded)


def display_size(crop_width_px: int, crop_height_px: int, width_px: int) -> tuple[int, int]:
    """Return (height, width) in even pixels of a crop shown `width_px` wide at most."""
    scale = min(1.0, width_px / crop_width_px)
    return max(2, round(crop_height_px * scale / 2) * 2), max(
        2, round(crop_width_px * scale / 2) * 2
    )


def to_model_size(rgb: RgbArray, height_px: int, width_px: int) -> RgbArray:
    """Resize (n, H, W, 3) pictures to the size that the model sees, as an analysis does."""
    return np.stack([scale(picture, height_px, width_px) for picture in rgb])
