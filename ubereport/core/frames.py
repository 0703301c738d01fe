"""Which pictures to look at, the pictures themselves, and the part of them that counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, RgbArray, freeze


class FieldShape(StrEnum):
    """Outline of the field of view inside the picture."""

    CIRCLE = "circle"
    RECTANGLE = "rectangle"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class PixelBox:
    """The half-open pixel rectangle ``[left, right) × [top, bottom)`` of an upright picture."""

    left_px: int
    top_px: int
    right_px: int
    bottom_px: int

    def __post_init__(self) -> None:
        if not (0 <= self.left_px < self.right_px and 0 <= self.top_px < self.bottom_px):
            raise ValueError(f"empty or negative pixel box: {self}")

    @property
    def width_px(self) -> int:
        """Width in pixels."""
        return self.right_px - self.left_px

    @property
    def height_px(self) -> int:
        """Height in pixels."""
        return self.bottom_px - self.top_px


@dataclass(frozen=True, slots=True, eq=False)
class SamplingPlan:
    """Pictures to look at, in presentation order: which, when, and for how long each stands.

    Parameters
    ----------
    part_index
        (n,) int64, the part each picture lies in.
    frame_index
        (n,) int64, its position in that part's `PartIndex`.
    time_s
        (n,) float64, presentation time on the case clock, strictly increasing.
    duration_s
        (n,) float64 > 0, the time that each picture stands for, starting at `time_s`.
    why
        One sentence for the report: how the pictures were chosen.
    """

    part_index: IntArray
    frame_index: IntArray
    time_s: FloatArray
    duration_s: FloatArray
    why: str

    def __post_init__(self) -> None:
        freeze(self, np.int64, "part_index", "frame_index")
        freeze(self, np.float64, "time_s", "duration_s")
        n = len(self.time_s)
        if not n == len(self.part_index) == len(self.frame_index) == len(self.duration_s):
            raise ValueError("part_index, frame_index, time_s and duration_s differ in length")
        if np.any(np.diff(self.time_s) <= 0) or np.any(self.duration_s <= 0):
            raise ValueError("sample times must increase and durations must be positive")

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Decoded pictures, each with where it came from.

    Parameters
    ----------
    rgb
        (n, H, W, 3) uint8, full-range RGB; zeros where not decoded.
    sample_index
        (n,) int64, position of each picture in the plan that asked for it.
    time_s
        (n,) float64, presentation time on the case clock, from the packet index.
    part_index
        (n,) int64.
    is_decoded
        (n,) bool, False where the reader could not give the picture.
    is_corrupt
        (n,) bool, True where the reader gave a picture that it marked as damaged.
    """

    rgb: RgbArray
    sample_index: IntArray
    time_s: FloatArray
    part_index: IntArray
    is_decoded: BoolArray
    is_corrupt: BoolArray

    def __post_init__(self) -> None:
        if self.rgb.ndim != 4 or self.rgb.shape[3] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(
                f"pictures of shape {self.rgb.shape} {self.rgb.dtype}; need (n, H, W, 3) uint8"
            )
        n = len(self.rgb)
        for name in ("sample_index", "time_s", "part_index", "is_decoded", "is_corrupt"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name} needs shape ({n},), one entry a picture")

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, slots=True, eq=False)
class FieldOfView:
    """The content area of a part's pictures: everything outside it never counts.

    Parameters
    ----------
    shape
        Circle, rectangle or full picture.
    crop
        Bounding box of the content in source pixels (upright, as displayed).
    source_width_px, source_height_px
        Size of the upright source picture.
    mask
        (H, W) bool at the size the model sees: the crop stretched to H × W.
    confidence
        0..1, how well the outline explains the pictures it was fitted to.
    """

    shape: FieldShape
    crop: PixelBox
    source_width_px: int
    source_height_px: int
    mask: BoolArray
    confidence: float

    def __post_init__(self) -> None:
        freeze(self, np.bool_, "mask")
        if self.mask.ndim != 2 or not self.mask.any():
            raise ValueError("a field of view needs a (H, W) mask with at least one pixel")
        # Checked here and not where pictures are cut: slices beyond the end would be short without
        # an error.
        if self.crop.right_px > self.source_width_px or self.crop.bottom_px > self.source_height_px:
            raise ValueError("the crop reaches beyond the picture")

    @property
    def area_px(self) -> int:
        """Pixels of the field of view at the size the model sees."""
        return int(self.mask.sum())
