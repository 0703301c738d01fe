from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest

from ubereport.core.config import SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle, verify_bundle
from ubereport.segmentation.hsv import HsvPredictor, red_levels
from ubereport.segmentation.metadata import HsvSpec
from ubereport.segmentation.predictor import open_predictor

FIELD = np.ones((256, 256), dtype=bool)


def _rgb(hue_deg: float, saturation: float, value: float) -> np.ndarray:
    color = colorsys.hsv_to_rgb(hue_deg / 360, saturation / 255, value / 255)
    return np.array([[[[round(255 * c) for c in color]]]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("hue_deg", "saturation", "value", "level"),
    [
        (0, 200, 200, 3),
        (18, 200, 200, 3),
        (24, 200, 200, 0),
        (342, 200, 200, 3),
        (334, 200, 200, 0),
        (120, 200, 200, 0),
        (0, 68, 200, 2),
        (0, 52, 200, 1),
        (0, 38, 200, 0),
        (0, 200, 45, 2),
        (0, 200, 35, 1),
        (0, 200, 25, 0),
    ],
)
def test_levels_follow_the_ranges(
    hue_deg: float, saturation: float, value: float, level: int
) -> None:
    """Colors are made with the standard library's colorsys, away from OpenCV's rounding."""
    assert red_levels(_rgb(hue_deg, saturation, value), HsvSpec()).item() == level


def test_levels_agree_with_the_formula_on_every_kind_of_color() -> None:
    """Hue, saturation and value by the textbook formula (Smith 1978), ties left out."""
    rgb = np.random.default_rng(0).integers(0, 256, (1, 200, 200, 3), dtype=np.uint8)
    levels = np.asarray(rgb, dtype=np.float64)
    value = levels.max(axis=-1)
    spread = value - levels.min(axis=-1)
    saturation = 255 * spread / np.maximum(value, 1)
    red, green, blue = levels[..., 0], levels[..., 1], levels[..., 2]
    hue = np.where(red == value, 30 * (green - blue) / np.maximum(spread, 1), 90.0)
    is_clear = (np.abs(np.abs(hue) - 10) > 1) & (np.abs(saturation - 60) > 1.5)
    expected = (np.abs(hue) <= 10) & (saturation >= 60) & (value >= 40)
    found = red_levels(rgb, HsvSpec()) >= 2
    np.testing.assert_array_equal(found[is_clear], expected[is_clear])
    assert 0.05 < expected.mean() < 0.5


def test_the_shipped_baseline_answers_like_a_model() -> None:
    bundle = load_bundle(find_bundle("hsv-red", models_dir()))
    predictor = open_predictor(bundle, SegmentationConfig())
    assert isinstance(predictor, HsvPredictor)
    rgb = np.zeros((2, 256, 256, 3), dtype=np.uint8)
    rgb[1, :64] = (200, 20, 20)
    rgb[1, 64:128] = _rgb(0, 52, 200)
    field = FIELD.copy()
    field[:32] = False
    areas = predictor.areas(rgb, field)[:, :3]
    np.testing.assert_allclose(areas[0], 0)
    np.testing.assert_allclose(areas[1], [96 / 224, 32 / 224, 32 / 224])
    np.testing.assert_array_equal(predictor.masks(rgb)[1, ::64, 0], [True, False, False, False])
    probability = predictor.probabilities(rgb)
    assert probability.dtype == np.float32
    np.testing.assert_array_equal(probability[1, ::64, 0], [0.75, 0.25, 0, 0])
    assert predictor.areas(rgb[:0], field).shape == (0, 4)
    assert (predictor.device, predictor.precision) == ("cpu", "uint8")


def test_masks_are_the_probabilities_at_the_central_threshold() -> None:
    metadata = load_bundle(find_bundle("hsv-red", models_dir())).metadata
    odd = dataclasses.replace(metadata, thresholds=(0.1, 0.3, 0.9))
    rgb = np.random.default_rng(1).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    predictor = HsvPredictor(odd)
    areas = predictor.areas(rgb, FIELD)[0, :3]
    for threshold, area in zip(odd.thresholds, areas, strict=True):
        assert (predictor.probabilities(rgb) >= threshold).mean() == pytest.approx(area)
    assert predictor.masks(rgb).mean() == pytest.approx(areas[1])


def test_pictures_of_another_size_are_a_misuse() -> None:
    predictor = HsvPredictor(load_bundle(find_bundle("hsv-red", models_dir())).metadata)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.areas(np.zeros((1, 64, 64, 3), dtype=np.uint8), FIELD)[:, :3]


def test_the_card_tells_what_it_paints() -> None:
    folder = find_bundle("hsv-red", models_dir())
    assert verify_bundle(folder) == ()
    assert "71 %" in (folder / "README.md").read_text(encoding="utf-8")
    assert "71 %" in load_bundle(folder).metadata.limits
