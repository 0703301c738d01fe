"""OpenCV on one still is the reference for tensors on a batch, on the same parameters."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from laboratory.training.opencv_augment import recolor, warp

from ubereport.laboratory.training.augment import (
    Degradation,
    Recoloring,
    Shade,
    Surround,
    Tint,
    augment_batch,
    draw_matrix,
    draw_recoloring,
)
from ubereport.laboratory.training.config import AugmentConfig
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE

STILL, SIDE = 96, 64
UNCHANGED = Tint((1.0, 1.0, 1.0), 1.0, 1.0, 0, 1.0)
PLAIN = Recoloring(UNCHANGED, None, None, None)
IDENTITY = np.array([[STILL / SIDE, 0, 0.25], [0, STILL / SIDE, 0.25]])


def still(seed):
    """Smooth color, so that a difference of filters at edges does not hide one of parameters."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (8, 8, 3)).astype(np.uint8)
    rgb = cv2.resize(coarse, (STILL, STILL), interpolation=cv2.INTER_CUBIC)
    label = np.zeros((STILL, STILL), np.uint8)
    label[20:60, 30:70] = BLOOD
    label[70:90, 5:25] = IGNORE
    return rgb, label


def both(matrices, recolorings):
    """Return (pictures, masks) of OpenCV, then of tensors."""
    stills = [still(seed) for seed in range(len(matrices))]
    made = [
        recolor(*warp(rgb, label, SIDE, matrix), how)
        for (rgb, label), matrix, how in zip(stills, matrices, recolorings, strict=True)
    ]
    rgb = torch.from_numpy(np.stack([s[0] for s in stills]))
    label = torch.from_numpy(np.stack([s[1] for s in stills]))
    planes, masks = augment_batch(rgb, label, SIDE, matrices, recolorings)
    reference = np.stack([m[0] for m in made]), np.stack([m[1] for m in made])
    return reference, (planes.permute(0, 2, 3, 1).numpy(), masks.numpy())


def close(reference, made, mean, nearly_all):
    difference = np.abs(reference.astype(float) - made)
    assert difference.mean() < mean
    assert np.percentile(difference, 99) <= nearly_all


def test_crops_are_those_of_opencv():
    rng = np.random.default_rng(0)
    matrices = [draw_matrix(STILL, SIDE, rng, AugmentConfig(), None) for _ in range(16)]
    (rgb, masks), (planes, tensor_masks) = both(matrices, [PLAIN] * 16)
    close(rgb, planes, 1.0, 4)
    assert (masks != tensor_masks).mean() < 0.01  # ties of nearest sampling
    assert {CLEAN, BLOOD, IGNORE} == set(np.unique(tensor_masks))


def test_a_crop_that_leaves_the_still_as_it_is_is_exact():
    matrix = np.array([[1.0, 0, 10], [0, 1.0, 20]])
    _, (planes, masks) = both([matrix], [PLAIN])
    rgb, label = still(0)
    assert np.array_equal(planes[0], rgb[20:84, 10:74])
    assert np.array_equal(masks[0], label[20:84, 10:74])


@pytest.mark.parametrize(
    "tint",
    [
        dataclasses.replace(UNCHANGED, gain=(1.3, 0.9, 0.8)),
        dataclasses.replace(UNCHANGED, gamma=1.4),
        dataclasses.replace(UNCHANGED, exposure=1.4),
        dataclasses.replace(UNCHANGED, hue_steps=-4),
        dataclasses.replace(UNCHANGED, hue_steps=4),
        dataclasses.replace(UNCHANGED, saturation=1.4),
        dataclasses.replace(UNCHANGED, saturation=0.7),
    ],
)
def test_every_change_of_color_is_that_of_opencv(tint):
    how = dataclasses.replace(PLAIN, tint=tint)
    (rgb, _), (planes, _) = both([IDENTITY] * 3, [how] * 3)
    (before, _), _ = both([IDENTITY] * 3, [PLAIN] * 3)
    close(rgb, planes, 2.0, 7)
    assert np.abs(before.astype(float) - rgb).mean() > 3 * np.abs(rgb - planes).mean()


@pytest.mark.parametrize(
    "how",
    [
        dataclasses.replace(PLAIN, shade=Shade((0.3, 0.7), 1.3, 0.2, 0.8, 0.3)),
        dataclasses.replace(PLAIN, degradation=Degradation(0.5, None, None, None, 1)),
        dataclasses.replace(PLAIN, degradation=Degradation(None, 1.5, None, None, 1)),
        dataclasses.replace(PLAIN, degradation=Degradation(0.73, 0.8, None, None, 1)),
    ],
)
def test_shade_and_lost_detail_are_those_of_opencv(how):
    (rgb, _), (planes, _) = both([IDENTITY] * 2, [how, PLAIN])
    close(rgb, planes, 1.5, 6)


def test_a_surround_is_that_of_opencv():
    how = dataclasses.replace(PLAIN, surround=Surround((0.55, 0.47), 0.42, 5))
    (rgb, masks), (planes, tensor_masks) = both([IDENTITY] * 2, [PLAIN, how])
    assert np.array_equal(masks, tensor_masks)
    close(rgb, planes, 1.5, 4)
    assert (planes[1][0, 0] <= 6).all()
    assert planes[0][0, 0].max() > 6


def test_noise_has_the_asked_strength_and_leaves_other_stills_alone():
    how = dataclasses.replace(PLAIN, degradation=Degradation(None, None, (6.0, 3.0), None, 7))
    _, (noisy, _) = both([IDENTITY] * 2, [how, PLAIN])
    _, (plain, _) = both([IDENTITY] * 2, [PLAIN] * 2)
    noise = (noisy - plain)[0]
    assert noise.std() == pytest.approx(np.hypot(6, 3), rel=0.05)
    gray = noise.mean(axis=-1)
    assert gray.std() == pytest.approx(np.sqrt(6**2 + 3**2 / 3), rel=0.05)
    assert np.array_equal(noisy[1], plain[1])


def test_compression_leaves_what_a_recorder_leaves():
    how = dataclasses.replace(PLAIN, degradation=Degradation(None, None, None, 40, 1))
    (rgb, _), (planes, _) = both([IDENTITY] * 2, [how, PLAIN])
    _, (plain, _) = both([IDENTITY] * 2, [PLAIN] * 2)
    close(rgb, planes, 2.5, 9)
    assert np.abs(planes[0] - plain[0]).mean() > 0.5
    assert np.array_equal(planes[1], plain[1])


def test_everything_together_is_that_of_opencv_but_for_noise_and_compression():
    rng = np.random.default_rng(5)
    config = AugmentConfig(surround_share=0.3, shade_share=0.5, degrade_share=0.7)
    matrices = [draw_matrix(STILL, SIDE, rng, config, None) for _ in range(24)]
    recolorings = [draw_recoloring(rng, config) for _ in range(24)]
    quiet = [
        dataclasses.replace(
            how,
            degradation=None
            if how.degradation is None
            else dataclasses.replace(how.degradation, noise=None, jpeg_quality=None),
        )
        for how in recolorings
    ]
    (rgb, masks), (planes, tensor_masks) = both(matrices, quiet)
    close(rgb, planes, 2.5, 12)
    assert (masks != tensor_masks).mean() < 0.01


def test_the_same_draw_gives_the_same_batch():
    rng = np.random.default_rng(5)
    config = AugmentConfig(degrade_share=1.0)
    recolorings = [draw_recoloring(rng, config) for _ in range(4)]
    first, again = both([IDENTITY] * 4, recolorings)[1], both([IDENTITY] * 4, recolorings)[1]
    assert np.array_equal(first[0], again[0])
