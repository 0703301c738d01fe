"""Notice that the view changed in mid-part: another zoom, another scope, another layout."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from ubereport.analysis.view.field import fit_field_of_view, fit_outline
from ubereport.analysis.view.probes import bright_maps, usable_probes
from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.config import ViewConfig
from ubereport.core.frames import FieldOfView
from ubereport.core.intervals import Interval
from ubereport.core.recording import PlacedPart

# A change must be seen in this many usable pictures before and after it.
_WINDOW = 4
# Outlines that overlap less than this are two views; fits of one view overlap by 0.97 and more.
_SAME_VIEW_IOU = 0.92
_SUSPECT_IOU = 0.95
_MIN_CONFIDENCE = 0.5
# One outline explains a picture whose rim is darker, and surround brighter, in no more than this.
_EXPLAINED_RIM_DARK_FRAC = 0.25
_EXPLAINED_OUTSIDE_BRIGHT_FRAC = 0.05
_GRID_PX = 160


@dataclass(frozen=True, slots=True)
class FieldStretch:
    """A stretch of one part, on the case clock, with one field of view."""

    part_index: int
    interval: Interval
    field: FieldOfView


def detect_view_changes(
    time_s: FloatArray, probe_rgb: RgbArray, config: ViewConfig
) -> tuple[float, ...]:
    """Return the times at which the view of a part changed.

    The outline is fitted to every four usable pictures in a row; the view changed where the
    outlines before and after a moment differ most, both are believable, and fits to everything
    between two changes still differ. The time is the middle between the two pictures around it,
    so it is as exact as the pictures are dense.

    Parameters
    ----------
    time_s
        (n,) increasing times of the pictures.
    probe_rgb
        (n, H, W, 3) uint8 whole pictures, spread over the part.
    config
        As for `fit_field_of_view`.

    Raises
    ------
    ValueError
        If times and pictures differ in number, or times do not increase.
    """
    if len(time_s) != len(probe_rgb):
        raise ValueError(f"{len(time_s)} times for {len(probe_rgb)} pictures")
    if np.any(np.diff(time_s) <= 0):
        raise ValueError("the times of the pictures must increase")
    # Cheap before dear: if one outline explains every picture there is nothing to look for. Else
    # slide two windows side by side over the pictures; where their outlines overlap least is a cut,
    # which is moved to the very picture and dropped again if the stretches beside it look alike
    # after all.
    rows = np.flatnonzero(usable_probes(probe_rgb, config))
    if len(rows) < 2 * _WINDOW:
        return ()
    usable = probe_rgb[rows]
    is_bright = bright_maps(usable, config, _GRID_PX)
    if _is_one_view(usable, is_bright, config):
        return ()
    windows = _Windows(usable, config)
    cuts = [_settled(cut, windows, is_bright) for cut in _candidate_cuts(windows)]
    cuts = _merged_cuts(sorted(set(cuts)), usable, config)
    return tuple(float((time_s[rows[c - 1]] + time_s[rows[c]]) / 2) for c in cuts)


def fit_view_stretches(
    placed: PlacedPart,
    time_s: FloatArray,
    probe_rgb: RgbArray,
    source_px: tuple[int, int],
    model_px: tuple[int, int],
    config: ViewConfig,
) -> tuple[FieldStretch, ...]:
    """Split a part where its view changed and fit one field of view to each stretch.

    Parameters
    ----------
    placed
        The part on the case clock; the stretches tile it in time order.
    time_s, probe_rgb
        As for `detect_view_changes`, at least one picture; times inside the part.
    source_px, model_px, config
        As for `fit_field_of_view`.

    Raises
    ------
    ValueError
        If times and pictures do not belong together or none are given.
    """
    changes = detect_view_changes(time_s, probe_rgb, config)
    edges = [placed.interval.start_s, *changes, placed.interval.end_s]
    stretches: list[FieldStretch] = []
    for start_s, end_s in pairwise(edges):
        # Without a change all pictures take part, also one that lies on the very end of the part.
        inside = (time_s >= start_s) & (time_s < end_s) if changes else np.full(len(time_s), True)
        field = fit_field_of_view(probe_rgb[inside], source_px, model_px, config)
        stretches.append(FieldStretch(placed.part_index, Interval(start_s, end_s), field))
    return tuple(stretches)


class _Windows:
    """Outlines of every few usable pictures in a row, fitted when first asked for."""

    def __init__(self, usable: RgbArray, config: ViewConfig) -> None:
        self._usable = usable
        self._config = config
        self._fits: dict[int, tuple[float, BoolArray]] = {}
        self.n_pictures = len(usable)
        self.last = len(usable) - _WINDOW

    def confidence(self, start: int) -> float:
        """Return the confidence of the outline of the window that starts at a picture."""
        return self._fit(start)[0]

    def mask(self, start: int) -> BoolArray:
        """Return its mask on the coarse grid."""
        return self._fit(start)[1]

    def _fit(self, start: int) -> tuple[float, BoolArray]:
        if start not in self._fits:
            fit = fit_outline(self._usable[start : start + _WINDOW], self._config)
            self._fits[start] = (fit.confidence, fit.outline.render(_GRID_PX, _GRID_PX))
        return self._fits[start]


def _is_one_view(usable: RgbArray, is_bright: BoolArray, config: ViewConfig) -> bool:
    """Tell whether one outline explains every single picture: bright rim, dark surround."""
    mask = fit_outline(usable, config).outline.render(_GRID_PX, _GRID_PX)
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, iterations=5, borderValue=0)
    outer = cv2.dilate(mask.astype(np.uint8), kernel, iterations=2, borderValue=0)
    rim, outside = mask & (inner == 0), outer == 0
    if (1 - is_bright[:, rim].mean(axis=1)).max() > _EXPLAINED_RIM_DARK_FRAC:
        return False
    return not outside.any() or bool(
        is_bright[:, outside].mean(axis=1).max() <= _EXPLAINED_OUTSIDE_BRIGHT_FRAC
    )


def _candidate_cuts(windows: _Windows) -> list[int]:
    """Return positions between usable pictures at which the outlines differ most."""
    overlap = np.ones(windows.n_pictures + 1)
    for cut in _suspect_positions(windows):
        before, after = cut - _WINDOW, cut
        # Two fits that are not believed differ for no reason: blood, smoke or darkness at the rim
        # is no zoom.
        if min(windows.confidence(before), windows.confidence(after)) >= _MIN_CONFIDENCE:
            overlap[cut] = _iou(windows.mask(before), windows.mask(after))
    cuts: list[int] = []
    while overlap.min() < _SAME_VIEW_IOU:
        # Over a change the overlap stays low for a while; the middle of the lowest run is it.
        lowest = np.flatnonzero(overlap <= overlap.min() + 0.005)
        run = lowest[: int(np.argmax(np.append(np.diff(lowest) > 1, True))) + 1]
        cut = int(run[len(run) // 2])
        cuts.append(cut)
        overlap[max(0, cut - _WINDOW) : cut + _WINDOW + 1] = 1.0
    return sorted(cuts)


def _suspect_positions(windows: _Windows) -> list[int]:
    """Return the positions near which windows side by side do not show the same outline."""
    starts = [*range(0, windows.last, _WINDOW), windows.last]
    suspects: set[int] = set()
    for before, after in [*pairwise(starts), *zip(starts, starts[2:], strict=False)]:
        if _iou(windows.mask(before), windows.mask(after)) < _SUSPECT_IOU:
            suspects.update(range(before, after + _WINDOW + 1))
    return sorted(cut for cut in suspects if _WINDOW <= cut <= windows.last)


def _settled(cut: int, windows: _Windows, is_bright: BoolArray) -> int:
    """Move a cut to where single pictures turn from one outline to the other.

    What counts is the brightness of the area that only one of the two outlines holds.
    """
    first, last = max(0, cut - 2 * _WINDOW), min(windows.last, cut + _WINDOW)
    only_before = windows.mask(first) & ~windows.mask(last)
    only_after = windows.mask(last) & ~windows.mask(first)
    likeness = np.zeros(len(is_bright))
    if only_before.any():
        likeness += is_bright[:, only_before].mean(axis=1)
    if only_after.any():
        likeness -= is_bright[:, only_after].mean(axis=1)
    # Likeness is high before the change and low after it. Taken about the middle of both levels its
    # running sum rises up to the last picture of the old view: the peak is the change.
    near = likeness[first : last + _WINDOW]
    centered = near - (near[:_WINDOW].mean() + near[-_WINDOW:].mean()) / 2
    gain = np.cumsum(centered)
    return first + 1 + int(np.argmax(gain[:-1]))


def _merged_cuts(cuts: list[int], usable: RgbArray, config: ViewConfig) -> list[int]:
    """Drop cuts between stretches whose own fits agree, the most alike first."""
    while cuts:
        edges = [0, *cuts, len(usable)]
        masks = [
            fit_outline(usable[a:b], config).outline.render(_GRID_PX, _GRID_PX)
            for a, b in pairwise(edges)
        ]
        overlap = [_iou(a, b) for a, b in pairwise(masks)]
        most_alike = int(np.argmax(overlap))
        if overlap[most_alike] < _SAME_VIEW_IOU:
            break
        cuts = cuts[:most_alike] + cuts[most_alike + 1 :]
    return cuts


def _iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / (a | b).sum())
