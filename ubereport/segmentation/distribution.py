"""How far a recording's colors lie from those that a network was trained on; numpy only.

Each still becomes a short vector of color and structure features. The training population is
kept as one mean vector a group (one operation), since it has many centers and no single shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.errors import BundleError

__all__ = ["FEATURES", "ColorReference", "color_reference", "distance", "features"]

FEATURES = (
    "brightness_mean",
    "brightness_std",
    "red_share_mean",
    "red_share_std",
    "blue_share_mean",
    "blue_share_std",
    "saturation_mean",
    "saturation_std",
    "dark_frac",
    "bright_frac",
    "gradient_log",
)
_N_NEAREST = 3
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class ColorReference:
    """The training population in the space of `FEATURES`.

    Parameters
    ----------
    feature_names
        What the columns are; must be `FEATURES`.
    scale
        Per feature, its standard deviation over all groups: the unit of the distance.
    centroids
        One mean feature vector a training group.
    threshold
        Distance above which a recording is flagged; see `color_reference`.
    """

    feature_names: tuple[str, ...]
    scale: tuple[float, ...]
    centroids: tuple[tuple[float, ...], ...]
    threshold: float

    def __post_init__(self) -> None:
        n = len(FEATURES)
        is_good = (
            self.feature_names == FEATURES
            and len(self.scale) == n
            and all(math.isfinite(v) and v > 0 for v in self.scale)
            and len(self.centroids) >= 2
            and all(len(c) == n and all(map(math.isfinite, c)) for c in self.centroids)
            and math.isfinite(self.threshold)
            and self.threshold > 0
        )
        if not is_good:
            raise BundleError(
                f"The bundle's color_reference cannot be used; it needs the features {FEATURES}, "
                "positive scales, two or more centroids and a positive threshold. Export it again."
            )


def features(rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
    """Return (n, len(FEATURES)) features of stills inside the field of view.

    Parameters
    ----------
    rgb
        (n, H, W, 3) uint8.
    field_mask
        (H, W) or (n, H, W) bool.
    """
    masks = np.broadcast_to(field_mask, rgb.shape[:3])
    return np.stack([_still_features(s, m) for s, m in zip(rgb, masks, strict=True)])


def color_reference(
    rgb: RgbArray, groups: Sequence[str], field_mask: BoolArray, quantile: float = 0.99
) -> ColorReference:
    """Describe a training population and calibrate when a recording is out of it.

    Every group in turn is left out and its distance to the others taken; the threshold is the
    `quantile` of these distances, so that a new operation of the same kind is seldom flagged.

    Parameters
    ----------
    rgb
        (n, H, W, 3) uint8 stills at one size.
    groups
        (n,) the operation or recording of each still.
    field_mask
        (H, W) or (n, H, W) bool.

    Raises
    ------
    ValueError
        If there are fewer than five groups or `groups` has another length than `rgb`.
    """
    names = np.asarray(groups)
    if len(names) != len(rgb):
        raise ValueError(f"{len(names)} groups for {len(rgb)} stills; give one a still")
    values = features(rgb, field_mask)
    unique = np.unique(names)
    if len(unique) < 5:
        raise ValueError(f"{len(unique)} groups; leaving one out needs five or more")
    centroids = np.stack([values[names == name].mean(axis=0) for name in unique])
    scale = np.maximum(centroids.std(axis=0), _FLOOR)
    held_out = [
        _group_distance(values[names == name], np.delete(centroids, i, axis=0), scale)
        for i, name in enumerate(unique)
    ]
    return ColorReference(
        feature_names=FEATURES,
        scale=tuple(float(f"{v:.6g}") for v in scale),
        centroids=tuple(tuple(float(f"{v:.6g}") for v in c) for c in centroids),
        threshold=float(f"{np.quantile(held_out, quantile):.6g}"),
    )


def distance(reference: ColorReference, rgb: RgbArray, field_mask: BoolArray) -> float:
    """Return how far samples of one recording lie from the training population.

    The mean feature vector of the samples is compared with its nearest training groups, in
    standard deviations of the groups. Above `reference.threshold`: out of the population.

    Parameters
    ----------
    rgb
        (n, H, W, 3) uint8 valid samples of one recording, n >= 1; 30 spread ones are plenty.
    field_mask
        (H, W) or (n, H, W) bool.

    Raises
    ------
    ValueError
        If there is no sample.
    """
    if len(rgb) == 0:
        raise ValueError("no sample to compare with the training population")
    return _group_distance(
        features(rgb, field_mask), np.asarray(reference.centroids), np.asarray(reference.scale)
    )


def _group_distance(values: FloatArray, centroids: FloatArray, scale: FloatArray) -> float:
    gaps = np.sqrt((((centroids - values.mean(axis=0)) / scale) ** 2).mean(axis=1))
    return float(np.sort(gaps)[:_N_NEAREST].mean())


def _still_features(still: RgbArray, mask: BoolArray) -> FloatArray:
    if not mask.any():
        raise ValueError("the field of view has no pixel")
    pixels = still[mask].astype(np.float64) / 255.0
    brightness = pixels.max(axis=1)
    total = pixels.sum(axis=1) + _FLOOR
    red = pixels[:, 0] / total
    blue = pixels[:, 2] / total
    saturation = (brightness - pixels.min(axis=1)) / (brightness + 1 / 255.0)
    return np.array(
        [
            brightness.mean(),
            brightness.std(),
            red.mean(),
            red.std(),
            blue.mean(),
            blue.std(),
            saturation.mean(),
            saturation.std(),
            (brightness < 0.15).mean(),
            (pixels.min(axis=1) > 0.85).mean(),
            _gradient_log(still, mask),
        ]
    )


def _gradient_log(still: RgbArray, mask: BoolArray) -> float:
    gray = still.astype(np.float64).mean(axis=2)
    both = mask[:, 1:] & mask[:, :-1]
    steps = np.abs(np.diff(gray, axis=1))[both]
    return float(np.log1p(steps.mean())) if steps.size else 0.0
