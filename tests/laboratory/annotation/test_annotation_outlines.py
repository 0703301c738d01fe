from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.shapes import MAX_VERTICES, fill_polygon, polygons_of

MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda size: arrays(np.bool_, size, fill=st.booleans())
)
POINTS = st.lists(
    st.tuples(st.floats(-8, 28, width=32), st.floats(-8, 28, width=32)), min_size=3, max_size=9
)


def _slow_fill(points: list[tuple[float, float]], height_px: int, width_px: int) -> np.ndarray:
    """Even-odd rule, one pixel and one edge at a time (W. R. Franklin's PNPOLY)."""
    mask = np.zeros((height_px, width_px), dtype=bool)
    for row in range(height_px):
        for column in range(width_px):
            x, y = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
                if (y0 > y) != (y1 > y) and x > x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                    mask[row, column] ^= True
    return mask


@settings(deadline=None)
@given(POINTS)
def test_filling_agrees_with_a_test_of_every_pixel(points: list[tuple[float, float]]) -> None:
    found = fill_polygon(points, 20, 22)
    expected = _slow_fill(points, 20, 22)
    # A center that lies on an edge to the last bit may fall on either side.
    assert (found != expected).sum() <= _n_centers_on_edges(points)


def _n_centers_on_edges(points: list[tuple[float, float]]) -> int:
    y, x = np.mgrid[:20, :22] + 0.5
    is_near = np.zeros((20, 22), dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 == y1:
            continue
        crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        is_near |= (np.abs(crossing - x) < 1e-6) | (np.abs(y - y0) < 1e-9) | (np.abs(y - y1) < 1e-9)
    return int(is_near.sum())


def test_whole_pixel_rectangles_cover_their_area_exactly() -> None:
    mask = fill_polygon([(2, 3), (7, 3), (7, 9), (2, 9)], 12, 12)
    assert mask.sum() == 5 * 6
    assert mask[3:9, 2:7].all()


def test_neighbors_share_no_pixel_and_leave_no_gap() -> None:
    corner, edge = (3.3, 4.7), (11.2, 6.1)
    left = fill_polygon([(0, 0), corner, edge, (0, 16)], 16, 16)
    right = fill_polygon([(0, 0), (16, 0), (16, 16), (0, 16), edge, corner], 16, 16)
    assert not (left & right).any()
    assert (left | right).all()


def test_parts_outside_are_cut_off() -> None:
    assert fill_polygon([(-50, -50), (500, -50), (500, 500), (-50, 500)], 9, 11).all()
    assert not fill_polygon([(20, 20), (30, 20), (30, 30)], 9, 11).any()


@settings(deadline=None)
@given(MASKS)
def test_outlines_filled_give_the_mask_again(mask: np.ndarray) -> None:
    polygons = polygons_of(mask)
    filled = np.zeros_like(mask)
    for polygon in polygons:
        one = fill_polygon(polygon, *mask.shape)
        assert not (one & filled).any()
        filled |= one
    np.testing.assert_array_equal(filled, mask)


def test_a_region_with_holes_is_one_polygon() -> None:
    mask = np.ones((9, 12), dtype=bool)
    mask[2:4, 2:4] = mask[6, 9] = False
    (polygon,) = polygons_of(mask)
    np.testing.assert_array_equal(fill_polygon(polygon, 9, 12), mask)
    assert len(polygons_of(np.zeros((3, 3), dtype=bool))) == 0


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, 0), (1, 1)],
        [(0, 0, 0), (1, 1, 1), (2, 0, 0)],
        [("a", "b"), (1, 1), (2, 0)],
        [(0, 0), (1,), (2, 0)],
        [(0, 0), (1, float("nan")), (2, 0)],
        [(0, 0), (float("inf"), 1), (2, 0)],
        [(0, 0), (1e9, 1), (2, 0)],
        np.zeros((MAX_VERTICES + 1, 2)),
    ],
)
def test_what_is_no_polygon_is_refused(points: object) -> None:
    with pytest.raises(AnnotationError, match="polygon"):
        fill_polygon(points, 10, 10)  # type: ignore[arg-type]


def test_a_polygon_that_crosses_a_picture_millions_of_times_is_refused() -> None:
    zigzag = np.zeros((MAX_VERTICES, 2))
    zigzag[::2, 1] = 640
    with pytest.raises(AnnotationError, match="too often"):
        fill_polygon(zigzag, 640, 640)
