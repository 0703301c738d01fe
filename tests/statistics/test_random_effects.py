"""How far units lie apart, without the chance of few samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ubereport.statistics.random_effects import UnitSpread, unit_spread

N_SAMPLES = [1, 2, 1, 3, 5, 1, 6, 12, 14, 1, 17, 2, 8, 4, 60, 13, 1]


def drawn(between, within, seed, n_samples=N_SAMPLES, center=0.9):
    rng = np.random.default_rng(seed)
    n = np.array(n_samples)
    angle = center + rng.normal(0, between, len(n)) + rng.normal(0, within, len(n)) / np.sqrt(n)
    return np.sin(np.clip(angle, 0, np.pi / 2)) ** 2


def test_it_is_the_top_of_the_penalized_restricted_likelihood():
    shares = drawn(0.15, 0.3, 1)
    x, n = np.arcsin(np.sqrt(shares)), np.array(N_SAMPLES)

    # Independent: the likelihood of all contrasts of the units, from a dense covariance.
    contrasts = np.linalg.svd(np.ones((1, len(x))))[2][1:]

    def value(between, within):
        covariance = contrasts @ np.diag(between**2 + within**2 / n) @ contrasts.T
        normal = stats.multivariate_normal(np.zeros(len(x) - 1), covariance)
        return normal.logpdf(contrasts @ x) + np.log(between)

    found = unit_spread(shares, N_SAMPLES)
    top = value(found.between_sd, found.within_sd)
    for between in np.linspace(0.02, 0.5, 25):
        for within in np.linspace(0.05, 0.8, 25):
            assert value(between, within) <= top + 1e-6


def test_the_chance_of_few_samples_is_taken_out():
    found = [unit_spread(drawn(0.12, 0.37, seed), N_SAMPLES) for seed in range(40)]
    raw = [np.std(np.arcsin(np.sqrt(drawn(0.12, 0.37, seed))), ddof=1) for seed in range(40)]
    # The penalty leaves it somewhat above the truth; units as seen lie twice as far apart.
    assert 0.11 < np.mean([spread.between_sd for spread in found]) < 0.18
    assert np.mean(raw) > 0.22


def test_intervals_for_a_new_pair_hold_it_as_often_as_they_say():
    rng = np.random.default_rng(5)
    reach = stats.t.ppf(0.975, len(N_SAMPLES) - 1) * np.sqrt(2)
    held = []
    for seed in range(150):
        spread = unit_spread(drawn(0.12, 0.37, seed), N_SAMPLES)
        gaps = rng.normal(0, 0.12, 200) - rng.normal(0, 0.12, 200)
        held.append(np.mean(np.abs(gaps) <= reach * spread.between_sd))
    assert 0.92 <= np.mean(held) <= 0.98


def test_units_are_drawn_around_the_usual_one_and_stay_shares():
    spread = UnitSpread(0.9, 0.2, 0.1, 10)
    assert spread.draw(np.zeros(3)) == pytest.approx(spread.usual)
    far = spread.draw(np.array([-50.0, 50.0]))
    assert far == pytest.approx([0.0, 1.0])


def test_equal_units_have_no_spread():
    assert unit_spread([0.5, 0.5, 0.5], [1, 2, 3]).between_sd == 0.0


@pytest.mark.parametrize(("shares", "n"), [([0.1, 0.2], [1, 1]), ([0.1, 0.2, 0.3], [1, 0, 2])])
def test_too_few_units_or_samples_are_refused(shares, n):
    with pytest.raises(ValueError, match="need three, each with one"):
        unit_spread(shares, n)
