from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ubereport.cohort.alarms import USUAL_RULES, ChartRules, false_alarm_of_page, rules_for_page
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
    "rules", [USUAL_RULES, ChartRules(3.0, 9, None, False), ChartRules(3.5, 11, 9, False)]
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
