from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from ubereport.laboratory.simulation import site as tissues
from ubereport.laboratory.simulation.blood import (
    BLOOD_OPACITY,
    BLOOD_OPTICAL_DEPTH,
    Film,
    tint_by_blood,
)
from ubereport.laboratory.simulation.camera import Pose
from ubereport.laboratory.simulation.noise import CameraNoise, cells, clouds, fibers, smoothstep
from ubereport.laboratory.simulation.render import Renderer
from ubereport.laboratory.simulation.scenario import BleedKind, Scenario
from ubereport.laboratory.simulation.site import SITE_REACH, Site, paint_site


def _flat(level: int) -> np.ndarray:
    return np.full((4, 4, 3), level, np.uint8)


def _depth(value: float) -> np.ndarray:
    return np.full((4, 4), value, np.float32)


SHADE = np.full((4, 4), 160, np.uint8)


def _contrast_left(depth: float) -> np.ndarray:
    """Share of the difference between a light and a dark surface that is seen through blood."""
    light = tint_by_blood(_flat(240), _depth(depth), SHADE).astype(float)
    dark = tint_by_blood(_flat(40), _depth(depth), SHADE).astype(float)
    return (light - dark)[0, 0] / 200


def test_the_threshold_is_where_half_of_the_structure_is_hidden():
    assert BLOOD_OPACITY == 0.5
    assert np.exp(-BLOOD_OPTICAL_DEPTH) == pytest.approx(0.5)
    red, green, blue = _contrast_left(BLOOD_OPTICAL_DEPTH)
    assert red == pytest.approx(0.5, abs=0.015)
    assert max(green, blue) < 0.25


@pytest.mark.parametrize("depth", [0.0, 0.2, 1.0, 2.5])
def test_red_light_passes_by_the_law_of_beer_and_lambert(depth: float):
    assert _contrast_left(depth)[0] == pytest.approx(np.exp(-depth), abs=0.015)


def test_no_blood_leaves_the_picture_as_it_is():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(tint_by_blood(picture, _depth(0), SHADE), picture)


def test_thin_blood_tints_and_thick_blood_is_dark_red():
    bone = np.full((4, 4, 3), (235, 215, 190), np.uint8)
    thin, thick = (tint_by_blood(bone, _depth(d), SHADE)[0, 0].astype(int) for d in (0.25, 4.0))
    assert thin[0] > 150
    assert 0.4 < thin[1] / thin[0] < 0.8
    assert 50 < thick[0] < 130
    assert thick[1] / thick[0] < 0.15
    hue, saturation, _ = cv2.cvtColor(thick.astype(np.uint8)[None, None], cv2.COLOR_RGB2HSV)[0, 0]
    assert hue <= 5 or hue >= 175
    assert saturation > 200


@pytest.mark.parametrize("kind", [BleedKind.OOZE, BleedKind.POOL, BleedKind.RIVULET])
def test_a_film_covers_as_much_of_the_field_as_its_level_says(bleed, kind: BleedKind):
    site = paint_site(Site.LAMINA, 1, 60.0)
    film = Film(dataclasses.replace(bleed, kind=kind), site, Pose(0.1, -0.2, 0.0, 1.25))
    axis = np.linspace(-SITE_REACH, SITE_REACH, site.size_px)
    field = np.hypot(axis[:, None] + 0.2, axis[None, :] - 0.1) < 0.8
    for level in (0.1, 0.4, 0.8):
        assert (film.order[field] < level).mean() == pytest.approx(level, abs=0.02)


def test_there_is_no_film_before_the_bleed(bleed):
    film = Film(bleed, paint_site(Site.LAMINA, 1, 40.0), Pose(0.0, 0.0, 0.0, 1.0))
    depth = film.depth(film.order, film.body, np.zeros_like(film.order), bleed.start_s - 1)
    assert not depth.any()


@pytest.mark.parametrize("kind", list(BleedKind))
def test_the_covered_area_follows_the_scenario(make_scenario, bleed, kind: BleedKind):
    bleed = dataclasses.replace(bleed, kind=kind, peak_frac=0.5)
    renderer = Renderer(make_scenario(bleeds=(bleed,)))
    areas = [renderer.frame(t).area_frac for t in (0.5, 2.0, 5.0, 8.0, 9.5)]
    assert areas[0] == 0
    assert areas[2] == pytest.approx(bleed.target_frac(5.0), abs=0.08)
    assert areas[2] > max(areas[1], areas[3]) > 0
    assert areas[4] == 0


def test_a_view_can_be_all_red(make_scenario, bleed):
    bleed = dataclasses.replace(bleed, kind=BleedKind.RED_OUT, peak_frac=1.0)
    frame = Renderer(make_scenario(bleeds=(bleed,))).frame(5.0)
    assert frame.area_frac > 0.9
    red, green, _ = frame.rgb[frame.field_mask].mean(0)
    assert red > 4 * green


def test_clot_remains_after_washing(make_scenario, bleed):
    clotted = dataclasses.replace(bleed, clot_frac=0.02)
    scenario: Scenario = make_scenario(bleeds=(clotted,))
    assert Renderer(scenario).frame(12.0).area_frac == pytest.approx(0.02, abs=0.012)


@pytest.mark.parametrize(
    "paint",
    [
        tissues.paint_bone,
        tissues.paint_drilled_bone,
        tissues.paint_ligament,
        tissues.paint_dura,
        tissues.paint_fat,
        tissues.paint_muscle,
        tissues.paint_inflamed,
        tissues.paint_char,
    ],
)
def test_tissue_is_paler_or_less_red_than_blood(paint: tissues.Painter):
    painted = paint(np.random.default_rng(1), 96)
    assert painted.albedo.shape == (96, 96, 3)
    assert np.isfinite(painted.relief).all()
    red, green, blue = np.median(painted.albedo.reshape(-1, 3), axis=0)
    blood = tint_by_blood(_flat(128), _depth(4.0), SHADE)[0, 0] / 255
    assert green / red > 2 * blood[1] / blood[0]
    assert blue / red > 2 * blood[2] / blood[0]


@pytest.mark.parametrize("site", list(Site))
def test_a_site_is_the_same_for_the_same_seed_only(site: Site):
    one, again, other = (paint_site(site, seed, 30.0) for seed in (1, 1, 2))
    assert np.array_equal(one.rgb, again.rgb)
    assert np.array_equal(one.sheen, again.sheen)
    assert not np.array_equal(one.rgb, other.rgb)


def test_a_site_is_the_same_place_at_every_size():
    small, large = (paint_site(Site.CANAL, 3, radius) for radius in (30.0, 60.0))
    shrunk = cv2.resize(large.rgb, small.rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    both = [cv2.GaussianBlur(p, (0, 0), 5).astype(float).ravel() for p in (small.rgb, shrunk)]
    assert np.corrcoef(*both)[0, 1] > 0.9


def test_noise_has_zero_mean_and_unit_spread():
    for texture in (
        clouds(np.random.default_rng(1), 80, 120, 5),
        fibers(np.random.default_rng(1), 90, 20, 0.4),
    ):
        assert texture.mean() == pytest.approx(0, abs=1e-3)
        assert texture.std() == pytest.approx(1, abs=1e-2)


def test_noise_drawn_at_another_size_leaves_the_generator_in_the_same_state():
    rngs = [np.random.default_rng(1), np.random.default_rng(1)]
    for rng, size in zip(rngs, (16, 200), strict=True):
        clouds(rng, size, size, 10, 6)
        fibers(rng, size, 30, 0.1)
    assert rngs[0].random() == rngs[1].random()


def test_cells_are_measured_from_their_seed_and_border():
    to_seed, to_border = cells(np.random.default_rng(1), 200, 10)
    assert to_seed.shape == to_border.shape == (200, 200)
    assert 0.25 < to_seed.mean() < 0.6  # in cell widths
    assert to_border.min() >= -0.05


def test_smoothstep_is_the_hermite_polynomial():
    x = np.array([-1.0, 0.0, 0.25, 0.5, 1.0, 3.0], np.float32)
    assert smoothstep(0, 1, x) == pytest.approx([0, 0, 0.15625, 0.5, 1, 1])


def test_camera_noise_has_the_level_asked_for_and_changes_from_picture_to_picture():
    noise = CameraNoise(1, 4.0)
    gray = np.full((300, 300, 3), 128, np.uint8)
    one, other = noise.added(gray, 0), noise.added(gray, 1)
    assert one.astype(float).std() == pytest.approx(4.0, rel=0.15)
    assert one.mean() == pytest.approx(128, abs=0.2)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, noise.added(gray, 0))
    assert np.array_equal(CameraNoise(1, 0.0).added(gray, 5), gray)
