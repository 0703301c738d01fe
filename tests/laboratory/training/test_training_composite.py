import numpy as np
import pytest

from ubereport.laboratory.training.capsule import possibly_bloody
from ubereport.laboratory.training.composite import (
    SHAPES,
    Optics,
    add_blood,
    add_red_decoys,
    fractal_noise,
    illumination,
    render,
    tool_mask,
)
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE

SIDE = 96
DULL = Optics((0.3, 3.0, 3.0), (0.3, 0.02, 0.02), 1.0, 0.0, 50.0)


def tissue():
    rng = np.random.default_rng(5)
    return np.clip(rng.normal((180, 130, 120), 10, (SIDE, SIDE, 3)), 11, 255).astype(np.uint8)


def test_no_blood_changes_no_pixel():
    rgb = tissue()
    none = np.zeros((SIDE, SIDE), np.float32)
    answer = render(rgb, none, DULL, illumination(rgb), np.random.default_rng(0))
    assert np.abs(answer.astype(int) - rgb).max() <= 1  # rounding of the square root


def test_blood_leaves_no_seam_outside_its_layer():
    rgb = tissue()
    layer = np.zeros((SIDE, SIDE), np.float32)
    layer[30:60, 30:60] = 1.0
    answer = render(rgb, layer, DULL, illumination(rgb), np.random.default_rng(0))
    outside = layer == 0
    assert np.abs(answer[outside].astype(int) - rgb[outside]).max() <= 1
    assert np.all(answer[~outside][:, 1] < rgb[~outside][:, 1])


def test_an_endless_layer_has_the_color_of_blood_under_the_light_that_falls():
    rgb = np.full((SIDE, SIDE, 3), 200, np.uint8)
    layer = np.full((SIDE, SIDE), 50, np.float32)
    light = np.full((SIDE, SIDE), 0.5, np.float32)
    answer = render(rgb, layer, DULL, light, np.random.default_rng(0))
    expected = np.sqrt(np.array([0.3, 0.02, 0.02]) * 0.5) * 255
    assert np.allclose(answer[40, 40], expected, atol=1)


def test_a_thin_layer_absorbs_by_beer_and_lambert():
    rgb = np.full((SIDE, SIDE, 3), 200, np.uint8)
    clear = Optics((0.3, 3.0, 3.0), (0.0, 0.0, 0.0), 1.0, 0.0, 50.0)
    answer = render(
        rgb,
        np.full((SIDE, SIDE), 0.2, np.float32),
        clear,
        illumination(rgb),
        np.random.default_rng(0),
    )
    expected = 200 * np.sqrt(np.exp(-0.2 * np.array([0.3, 3.0, 3.0])))
    assert np.allclose(answer[10, 10], expected, atol=1.5)


@pytest.mark.parametrize("shape", [shape for _, shape in SHAPES])
def test_every_shape_is_a_thickness_and_is_seeded(shape):
    layer = shape(SIDE, np.random.default_rng(1))
    assert layer.shape == (SIDE, SIDE)
    assert layer.dtype == np.float32
    assert layer.min() >= 0
    assert np.isfinite(layer).all()
    assert any(shape(SIDE, np.random.default_rng(s)).max() > 0.45 for s in range(6))
    assert np.array_equal(layer, shape(SIDE, np.random.default_rng(1)))


def test_noise_has_mean_zero_and_unit_deviation():
    noise = fractal_noise(SIDE, np.random.default_rng(2))
    assert abs(float(noise.mean())) < 1e-4
    assert float(noise.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_marked_blood_is_redder_and_what_is_clean_is_untouched(seed):
    rgb, label = tissue(), np.zeros((SIDE, SIDE), np.uint8)
    picture, mask = add_blood(rgb, label, np.random.default_rng(seed))
    assert set(np.unique(mask)) <= {CLEAN, BLOOD, IGNORE}
    clean = mask == CLEAN
    # A layer below the visible thickness of 0.12 takes at most 1 - exp(-0.12 * 3.6 / 2) of light,
    # three of them lie on each other at most; bubbles only brighten.
    floor = rgb[clean].astype(float) * np.exp(-3 * 0.12 * 3.6 / 2) - 2
    assert np.all(picture[clean] >= floor)
    blood = mask == BLOOD
    if blood.any():
        green_share = picture[blood].astype(float)[:, 1].mean() / rgb[blood][:, 1].mean()
        assert green_share < 0.95


def test_blood_that_is_there_stays_blood():
    label = np.full((SIDE, SIDE), BLOOD, np.uint8)
    for seed in range(6):
        _, mask = add_blood(tissue(), label, np.random.default_rng(seed))
        assert np.all(mask == BLOOD)


def test_no_blood_is_laid_outside_the_field_of_view():
    rgb = tissue()
    rgb[:, :40] = 0
    for seed in range(8):
        _, mask = add_blood(rgb, np.zeros((SIDE, SIDE), np.uint8), np.random.default_rng(seed))
        assert np.all(mask[:, :40] == CLEAN)


def test_an_instrument_is_found_by_its_gray():
    rgb = tissue()
    rgb[30:50, 20:80] = (120, 122, 125)
    found = tool_mask(rgb)
    assert found[33:47, 24:76].all()
    assert not found[:20].any()


@pytest.mark.parametrize("seed", range(10))
def test_decoys_change_the_picture_and_nothing_outside_of_the_view(seed):
    rng = np.random.default_rng(seed)
    picture = add_red_decoys(tissue(), rng)
    assert picture.shape == (SIDE, SIDE, 3)
    assert not np.array_equal(picture, tissue())
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(add_red_decoys(black, rng), black)


@pytest.mark.parametrize("color", [(150, 20, 25), (90, 10, 8), (40, 12, 10), (180, 60, 70)])
def test_whatever_may_be_blood_is_ignored_on_an_unlabelled_frame(color):
    assert possibly_bloody(np.full((16, 16, 3), color, np.uint8)).all()


def test_fat_and_metal_are_not_possibly_bloody():
    for color in ((220, 200, 120), (160, 160, 165), (0, 0, 0)):
        assert not possibly_bloody(np.full((16, 16, 3), color, np.uint8)).any()
