"""How far a recording lies from those that a network was trained on; numpy only.

Each still becomes a short vector of figures of color and contrast. The training population is
kept as one mean vector a group (one operation), since it has many centers and no single shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.errors import BundleError
from ubereport.core.validation import validated

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
    "fine_contrast_log",
    "middle_contrast_log",
)
_FORMER = FEATURES[:11]
"""What bundles knew that were exported before the last two; they go on with these."""
# The mean of the three nearest groups: one odd training operation cannot make everything near it
# look familiar.
_N_NEAREST = 3
_FLOOR = 1e-6
# Features of blocks and not of pixels: noise, compression and the size of the recording must not
# look like another population.
_SIDE_BLOCKS = 64
_SHRINKAGE = 0.005


@validated("color_reference", error=BundleError, remedy="Export the bundle again.")
class ColorReference:
    """The training population in the space of `FEATURES`.

    Parameters
    ----------
    feature_names
        What the columns are: `FEATURES`, or the first eleven of them in earlier bundles.
    scale
        Per feature, its standard deviation over all groups: the unit of the distance.
    centroids
        One mean feature vector a training group.
    threshold
        Distance above which a recording is flagged; see `color_reference`.
    whitening
        (d, d) matrix that takes the correlation of the scaled features away, row by row; empty
        for none. Without it a color cast hides behind features that vary together.
    """

    feature_names: tuple[str, ...]
    scale: tuple[Annotated[float, Field(gt=0)], ...]
    centroids: Annotated[tuple[tuple[float, ...], ...], Field(min_length=2)]
    threshold: Annotated[float, Field(gt=0)]
    whitening: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.feature_names not in (FEATURES, _FORMER):
            raise ValueError(f"the features are {self.feature_names}, not {FEATURES}")
        n_features = len(self.feature_names)
        if {len(row) for row in (self.scale, *self.centroids, *self.whitening)} != {n_features}:
            raise ValueError(f"there is a row of another length than the {n_features} features")
        if len(self.whitening) not in (0, n_features):
            raise ValueError(f"a whitening of {len(self.whitening)} rows is not square")


def features(rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
    """Return (n, len(FEATURES)) features of stills inside the field of view.

    Stills are averaged over 64 × 64 blocks first: one scene gives about the same features at
    every size of 64 px or more a side.

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
    rgb: RgbArray, groups: Sequence[str], field_mask: BoolArray, quantile: float = 0.9
) -> ColorReference:
    """Describe a training population and calibrate when a recording is out of it.

    Every group in turn is left out and its distance to the others taken, as if it had never been
    seen; the threshold is the `quantile` of these distances. At 0.9 none of 22 unseen operations
    and 12 recordings is flagged, and foreign views more often than at 0.95; the little shrinkage
    lets rare joint changes count. Both were chosen while looking at these views.

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
    scale, whitening = _unit(centroids)
    held_out = []
    for i, name in enumerate(unique):
        # What the left-out group did to scale and whitening would make it seem nearer than it is.
        others = np.delete(centroids, i, axis=0)
        held_out.append(_group_distance(values[names == name], others, *_unit(others)))
    return ColorReference(
        feature_names=FEATURES,
        scale=_rounded(scale),
        centroids=tuple(map(_rounded, centroids)),
        threshold=_rounded(np.array([np.quantile(held_out, quantile)]))[0],
        whitening=tuple(map(_rounded, whitening)),
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
    n_features = len(reference.feature_names)
    return _group_distance(
        features(rgb, field_mask)[:, :n_features],
        np.asarray(reference.centroids),
        np.asarray(reference.scale),
        np.asarray(reference.whitening) if reference.whitening else np.eye(n_features),
    )


def _group_distance(
    values: FloatArray, centroids: FloatArray, scale: FloatArray, whitening: FloatArray
) -> float:
    # Features that rise and fall together must not count twice: after whitening the training groups
    # lie around as in a ball, and distance means the same in every direction.
    steps = ((centroids - values.mean(axis=0)) / scale) @ whitening
    gaps = np.sqrt((steps**2).mean(axis=1))
    return float(np.sort(gaps)[:_N_NEAREST].mean())


def _unit(centroids: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the scale of each feature and the whitening of the scaled ones."""
    scale = np.maximum(centroids.std(axis=0), _FLOOR)
    return scale, _whitening(centroids / scale)


def _whitening(scaled: FloatArray) -> FloatArray:
    """Return the inverse square root of the groups' correlation, shrunk towards none."""
    centered = scaled - scaled.mean(axis=0)
    correlation = centered.T @ centered / len(scaled)
    shrunk = (1 - _SHRINKAGE) * correlation + _SHRINKAGE * np.eye(len(correlation))
    values, vectors = np.linalg.eigh(shrunk)
    return np.asarray(vectors @ np.diag(values**-0.5) @ vectors.T)


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)


def _still_features(still: RgbArray, mask: BoolArray) -> FloatArray:
    if not mask.any():
        raise ValueError("the field of view has no pixel")
    blocks, is_inside = _blocks(still, mask)
    pixels = blocks[is_inside] / 255.0
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
            _gradient_log(blocks, is_inside),
            *_contrast_logs(blocks, is_inside),
        ]
    )


def _blocks(still: RgbArray, mask: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Average the field of view over at most 64 × 64 blocks, so that the size does not matter."""
    weight = _block_sums(mask.astype(np.float64))
    sums = _block_sums(still.astype(np.float64) * mask[..., None])
    whole = _block_sums(np.ones(mask.shape))
    # Blocks on the rim count when half of them is inside; a field thinner than that, as it is.
    is_inside = weight >= whole / 2 if (weight >= whole / 2).any() else weight > 0
    return sums / np.maximum(weight, 1.0)[..., None], is_inside


def _block_sums(values: FloatArray) -> FloatArray:
    for axis in (0, 1):
        length = values.shape[axis]
        n_blocks = min(_SIDE_BLOCKS, length)
        values = np.add.reduceat(values, np.arange(n_blocks) * length // n_blocks, axis=axis)
    return values


def _gradient_log(blocks: FloatArray, is_inside: BoolArray) -> float:
    gray = blocks.mean(axis=2)
    both = is_inside[:, 1:] & is_inside[:, :-1]
    steps = np.abs(np.diff(gray, axis=1))[both]
    return float(np.log1p(steps.mean())) if steps.size else 0.0


def _contrast_logs(blocks: FloatArray, is_inside: BoolArray) -> tuple[float, float]:
    """Return how contrast grows with size: from 1 to 2 blocks and from 2 to 4, as logarithms."""
    # What four blocks differ by among themselves is contrast of the finest size; their means, taken
    # four by four, tell that of twice the size, and so on. How fast it grows tells views of one
    # kind from others, however bright they are and however strong their contrast.
    values, variances = np.log(blocks.mean(axis=2) + 1), []
    for _ in range(3):
        values, is_inside, variance = _halved(values, is_inside)
        variances.append(variance)
    fine, middle, coarse = np.log(np.array(variances) + _FLOOR) / 2
    return float(middle - fine), float(coarse - middle)


def _halved(values: FloatArray, is_inside: BoolArray) -> tuple[FloatArray, BoolArray, float]:
    """Return means of two by two whole ones, which are whole, and the variance among such four."""
    height, width = (n // 2 for n in values.shape)
    fours, are_inside = (
        each[: 2 * height, : 2 * width].reshape(height, 2, width, 2) for each in (values, is_inside)
    )
    whole = np.asarray(are_inside.all(axis=(1, 3)), bool)
    variance = fours.var(axis=(1, 3))[whole]
    return fours.mean(axis=(1, 3)), whole, float(variance.mean()) if variance.size else 0.0
