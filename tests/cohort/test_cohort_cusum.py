from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.cohort.cusum import (
    cusum_of,
    drawn_in,
    learning_curve,
    mean_neighbor_correlation,
    neighbor_correlation,
    peak_p_value,
    with_holm_curves,
)
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.core.config import AuditConfig
from ubereport.metrics.registry import metric_spec

PLAIN = MetricScale(ScaleKind.IDENTITY)
SPEC = metric_spec("impaired_share_20")
# Taylor, Change-Point Analysis: a powerful new tool for detecting changes (2000): US trade
# deficit in 24 months of 1987 and 1988; published: the CUSUM turns at point 11.
TAYLOR = np.array([10.7, 13.0, 11.4, 11.5, 12.5, 14.1, 14.8, 14.1, 12.6, 16.0, 11.7, 10.6,
                   10.0, 11.4, 7.9, 9.5, 8.0, 11.8, 10.5, 11.2, 9.2, 10.1, 10.4, 10.5])  # fmt: skip


def curve_of(values, ids=None, n_curves=1):
    """One curve, read among `n_curves` of which the others are noise."""
    ids = ["c"] * len(values) if ids is None else ids
    rng = np.random.default_rng(0)
    curves = [
        learning_curve(
            f"S{i}",
            ids,
            ["2026-01-01"] * len(values),
            x,
            np.zeros(len(x)),
            SPEC,
            PLAIN,
            AuditConfig(),
        )
        for i, x in enumerate([values, *rng.normal(size=(n_curves - 1, len(values)))], start=1)
    ]
    return with_holm_curves(curves, SPEC, 0.05)[0]


def test_cusum_equals_taylors_example():
    cusum = cusum_of(TAYLOR)
    assert cusum.turning_case == 11
    assert cusum.sums[0] == pytest.approx(10.7 - TAYLOR.mean())
    assert cusum.sums[9] == pytest.approx(sum(TAYLOR[:10]) - 10 * TAYLOR.mean())
    assert cusum.sums[-1] == 0.0


def test_taylors_change_is_more_than_chance():
    # Published: confidence above 99 % that a change occurred.
    assert peak_p_value(TAYLOR, 5000, seed=1) < 0.01


def test_p_value_equals_the_full_enumeration():
    values = np.array([3.0, 2.0, 2.5, 0.1, 0.4, 0.0])
    deviations = values - values.mean()
    observed = np.abs(np.cumsum(deviations)).max()
    peaks = [np.abs(np.cumsum(order)).max() for order in permutations(deviations)]
    exact = np.mean([peak >= observed - 1e-9 for peak in peaks])
    assert peak_p_value(values, 20_000, seed=3) == pytest.approx(exact, abs=0.012)


def test_noise_is_called_a_turn_as_rarely_as_the_level_says():
    rng = np.random.default_rng(5)
    found = [peak_p_value(rng.normal(size=25), 199, seed=i) < 0.05 for i in range(300)]
    assert 0.02 < np.mean(found) < 0.09  # three standard errors of 300 series around 5 %


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=30), st.floats(-50, 50))
def test_cusum_ends_at_zero_and_knows_no_level(values, level):
    x = np.array(values)
    cusum = cusum_of(x)
    assert cusum.sums[-1] == 0.0
    assert cusum.sums == pytest.approx(cusum_of(x + level).sums, abs=1e-8)
    assert 1 <= cusum.turning_case <= len(values)


def test_polynomial_is_the_least_squares_one():
    cusum = cusum_of(TAYLOR, degree=3)
    fitted = np.poly1d(np.polyfit(np.arange(24), cusum.sums, 3))(np.arange(24))
    assert cusum.fitted == pytest.approx(fitted, abs=1e-8)
    residual = ((cusum.sums - fitted) ** 2).sum()
    assert cusum.r_squared == pytest.approx(
        1 - residual / ((cusum.sums - cusum.sums.mean()) ** 2).sum()
    )


def test_a_learner_turns_where_learning_ended():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.30, 0.03, 10), rng.normal(0.10, 0.03, 20)])
    ids = [f"c{i:02d}" for i in range(30)]
    curve = curve_of(values, ids)
    assert curve.turning_case == 10
    assert curve.p_value < 0.01
    assert curve.mean_before == pytest.approx(values[:10].mean())
    assert curve.mean_after == pytest.approx(values[10:].mean())
    assert "around case 10" in curve.reading
    assert curve.degree == 3


def test_noise_claims_no_turning_point():
    rng = np.random.default_rng(4)
    values = rng.normal(size=20)
    curve = curve_of(values)
    assert curve.p_value > 0.05
    assert "no turning point is claimed" in curve.reading


def test_equal_cases_have_a_flat_curve():
    curve = curve_of(np.full(10, 0.2))
    assert set(curve.cusum) == {0.0}
    assert curve.p_value == 1.0
    assert "no turning point" in curve.reading


def test_many_curves_are_corrected_together():
    values = np.concatenate([np.linspace(0.40, 0.28, 9), np.linspace(0.20, 0.29, 12)])
    alone, among_ten = curve_of(values), curve_of(values, n_curves=10)
    assert alone.p_value == among_ten.p_value
    assert alone.p_holm == alone.p_value
    assert 10 * alone.p_value < 0.05
    assert among_ten.p_holm == pytest.approx(10 * alone.p_value)


def test_cases_that_resemble_their_neighbors_claim_few_turning_points():
    # Correlation 0.3 without any change: plain permutations are fooled three times too often.
    rng = np.random.default_rng(6)
    plain, corrected = [], []
    for seed in range(150):
        series = []
        for _ in range(4):
            noise = rng.normal(size=50)
            for i in range(1, 50):
                noise[i] += 0.3 * noise[i - 1]
            series.append(noise[20:])
        correlation = mean_neighbor_correlation(series)
        plain.append(peak_p_value(series[0], 199, seed) < 0.05)
        corrected.append(peak_p_value(series[0], 199, seed, correlation) < 0.05)
    assert np.mean(plain) > 0.12
    assert np.mean(corrected) < 0.10


def test_the_correlation_of_neighbors_is_found_without_bias():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(200):
        noise = rng.normal(size=50)
        for i in range(1, 50):
            noise[i] += 0.4 * noise[i - 1]
        found.append(neighbor_correlation(noise, 50))
    assert np.mean(found) == pytest.approx(0.4, abs=0.05)


def test_one_odd_case_makes_no_corner():
    rng = np.random.default_rng(1)
    values = rng.normal(0.2, 0.02, 24)
    values[11] = 3.0
    curve = curve_of(values)
    assert curve.n_drawn_in == 1
    assert not curve.is_turning
    # A change of level is no odd case.
    assert drawn_in(np.repeat([0.1, 0.4], 12) + rng.normal(0, 0.01, 24))[1] == 0


def test_the_case_mix_is_taken_out_before_the_sums():
    mix = np.repeat([0.0, 1.0], 12)
    values = mix + np.tile([0.0, 0.02, -0.02], 8)
    plain = curve_of(values)
    assert plain.is_turning
    (adjusted,) = with_holm_curves(
        [learning_curve("S1", ["c"] * 24, ["2026-01-01"] * 24, values, mix, SPEC, PLAIN,
                        AuditConfig())], SPEC, 0.05,
    )  # fmt: skip
    assert not adjusted.is_turning
    assert adjusted.mean_before == pytest.approx(values[: adjusted.turning_case].mean())
