from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.metrics import Direction
from ubereport.core.series import LossReason, Threshold
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.registry import METRICS, compute_metrics, metric_spec

PROMISED = [
    "coverage_frac",
    "recorded_s",
    "evaluable_s",
    "impaired_share_5",
    "impaired_share_20",
    "impaired_share_50",
    "impaired_s_20",
    "area_mean_frac",
    "area_median_frac",
    "area_p90_frac",
    "area_time_frac_min",
    "longest_run_20_s",
    "closing_area_mean_frac",
    "closing_share_5",
    "event_count",
    "event_rate_per_10min",
    "time_to_clear_median_s",
    "cleared_60s_share",
    "cleared_180s_share",
    "rebleed_count",
]
EVENTS = EventConfig()
METRIC = MetricConfig()


def _event(onset_s, end_s, **changes):
    values = {
        "onset_s": onset_s,
        "is_onset_observed": True,
        "peak_s": onset_s,
        "peak_area_frac": 0.3,
        "end_s": end_s,
        "clear_s": end_s,
        "censor_reason": CensorReason.NONE,
        "mean_area_frac": 0.2,
        "area_time_frac_s": 0.2 * (end_s - onset_s),
        "is_rebleed": False,
        "severity": Severity.MODERATE,
    }
    return HemostasisEvent(**(values | changes))


def _values(series, events=(), events_config=EVENTS, metric_config=METRIC, **neighbors):
    by_threshold = {Threshold.CENTRAL: tuple(events)}
    by_threshold |= {Threshold(name): tuple(found) for name, found in neighbors.items()}
    computed = compute_metrics(series, by_threshold, events_config, metric_config)
    return {value.key: value for value in computed}


def _over_tissue(series, area):
    """The series with the same area over visible tissue in every valid row; None where not seen."""
    column = np.where(series.is_valid, area, np.nan)
    return dataclasses.replace(series, area_frac_of_tissue=column)


@pytest.fixture(scope="module")
def case(series_of):
    """Ten minutes: 100 s at 10 %, 50 s lost, 150 s at 60 %, 100 s at 30 %, a pause, 200 s clear."""
    return series_of(
        [
            (0.10, 100),
            (LossReason.BLURRED, 20),
            (LossReason.OUT_OF_BODY, 30),
            (0.60, 150),
            (0.30, 100),
            (LossReason.PAUSE, 40),
            (0.0, 200),
        ]
    )


def test_every_promised_metric_is_there_once():
    keys = [metric.spec.key for metric in METRICS]
    assert set(PROMISED) <= set(keys)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.spec.key)
def test_every_metric_says_what_it_means(metric):
    spec = metric.spec
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.key)
    assert not spec.title[0].islower()
    assert spec.definition.endswith(".")
    assert spec.definition.count(". ") == 0, "one sentence"
    assert spec.direction in set(Direction)
    assert spec.unit in {"1", "s", "min", "min/h", "/(10.min)"}
    assert not re.search(r"\bmL\b|grade [0-9]|VIBe|Boezaart|diagnos", spec.definition)
    assert (spec.upper_bound == 1.0) == ("share" in spec.key or spec.key.endswith("_frac"))
    assert metric_spec(spec.key) is spec


def test_a_metric_of_an_extension_that_is_not_installed_is_called_by_its_key():
    spec = metric_spec("my_own_number", "s")
    assert (spec.title, spec.unit) == ("My own number", "s")
    assert "not installed here" in spec.definition


def test_headlines_are_few():
    headlines = {metric.spec.key for metric in METRICS if metric.spec.is_headline}
    assert headlines >= {"coverage_frac", "impaired_share_20", "closing_area_mean_frac"}
    assert "impaired_share_5" not in headlines, "any bleeding at all is never a headline"
    assert len(headlines) <= 10


def test_time_is_accounted_for(case):
    values = _values(case)
    assert values["recorded_s"].value == 600
    assert values["evaluable_s"].value == 550
    assert values["coverage_frac"].value == pytest.approx(550 / 600)
    assert values["lost_blurred_s"].value == 20
    assert values["lost_out_of_body_s"].value == 30
    assert values["lost_black_s"].value == 0
    assert values["pause_s"].value == 40
    lost = [v.value for k, v in values.items() if k.startswith("lost_")]
    assert sum(lost) + values["evaluable_s"].value == values["recorded_s"].value
    assert len(lost) == sum(
        r.is_recorded and r not in (LossReason.NONE, LossReason.JUDGED) for r in LossReason
    )


def test_impairment_and_area_follow_their_formulas(case):
    values = _values(case)
    expected = {
        "impaired_share_5": 350 / 550,
        "impaired_share_20": 250 / 550,
        "impaired_share_50": 150 / 550,
        "impaired_s_5": 350,
        "impaired_s_20": 250,
        "impaired_s_50": 150,
        "area_mean_frac": (10 + 90 + 30) / 550,
        "area_median_frac": 0.10,
        "area_p90_frac": 0.60,
        "area_time_frac_min": 130 / 60,
        "area_time_frac_min_per_h": 130 / 550 * 60,
        "longest_run_20_s": 250,
        "closing_area_mean_frac": 0.0,
        "closing_share_5": 0.0,
    }
    assert {key: values[key].value for key in expected} == pytest.approx(expected)
    assert all(values[key].coverage_frac == pytest.approx(550 / 600) for key in PROMISED[:12])
    assert values["area_mean_frac"].n == 4


def test_thresholds_include_their_own_value(series_of):
    values = _values(series_of([(0.05, 10), (0.20, 10), (0.50, 10), (0.0499, 10)]))
    shares = [values[f"impaired_share_{p}"].value for p in (5, 20, 50)]
    assert shares == [0.75, 0.5, 0.25]


def test_samples_count_by_their_time(series_of):
    values = _values(series_of([(0.9, 1.0), (0.0, 0.5), (0.0, 2.5)]))
    assert values["area_mean_frac"].value == pytest.approx(0.225)
    assert values["area_median_frac"].value == 0.0


def test_the_closing_field_is_the_last_evaluable_minutes(series_of):
    # The last 180 evaluable seconds: 60 clear, 90 at 30 %, and 30 of the 100 at 60 %.
    pieces = [(0.10, 500), (0.60, 100), (0.30, 90), (LossReason.OUT_OF_BODY, 60), (0.0, 60)]
    values = _values(series_of(pieces))
    closing = values["closing_area_mean_frac"]
    assert closing.value == pytest.approx((30 * 0.6 + 90 * 0.3) / 180)
    assert closing.n == 3
    assert closing.coverage_frac == pytest.approx(180 / 240)
    assert values["closing_share_5"].value == pytest.approx(120 / 180)


def test_a_short_recording_is_its_own_closing_field(series_of):
    values = _values(series_of([(0.10, 30), (0.30, 30)]))
    assert values["closing_area_mean_frac"].value == pytest.approx(0.2)
    assert values["closing_area_mean_frac"].coverage_frac == 1.0
    assert values["area_mean_frac"].value == values["closing_area_mean_frac"].value


@pytest.mark.parametrize(
    ("between", "longest_s"),
    [
        ((LossReason.BLURRED, 10.0), 50),
        ((LossReason.BLURRED, 10.5), 30),
        ((LossReason.PAUSE, 1.0), 30),
        ((0.19, 1.0), 30),
    ],
)
def test_the_longest_run_bridges_what_an_event_would(series_of, between, longest_s):
    series = series_of([(0.0, 50), (0.2, 20), between, (0.9, 30), (0.0, 5), (0.2, 10)])
    assert _values(series)["longest_run_20_s"].value == longest_s


def test_the_longest_run_crosses_parts_without_a_pause(series_of):
    series = series_of([(0.0, 50), (0.3, 20), (0.3, 30), (0.0, 5)])
    series = dataclasses.replace(series, part_index=[0, 0, 1, 1])
    assert _values(series)["longest_run_20_s"].value == 30
    joined = dataclasses.replace(EVENTS, is_continuous=True)
    assert _values(series, events_config=joined)["longest_run_20_s"].value == 50


def test_a_case_without_blood_has_zeros_and_says_why_others_are_missing(series_of):
    values = _values(series_of([(0.0, 600)]))
    for key in ("impaired_share_5", "longest_run_20_s", "event_count", "event_rate_per_10min"):
        assert values[key].value == 0.0
    for key in ("time_to_clear_median_s", "cleared_60s_share", "event_peak_max_frac"):
        assert values[key].value is None
        assert values[key].reason == "no event"


@pytest.mark.parametrize(
    ("pieces", "reason", "coverage"),
    [
        ([(LossReason.BLACK, 60)], "no evaluable time", 0.0),
        ([(LossReason.PAUSE, 60)], "nothing was recorded", None),
        ([], "nothing was recorded", None),
    ],
)
def test_a_case_without_evaluable_time_has_no_values_but_reasons(
    series_of, pieces, reason, coverage
):
    series = series_of(pieces)
    values = _values(series, lenient=(), strict=())
    counted = {"recorded_s", "evaluable_s", "pause_s"} | {k for k in values if "lost_" in k}
    for key, value in values.items():
        assert value.coverage_frac == coverage
        if key in counted:
            assert value.value is not None
        elif key == "coverage_frac" and coverage is not None:
            assert value.value == 0.0
        else:
            assert (value.value, value.reason) == (None, reason), key
            assert value.band_low is None


def test_event_metrics_follow_their_formulas(series_of):
    series = series_of([(0.1, 1200)])
    lost = CensorReason.VIEW_LOST
    events = [
        _event(10, 30, peak_area_frac=0.1, severity=Severity.MINOR),
        _event(80, 120, peak_area_frac=0.3, is_rebleed=True),
        _event(200, 300, peak_area_frac=0.7, severity=Severity.MAJOR),
        _event(400, 450, clear_s=None, censor_reason=lost),
        _event(500, 510, is_onset_observed=False),
    ]
    values = _values(series, events)
    expected = {
        "event_count": 5,
        # Four began in view; 1200 s less 220 s inside events were at risk.
        "event_rate_per_10min": 4 * 600 / 980,
        "at_risk_s": 980,
        "event_time_share": 220 / 1200,
        "minor_event_count": 1,
        "moderate_event_count": 3,
        "major_event_count": 1,
        "censored_count": 1,
        "rebleed_count": 1,
        "event_peak_median_frac": 0.3,
        "event_peak_max_frac": 0.7,
        # Cleared after 20, 40 and 100 s, followed for 50 s: 3/4, 2/4, then 0 not yet cleared.
        "time_to_clear_p25_s": (20 + 40) / 2,
        "time_to_clear_median_s": (40 + 100) / 2,
        "time_to_clear_p75_s": 100,
        "cleared_60s_share": 0.5,
        "cleared_180s_share": 1.0,
    }
    assert {key: values[key].value for key in expected} == pytest.approx(expected)
    assert values["event_count"].n == 5
    assert values["time_to_clear_median_s"].n == 4


def test_longer_bleeding_does_not_lower_the_rate(series_of):
    # The same three bleeds begin after the same 200 s without one; in one case they last.
    rates = []
    for last_s in (10, 300):
        pieces = [(0.0, 200), (0.3, last_s)] * 3 + [(0.0, 60)]
        series = series_of([(area, 5) for area, s in pieces for _ in range(s // 5)])
        values = _values(series, detect_events(series, EVENTS))
        assert values["event_count"].value == 3
        rates.append(values["event_rate_per_10min"].value)
    assert rates == pytest.approx([3 * 600 / 660] * 2)


def test_a_case_that_bleeds_throughout_has_no_rate(series_of):
    values = _values(series_of([(0.3, 600)]), [_event(0, 600, is_onset_observed=False)])
    assert values["event_rate_per_10min"].value is None
    assert "no time at risk" in values["event_rate_per_10min"].reason
    assert values["at_risk_s"].value == 0


def test_clearing_that_was_hardly_seen_is_missing_with_a_reason(series_of):
    lost = CensorReason.VIEW_LOST
    events = [_event(10, 30)] + [
        _event(at, at + 40, clear_s=None, censor_reason=lost) for at in (100, 200)
    ]
    values = _values(series_of([(0.1, 600)]), events)
    assert values["time_to_clear_median_s"].value is None
    assert (
        values["time_to_clear_median_s"].reason == "fewer than 50 % of the events are seen to clear"
    )
    assert values["cleared_60s_share"].reason == "no event was followed for 60 s"
    unseen = _values(series_of([(0.1, 600)]), [_event(0, 9, is_onset_observed=False)])
    assert unseen["cleared_60s_share"].reason == "no event has an onset that was seen"


def test_bands_span_the_neighboring_thresholds(series_of):
    series = series_of([((0.25, 0.15, 0.05), 60), ((0.8, 0.6, 0.3), 40)])
    three = [_event(1, 5), _event(20, 25), _event(50, 80)]
    values = _values(series, three[:2], lenient=three, strict=three[:1])
    share = values["impaired_share_20"]
    assert (share.band_low, share.value, share.band_high) == (0.4, 0.4, 1.0)
    mean = values["area_mean_frac"]
    expected = [np.dot(column, (0.6, 0.4)) for column in ((0.05, 0.3), (0.15, 0.6), (0.25, 0.8))]
    assert [mean.band_low, mean.value, mean.band_high] == pytest.approx(expected)
    count = values["event_count"]
    assert (count.band_low, count.value, count.band_high) == (1, 2, 3)
    assert values["coverage_frac"].band_low is None, "coverage knows no threshold"


def test_a_band_needs_a_value_at_every_threshold(series_of):
    series = series_of([(0.1, 600)])
    partial = _values(series, [_event(10, 30)], lenient=[_event(10, 40)], strict=[])
    assert partial["time_to_clear_median_s"].value == 20
    assert partial["time_to_clear_median_s"].band_low is None
    assert partial["event_count"].band_low == 0
    assert _values(series, [_event(10, 30)])["event_count"].band_low is None


def test_metrics_need_the_central_threshold(series_of):
    with pytest.raises(ValueError, match="central threshold"):
        compute_metrics(series_of([(0.1, 60)]), {Threshold.STRICT: ()}, EVENTS, METRIC)


def test_the_mean_over_tissue_weighs_time_and_tells_what_it_covers(series_of):
    series = series_of([(0.1, 50), (0.1, 25), (LossReason.BLURRED, 50), (0.4, 75)])
    column = np.array([np.nan, 0.1, np.nan, 0.4])
    series = dataclasses.replace(series, area_frac_of_tissue=column)
    value = _values(series)["area_mean_of_tissue_frac"]
    assert value.value == pytest.approx((0.1 * 25 + 0.4 * 75) / 100)
    assert value.coverage_frac == pytest.approx(100 / 200)
    assert value.n == 2
    assert value.band_low is None


def test_where_tissue_was_not_measured_its_mean_is_missing_and_not_zero(series_of):
    series = series_of([(0.1, 100)])
    value = _values(series)["area_mean_of_tissue_frac"]
    assert value.value is None
    assert value.reason == "area over tissue was not measured"
    full = _values(_over_tissue(series, np.nan))["area_mean_of_tissue_frac"]
    assert full.value is None
    assert full.reason == "instruments filled the view"
    assert full.coverage_frac == 0
    lost = _over_tissue(series_of([(LossReason.BLACK, 10)]), np.nan)
    assert _values(lost)["area_mean_of_tissue_frac"].reason == "no evaluable time"
