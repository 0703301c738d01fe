from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ubereport.cohort.alarms import (
    USUAL_RULES,
    ChartRules,
    false_alarm_of_page,
    rules_for_page,
    running_average,
)
from ubereport.cohort.charts import ChartCases, xmr_chart
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.core.config import AuditConfig
from ubereport.metrics.registry import metric_spec

SPEC, PLAIN = metric_spec("impaired_share_20"), MetricScale(ScaleKind.IDENTITY)


def signals_of_steady(n, rules, n_charts, seed):
    """Charts of normal cases drawn by the chart itself, not by the simulation under test."""
    rng = np.random.default_rng(seed)
    cases = ChartCases(tuple(map(str, range(n))), ("2026-01-01",) * n)
    charts = (
        xmr_chart(cases, rng.normal(size=n), SPEC, PLAIN, "x", AuditConfig(), rules)
        for _ in range(n_charts)
    )
    return sum(any(point.signals for point in chart.points) for chart in charts)


@pytest.mark.parametrize(
    "rules",
    [
        USUAL_RULES,
        ChartRules(3.0, 9, None, False),
        ChartRules(3.5, 11, 9, False),
        ChartRules(9.0, 25, None, False, 2.9),
    ],
)
def test_the_stated_false_alarm_is_that_of_the_charts(rules):
    n_signals = signals_of_steady(30, rules, 300, seed=8)
    assert stats.binomtest(n_signals, 300, false_alarm_of_page([30], rules)).pvalue > 0.003


def test_the_usual_rules_alarm_in_every_second_long_chart():
    # Why a page may not use them: five such charts are hardly ever quiet.
    assert false_alarm_of_page([80], USUAL_RULES) > 0.4
    assert false_alarm_of_page([2], USUAL_RULES) == 0.0


@pytest.mark.parametrize("lengths", [[80], [60, 60, 20, 20, 80], [400] * 9])
def test_a_page_holds_its_share_with_the_mildest_rules_that_do(lengths):
    rules, probability = rules_for_page(lengths, 7, 0.065)
    assert probability <= 0.065
    milder = replace(rules, limit_sigmas=rules.limit_sigmas - 0.05)
    assert false_alarm_of_page(lengths, milder) > 0.065


def test_more_charts_make_wider_limits_and_longer_runs():
    one, many = rules_for_page([60], 7, 0.065)[0], rules_for_page([60] * 8, 7, 0.065)[0]
    assert many.limit_sigmas > one.limit_sigmas
    assert many.run_points > one.run_points


def test_a_department_may_ask_for_longer_runs():
    rules, _ = rules_for_page([12], 12, 0.5)
    assert rules.run_points >= 12


def test_the_running_average_is_that_of_roberts():
    """Against pandas' exponentially weighted mean, and its variance in a simulation."""
    x = np.random.default_rng(3).normal(size=40).clip(-3, 3)
    reference = pd.Series(np.r_[0.0, x]).ewm(alpha=0.2, adjust=False).mean().to_numpy()[1:]
    sd = np.sqrt(0.2 / 1.8 * (1 - 0.8 ** (2 * np.arange(1, 41))))
    np.testing.assert_allclose(running_average(x), reference / sd, rtol=1e-12)
    many = running_average(np.random.default_rng(4).uniform(-1, 1, (20_000, 12)) * np.sqrt(3))
    np.testing.assert_allclose(many.std(axis=0), 1, rtol=0.03)


def test_one_odd_case_is_no_shift():
    alone = np.r_[np.zeros(20), 50.0, np.zeros(20)]
    assert running_average(alone).max() < 2.0


def test_a_bad_month_is_found_that_no_single_case_tells():
    """Seven cases in a row 2.6 sigma worse: with limits and runs alone a page said nothing."""
    rng = np.random.default_rng(9)
    rules, _ = rules_for_page([60, 60, 20, 20, 80], 7, 0.065)
    cases = ChartCases(tuple(map(str, range(60))), ("2026-01-01",) * 60)
    found = {True: 0, False: 0}
    for _ in range(60):
        values = rng.normal(size=60)
        values[35:42] += 2.6
        for is_averaged in found:
            used = rules if is_averaged else replace(rules, average_sigmas=None)
            points = xmr_chart(cases, values, SPEC, PLAIN, "x", AuditConfig(), used).points
            found[is_averaged] += any(p.signals for p in points[35:46])
    assert found[True] >= 36
    assert found[False] <= 6
