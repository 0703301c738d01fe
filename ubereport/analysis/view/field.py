"""Fit the field of view of a recording: circle, rectangle or the full picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.analysis.view.outline_refinement import refined_outline, without_vague_sides
from ubereport.analysis.view.probes import SupportMap, support_map
from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import ViewConfig
from ubereport.core.frames import FieldOfView
from ubereport.core.outline import Ellipse, Outline, ellipses_through, fit_ellipse

# Log-likelihood ratio of a pixel lying inside rather than outside the outline. A content pixel is
# bright in enough pictures with probability 0.9, a surround pixel (text, noise) with 0.02.
_BRIGHT_WEIGHT = float(np.log(0.9 / 0.02))
_DARK_WEIGHT = float(np.log(0.1 / 0.98))
# A richer outline must explain this share of the picture better than the simpler one.
_MIN_GAIN_FRAC = 0.006
# Outlines whose rim shows no edge over this share of its length are not believed.
_MIN_EDGE_SHARE = 0.6
_N_DRAWS = 400
_BLOCK_PX = 6
_FULL = Outline(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class OutlineFit:
    """An outline, and how well it explains the pictures (0..1)."""

    outline: Outline
    confidence: float


def fit_field_of_view(
    probe_rgb: RgbArray,
    source_px: tuple[int, int],
    model_px: tuple[int, int],
    config: ViewConfig,
) -> FieldOfView:
    """Fit the content area of a part to a few of its pictures.

    Content is what is brighter than the surround in enough pictures; black pictures and slates
    of one color are left out. Rectangle, circle and ellipse (a squashed circle), each perhaps cut
    by the sensor, are compared by the likelihood of the bright/dark map; text and small pictures
    in the surround are outliers to all of them. Where nothing fits, the full picture is returned
    with a low confidence.

    Parameters
    ----------
    probe_rgb
        (n, H, W, 3) uint8, n ≥ 1 whole upright pictures of the source's aspect, of any size.
    source_px
        (height, width) of the upright source picture.
    model_px
        (height, width) that the model sees.
    config
        Dark level, smallest content area, brightest surround.

    Raises
    ------
    ValueError
        If `probe_rgb` holds no picture or is not (n, H, W, 3) uint8.
    """
    fit = fit_outline(probe_rgb, config)
    height_px, width_px = source_px
    crop = fit.outline.crop(width_px, height_px)
    return FieldOfView(
        shape=fit.outline.shape,
        crop=crop,
        source_width_px=width_px,
        source_height_px=height_px,
        mask=fit.outline.render_crop(crop, source_px, model_px),
        confidence=fit.confidence,
    )


def fit_outline(probe_rgb: RgbArray, config: ViewConfig) -> OutlineFit:
    """Fit the outline in unit coordinates of the picture; see `fit_field_of_view`."""
    if probe_rgb.ndim != 4 or probe_rgb.shape[3] != 3 or probe_rgb.dtype != np.uint8:
        raise ValueError(f"need (n, H, W, 3) uint8, got {probe_rgb.shape} {probe_rgb.dtype}")
    if len(probe_rgb) == 0:
        raise ValueError("fitting the field of view needs at least one picture")
    # All of the fit works on one map of where the pictures are bright often enough: tissue that is
    # dark in one picture is bright in another, the surround is dark in all.
    support = support_map(probe_rgb, config)
    if support.n_usable == 0:
        return OutlineFit(_FULL, 0.0)
    weight = np.where(support.is_bright, _BRIGHT_WEIGHT, _DARK_WEIGHT)
    outline = _simplest_good(weight, _candidates(support, weight))
    if outline.render(*weight.shape).mean() < config.min_area_frac:
        return OutlineFit(_FULL, 0.1)
    outline = refined_outline(outline, support.level)
    return OutlineFit(outline, _confidence(support, outline))


def _candidates(support: SupportMap, weight: FloatArray) -> list[Outline]:
    """Return outlines from the simplest to the richest."""
    # From simple to rich, so that `_simplest_good` asks of each whether it is worth what it adds: a
    # free ellipse fits everything a little better than the circle that it is.
    candidates = [_FULL, _best_box(weight, None)]
    edge = _edge_points(support.is_bright)
    for is_circle in (True, False):
        ellipse = _best_ellipse(edge, support, weight, is_circle)
        if ellipse is None:
            continue
        whole = Outline(0.0, 0.0, 1.0, 1.0, ellipse)
        cut = without_vague_sides(_best_box(weight, ellipse), support.level)
        candidates.extend(
            outline
            for outline in (whole, cut)
            if _edge_share(support.is_bright, outline) >= _MIN_EDGE_SHARE
        )
    return candidates


def _simplest_good(weight: FloatArray, candidates: list[Outline]) -> Outline:
    """Take a richer outline only where it gains enough over the best simpler one."""
    needed = _MIN_GAIN_FRAC * weight.size * _BRIGHT_WEIGHT
    best, best_gain = candidates[0], _gain(weight, candidates[0])
    for outline in candidates[1:]:
        gain = _gain(weight, outline)
        if gain > best_gain + needed:
            best, best_gain = outline, gain
    return best


def _gain(weight: FloatArray, outline: Outline) -> float:
    return float(weight[outline.render(*weight.shape)].sum())


def _best_box(weight: FloatArray, ellipse: Ellipse | None) -> Outline:
    """Return the box of largest total weight, inside `ellipse` if one is given.

    Exact on blocks of map pixels, then each side is moved by single map pixels while that gains.
    """
    height, width = weight.shape
    if ellipse is not None:
        weight = weight * Outline(0.0, 0.0, 1.0, 1.0, ellipse).render(height, width)
    # With an integral image the weight of any box takes four lookups.
    sums = np.asarray(cv2.integral(weight), dtype=np.float64)
    left, top, right, bottom = _best_block_box(sums)
    # Moving one pair of sides changes what is best for the other pair: a second round lets both
    # settle.
    for _ in range(2):
        top, bottom = _moved(sums[:, right] - sums[:, left], top, bottom)
        left, right = _moved(sums[bottom] - sums[top], left, right)
    # One map pixel of surround is no border: keep the picture whole there.
    return Outline(
        left / width if left > 1 else 0.0,
        top / height if top > 1 else 0.0,
        right / width if right < width - 1 else 1.0,
        bottom / height if bottom < height - 1 else 1.0,
        ellipse,
    )


def _best_block_box(sums: FloatArray) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the best box on a coarse grid of an integral image.

    Exact on that grid: for every top row, the best run of columns for every bottom row (Kadane's
    algorithm on column sums, all bottoms at once).
    """
    rows = np.unique(np.append(np.arange(0, sums.shape[0], _BLOCK_PX), sums.shape[0] - 1))
    columns = np.unique(np.append(np.arange(0, sums.shape[1], _BLOCK_PX), sums.shape[1] - 1))
    grid = sums[np.ix_(rows, columns)]
    best, box = -np.inf, (0, 0, sums.shape[1] - 1, sums.shape[0] - 1)
    for top in range(len(rows) - 1):
        # `run` is, for every bottom row, the weight from the left border up to each column. The
        # best box ending at a column starts where that sum was lowest before: Kadane's maximum
        # subarray.
        run = grid[top + 1 :] - grid[top]
        gain = run - np.minimum.accumulate(run, axis=1)
        row, right = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[row, right] > best:
            best = float(gain[row, right])
            left = int(np.argmin(run[row, : right + 1]))
            bounds = (columns[left], rows[top], columns[right], rows[top + row + 1])
            box = (int(bounds[0]), int(bounds[1]), int(bounds[2]), int(bounds[3]))
    return box


def _moved(profile: FloatArray, start: int, end: int) -> tuple[int, int]:
    """Move both ends of a run to the best place within a block, by a cumulative profile."""
    low, high = max(0, start - _BLOCK_PX), max(start, min(end - 1, start + _BLOCK_PX))
    start = low + int(np.argmin(profile[low : high + 1]))
    low, high = max(start + 1, end - _BLOCK_PX), min(len(profile) - 1, end + _BLOCK_PX)
    end = low + int(np.argmax(profile[low : high + 1])) if high >= low else end
    return start, end


def _edge_points(is_bright: BoolArray) -> FloatArray:
    """Return (m, 2) x, y of the main content's contour in map pixels, picture border left out."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    cleaned = cv2.morphologyEx(is_bright.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    contours, _ = cv2.findContours(cleaned, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.zeros((0, 2))
    points = max(contours, key=cv2.contourArea)[:, 0, :].astype(np.float64)
    height, width = is_bright.shape
    inner = (
        (points[:, 0] > 2)
        & (points[:, 0] < width - 3)
        & (points[:, 1] > 2)
        & (points[:, 1] < height - 3)
    )
    return np.asarray(points[inner] + 0.5)


def _best_ellipse(
    edge: FloatArray, support: SupportMap, weight: FloatArray, is_circle: bool
) -> Ellipse | None:
    """Draw ellipses through few edge points, keep the likeliest, refine on the points near it."""
    n_points = 3 if is_circle else 4
    if len(edge) < 12:
        return None
    height, width = support.is_bright.shape
    # RANSAC: most edge points lie on the outline, but tissue and tools have edges too. Ellipses
    # through three or four random points are many and mostly wrong; weight inside tells the right
    # ones, and a fit to all points near the best four makes them exact.
    # A fixed seed: the field of a recording must not depend on the run.
    draws = np.random.default_rng(20_260_310).integers(0, len(edge), (_N_DRAWS, n_points))
    ellipses = ellipses_through(edge[draws], is_circle)
    diagonal = float(np.hypot(height, width))
    radius_x, radius_y = ellipses[:, 2], ellipses[:, 3]
    sane = (
        (np.minimum(radius_x, radius_y) > 0.12 * min(height, width))
        & (np.maximum(radius_x, radius_y) < diagonal)
        & (radius_x < 2.5 * radius_y)
        & (radius_y < 2.5 * radius_x)
        & (np.abs(ellipses[:, 0] - width / 2) < width / 2)
        & (np.abs(ellipses[:, 1] - height / 2) < height / 2)
    )
    ellipses = ellipses[sane]
    if len(ellipses) == 0:
        return None
    order = np.argsort(_coarse_gains(ellipses, weight))[::-1][:4]
    refined = [_refined(Ellipse(*(float(v) for v in ellipses[i])), edge, is_circle) for i in order]
    unit = [_unit_ellipse(e, width, height) for e in refined]
    return max(unit, key=lambda e: _gain(weight, Outline(0.0, 0.0, 1.0, 1.0, e)))


def _coarse_gains(ellipses: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the total weight inside each of (m, 4) ellipses, on every sixth pixel."""
    step = 6
    y, x = np.mgrid[0 : weight.shape[0] : step, 0 : weight.shape[1] : step].astype(np.float32)
    x, y = x.ravel()[None] + np.float32(0.5), y.ravel()[None] + np.float32(0.5)
    coarse = weight[::step, ::step].ravel().astype(np.float32)
    cx, cy, rx, ry = (column.astype(np.float32)[:, None] for column in ellipses.T)
    inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    return np.asarray(inside.astype(np.float32) @ coarse, dtype=np.float64)


def _refined(ellipse: Ellipse, edge: FloatArray, is_circle: bool) -> Ellipse:
    """Fit again on the edge points near the outline, three times, closer each time."""
    for near_px in (4.0, 2.5, 1.5):
        radius = (ellipse.radius_x + ellipse.radius_y) / 2
        offset_px = (ellipse.offset(edge[:, 0], edge[:, 1]) - 1) * radius
        near = np.abs(offset_px) < near_px
        if near.sum() < 12:
            break
        better = fit_ellipse(edge[near, 0], edge[near, 1], is_circle)
        if better is None:
            break
        ellipse = better
    # Contour pixels are the last bright ones: the outline runs half a pixel further out.
    return Ellipse(
        ellipse.center_x, ellipse.center_y, ellipse.radius_x + 0.5, ellipse.radius_y + 0.5
    )


def _unit_ellipse(ellipse: Ellipse, width: int, height: int) -> Ellipse:
    return Ellipse(
        ellipse.center_x / width,
        ellipse.center_y / height,
        ellipse.radius_x / width,
        ellipse.radius_y / height,
    )


def _rings(is_bright: BoolArray, outline: Outline) -> tuple[BoolArray, BoolArray]:
    """Return brightness just inside and just outside the rim, away from the picture's border."""
    mask = outline.render(*is_bright.shape).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    # Outside the picture counts as inside, so that the picture's border is no rim.
    inner = cv2.erode(mask, kernel, iterations=2, borderValue=1)
    inmost = cv2.erode(mask, kernel, iterations=5, borderValue=1)
    outer = cv2.dilate(mask, kernel, iterations=3, borderValue=0)
    outmost = cv2.dilate(mask, kernel, iterations=5, borderValue=0)
    return is_bright[(inner == 1) & (inmost == 0)], is_bright[(outer == 0) & (outmost == 1)]


def _edge_share(is_bright: BoolArray, outline: Outline) -> float:
    """Return how far the rim is an edge: bright inside and dark outside, 0..1."""
    inside, outside = _rings(is_bright, outline)
    if len(inside) == 0 or len(outside) == 0:
        return 1.0
    return float(inside.mean() * (1.0 - outside.mean()))


def _confidence(support: SupportMap, outline: Outline) -> float:
    """Return how well the outline explains the map; lower if few pictures were usable."""
    is_bright = support.is_bright
    inside = outline.render(*is_bright.shape)
    dark_outside = 1.0 if inside.all() else 1.0 - float(is_bright[~inside].mean())
    if outline == _FULL:
        rim = np.ones(is_bright.shape, dtype=np.bool_)
        rim[3:-3, 3:-3] = False
        explained = float(is_bright[rim].mean())
    else:
        explained = dark_outside * _edge_share(is_bright, outline)
    # With one usable picture at most 0.7, from three on all of it: a single picture may be dark
    # where the content is.
    enough = min(1.0, 0.55 + 0.15 * support.n_usable)
    return float(np.clip(explained * enough, 0.0, 1.0))
