from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.cohort.scales import MetricScale, ScaleKind, scale_of
from ubereport.metrics.registry import METRICS, metric_spec

LOGIT = MetricScale(ScaleKind.LOGIT, 0.005)


def test_logit_of_zero_and_one_is_finite_as_documented():
    # 0 becomes 0.5 %/1.01, 1 the same from above: the values in the module's text.
    assert LOGIT.forward(0.0) == pytest.approx(math.log(0.005 / 1.005))
    assert LOGIT.forward(1.0) == pytest.approx(-math.log(0.005 / 1.005))
    assert LOGIT.forward(0.5) == pytest.approx(0.0)


@given(st.floats(0, 1))
def test_logit_comes_back(x):
    assert float(LOGIT.back(LOGIT.forward(x))) == pytest.approx(x, abs=1e-12)


@given(st.floats(0, 1e4), st.sampled_from([0.1, 0.5, 1.0]))
def test_log_comes_back(x, offset):
    scale = MetricScale(ScaleKind.LOG, offset)
    assert float(scale.back(scale.forward(x))) == pytest.approx(x, abs=1e-8)


def test_missing_stays_missing():
    assert np.isnan(LOGIT.forward([np.nan, 0.2])).tolist() == [True, False]


def test_limits_never_leave_the_bounds():
    assert LOGIT.back([-50, 50]).tolist() == [0.0, 1.0]
    assert MetricScale(ScaleKind.LOG, 1.0).back(-9.0) == 0.0


@pytest.mark.parametrize(
    ("key", "kind", "offset"),
    [
        ("impaired_share_20", ScaleKind.LOGIT, 0.005),
        ("area_mean_frac", ScaleKind.LOGIT, 0.005),
        ("time_to_clear_median_s", ScaleKind.LOG, 1.0),
        ("event_count", ScaleKind.LOG, 0.5),
        ("event_rate_per_10min", ScaleKind.LOG, 0.1),
    ],
)
def test_scale_follows_from_bounds_and_unit(key, kind, offset):
    assert scale_of(metric_spec(key)) == MetricScale(kind, offset)


def test_every_metric_has_a_scale_that_takes_its_lower_bound():
    for metric in METRICS:
        lower = metric.spec.lower_bound
        assert lower is not None
        assert np.isfinite(scale_of(metric.spec).forward(lower))


def test_unbounded_metrics_stay_as_they_are():
    spec = metric_spec("event_count")

    assert scale_of(replace(spec, lower_bound=None)).kind is ScaleKind.IDENTITY
