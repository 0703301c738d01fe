"""Geometry of outlines against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.frames import FieldShape
from ubereport.core.outline import Ellipse, Outline, ellipses_through, fit_ellipse


@settings(max_examples=40, deadline=None)
@given(cx=st.floats(-50, 50), cy=st.floats(-50, 50), rx=st.floats(5, 80), aspect=st.floats(0.5, 2))
def test_an_ellipse_is_found_again_from_points_on_it(cx, cy, rx, aspect):
    angle = np.linspace(0.3, 3.6, 40)
    x, y = cx + rx * np.cos(angle), cy + rx * aspect * np.sin(angle)
    found = fit_ellipse(x, y, is_circle=False)
    assert found is not None
    assert (found.center_x, found.center_y) == pytest.approx((cx, cy), abs=1e-3)
    assert (found.radius_x, found.radius_y) == pytest.approx((rx, rx * aspect), rel=1e-4)


def test_three_points_give_the_circle_through_them():
    points = np.array([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]])
    found = ellipses_through(points, is_circle=True)
    # The second triple lies on a line: no circle.
    assert found == pytest.approx(np.array([[0.0, 0.0, 1.0, 1.0]]))


def test_too_few_points_give_no_ellipse():
    assert fit_ellipse(np.arange(4.0), np.arange(4.0) ** 2, is_circle=True) is None


def test_points_on_a_hyperbola_give_no_ellipse():
    t = np.linspace(-1, 1, 20)
    assert fit_ellipse(np.cosh(t), np.sinh(t), is_circle=False) is None


def test_area_of_a_rendered_circle_is_pi_r_squared():
    mask = Outline(0, 0, 1, 1, Ellipse(0.5, 0.5, 0.4, 0.4)).render(500, 500)
    assert mask.sum() == pytest.approx(np.pi * 200**2, rel=1e-3)


def test_crop_stretches_to_the_model():
    outline = Outline(0, 0, 1, 1, Ellipse(0.5, 0.5, 0.25, 0.5))
    crop = outline.crop(400, 200)
    assert (crop.left_px, crop.top_px, crop.right_px, crop.bottom_px) == (100, 0, 300, 200)
    mask = outline.render_crop(crop, (200, 400), (64, 64))
    assert mask.mean() == pytest.approx(np.pi / 4, abs=0.01)


@pytest.mark.parametrize(
    ("outline", "shape"),
    [
        (Outline(0.0, 0.0, 1.0, 1.0), FieldShape.FULL),
        (Outline(0.1, 0.0, 1.0, 1.0), FieldShape.RECTANGLE),
        (Outline(0.1, 0.0, 1.0, 1.0, Ellipse(0.5, 0.5, 0.4, 0.4)), FieldShape.CIRCLE),
    ],
)
def test_shape_names(outline, shape):
    assert outline.shape is shape
