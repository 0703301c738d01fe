"""The HSV baseline: every red pixel counts. What the paper pre-trained on; ranges are ours."""

from __future__ import annotations

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.errors import BundleError
from ubereport.segmentation.metadata import BundleMetadata, HsvSpec
from ubereport.segmentation.pictures import ProbabilityArray, area_fractions, check_pictures


class HsvPredictor:
    """`Predictor` of a bundle of kind "hsv"; runs on the CPU without torch.

    Its probability map has four values: 0 and the three thresholds, the highest whose floors a
    red pixel reaches.
    """

    def __init__(self, metadata: BundleMetadata) -> None:
        if metadata.hsv is None:
            raise BundleError(f"Bundle {metadata.name!r} has no HSV ranges.")
        self._spec = metadata.hsv
        self.input_height_px = metadata.input_height_px
        self.input_width_px = metadata.input_width_px
        self.thresholds = metadata.thresholds
        self.device = "cpu"
        self.is_accelerated = False
        self.precision = "uint8"

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) area fractions of the field; NaN last, since red marks no instruments."""
        areas = area_fractions(self._levels(rgb) >= _LEVELS[:, None, None, None], field_mask)
        return np.pad(areas, ((0, 0), (0, 1)), constant_values=np.nan)

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold."""
        return self._levels(rgb) >= 2

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 maps with the values 0 and the three thresholds."""
        return np.array([0.0, *self.thresholds], dtype=np.float32)[self._levels(rgb)]

    def _levels(self, rgb: RgbArray) -> RgbArray:
        check_pictures(rgb, self.input_height_px, self.input_width_px)
        return red_levels(rgb, self._spec)


_LEVELS = np.array([1, 2, 3], dtype=np.uint8)


def red_levels(rgb: RgbArray, spec: HsvSpec) -> RgbArray:
    """Return (n, H, W) uint8: 0 not red, 1 lenient, 2 central, 3 strict red.

    Parameters
    ----------
    rgb
        (n, H, W, 3) uint8.
    """
    levels = np.zeros(rgb.shape[:3], dtype=np.uint8)
    for still, level in zip(rgb, levels, strict=True):
        hue, saturation, value = cv2.split(cv2.cvtColor(still, cv2.COLOR_RGB2HSV))
        is_red = (hue <= spec.hue_low_max) | (hue >= spec.hue_high_min)
        for floor_s, floor_v in zip(spec.saturation_floors, spec.value_floors, strict=True):
            level += (is_red & (saturation >= floor_s) & (value >= floor_v)).astype(np.uint8)
    return levels
