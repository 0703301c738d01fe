from __future__ import annotations

import numpy as np
import pytest

from ubereport.core.errors import UsageError
from ubereport.laboratory.simulation.simulated_stills import simulate_stills


@pytest.fixture(scope="module")
def stills() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return list(simulate_stills(11, 60, 64, 96))


def test_stills_have_the_size_asked_for_and_masks_inside_the_field(stills):
    assert len(stills) == 60
    for rgb, blood, field in stills:
        assert rgb.shape == (64, 96, 3)
        assert rgb.dtype == np.uint8
        assert blood.shape == field.shape == (64, 96)
        assert not (blood & ~field).any()


def test_stills_are_a_mix_of_blood_and_hard_negatives(stills):
    shares = np.array([blood.sum() / field.sum() for _, blood, field in stills])
    assert 0.25 < (shares == 0).mean() < 0.65
    assert (shares > 0.2).mean() > 0.1
    clean = [rgb[field] for (rgb, _, field), share in zip(stills, shares, strict=True) if not share]
    redness = [np.mean(pixels[:, 0] > 1.4 * pixels[:, 1].astype(float)) for pixels in clean]
    assert np.mean(np.array(redness) > 0.4) > 0.3  # much red that is no blood


def test_blood_is_darker_and_redder_than_its_surroundings(stills):
    blood = np.concatenate([rgb[mask] for rgb, mask, _ in stills]).astype(float)
    tissue = np.concatenate([rgb[field & ~mask] for rgb, mask, field in stills]).astype(float)
    assert np.median(blood[:, 1] / (blood[:, 0] + 1)) < 0.5 * np.median(
        tissue[:, 1] / (tissue[:, 0] + 1)
    )
    assert np.median(blood.sum(1)) < 0.7 * np.median(tissue.sum(1))


def test_the_same_seed_gives_the_same_stills(stills):
    again = list(simulate_stills(11, 5, 64, 96))
    for (rgb, blood, _), (rgb_again, blood_again, _) in zip(stills[:5], again, strict=True):
        assert np.array_equal(rgb, rgb_again)
        assert np.array_equal(blood, blood_again)
    assert not np.array_equal(stills[0][0], next(simulate_stills(12, 1, 64, 96))[0])


def test_no_stills_are_none():
    assert list(simulate_stills(1, 0, 96, 128)) == []


@pytest.mark.parametrize(("seed", "n", "height_px"), [(-1, 1, 96), (1, -1, 96), (1, 1, 95)])
def test_stills_that_cannot_be_are_refused_at_once(seed: int, n: int, height_px: int):
    with pytest.raises(UsageError, match="allowed"):
        simulate_stills(seed, n, height_px, 128)
