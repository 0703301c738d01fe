"""Checks on the pictures given to a predictor, and areas of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.errors import PredictionError
from ubereport.core.presence import PresenceRule
from ubereport.segmentation.metadata import InstrumentSpec

ProbabilityArray = NDArray[np.float32]
MIN_TISSUE_FRAC = 0.25
"""Where instruments leave less of the field of view than this, no area over tissue is told."""


def check_pictures(rgb: RgbArray, height_px: int, width_px: int) -> None:
    """Raise ValueError unless `rgb` is (n, height_px, width_px, 3) uint8."""
    if rgb.ndim != 4 or rgb.shape[1:] != (height_px, width_px, 3) or rgb.dtype != np.uint8:
        raise ValueError(
            f"pictures of shape {rgb.shape} {rgb.dtype}; this model takes "
            f"(n, {height_px}, {width_px}, 3) uint8"
        )


def check_field_mask(field_mask: BoolArray, height_px: int, width_px: int) -> None:
    """Raise ValueError unless `field_mask` is (height_px, width_px) bool with a pixel in it."""
    if field_mask.shape != (height_px, width_px) or field_mask.dtype != np.bool_:
        raise ValueError(
            f"field of view of shape {field_mask.shape} {field_mask.dtype}; need "
            f"({height_px}, {width_px}) bool"
        )
    if not field_mask.any():
        raise ValueError("the field of view has no pixel; its area fraction is undefined")


def not_finite(precision: str, device: str) -> PredictionError:
    """Return the error that says that a network answered with something else than a number."""
    return PredictionError(
        f"The network answered with NaN or infinity in {precision} on {device}. Nothing was "
        "averaged away. Set segmentation.is_low_precision_allowed = false or use another bundle."
    )


def shown_blood(
    blood: Any,  # noqa: ANN401 -- an array or a tensor
    rule: PresenceRule | None,
) -> Any:  # noqa: ANN401
    """Return (n, H, W) probabilities, set to 0 in place in pictures that show no blood by the rule.

    The whole picture counts and not the field of view alone: areas, masks and probabilities of a
    picture agree, whoever asks, and what surrounds a view holds no blood.
    """
    if rule is None:
        return blood
    n_sure = (blood >= rule.probability).sum((1, 2))
    # Written where there is none, and not multiplied: that would cost every picture a copy.
    blood[n_sure < rule.view_frac * blood.shape[1] * blood.shape[2]] = 0
    return blood


def counted_masks(
    maps: Sequence[Any],
    field: Any,  # noqa: ANN401 -- an array or a tensor
    thresholds: Sequence[float],
    spec: InstrumentSpec | None,
) -> list[Any]:
    """Return the (n, H, W) masks whose pixels are counted, as `areas_with_tissue` takes them.

    Probabilities, of blood and of instruments where they are marked, and field are arrays or
    tensors alike; instruments are not looked at where a bundle does not describe them (`spec`
    None).
    """
    masks = [(maps[0] >= threshold) & field for threshold in thresholds]
    if spec is None:
        return masks
    is_tissue = (maps[1] < spec.threshold) & field
    return [*masks, masks[1] & is_tissue, is_tissue]


def areas_with_tissue(counts: NDArray[np.int64], n_field: int) -> FloatArray:
    """Return (n, 4) float64: areas of the field at three thresholds, and the area over tissue.

    Parameters
    ----------
    counts
        (n, 5) pixels of the field: lenient, central and strict blood, central blood that lies on
        no instrument, and all that show none. (n, 3) where instruments are not marked.
    n_field
        Pixels of the field.

    Returns
    -------
    The last column is NaN where instruments are not marked or leave less than `MIN_TISSUE_FRAC`.
    """
    areas = np.full((len(counts), 4), np.nan)
    areas[:, :3] = counts[:, :3] / n_field
    if counts.shape[1] == 5:
        is_seen = counts[:, 4] >= MIN_TISSUE_FRAC * n_field
        areas[is_seen, 3] = counts[is_seen, 3] / counts[is_seen, 4]
    return areas


def area_fractions(masks: BoolArray, field_mask: BoolArray) -> FloatArray:
    """Return (n, k) float64: the share of the field that each of (k, n, H, W) masks covers."""
    check_field_mask(field_mask, masks.shape[2], masks.shape[3])
    counts = np.count_nonzero(masks & field_mask, axis=(2, 3)).T
    return np.asarray(counts / np.count_nonzero(field_mask), dtype=np.float64)
