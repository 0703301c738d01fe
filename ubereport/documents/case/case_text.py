"""Metrics of one case as text: the value, its range, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from ubereport.core.case import CaseRecord
from ubereport.core.metrics import MetricSpec, MetricValue
from ubereport.documents.page.text import (
    DASH,
    band,
    clock,
    clock_range,
    decimal,
    percent,
    span_of,
    unavailable,
)
from ubereport.language.speaking import N_, _, told

_UNIT_WORDS = {
    "/(10.min)": N_("per 10\xa0min"),
    "1/(10.min)": N_("per 10\xa0min"),
    "%.min": "%·min",
}
_AREA_TIME_UNITS = {"area_time_frac_min": "%·min", "area_time_frac_min_per_h": "%·min/h"}


def format_metric(value: float, spec: MetricSpec) -> str:
    """Print a value in the unit of its metric: percent, ``h:mm:ss``, a count or a number."""
    if spec.is_share:
        return percent(value)
    if spec.unit == "s":
        return clock(value)
    if spec.key in _AREA_TIME_UNITS:
        return f"{decimal(100 * value, 1)}\xa0{_AREA_TIME_UNITS[spec.key]}"
    number = decimal(value, 0) if spec.unit == "1" and value.is_integer() else decimal(value, 2)
    unit = "" if spec.unit == "1" else "\xa0" + _(_UNIT_WORDS.get(spec.unit, spec.unit))
    return number + unit


def format_band(value: MetricValue, spec: MetricSpec) -> str:
    """Print the range over the neighboring thresholds; empty where there is none."""
    low, high = value.band_low, value.band_high
    if low is None or high is None:
        return ""
    if low == high:
        return format_metric(low, spec)
    if spec.is_share:
        return band(low, high)
    if spec.unit == "s":
        return clock_range(low, high)
    scale = 100.0 if spec.key in _AREA_TIME_UNITS else 1.0
    n_decimals = 0 if spec.unit == "1" and low.is_integer() and high.is_integer() else 1
    return span_of(decimal(scale * low, n_decimals), decimal(scale * high, n_decimals))


class CaseMetrics:
    """The metrics of one record beside their specifications; any of them may be missing.

    Parameters
    ----------
    record
        The case.
    specs
        What each metric means, by key.
    """

    def __init__(self, record: CaseRecord, specs: Mapping[str, MetricSpec]) -> None:
        self._values = {value.key: value for value in record.metrics}
        self._specs = specs

    def value(self, key: str) -> float | None:
        """Return the plain value; None where the case has none."""
        entry = self._values.get(key)
        return None if entry is None else entry.value

    def entry(self, key: str) -> MetricValue | None:
        """Return the whole entry; None if the record was written without this metric."""
        return self._values.get(key)

    def text(self, key: str) -> str:
        """Print the value, or say why there is none."""
        entry = self._values.get(key)
        if entry is None:
            return unavailable(_("this record was written without it"))
        if entry.value is None:
            return unavailable(told(entry.reason))
        return format_metric(entry.value, self._specs[key])

    def short_text(self, key: str) -> str:
        """Print the value, or a dash where a number is all that fits."""
        value = self.value(key)
        return DASH if value is None else format_metric(value, self._specs[key])

    def band(self, key: str) -> str:
        """Print the range of a metric; empty where there is none."""
        entry = self._values.get(key)
        return "" if entry is None else format_band(entry, self._specs[key])
