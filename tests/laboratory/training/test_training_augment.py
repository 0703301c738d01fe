import dataclasses

import numpy as np
import pytest
import torch

from ubereport.laboratory.training.augment import (
    Recoloring,
    Tint,
    augment_batch,
    draw_matrix,
    draw_recoloring,
)
from ubereport.laboratory.training.config import AugmentConfig
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE

CONFIG = AugmentConfig(surround_share=0.0)
PLAIN = Recoloring(Tint((1.0, 1.0, 1.0), 1.0, 1.0, 0, 1.0), None, None, None)
AS_IT_IS = np.eye(2, 3)


def made(rgb, label, side_px, matrix, recoloring):
    """Return a batch of one still, as OpenCV lays it out."""
    still = torch.from_numpy(rgb)[None], torch.from_numpy(label)[None]
    planes, masks = augment_batch(*still, side_px, [matrix], [recoloring])
    return planes[0].permute(1, 2, 0).numpy(), masks[0].numpy()


def crop(rgb, label, side_px, rng, config, center=None):
    return made(rgb, label, side_px, draw_matrix(len(rgb), side_px, rng, config, center), PLAIN)


def augment(rgb, label, side_px, rng, config):
    matrix = draw_matrix(len(rgb), side_px, rng, config, None)
    return made(rgb, label, side_px, matrix, draw_recoloring(rng, config))


def recolor(rgb, label, recoloring):
    return made(rgb, label, len(rgb), AS_IT_IS, recoloring)


def recolored(rgb, **change):
    blank = np.zeros(rgb.shape[:2], np.uint8)
    return recolor(rgb, blank, dataclasses.replace(PLAIN, **change))[0]


def labelled_picture():
    """A picture whose red channel is its label: any misplaced pixel shows."""
    label = np.zeros((96, 96), np.uint8)
    label[20:60, 30:70] = BLOOD
    label[70:90, 5:25] = IGNORE
    rgb = np.full((96, 96, 3), 80, np.uint8)
    rgb[label == BLOOD] = (240, 80, 80)
    rgb[label == IGNORE] = (80, 240, 80)
    return rgb, label


def drawn(seed, config):
    """What one seed does to a crop."""
    return draw_recoloring(np.random.default_rng(seed), config)


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_moves_label_and_picture_alike(seed):
    rgb, label = labelled_picture()
    picture, mask = crop(rgb, label, 64, np.random.default_rng(seed), CONFIG)
    assert picture.shape == (64, 64, 3)
    sure = (picture.max(axis=-1) > 200) & (picture.min(axis=-1) < 100)
    red = picture[..., 0] > 200
    wrong = sure & ((red & (mask != BLOOD)) | (~red & (mask != IGNORE)))
    assert wrong.mean() < 0.02  # linear against nearest sampling along the edges


@pytest.mark.parametrize("seed", range(8))
def test_labels_keep_their_three_values(seed):
    rgb, label = labelled_picture()
    _, mask = augment(rgb, label, 64, np.random.default_rng(seed), CONFIG)
    assert set(np.unique(mask)) <= {CLEAN, BLOOD, IGNORE}


def test_the_same_seed_gives_the_same_crop():
    rgb, label = labelled_picture()
    first = augment(rgb, label, 64, np.random.default_rng(3), AugmentConfig())
    again = augment(rgb, label, 64, np.random.default_rng(3), AugmentConfig())
    other = augment(rgb, label, 64, np.random.default_rng(4), AugmentConfig())
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(6))
def test_a_wanted_place_is_in_the_crop(seed):
    rgb, label = labelled_picture()
    small = AugmentConfig(min_crop_frac=0.45, max_crop_frac=0.5, surround_share=0.0)
    _, mask = crop(rgb, label, 64, np.random.default_rng(seed), small, center=(50.0, 40.0))
    assert (mask == BLOOD).any()


def test_a_surround_is_black_and_clean():
    rgb = np.full((64, 64, 3), 200, np.uint8)
    label = np.full((64, 64), BLOOD, np.uint8)
    config = AugmentConfig(surround_share=1.0, degrade_share=0.0)
    picture, mask = recolor(rgb, label, drawn(1, config))
    assert (mask == CLEAN).any()
    assert picture[mask == CLEAN].max() < 40
    assert picture[mask == BLOOD].min() > 40


@pytest.mark.parametrize("seed", range(6))
def test_light_falls_off_to_a_fifth_at_most_and_keeps_the_hue(seed):
    rgb = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    shaded = recolored(rgb, shade=drawn(seed, AugmentConfig(shade_share=1.0)).shade)
    share = shaded[..., 0] / 200
    # A fifth of the light is 0.2 ** (1 / 2.2) = 0.481 of the level.
    assert 0.47 < share.min() < 0.9
    assert share.max() == 1.0
    assert np.abs(shaded[..., 1] - shaded[..., 0] / 2).max() <= 1
    assert share.std() > 0.01


def test_as_many_stills_are_shaded_as_asked_for():
    rgb, label = labelled_picture()
    for share in (0.0, 1.0):
        config = AugmentConfig(
            surround_share=0.0, degrade_share=0.0, shade_share=share,
            max_gain=0.0, max_exposure=0.0, max_saturation=0.0, max_hue_deg=0.0,
        )  # fmt: skip
        picture, mask = recolor(rgb, label, drawn(2, config))
        assert (int(picture.sum()) < 0.98 * int(rgb.sum())) is bool(share)
        assert np.array_equal(mask, label)


def test_no_change_of_color_is_asked_for_and_none_is_made():
    rgb, _ = labelled_picture()
    still = AugmentConfig(max_gain=0.0, max_exposure=0.0, max_saturation=0.0, max_hue_deg=0.0)
    changed = recolored(rgb, tint=drawn(0, still).tint)
    assert np.abs(changed.astype(int) - rgb).max() <= 4  # rounding of HSV in 8 bits


@pytest.mark.parametrize("seed", range(6))
def test_degradation_keeps_size_and_roughly_the_colors(seed):
    rgb, _ = labelled_picture()
    degradation = drawn(seed, AugmentConfig(degrade_share=1.0)).degradation
    worse = recolored(rgb, degradation=degradation)
    assert worse.shape == rgb.shape
    assert np.array_equal(worse, worse.round())
    assert np.abs(worse.astype(float).mean((0, 1)) - rgb.mean((0, 1))).max() < 6
