from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ubereport.core.errors import BundleError
from ubereport.segmentation.distribution import (
    FEATURES,
    ColorReference,
    color_reference,
    distance,
    features,
)

FIELD = np.ones((16, 16), dtype=bool)


def _operation(seed: int, n: int = 4) -> np.ndarray:
    """Stills of one made-up operation: reddish, its own brightness and hue."""
    rng = np.random.default_rng(seed)
    base = np.array([170, 90, 80]) + rng.normal(0, 18, 3)
    return np.clip(base + rng.normal(0, 12, (n, 16, 16, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def population() -> tuple[np.ndarray, list[str]]:
    operations = [_operation(seed) for seed in range(24)]
    groups = [f"g{i}" for i, stills in enumerate(operations) for _ in stills]
    return np.concatenate(operations), groups


@pytest.fixture(scope="module")
def reference(population: tuple[np.ndarray, list[str]]) -> ColorReference:
    return color_reference(*population, FIELD)


def test_features_of_flat_stills_follow_from_their_color() -> None:
    rgb = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    rgb[0] = (102, 51, 51)
    rgb[1, :, :8] = 255
    found = dict(zip(FEATURES, features(rgb, FIELD)[0], strict=True))
    assert found["brightness_mean"] == pytest.approx(0.4)
    assert found["red_share_mean"] == pytest.approx(0.5, abs=1e-4)
    assert found["blue_share_mean"] == pytest.approx(0.25, abs=1e-4)
    assert found["saturation_mean"] == pytest.approx(0.2 / (0.4 + 1 / 255))
    assert found["gradient_log"] == found["dark_frac"] == found["bright_frac"] == 0
    assert found["brightness_std"] == pytest.approx(0, abs=1e-12)
    halves = dict(zip(FEATURES, features(rgb, FIELD)[1], strict=True))
    assert halves["dark_frac"] == halves["bright_frac"] == 0.5
    assert halves["brightness_std"] == pytest.approx(0.5)
    assert halves["gradient_log"] == pytest.approx(np.log1p(255 / 15))


def test_contrast_is_told_by_how_it_grows_with_size() -> None:
    def slopes(pattern: np.ndarray, contrast: float = 0.2, light: float = 100) -> np.ndarray:
        gray = light * np.exp(contrast * pattern)
        return features(np.repeat(gray[None, ..., None], 3, axis=3), np.ones((64, 64), bool))[
            0, -2:
        ]

    # The mean of four independent values varies half as much as one of them does.
    noise = np.random.default_rng(0).normal(size=(64, 64))
    np.testing.assert_allclose(slopes(noise), np.log(0.5), atol=0.08)
    # Squares of two blocks: what four blocks differ by is nothing, their means by as much as any.
    squares = np.kron(np.indices((32, 32)).sum(0) % 2 * 2 - 1, np.ones((2, 2)))
    fine, middle = slopes(squares)
    assert fine > 3
    assert middle < -3
    # Neither light nor how strong the contrast is changes it.
    np.testing.assert_allclose(slopes(noise, light=40), slopes(noise), atol=0.02)
    np.testing.assert_allclose(slopes(noise, contrast=0.1), slopes(noise), atol=0.02)
    # A view without any, and one that is too thin to hold four blocks, have no slope.
    assert not slopes(np.zeros((64, 64))).any()
    thin = np.zeros((64, 64), bool)
    thin[5] = True
    assert not features(np.full((1, 64, 64, 3), 90, np.uint8), thin)[0, -2:].any()


def test_a_reference_that_was_made_before_contrast_was_told_goes_on_without_it(
    reference: ColorReference,
) -> None:
    former = dataclasses.replace(
        reference,
        feature_names=FEATURES[:11],
        scale=reference.scale[:11],
        centroids=tuple(row[:11] for row in reference.centroids),
        whitening=(),
    )
    stills = _operation(7)
    gaps = (features(stills, FIELD).mean(axis=0)[:11] - np.array(former.centroids)) / former.scale
    nearest = np.sort(np.sqrt((gaps**2).mean(axis=1)))[:3]
    assert distance(former, stills, FIELD) == pytest.approx(nearest.mean())


def test_only_the_field_of_view_counts() -> None:
    inside = _operation(1, 1)
    framed = inside.copy()
    field = np.zeros((16, 16), dtype=bool)
    field[4:12, 4:12] = True
    framed[:, ~field] = 0
    np.testing.assert_array_equal(features(framed, field), features(inside, field))
    with pytest.raises(ValueError, match="no pixel"):
        features(inside, np.zeros((16, 16), dtype=bool))


def test_a_new_operation_of_the_same_kind_is_seldom_flagged(reference: ColorReference) -> None:
    flagged = [
        distance(reference, _operation(seed), FIELD) > reference.threshold
        for seed in range(100, 200)
    ]
    assert np.mean(flagged) < 0.15


@pytest.mark.parametrize("scale", [2, 3, 5])
def test_the_size_of_the_stills_does_not_matter(scale: int) -> None:
    stills = np.repeat(np.repeat(_operation(2, 2), 4, axis=1), 4, axis=2)
    field = np.zeros((64, 64), dtype=bool)
    field[8:60, 4:52] = True
    larger = np.repeat(np.repeat(stills, scale, axis=1), scale, axis=2)
    wider_field = np.repeat(np.repeat(field, scale, axis=0), scale, axis=1)
    np.testing.assert_allclose(features(larger, wider_field), features(stills, field), rtol=1e-9)


def test_a_field_thinner_than_a_block_still_counts() -> None:
    still = np.full((1, 256, 256, 3), 51, dtype=np.uint8)
    field = np.zeros((256, 256), dtype=bool)
    field[:, 100] = True
    assert features(still, field)[0, 0] == pytest.approx(0.2)


@pytest.mark.parametrize("change", ["blue", "gray", "dark", "inverted"])
def test_a_recording_of_another_kind_is_flagged(reference: ColorReference, change: str) -> None:
    stills = _operation(300)
    changed = {
        "blue": stills[..., ::-1],
        "gray": np.repeat(stills.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8),
        "dark": stills // 8,
        "inverted": 255 - stills,
    }[change]
    assert distance(reference, stills, FIELD) < reference.threshold
    assert distance(reference, changed, FIELD) > reference.threshold


def test_the_distance_is_that_to_the_three_nearest_groups() -> None:
    stills = _operation(5, 6)
    center = features(stills, FIELD).mean(axis=0)
    step = np.full(len(FEATURES), 0.5)
    rows = [center + k * step for k in (1, 2, 3, 50)]
    made = ColorReference(FEATURES, (0.5,) * len(FEATURES), tuple(map(tuple, rows)), 1.0)
    assert distance(made, stills, FIELD) == pytest.approx((1 + 2 + 3) / 3)


def test_the_threshold_is_the_quantile_of_groups_left_out(
    population: tuple[np.ndarray, list[str]],
) -> None:
    rgb, groups = population
    held_out = []
    for i in range(24):
        others = np.repeat([j != i for j in range(24)], 4)
        unseen = color_reference(rgb[others], np.array(groups)[others], FIELD)
        held_out.append(distance(unseen, rgb[~others], FIELD))
    found = color_reference(rgb, groups, FIELD, quantile=0.5).threshold
    assert found == pytest.approx(np.quantile(held_out, 0.5), rel=1e-3)


def test_whitening_undoes_the_shrunk_correlation(
    population: tuple[np.ndarray, list[str]], reference: ColorReference
) -> None:
    values = features(population[0], FIELD)
    means = np.stack([values[i * 4 : i * 4 + 4].mean(axis=0) for i in range(24)])
    varying = means.std(axis=0) > 1e-6
    correlation = np.corrcoef(means[:, varying].T)
    shrunk = 0.995 * correlation + 0.005 * np.eye(varying.sum())
    whitening = np.array(reference.whitening)[np.ix_(varying, varying)]
    np.testing.assert_allclose(whitening @ shrunk @ whitening, np.eye(varying.sum()), atol=1e-3)


def test_impossible_requests_are_refused(
    population: tuple[np.ndarray, list[str]], reference: ColorReference
) -> None:
    rgb, groups = population
    with pytest.raises(ValueError, match="give one a still"):
        color_reference(rgb, groups[:-1], FIELD)
    with pytest.raises(ValueError, match="five or more"):
        color_reference(rgb[:16], groups[:16], FIELD)
    with pytest.raises(ValueError, match="no sample"):
        distance(reference, rgb[:0], FIELD)


@pytest.mark.parametrize(
    "changes",
    [
        {"feature_names": ("red",)},
        {"feature_names": FEATURES[:11]},
        {"scale": (1.0,) * (len(FEATURES) - 1)},
        {"scale": (0.0,) * len(FEATURES)},
        {"centroids": ((0.0,) * len(FEATURES),)},
        {"centroids": ((0.0,), (1.0,))},
        {"threshold": float("nan")},
        {"threshold": -1.0},
        {"whitening": ((1.0,),)},
        {"whitening": ((float("inf"),) * len(FEATURES),) * len(FEATURES)},
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(
    reference: ColorReference, changes: dict[str, object]
) -> None:
    with pytest.raises(BundleError, match="color_reference"):
        dataclasses.replace(reference, **changes)  # type: ignore[arg-type]
