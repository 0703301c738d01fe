"""Outlines of a field of view: a rectangle, or an axis-aligned ellipse cut by a rectangle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.frames import FieldShape, PixelBox


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse with level axes; a circle that was squashed stays one of these."""

    center_x: float
    center_y: float
    radius_x: float
    radius_y: float

    def offset(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the radial coordinate of points: below 1 inside, 1 on the outline."""
        across, down = (x - self.center_x) / self.radius_x, (y - self.center_y) / self.radius_y
        return np.asarray(np.sqrt(across * across + down * down))


@dataclass(frozen=True, slots=True)
class Outline:
    """Content area in unit coordinates: x and y run from 0 to 1 across the whole picture.

    The box is ``[left, right) × [top, bottom)``; `ellipse` is None for a rectangle. The content
    is what lies inside both.
    """

    left: float
    top: float
    right: float
    bottom: float
    ellipse: Ellipse | None = None

    @property
    def shape(self) -> FieldShape:
        """Circle (also if squashed or cut), rectangle, or the full picture."""
        if self.ellipse is not None:
            return FieldShape.CIRCLE
        is_full = (self.left, self.top, self.right, self.bottom) == (0.0, 0.0, 1.0, 1.0)
        return FieldShape.FULL if is_full else FieldShape.RECTANGLE

    def contains(self, x: FloatArray, y: FloatArray) -> BoolArray:
        """Tell which points lie inside; `x` and `y` broadcast."""
        inside = (x >= self.left) & (x < self.right) & (y >= self.top) & (y < self.bottom)
        if self.ellipse is not None:
            inside = inside & (self.ellipse.offset(x, y) < 1.0)
        return np.asarray(inside, dtype=np.bool_)

    def extent(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the content, inside 0..1."""
        left, top, right, bottom = self.left, self.top, self.right, self.bottom
        if self.ellipse is not None:
            left = max(left, self.ellipse.center_x - self.ellipse.radius_x)
            top = max(top, self.ellipse.center_y - self.ellipse.radius_y)
            right = min(right, self.ellipse.center_x + self.ellipse.radius_x)
            bottom = min(bottom, self.ellipse.center_y + self.ellipse.radius_y)
        return max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)

    def crop(self, width_px: int, height_px: int) -> PixelBox:
        """Return the content's bounding box in the pixels of a picture of that size."""
        left, top, right, bottom = self.extent()
        # A row that the outline reaches by less than a quarter of a pixel is surround for the most
        # part and stays out.
        left_px = min(max(math.floor(left * width_px + 0.25), 0), width_px - 1)
        top_px = min(max(math.floor(top * height_px + 0.25), 0), height_px - 1)
        right_px = min(max(math.ceil(right * width_px - 0.25), left_px + 1), width_px)
        bottom_px = min(max(math.ceil(bottom * height_px - 0.25), top_px + 1), height_px)
        return PixelBox(left_px, top_px, right_px, bottom_px)

    def render(self, height_px: int, width_px: int) -> BoolArray:
        """Return the (H, W) mask of the whole picture at that size."""
        x = (np.arange(width_px) + 0.5) / width_px
        y = (np.arange(height_px) + 0.5) / height_px
        return self.contains(x[None, :], y[:, None])

    def render_crop(
        self, crop: PixelBox, source_px: tuple[int, int], model_px: tuple[int, int]
    ) -> BoolArray:
        """Return the mask of `crop` stretched to the model's size.

        Parameters
        ----------
        crop
            Box in source pixels.
        source_px, model_px
            (height, width) of the source picture and of the model's input.
        """
        # Middles of pixels, as the scaling of the picture places them: mask and picture must not
        # lie half a pixel apart.
        x = (crop.left_px + (np.arange(model_px[1]) + 0.5) / model_px[1] * crop.width_px) / (
            source_px[1]
        )
        y = (crop.top_px + (np.arange(model_px[0]) + 0.5) / model_px[0] * crop.height_px) / (
            source_px[0]
        )
        return self.contains(x[None, :], y[:, None])


def ellipses_through(points: FloatArray, is_circle: bool) -> FloatArray:
    """Solve many ellipses at once, each through the fewest points that fix it.

    Parameters
    ----------
    points
        (m, k, 2) x and y; k is 3 for a circle, 4 for an ellipse with level axes.
    is_circle
        Whether both radii must be equal (in the units of the points).

    Returns
    -------
    FloatArray
        (m', 4) center x, center y, radius x, radius y of those that exist, m' ≤ m.
    """
    x, y = points[..., 0], points[..., 1]
    one = np.ones_like(x)
    if is_circle:
        system = np.stack([x, y, one], axis=-1)
        target = -(x**2 + y**2)
    else:
        system = np.stack([y**2, x, y, one], axis=-1)
        target = -(x**2)
    # x² + b y² + c x + d y + e = 0 is linear in (b, c, d, e): as many points as unknowns give one
    # system each, and all systems are solved at once. Points on a line have no solution.
    solvable = np.abs(np.linalg.det(system)) > 1e-9
    solved = np.linalg.solve(system[solvable], target[solvable][..., None])[..., 0]
    if is_circle:
        solved = np.column_stack([np.ones(len(solved)), solved])
    return _radii(solved)


def fit_ellipse(x: FloatArray, y: FloatArray, is_circle: bool) -> Ellipse | None:
    """Fit an ellipse with level axes to points by algebraic least squares.

    Returns None where the points fix no ellipse. Source: Kåsa's circle fit, and its obvious
    extension to x² + b y² + c x + d y + e = 0.
    """
    if len(x) < 5:
        return None
    one = np.ones_like(x)
    if is_circle:
        solved = np.linalg.lstsq(np.column_stack([x, y, one]), -(x**2 + y**2), rcond=None)[0]
        solved = np.append(1.0, solved)
    else:
        solved = np.linalg.lstsq(np.column_stack([y**2, x, y, one]), -(x**2), rcond=None)[0]
    radii = _radii(np.asarray(solved, dtype=np.float64)[None])
    return Ellipse(*(float(v) for v in radii[0])) if len(radii) else None


def _radii(coefficients: FloatArray) -> FloatArray:
    """Turn rows (b, c, d, e) of x² + b y² + c x + d y + e = 0 into centers and radii."""
    b, c, d, e = coefficients.T
    # With b of 0 or less the curve is no ellipse but runs off to infinity; just above, it is one
    # that reaches far out of any picture.
    is_closed = b > 0.05
    b, c, d, e = b[is_closed], c[is_closed], d[is_closed], e[is_closed]
    center_x, center_y = -c / 2, -d / (2 * b)
    radius_sq = center_x**2 + b * center_y**2 - e
    real = radius_sq > 0
    radius_x = np.sqrt(radius_sq[real])
    return np.column_stack([center_x[real], center_y[real], radius_x, radius_x / np.sqrt(b[real])])
