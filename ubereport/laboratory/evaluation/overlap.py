"""Overlap of two masks and distance of their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class SurfaceAgreement:
    """How well two outlines agree.

    `dice` is the share of both outlines that lies within the tolerance of the other one (Nikolov
    et al., normalized surface Dice); `mean_distance_px` the mean distance of every outline pixel
    to the other outline, None where one mask is empty.
    """

    dice: float
    mean_distance_px: float | None


def dice(first: BoolArray, second: BoolArray) -> float | None:
    """Return 2 |A ∩ B| / (|A| + |B|); None for two empty masks, which have no overlap to rate."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else None


def iou(first: BoolArray, second: BoolArray) -> float | None:
    """Return |A ∩ B| / |A ∪ B|; None for two empty masks."""
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else None


def surface_agreement(
    first: BoolArray, second: BoolArray, is_decided: BoolArray, tolerance_px: float
) -> SurfaceAgreement | None:
    """Compare the outlines of two masks; None where neither has one.

    An outline is made of the mask's pixels with a neighbor (of four) outside the mask. Those that
    touch undecided pixels are no outline: nobody drew them.

    Parameters
    ----------
    first, second
        (H, W) masks.
    is_decided
        (H, W), False where pixels are undecided.
    tolerance_px
        Distance up to which outlines agree.
    """
    ours, theirs = _outline(first, is_decided), _outline(second, is_decided)
    n_ours, n_theirs = int(ours.sum()), int(theirs.sum())
    if n_ours + n_theirs == 0:
        return None
    # One draws and the other does not: no part of the outline is near the other, and a distance to
    # nothing has no number.
    if n_ours == 0 or n_theirs == 0:
        return SurfaceAgreement(0.0, None)
    distance_px = np.concatenate([_distance_px(theirs)[ours], _distance_px(ours)[theirs]])
    return SurfaceAgreement(float((distance_px <= tolerance_px).mean()), float(distance_px.mean()))


def _outline(mask: BoolArray, is_decided: BoolArray) -> BoolArray:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    region = mask & is_decided
    # The picture's border is no outline: what lies behind it is unknown.
    inner = cv2.erode(region.astype(np.uint8), cross, borderValue=1)
    near_undecided = cv2.dilate((~is_decided).astype(np.uint8), cross, borderValue=0)
    return np.asarray(region & (inner == 0) & (near_undecided == 0), dtype=np.bool_)


def _distance_px(outline: BoolArray) -> FloatArray:
    """Return the exact Euclidean distance of every pixel to the outline."""
    distance = cv2.distanceTransform(
        (~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return np.asarray(distance, dtype=np.float64)
