"""One part of a recording whose pictures are shown one by one, as both processes know it."""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.core.arrays import RgbArray
from ubereport.video.picture_scaling import Framing, fit_picture


@dataclass(frozen=True, slots=True)
class MomentPart:
    """One part of a recording and how its pictures are to be shown.

    Parameters
    ----------
    path
        The file.
    color_matrix, color_range, rotation_deg, source_size_px, crop
        As in `video.reader.ReadRequest`; `source_size_px` is (width, height) of an upright picture.
    max_pixels
        Larger pictures are refused.
    """

    path: str
    color_matrix: str
    color_range: str
    rotation_deg: int
    source_size_px: tuple[int, int]
    crop: tuple[int, int, int, int]
    max_pixels: int

    def fitted(self, rgb: RgbArray, width_px: int) -> RgbArray:
        """Turn and crop a decoded picture and scale it to `width_px` at most."""
        left, top, right, bottom = self.crop
        shrink = min(1.0, width_px / (right - left))
        height_px = max(2, round((bottom - top) * shrink))
        width_px = max(2, round((right - left) * shrink))
        source_width_px, source_height_px = self.source_size_px
        framing = Framing(
            self.rotation_deg, source_width_px, source_height_px, self.crop, width_px, height_px
        )
        return fit_picture(rgb, framing)
