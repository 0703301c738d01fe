"""When an agent was used: time zero of a comparison, and before against after within a case.

An agent used twenty minutes into a case cannot have changed the minutes before, and a case has to
last until its use to be counted among those that used it. Where the manifest says when each
technique was first used (``use_start``, in seconds on the case clock; 0: from the start), every
case is measured from there on; where it does not, a comparison of techniques stays a description.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ubereport.cohort.comparison_results import UseEffect
from ubereport.cohort.device import SHARE_LEVELS
from ubereport.cohort.table import CohortTable
from ubereport.core.arrays import FloatArray
from ubereport.core.clock_times import parse_times
from ubereport.core.config import MetricConfig
from ubereport.core.series import AreaSeries, Threshold
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.ranks import walsh_shift

SeriesOf = Callable[[str], AreaSeries]
_RECORDED = "recorded_s"
_CLOSING = ("closing_area_mean_frac", "closing_share_5")
MEASURED_FROM_USE = (
    *SHARE_LEVELS,
    "area_mean_frac",
    "event_rate_per_10min",
    *_CLOSING,
    "coverage_frac",
)
MIN_WINDOW_S = 60.0
# A closing field is of the last minutes that could be judged: a technique that was used within them
# cannot be judged by all of it.
_CLOSING_WINDOW_S = MetricConfig().closing_window_s
_TOO_SHORT = "less than a minute after use"
_USED_WHILE_CLOSING = "used within the closing minutes"
_NO_TIME_AT_RISK = "no time at risk: all evaluable time lies inside events"


@dataclass(frozen=True, slots=True)
class UseTimes:
    """When the technique of a case was used; `problem` says why the times cannot be taken."""

    start_s: tuple[float, ...]
    problem: str = ""

    @property
    def first_s(self) -> float | None:
        """The first use; None where it is not known."""
        return self.start_s[0] if self.start_s and not self.problem else None


def use_times_of(table: CohortTable) -> tuple[UseTimes, ...]:
    """Return the use times of every case of a table, checked against its recording."""
    starts, ends = table.column("use_start"), table.column("use_end")
    recorded, paused = table.column("recorded_s"), table.column("pause_s")
    times = []
    for row in range(table.n_cases):
        # Times of use are on the case clock, which runs on while a recorder pauses.
        length_s = None if recorded[row] is None else recorded[row] + (paused[row] or 0.0)
        times.append(_use_times(starts[row], ends[row], length_s))
    return tuple(times)


def _use_times(start: object, end: object, length_s: float | None) -> UseTimes:
    try:
        start_s = parse_times("" if start is None else str(start))
        end_s = parse_times("" if end is None else str(end))
    except ValueError as error:
        return UseTimes((), f"a use time cannot be read ({error})")
    if length_s is not None and any(time_s > length_s for time_s in (*start_s, *end_s)):
        return UseTimes(start_s, "a use time lies outside the case")
    if end_s and len(end_s) != len(start_s):
        return UseTimes(start_s, "there are not as many use ends as use starts")
    spans = list(zip(start_s, end_s, strict=False))
    if any(e < s for s, e in spans) or any(
        later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)
    ):
        return UseTimes(start_s, "uses overlap or end before they start")
    return UseTimes(start_s)


@dataclass(frozen=True, slots=True, eq=False)
class FromUse:
    """Cases measured from their first use on, and what each was before and after it.

    `around` gives, by case id, the share of time at 20 % or more before and after the first use,
    where both sides have a minute to judge.
    """

    table: CohortTable
    around: Mapping[str, tuple[float, float]]


def from_first_use(table: CohortTable, uses: tuple[UseTimes, ...], series_of: SeriesOf) -> FromUse:
    """Return the table with every case measured from its first use on, events that begin then.

    Metrics that are not measured from a use on are left out. Cases without a known first use, or
    with less than a minute to judge after it, have no values; those whose technique was used within
    the closing minutes have none of the closing field. Each series is read once.
    """
    keys = [key for key in MEASURED_FROM_USE if key in table.metric_keys]
    # How long a case was recorded is no outcome: like cases are found by it.
    kept = {*keys, _RECORDED}
    cases = table.cases.drop(columns=[key for key in table.metric_keys if key not in kept])
    bands = {key: band.copy() for key, band in table.bands.items() if key in keys}
    reasons = dict(table.reasons)
    columns = {key: cases[key].to_numpy(dtype=np.float64, copy=True) for key in keys}
    is_used = table.is_used().to_numpy()
    first_of: dict[str, float] = {}
    around: dict[str, tuple[float, float]] = {}
    # The clock of a case starts anew at the first use: areas and events before it could not have
    # been changed by the technique. Values of such a case are measured again from its series; a
    # case that used it from the start keeps its own, and one that cannot be measured has none.
    for row, use in enumerate(uses):
        case_id = str(cases["case_id"].iloc[row])
        if use.first_s is not None:
            first_of[case_id] = use.first_s
        # Used from the start: all of the case is after it, and its stored values hold. Cases of
        # another model are not compared at all.
        if use.first_s == 0.0 or not is_used[row]:
            continue
        values: dict[str, tuple[float, float, float]] = {}
        reason = use.problem or "no time of use"
        if use.first_s is not None:
            series = series_of(str(cases["folder"].iloc[row]))
            before = _Window.between(series, 0.0, use.first_s)
            window = _Window.between(series, use.first_s, np.inf)
            values, reason = window.values(_spans(table, case_id)), _TOO_SHORT
            if min(before.seconds, window.seconds) >= MIN_WINDOW_S:
                around[case_id] = before.share(0.2)[1], window.share(0.2)[1]
        for key in keys:
            if key in _CLOSING and values and window.seconds > _CLOSING_WINDOW_S - 1e-6:
                continue
            low, value, high = values.get(key, (np.nan,) * 3)
            columns[key][row] = value
            if key in bands:
                bands[key][row] = low, high
            if np.isnan(value):
                reasons[case_id, key] = _reason(key, reason, is_long=bool(values))
    events = table.events
    first_s = events["case_id"].map(first_of).to_numpy(dtype=np.float64)
    # Of a case whose first use is not known `first_s` is NaN and nothing compares with it: its
    # events go as its values do.
    events = events[events["onset_s"].to_numpy(dtype=np.float64) >= first_s]
    moved = replace(
        table,
        cases=cases.assign(**columns),
        events=events,
        metric_keys=tuple(keys),
        reasons=reasons,
        bands=bands,
    )
    return FromUse(moved, around)


def _reason(key: str, reason: str, *, is_long: bool) -> str:
    """Return why a case has no value of a metric: what it lacks as a whole, or of this one."""
    if not is_long:
        return reason
    return _USED_WHILE_CLOSING if key in _CLOSING else _NO_TIME_AT_RISK


def _spans(table: CohortTable, case_id: str) -> FloatArray:
    """(k, 3) onset, end and whether the onset was seen, of the events of a case."""
    own = table.events[table.events["case_id"] == case_id]
    return np.column_stack(
        [own[name].to_numpy(dtype=np.float64) for name in ("onset_s", "end_s", "is_onset_observed")]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Valid samples of a stretch of the case clock: seconds of each, and areas (3, n).

    `recorded_s` are the seconds of it that were recorded, valid or not.
    """

    start_s: FloatArray
    weight_s: FloatArray
    areas: FloatArray
    from_s: float
    recorded_s: float

    @classmethod
    def between(cls, series: AreaSeries, from_s: float, until_s: float) -> _Window:
        start_s = np.clip(series.time_s, from_s, until_s)
        weight_s = np.clip(series.end_time_s, from_s, until_s) - start_s
        is_valid = series.is_valid & (weight_s > 0)
        areas = np.stack([series.at(t).area_frac for t in (Threshold.STRICT, Threshold.CENTRAL,
                                                           Threshold.LENIENT)])  # fmt: skip
        recorded_s = float(weight_s[series.is_recorded].sum())
        return cls(start_s[is_valid], weight_s[is_valid], areas[:, is_valid], from_s, recorded_s)

    @property
    def seconds(self) -> float:
        return float(self.weight_s.sum())

    def share(self, area_frac: float) -> tuple[float, float, float]:
        """Share of the time with that area or more: strict, central, lenient."""
        shares = (self.areas >= area_frac) @ self.weight_s / self.seconds
        return float(shares[0]), float(shares[1]), float(shares[2])

    def values(self, spans: FloatArray) -> dict[str, tuple[float, float, float]]:
        """Return metrics at the strict, central and lenient threshold; none of a short stretch."""
        if self.seconds < MIN_WINDOW_S:
            return {}
        figures = {key: self.share(area) for key, area in SHARE_LEVELS.items()}
        means = self.areas @ self.weight_s / self.seconds
        figures["area_mean_frac"] = (float(means[0]), float(means[1]), float(means[2]))
        end_s = self.start_s + self.weight_s
        inside_s = sum(
            float(np.clip(np.minimum(end_s, end) - np.maximum(self.start_s, onset), 0, None).sum())
            for onset, end, _ in spans
        )
        n_begun = sum(1 for onset, _, is_seen in spans if is_seen and onset >= self.from_s)
        at_risk_s = self.seconds - inside_s
        rate = n_begun * 600 / at_risk_s if at_risk_s > 0 else float("nan")
        figures["event_rate_per_10min"] = (float("nan"), rate, float("nan"))
        figures["coverage_frac"] = (float("nan"), self.seconds / self.recorded_s, float("nan"))
        return figures


def use_effects(
    around: Mapping[str, tuple[float, float]], labels: Mapping[str, str], confidence: float
) -> tuple[UseEffect, ...]:
    """Return the share of time at 20 % or more after the first use less that before, within cases.

    `around` is that of `FromUse`, `labels` gives the group of each case id. The view changes in the
    course of a case with any technique: no contrast of groups.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for case_id, shares in around.items():
        if case_id in labels:
            pairs.setdefault(labels[case_id], []).append(shares)
    return tuple(_effect(group, np.array(shares), confidence) for group, shares in pairs.items())


def _effect(group: str, pairs: FloatArray, confidence: float) -> UseEffect:
    before, after = (float(median) for median in np.median(pairs, axis=0))
    difference: Estimate = walsh_shift(pairs[:, 1] - pairs[:, 0], confidence)
    return UseEffect(group, len(pairs), before, after, difference)
