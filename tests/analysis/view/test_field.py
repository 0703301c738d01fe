"""The fitted field of view against outlines that are known exactly."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.analysis.view.field import fit_field_of_view, fit_outline
from ubereport.core.config import ViewConfig
from ubereport.core.frames import FieldShape

CONFIG = ViewConfig()
NAMES = [
    "circle",
    "circle_cut_top_and_bottom",
    "circle_cut_all_around",
    "circle_in_letterbox",
    "squashed_circle",
    "off_center_circle",
    "pillarbox",
    "letterbox",
    "window",
    "full",
]
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def fitted_mask(frames, shape=(270, 480)):
    return fit_outline(frames, CONFIG).outline.render(*shape)


@pytest.mark.parametrize("name", NAMES)
def test_every_outline_is_found_with_its_shape(views, name):
    shape, mask = views.outlines[name]
    fit = fit_outline(views.probes(mask), CONFIG)
    assert fit.outline.shape is shape
    assert views.iou(fit.outline.render(*mask.shape), mask) >= 0.985
    assert fit.confidence > 0.8


def test_all_outlines_of_the_fixture_are_tested(views):
    assert sorted(NAMES) == sorted(views.outlines)


@pytest.mark.parametrize("name", ["circle", "squashed_circle", "window"])
@pytest.mark.parametrize("seed", [1])
def test_text_and_a_small_picture_in_the_surround_change_nothing(views, name, seed):
    shape, mask = views.outlines[name]
    frames = views.probes(mask, seed=seed)
    frames = views.put_text(frames, "12:34:56 OR 3", (4, 262))
    frames = views.put_text(frames, "REC", (420, 20))
    frames[:, 200:240, 428:478] = 150
    fit = fit_outline(frames, CONFIG)
    assert fit.outline.shape is shape
    assert views.iou(fit.outline.render(*mask.shape), mask) >= 0.97


@pytest.mark.parametrize("name", ["circle", "pillarbox", "circle_in_letterbox"])
def test_slates_and_black_pictures_among_the_probes_change_nothing(views, name):
    shape, mask = views.outlines[name]
    frames = views.probes(mask, n=10)
    frames[1] = 0
    frames[2] = (12, 28, 170)
    frames[3] = views.put_text(np.zeros_like(frames[:1]), "NO SIGNAL", (150, 140))[0]
    frames[4] = 250
    frames[5] = views.probes(views.box_mask(0, 0, 480, 270), n=1, seed=9)[0]
    fit = fit_outline(frames, CONFIG)
    assert fit.outline.shape is shape
    assert views.iou(fit.outline.render(*mask.shape), mask) >= 0.97


def test_a_dark_side_of_the_content_does_not_shrink_the_circle(views):
    _, mask = views.outlines["circle"]
    frames = views.probes(mask)
    dark = views.ellipse_mask(330, 120, 50, 60)
    frames[:, dark] = 5
    fit = fit_outline(frames, CONFIG)
    assert fit.outline.shape is FieldShape.CIRCLE
    assert views.iou(fit.outline.render(*mask.shape), mask) >= 0.97


def test_blurred_pictures_still_show_the_outline(views):
    _, mask = views.outlines["circle_cut_top_and_bottom"]
    frames = np.stack([cv2.GaussianBlur(f, (0, 0), 4) for f in views.probes(mask)])
    assert views.iou(fitted_mask(frames), mask) >= 0.97


@pytest.mark.parametrize("n", [1, 6])
def test_a_gray_surround_is_no_content(views, n):
    _, mask = views.outlines["circle"]
    fit = fit_outline(views.probes(mask, n=n, surround_level=38.0), CONFIG)
    assert fit.outline.shape is FieldShape.CIRCLE
    assert views.iou(fit.outline.render(*mask.shape), mask) >= 0.97


def test_a_surround_brighter_than_allowed_counts_as_content(views):
    _, mask = views.outlines["circle"]
    fit = fit_outline(views.probes(mask, surround_level=38.0), ViewConfig(max_surround_level=30))
    assert fit.outline.shape is FieldShape.FULL


@pytest.mark.parametrize(("scale", "side_px"), [(2.0, 256), (4.0, 320), (0.5, 128)])
def test_crop_is_in_source_pixels_and_mask_at_model_size(views, scale, side_px):
    _, mask = views.outlines["off_center_circle"]
    width_px, height_px = round(480 * scale), round(270 * scale)
    field = fit_field_of_view(views.probes(mask), (height_px, width_px), (side_px, side_px), CONFIG)
    # circle of radius 110 around (150, 120), see the fixture
    expected = np.array([40, 10, 260, 230]) * scale
    crop = field.crop
    found = [crop.left_px, crop.top_px, crop.right_px, crop.bottom_px]
    assert np.abs(found - expected).max() <= max(1.5, 1.5 * scale)
    y, x = (np.mgrid[0:side_px, 0:side_px] + 0.5) / side_px
    inscribed = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.25
    assert field.mask.shape == (side_px, side_px)
    assert views.iou(field.mask, inscribed) >= 0.97
    assert (field.source_width_px, field.source_height_px) == (width_px, height_px)


def test_full_picture_gives_a_full_mask_and_crop(views):
    _, mask = views.outlines["full"]
    field = fit_field_of_view(views.probes(mask), (1080, 1920), (256, 256), CONFIG)
    assert field.shape is FieldShape.FULL
    assert field.mask.all()
    crop = field.crop
    assert (crop.left_px, crop.top_px, crop.right_px, crop.bottom_px) == (0, 0, 1920, 1080)


def test_nothing_but_black_gives_the_full_picture_without_confidence():
    field = fit_field_of_view(np.zeros((5, 90, 160, 3), np.uint8), (90, 160), (64, 64), CONFIG)
    assert field.shape is FieldShape.FULL
    assert field.confidence == 0.0


def test_a_tiny_bright_spot_gives_the_full_picture_with_low_confidence(views):
    mask = views.ellipse_mask(240, 135, 45, 45)
    field = fit_field_of_view(views.probes(mask), (270, 480), (64, 64), CONFIG)
    assert mask.mean() < CONFIG.min_area_frac
    assert field.shape is FieldShape.FULL
    assert field.confidence < 0.3


def test_few_pictures_lower_the_confidence(views):
    _, mask = views.outlines["circle"]
    one, many = (fit_outline(views.probes(mask, n=n), CONFIG).confidence for n in (1, 6))
    assert one < many


def test_the_fit_is_repeatable(views):
    frames = views.probes(views.outlines["squashed_circle"][1])
    assert fit_outline(frames, CONFIG) == fit_outline(frames, CONFIG)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((0, 9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8), np.zeros((1, 9, 9, 3))],
)
def test_wrong_pictures_are_refused(frames):
    with pytest.raises(ValueError, match=r"picture|uint8"):
        fit_field_of_view(frames, (9, 9), (9, 9), CONFIG)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "radius_ratio"),
    [("cholec80_video01_part1.mp4", 854 / 480), ("endo_720p.mp4", 1280 / 720)],
)
def test_the_real_circle_is_found_squashed_or_not(name, radius_ratio):
    path = SHARED / "recordings" / name
    if not path.is_file():
        pytest.skip("the shared recordings are not beside the checkout")
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        frames = [f for f in container.decode(video=0) if f.key_frame][:12]
        rgb = np.stack([f.to_ndarray(format="rgb24") for f in frames])
    fit = fit_outline(rgb, CONFIG)
    ellipse = fit.outline.ellipse
    assert ellipse is not None
    assert fit.confidence > 0.8
    # A circle in a 16:9 picture: in units of the picture, its radii stand 9 to 16.
    assert ellipse.radius_y / ellipse.radius_x == pytest.approx(radius_ratio, rel=0.02)
