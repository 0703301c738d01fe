from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ubereport.cohort.alarms import ChartRules, rules_for_page
from ubereport.cohort.audit_results import Signal
from ubereport.cohort.chart_signals import signals_of
from ubereport.cohort.charts import (
    ChartCases,
    dispersion_of,
    u_chart,
    xmr_chart,
    xmr_limits,
)
from ubereport.cohort.scales import MetricScale, ScaleKind, scale_of
from ubereport.core.config import AuditConfig
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.distributions import poisson_distances

CONFIG = AuditConfig()
PLAIN = MetricScale(ScaleKind.IDENTITY)
SPEC = metric_spec("impaired_share_20")
RATE = metric_spec("event_rate_per_10min")
# NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.2, individuals chart.
NIST = np.array([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1])
# Montgomery, Introduction to Statistical Quality Control, example of dyed cloth: defects in
# rolls of so many units of 50 m².
DEFECTS = np.array([14, 12, 20, 11, 7, 10, 21, 16, 19, 23.0])
UNITS = np.array([10, 8, 13, 10, 9.5, 10, 12, 10.5, 12, 12.5])


def cases_of(n):
    return ChartCases(tuple(f"c{i:02d}" for i in range(n)), tuple(f"2026-01-{i % 28 + 1:02d}"
                      for i in range(n)))  # fmt: skip


def distances_of(sides):
    return np.array(sides, dtype=np.float64)


def test_individuals_chart_equals_the_nist_example():
    limits = xmr_limits(NIST)
    assert limits.center == pytest.approx(50.81)
    assert limits.mean_moving_range == pytest.approx(1.8778, abs=5e-5)
    chart = xmr_chart(cases_of(10), NIST, SPEC, PLAIN, "x", CONFIG)
    # The handbook divides by d2 = 1.128; Wheeler's 2.66 is 3 / 1.128 rounded.
    assert chart.upper == pytest.approx(55.8041, abs=2e-3)
    assert chart.lower == pytest.approx(45.8159, abs=2e-3)
    assert chart.center == pytest.approx(50.81)
    assert all(point.signals == () for point in chart.points)


def test_u_chart_equals_montgomerys_dyed_cloth():
    chart = u_chart(cases_of(10), DEFECTS, UNITS, RATE, "x", CONFIG)
    assert chart.center == pytest.approx(1.42, abs=5e-3)  # 153 defects in 107.5 units
    lower = [0.29, 0.16, 0.43, 0.29, 0.26, 0.29, 0.39, 0.32, 0.39, 0.41]
    upper = [2.55, 2.68, 2.41, 2.55, 2.58, 2.55, 2.45, 2.52, 2.45, 2.43]
    # The book rounds u to 1.42 before it draws the limits.
    assert [p.lower for p in chart.points] == pytest.approx(lower, abs=0.011)
    assert [p.upper for p in chart.points] == pytest.approx(upper, abs=0.011)
    assert all(point.signals == () for point in chart.points)
    assert not chart.dispersion.is_applied


def test_limits_on_the_logit_come_back_into_shares():
    rng = np.random.default_rng(2)
    shares = 1 / (1 + np.exp(-rng.normal(-2.5, 0.6, 30)))
    scale = scale_of(SPEC)
    chart = xmr_chart(cases_of(30), shares, SPEC, scale, "ULBD", CONFIG)
    scaled = scale.forward(shares)
    spread = 2.66 * np.abs(np.diff(scaled)).mean()
    assert chart.lower == pytest.approx(float(scale.back(scaled.mean() - spread)))
    assert chart.upper == pytest.approx(float(scale.back(scaled.mean() + spread)))
    assert 0 < chart.lower < chart.near_lower < chart.center < chart.near_upper < chart.upper < 1
    assert chart.upper - chart.center > chart.center - chart.lower  # skewed like the shares


def test_cases_without_any_and_with_all_time_impaired_have_finite_limits():
    shares = np.array([0.0, 0.1, 0.0, 1.0, 0.2] * 4)
    chart = xmr_chart(cases_of(20), shares, SPEC, scale_of(SPEC), "ULBD", CONFIG)
    assert 0 <= chart.lower < chart.upper <= 1


def test_special_causes_are_taken_out_of_the_limits_and_told():
    rng = np.random.default_rng(7)
    steady = rng.normal(0, 1, 60)
    values = steady.copy()
    values[20], values[41] = 12.0, 9.0
    values[30:38] += 6
    chart = xmr_chart(cases_of(60), values, SPEC, PLAIN, "x", CONFIG)
    assert {20, 41, *range(30, 38)} <= {int(i[1:]) for i in chart.excluded}
    kept = np.array([i for i in range(60) if f"c{i:02d}" not in chart.excluded])
    assert chart.center == pytest.approx(values[kept].mean())
    reach = 2.66 * np.abs(np.diff(values[kept])).mean()
    assert chart.upper == pytest.approx(chart.center + reach)
    assert chart.upper < xmr_limits(values).center + 3 * xmr_limits(values).sigma - 1
    assert f"limits from {len(kept)}, {len(chart.excluded)} that stood out taken out" in (
        chart.reading
    )


def test_a_baseline_that_is_no_steady_state_keeps_its_limits():
    values = np.concatenate([np.zeros(20), np.ones(20)]) + np.tile([0.0, 0.1], 20)
    chart = xmr_chart(cases_of(40), values, SPEC, PLAIN, "x", CONFIG)
    assert chart.excluded == ()
    assert chart.n_baseline == 40


def test_neighbors_that_resemble_each_other_widen_the_limits():
    rng = np.random.default_rng(3)
    values = rng.normal(size=400)
    for i in range(1, 400):
        values[i] += 0.6 * values[i - 1]
    chart = xmr_chart(cases_of(400), values, SPEC, PLAIN, "x", AuditConfig(run_points=20))
    assert chart.autocorrelation == pytest.approx(0.6, abs=0.12)
    assert "resemble each other" in chart.reading
    # Moving ranges alone give 0.63 of the true spread, which is 1.25.
    assert (chart.upper - chart.center) / 3 == pytest.approx(1.25, rel=0.15)
    alone = xmr_chart(cases_of(60), rng.normal(size=60), SPEC, PLAIN, "x", CONFIG)
    assert alone.autocorrelation is None


def test_baseline_fixes_the_limits():
    values = np.concatenate([NIST, NIST + 100])
    chart = xmr_chart(
        cases_of(20), values, SPEC, PLAIN, "x", AuditConfig(baseline_cases=10, trial_points=12)
    )
    assert chart.center == pytest.approx(50.81)
    assert chart.n_baseline == 10
    assert chart.is_trial
    assert all(Signal.OUTSIDE in point.signals for point in chart.points[10:])


def test_screening_leaves_out_ranges_beyond_their_limit():
    values = np.array([10, 11, 10, 11, 10, 30, 10, 11, 10, 11, 10, 11.0])
    plain, screened = xmr_limits(values), xmr_limits(values, is_screened=True)
    assert screened.n_screened == 2  # 20 ≥ 3.267 × 49/11
    assert plain.mean_moving_range == pytest.approx(49 / 11)
    assert screened.mean_moving_range == pytest.approx(9 / 9)
    # A chart takes the case itself out of its limits.
    chart = xmr_chart(cases_of(12), values, SPEC, PLAIN, "x", CONFIG)
    assert chart.points[5].signals == (Signal.OUTSIDE,)
    assert chart.excluded == ("c05",)
    assert chart.upper - chart.center == pytest.approx(2.66 * 9 / 10)


@pytest.mark.parametrize(("n", "is_trial"), [(11, True), (12, False)])
def test_fewer_than_twelve_points_make_trial_limits(n, is_trial):
    chart = xmr_chart(cases_of(n), np.arange(n) % 3 * 0.1, SPEC, PLAIN, "x", CONFIG)
    assert chart.is_trial == is_trial
    assert ("trial limits" in chart.reading) == is_trial


@pytest.mark.parametrize("n", [0, 1, 2])
def test_no_limits_under_three_points(n):
    chart = xmr_chart(cases_of(n), np.full(n, 0.1), SPEC, PLAIN, "x", CONFIG)
    assert chart.center is None
    assert chart.lower is None
    assert "too few" in chart.reading
    assert xmr_limits(np.full(n, 0.1)) is None


def test_a_constant_series_has_no_signals_until_it_moves():
    values = np.full(15, 0.2)
    chart = xmr_chart(cases_of(15), values, SPEC, PLAIN, "x", CONFIG)
    assert all(point.signals == () for point in chart.points)
    moved = xmr_chart(
        cases_of(15), np.append(values[:14], 0.9), SPEC, PLAIN, "x", AuditConfig(baseline_cases=12)
    )
    assert moved.points[14].signals == (Signal.OUTSIDE,)


# The four rules; the runs are those of NHSRplotthedots' own tests.
@pytest.mark.parametrize(
    ("sides", "marked"),
    [
        ([1] * 6, []),
        ([1] * 6 + [-1], []),
        ([1] * 8 + [-1], range(8)),
        ([-1] + [1] * 7, range(1, 8)),
        ([1] * 6 + [0] + [1] * 6, []),
    ],
)
def test_seven_on_one_side(sides, marked):
    found = signals_of(np.arange(len(sides)) % 2 * 1.0, distances_of(sides))
    assert [i for i, s in enumerate(found) if Signal.ONE_SIDE in s] == list(marked)


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        ([1, 2, 3, 4, 5, 6], []),
        ([1, 2, 3, 3, 4, 5, 6], []),
        ([1, 2, 3, 4, 5, 6, 7], range(7)),
        ([2, 1, 2, 3, 4, 5, 6, 7, 3], range(1, 8)),
        ([7, 6, 5, 4, 3, 2, 1], range(7)),
    ],
)
def test_trend_of_seven(values, marked):
    found = signals_of(np.array(values, dtype=float), np.zeros(len(values)))
    assert [i for i, s in enumerate(found) if Signal.TREND in s] == list(marked)


@pytest.mark.parametrize(
    ("distances", "marked"),
    [
        ([2.5, 1, 2.5], [0, 2]),
        ([1, 2.5, 2.5], [1, 2]),
        ([2.5, -1, 2.5], []),  # all three must lie on one side
        ([2.5, 1, 1, 2.5], []),
        ([2.5, 1, 1, 2.5, 2.5], [3, 4]),
        ([-2.5, -2.1, -0.5], [0, 1]),
        ([2.0, 1, 2.0], []),  # at two thirds is not beyond it
        ([3.5, 1, 2.5], []),  # outside is a signal of its own
    ],
)
def test_two_of_three_near_a_limit(distances, marked):
    found = signals_of(np.zeros(len(distances)), distances_of(distances))
    assert [i for i, s in enumerate(found) if Signal.NEAR_LIMIT in s] == marked


def test_outside_is_beyond_three():
    found = signals_of(np.zeros(4), distances_of([3.0, 3.01, -3.01, 0]))
    assert [Signal.OUTSIDE in s for s in found] == [False, True, True, False]


@given(st.lists(st.floats(-5, 5), max_size=30))
def test_mirrored_charts_have_the_same_signals(distances):
    one = signals_of(np.array(distances), distances_of(distances))
    other = signals_of(-np.array(distances), -distances_of(distances))
    assert one == other


def test_dispersion_of_poisson_counts_and_of_wilder_ones():
    rng = np.random.default_rng(6)
    exposure = rng.uniform(2, 8, 60)
    steady = dispersion_of(rng.poisson(2 * exposure).astype(float), exposure)
    assert 0.6 < steady.ratio < 1.5
    assert not steady.is_applied
    wild = rng.poisson(2 * exposure * rng.gamma(2, 0.5, 60)).astype(float)
    found = dispersion_of(wild, exposure)
    assert found.is_applied
    rate = wild.sum() / exposure.sum()
    z = (wild / exposure - rate) / np.sqrt(rate / exposure)
    assert found.sigma_z == pytest.approx(np.abs(np.diff(z)).mean() / 1.128)
    expected = stats.chisquare(wild, rate * exposure)
    assert found.ratio == pytest.approx(expected.statistic / 59)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_limits_of_skewed_rates_hold_the_variance_between_cases():
    rng = np.random.default_rng(6)
    exposure = rng.uniform(2, 8, 40)
    counts = rng.poisson(2 * exposure * rng.gamma(2, 0.5, 40)).astype(float)
    chart = u_chart(cases_of(40), counts, exposure, RATE, "x", CONFIG)
    assert chart.dispersion.is_applied
    assert "widened by" in chart.reading
    assert chart.scale == "root"
    kept = np.array([f"c{i:02d}" not in chart.excluded for i in range(40)])
    roots = 2 * np.sqrt((counts + 3 / 8) / exposure)
    assert chart.center == pytest.approx((roots[kept].mean() / 2) ** 2)
    spread = np.abs(np.diff(roots[kept])).mean() / 1.128
    usual = (1 / exposure[kept]).mean()
    assert chart.dispersion.sigma_z == pytest.approx(spread / math.sqrt(usual))
    for point, n in zip(chart.points, exposure, strict=True):
        reach = 3 * math.sqrt(spread**2 - usual + 1 / n)
        own = 3 / 8 / n  # what a root has more than its rate
        assert 2 * math.sqrt(point.upper + own) == pytest.approx(roots[kept].mean() + reach)
        low = max(roots[kept].mean() - reach, 0)
        assert 2 * math.sqrt(point.lower + own) == pytest.approx(max(low, 2 * math.sqrt(own)))


def test_steady_rates_that_are_skewed_raise_few_alarms():
    # Case-to-case rates are log-normal; limits that are even around the mean let one in seven such
    # charts alarm at 3.8 sigma.
    rng = np.random.default_rng(3)
    n_alarms = 0
    for _ in range(200):
        exposure = rng.uniform(2, 4, 57)
        rates = 8 * np.exp(rng.normal(0, 0.25, 57))
        counts = rng.poisson(rates * exposure).astype(float)
        rules = ChartRules(3.8, 14, None, is_near_used=False)
        chart = u_chart(cases_of(57), counts, exposure, RATE, "x", CONFIG, rules)
        n_alarms += any(point.signals for point in chart.points)
    assert n_alarms / 200 < 0.04


def test_no_events_at_all_have_no_limits():
    chart = u_chart(cases_of(8), np.zeros(8), np.ones(8), RATE, "x", CONFIG)
    assert chart.center is None
    assert "too few events" in chart.reading


def test_false_alarms_of_the_three_limits_are_rare():
    # Normal values: 0.27 % of points lie beyond three sigma; estimated limits let a few more out.
    rng = np.random.default_rng(12)
    n_outside = 0
    for _ in range(200):
        chart = xmr_chart(cases_of(40), rng.normal(size=40), SPEC, PLAIN, "x", CONFIG)
        n_outside += sum(Signal.OUTSIDE in point.signals for point in chart.points)
    assert 0.001 < n_outside / 8000 < 0.01


@pytest.mark.parametrize("zero_share", [0.4, 0.6, 0.75, 0.9])
def test_cases_without_any_are_no_signal(zero_share):
    # Most cases of a good department have no time at 20 % at all. With limits from all moving
    # ranges, 38 % of steady pages had a signal at 60 % of zeros, 97 % at 75 %.
    rules, told = rules_for_page([60], 7, 0.1)
    rng = np.random.default_rng(1)
    n_alarms = 0
    for _ in range(60):
        values = np.exp(rng.normal(np.log(0.03), 1, 60)).clip(0, 1)
        values[rng.random(60) < zero_share] = 0
        chart = xmr_chart(cases_of(60), values, SPEC, scale_of(SPEC), "x", CONFIG, rules)
        n_alarms += any(point.signals for point in chart.points)
    assert stats.binomtest(n_alarms, 60, told, alternative="greater").pvalue > 0.003


def test_a_month_without_clear_cases_shows_among_zeros():
    rng = np.random.default_rng(5)
    values = np.where(rng.random(60) < 0.7, 0.0, np.exp(rng.normal(np.log(0.03), 0.5, 60)))
    values[40:] = np.exp(rng.normal(np.log(0.15), 0.5, 20))
    config = AuditConfig(baseline_cases=40)
    rules = rules_for_page([60], 7, 0.1)[0]
    chart = xmr_chart(cases_of(60), values, SPEC, scale_of(SPEC), "x", config, rules)
    assert any(point.signals for point in chart.points[40:])
    assert "the limits rest on the moving ranges between cases that differ" in chart.reading


def test_equal_values_do_not_resemble_each_other():
    spec = metric_spec("coverage_frac")
    chart = xmr_chart(cases_of(30), np.full(30, 0.95), spec, scale_of(spec), "x", CONFIG)
    assert chart.autocorrelation is None
    assert not any(point.signals for point in chart.points)


@pytest.mark.parametrize("n_events", [0.2, 1, 4])
def test_few_events_a_case_raise_few_alarms(n_events):
    # By u ± k sqrt(u / exposure) 81, 34 and 15 % of such charts had a signal.
    rules, told = rules_for_page([60], 7, 0.1)
    rng = np.random.default_rng(1)
    n_alarms = 0
    for _ in range(80):
        exposure = rng.uniform(2, 8, 60)
        counts = rng.poisson(n_events / 5 * exposure).astype(float)
        if counts.sum():
            chart = u_chart(cases_of(60), counts, exposure, RATE, "x", CONFIG, rules)
            n_alarms += any(point.signals for point in chart.points)
    assert stats.binomtest(n_alarms, 80, told, alternative="greater").pvalue > 0.003


@pytest.mark.parametrize(("most", "scale"), [(7, "identity"), (15, "root")])
def test_few_events_lie_outside_exactly_where_the_lines_are_drawn(most, scale):
    exposure, counts = np.linspace(3, 7, 40), np.tile([1.0, 2.0], 20)
    counts[7] = most
    rules = ChartRules(2.5, 12, None, is_near_used=False)
    chart = u_chart(cases_of(40), counts, exposure, RATE, "x", CONFIG, rules)
    assert chart.scale == scale
    assert Signal.OUTSIDE in chart.points[7].signals
    for point in chart.points:
        is_beyond = not point.lower <= point.value <= point.upper
        assert (Signal.OUTSIDE in point.signals) == is_beyond


def test_poisson_distances_are_those_of_normal_values_as_unlikely():
    counts, expected = np.array([0.0, 1, 2, 9]), np.full(4, 1.0)
    distances = poisson_distances(counts, expected)
    assert distances[0] == pytest.approx(stats.norm.ppf(math.exp(-1)))
    assert distances[1] == 0  # 0.63 have as many or more, 0.74 as many or fewer
    assert distances[2] == pytest.approx(stats.norm.isf(1 - 2 * math.exp(-1)))
    assert distances[3] == pytest.approx(stats.norm.isf(stats.poisson.sf(8, 1.0)))
