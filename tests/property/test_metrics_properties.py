"""What must hold of every metric, whatever the series."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries, LossReason, Threshold
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.registry import METRICS, compute_metrics
from ubereport.metrics.strip import strip_blocks

EVENTS = EventConfig(min_duration_s=1.0, clear_hold_s=1.0, max_gap_s=2.0, rebleed_window_s=10.0)
METRIC = MetricConfig(closing_window_s=10.0, strip_block_s=7.5)
Row = tuple[tuple[float, float, float] | LossReason, int]
_areas = st.tuples(*[st.sampled_from((0.0, 0.02, 0.05, 0.2, 0.5, 1.0))] * 3).map(
    lambda areas: tuple(sorted(areas, reverse=True))
)
# `JUDGED` is what a reviewer says; a measured series never has it.
_losses = st.sampled_from([r for r in LossReason if r not in (LossReason.NONE, LossReason.JUDGED)])
_rows = st.lists(st.tuples(st.one_of(_areas, _areas, _losses), st.integers(1, 12)), max_size=30)


def _series(rows: list[Row], tick_s: float = 0.25) -> AreaSeries:
    duration_s = np.array([ticks for _, ticks in rows], dtype=float) * tick_s
    areas = [(np.nan,) * 3 if isinstance(c, LossReason) else c for c, _ in rows]
    lenient, central, strict = np.array(areas, dtype=float).reshape(-1, 3).T
    reason = tuple(c if isinstance(c, LossReason) else LossReason.NONE for c, _ in rows)
    return AreaSeries(
        time_s=np.cumsum(duration_s) - duration_s,
        duration_s=duration_s,
        part_index=np.zeros(len(rows)),
        area_frac=central,
        area_frac_lenient=lenient,
        area_frac_strict=strict,
        is_valid=[r is LossReason.NONE for r in reason],
        reason=reason,
    )


def _metrics(series: AreaSeries) -> dict[str, MetricValue]:
    found = {threshold: detect_events(series.at(threshold), EVENTS) for threshold in Threshold}
    return {v.key: v for v in compute_metrics(series, found, EVENTS, METRIC)}


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_values_keep_their_bounds_and_bands_hold_them(rows):
    series = _series(rows)
    values = _metrics(series)
    for metric in METRICS:
        value = values[metric.spec.key]
        if value.value is None:
            assert value.reason
            continue
        assert value.value >= 0
        assert metric.spec.upper_bound is None or value.value <= metric.spec.upper_bound
        if value.band_low is not None:
            assert value.band_low <= value.value <= value.band_high
            assert metric.has_band


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_rows_of_two_looks_cut_again_change_no_value(rows):
    # One look is no stay, so every row is two looks before it is cut once more.
    twice, fourfold = ([row for row in rows for _ in range(n)] for n in (2, 4))
    once, again = _metrics(_series(twice, 0.125)), _metrics(_series(fourfold, 0.0625))
    for key, value in once.items():
        for name in ("value", "coverage_frac", "band_low", "band_high"):
            first, second = getattr(value, name), getattr(again[key], name)
            assert (first is None) == (second is None), key
            assert first is None or abs(first - second) < 1e-9, key


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_numbers_of_one_case_agree_with_each_other(rows):
    series = _series(rows)
    values = {key: value.value for key, value in _metrics(series).items()}
    lost_s = sum(value for key, value in values.items() if key.startswith("lost_"))
    assert np.isclose(lost_s + values["evaluable_s"], values["recorded_s"])
    if values["impaired_share_20"] is None:
        return
    assert values["impaired_share_5"] >= values["impaired_share_20"] >= values["impaired_share_50"]
    assert values["longest_run_20_s"] <= values["impaired_s_20"] + 1e-9
    assert np.isclose(
        values["area_time_frac_min"] * 60, values["area_mean_frac"] * values["evaluable_s"]
    )
    assert values["event_count"] == sum(
        values[f"{s}_event_count"] for s in ("minor", "moderate", "major")
    )


@settings(max_examples=60, deadline=None)
@given(_rows)
def test_the_strip_adds_up_to_the_metrics(rows):
    series = _series(rows)
    values = {key: value.value for key, value in _metrics(series).items()}
    blocks = strip_blocks(series, METRIC)
    assert np.isclose(sum(b.evaluable_s for b in blocks), values["evaluable_s"])
    impaired_s = sum((b.impaired_share_20 or 0.0) * b.evaluable_s for b in blocks)
    assert np.isclose(impaired_s, values["impaired_s_20"] or 0.0)


@settings(max_examples=30, deadline=None)
@given(_rows)
def test_the_neighboring_thresholds_are_the_same_case_measured_there(rows):
    series = _series(rows)
    shares = [
        _metrics(series.at(threshold))["impaired_share_20"].value
        for threshold in (Threshold.STRICT, Threshold.CENTRAL, Threshold.LENIENT)
    ]
    share = _metrics(series)["impaired_share_20"]
    assert [share.band_low, share.value, share.band_high] == shares
