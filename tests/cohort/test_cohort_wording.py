from __future__ import annotations

import pytest

from ubereport.cohort.wording import (
    difference_text,
    interval_text,
    list_text,
    p_text,
    value_text,
)
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import Estimate

SHARE = metric_spec("impaired_share_20")
SECONDS = metric_spec("time_to_clear_median_s")
RATE = metric_spec("event_rate_per_10min")
COUNT = metric_spec("event_count")


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (0.0, SHARE, "0 %"),
        (0.0412, SHARE, "4.1 %"),
        (0.00042, SHARE, "0.042 %"),
        (1.0, SHARE, "100 %"),
        (62.34, SECONDS, "62.3 s"),
        (1.234, RATE, "1.2 per 10 min"),
        (12.0, COUNT, "12.0"),
        (None, SHARE, "not known"),
    ],
)
def test_values_in_the_units_people_read(value, spec, text):
    assert value_text(value, spec) == text


def test_differences_of_shares_are_percentage_points():
    assert difference_text(-0.019, SHARE) == "1.9 percentage points"
    assert difference_text(0.01, SHARE) == "1.0 percentage point"
    assert difference_text(-12.5, SECONDS) == "12.5 s"


def test_intervals_have_one_precision_and_a_true_minus():
    wide = Estimate(-0.02, -0.031, 0.0009, "m")
    assert interval_text(wide, SHARE) == "95 % interval −3.1 to 0.1 percentage points"
    tight = Estimate(0.001, 0.0002, 0.0018, "m", confidence=0.9)
    assert interval_text(tight, SHARE) == "90 % interval 0.02 to 0.18 percentage points"
    assert interval_text(Estimate(5.0, 1.0, 9.0, "m"), SECONDS) == "95 % interval 1.0 to 9.0 s"
    none = Estimate(5.0, None, None, "m", "too few cases")
    assert interval_text(none, SECONDS) == "no interval: too few cases"


def test_small_p_values_are_not_spelled_out():
    assert p_text(0.00099) == "p < 0.001"
    assert p_text(0.001) == "p = 0.001"
    assert p_text(1.0) == "p = 1.000"


def test_lists_and_shares():
    assert list_text(["a"]) == "a"
    assert list_text(["a", "b"]) == "a and b"
    assert [spec.is_share for spec in (SHARE, SECONDS, COUNT)] == [True, False, False]


def test_a_limit_that_rounds_to_zero_has_no_sign():
    estimate = Estimate(0.01, -0.0001, 0.02, "m")
    assert interval_text(estimate, SHARE) == "95 % interval 0.0 to 2.0 percentage points"
    assert interval_text(Estimate(0.0, -0.0, 0.0, "m"), SECONDS) == "95 % interval 0 to 0 s"
