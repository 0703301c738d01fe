"""Quality flags: what a reader must know before trusting the numbers of a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.case import Flag, FlagLevel, worst_first
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries
from ubereport.metrics.extension import FAILED
from ubereport.metrics.registry import installed_metrics
from ubereport.statistics.quantiles import weighted_quantile

_LOW_COVERAGE_FRAC = (0.5, 0.8)
_BAND_WIDTH_FRAC = 0.05
_BAND_EVENTS = 3
_CENSORED_SHARE = 1 / 3
_CENSORED_MIN_EVENTS = 3
_SHORT_S = 600.0
_TIMED_S = 1.0
DERIVED_FLAGS = frozenset({
    *("nothing_evaluable", "low_coverage", "unstable_threshold", "unstable_event_count"),
    *("heavy_censoring", "few_events", "coarse_sampling", "coarse_timing"),
    *("closing_field_interrupted", "short_recording", "several_parts"),
    *("extension_used", "extension_left_out"),
})  # fmt: skip
"""Keys of all flags that follow from a series; every other flag came from the recording."""


@dataclass(frozen=True, slots=True)
class _Facts:
    series: AreaSeries
    events: Sequence[HemostasisEvent]
    metrics: Mapping[str, MetricValue]
    event_config: EventConfig
    metric_config: MetricConfig


def quality_flags(
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    metrics: Sequence[MetricValue],
    event_config: EventConfig,
    metric_config: MetricConfig,
) -> tuple[Flag, ...]:
    """Return what weakens the numbers that follow from a series, the most worrying first.

    What follows from the recording itself (cut, damaged, zoomed) is told where it is read.

    Parameters
    ----------
    series, events, metrics
        The case; `metrics` as `compute_metrics` gives them, with bands.
    event_config, metric_config
        As used for `events` and `metrics`.
    """
    values = {value.key: value for value in metrics}
    facts = _Facts(series, events, values, event_config, metric_config)
    flags = worst_first(flag for check in _CHECKS for flag in check(facts))
    unlisted = {flag.key for flag in flags} - DERIVED_FLAGS
    if unlisted:
        raise ValueError(f"flags not listed in DERIVED_FLAGS: {sorted(unlisted)}")
    return flags


def _low_coverage(facts: _Facts) -> Iterator[Flag]:
    covered = facts.series.coverage_frac
    if not facts.series.is_valid.any():
        yield Flag(
            "nothing_evaluable",
            FlagLevel.WARNING,
            "No part of the recording could be evaluated; there are no numbers to read.",
        )
    # What was most often the reason is named, since a reader can do something about the one (a lens
    # that is wiped) and not about the other (a recorder that was off).
    elif covered is not None and covered < _LOW_COVERAGE_FRAC[1]:
        lost = {reason: s for reason, s in facts.series.lost_s().items() if reason.is_recorded}
        most = max(lost, key=lambda reason: lost[reason]).value.replace("_", " ")
        level = FlagLevel.WARNING if covered < _LOW_COVERAGE_FRAC[0] else FlagLevel.CAUTION
        yield Flag(
            "low_coverage",
            level,
            f"Only {_percent(covered)} of the recorded time could be evaluated (most of the rest:"
            f" “{most}”); the numbers speak of that time only.",
        )


def _unstable_threshold(facts: _Facts) -> Iterator[Flag]:
    low, high = _band(facts.metrics.get("impaired_share_20"))
    if high - low > _BAND_WIDTH_FRAC:
        yield Flag(
            "unstable_threshold",
            FlagLevel.CAUTION,
            f"The share of time with ≥ 20 % of the view obscured runs from {_percent(low)} to"
            f" {_percent(high)}, depending on how strict the model is set.",
        )
    fewest, most = _band(facts.metrics.get("event_count"))
    # Both by number and by ratio: one event or two is a large ratio and a small matter, 40 or 43
    # the reverse.
    if most - fewest >= _BAND_EVENTS and most >= 2 * fewest:
        yield Flag(
            "unstable_event_count",
            FlagLevel.CAUTION,
            f"The number of events runs from {fewest:.0f} to {most:.0f}, depending on how strict"
            " the model is set.",
        )


def _band(value: MetricValue | None) -> tuple[float, float]:
    if value is None or value.band_low is None or value.band_high is None:
        return 0.0, 0.0
    return value.band_low, value.band_high


def _censoring(facts: _Facts) -> Iterator[Flag]:
    n_events = len(facts.events)
    n_unseen = sum(event.time_to_clear_s is None for event in facts.events)
    if n_events >= _CENSORED_MIN_EVENTS and n_unseen >= _CENSORED_SHARE * n_events:
        yield Flag(
            "heavy_censoring",
            FlagLevel.CAUTION,
            f"{n_unseen} of {n_events} events began or ended unseen; time to clear rests on few"
            " complete events.",
        )
    if 0 < n_events < facts.metric_config.kaplan_meier_min_events:
        yield Flag(
            "few_events",
            FlagLevel.INFO,
            f"Time to clear rests on few events ({n_events}): a description, not an estimate.",
        )


def _sampling(facts: _Facts) -> Iterator[Flag]:
    duration_s = facts.series.duration_s[facts.series.is_valid]
    if len(duration_s) == 0:
        return
    # Weighted by itself, the step that half of the time was looked at with: adaptive sampling has
    # many short steps in little time.
    typical_s = weighted_quantile(duration_s, duration_s, 0.5)
    if typical_s > facts.event_config.min_duration_s:
        yield Flag(
            "coarse_sampling",
            FlagLevel.CAUTION,
            f"Pictures were looked at every {typical_s:.1f} s; events shorter than that are missed"
            " and longer ones are timed no better.",
        )


def _timing(facts: _Facts) -> Iterator[Flag]:
    """Tell onsets and clearings before which the view was looked at too seldom to time them.

    So it is where a case that was looked at for some thresholds is derived again with others.
    """
    series = facts.series
    turns_s = [e.onset_s for e in facts.events if e.is_onset_observed]
    turns_s += [e.clear_s for e in facts.events if e.clear_s is not None]
    # The step before a turn is what its time is known to: it may have happened anywhere in it.
    before = np.searchsorted(series.time_s, np.array(turns_s) - 1e-6) - 1
    stood_s = series.duration_s[before[before >= 0]]
    coarse_s = stood_s[stood_s > _TIMED_S + 1e-6]
    if len(coarse_s) == 0:
        return
    yield Flag(
        "coarse_timing",
        FlagLevel.CAUTION,
        f"{len(coarse_s)} of {len(turns_s)} onsets and clearings are timed no better than to"
        f" {float(coarse_s.max()):.1f} s: the recording was not looked at more often there. Analyze"
        " it with these thresholds, or with --sampling uniform, for exact times.",
    )


def _closing_field(facts: _Facts) -> Iterator[Flag]:
    if not facts.series.is_valid.any():
        return
    closing = facts.metrics.get("closing_area_mean_frac")
    covered = None if closing is None else closing.coverage_frac
    if covered is not None and covered < _LOW_COVERAGE_FRAC[0]:
        yield Flag(
            "closing_field_interrupted",
            FlagLevel.CAUTION,
            f"Only {_percent(covered)} of the time from the closing window to the end of the"
            " recording could be evaluated; the closing field may not show the end of the"
            " operation.",
        )
    if facts.series.evaluable_s < _SHORT_S:
        yield Flag(
            "short_recording",
            FlagLevel.INFO,
            f"The numbers rest on {_clock(facts.series.evaluable_s)} of evaluable time.",
        )


def _parts(facts: _Facts) -> Iterator[Flag]:
    series = facts.series
    n_parts = len(np.unique(series.part_index[series.is_recorded]))
    # A stated pause, too, counts once: rows on either side of it differ, whatever lies between.
    n_pauses = series.paused_before(facts.event_config.is_continuous)[series.is_recorded]
    n_paused = len(np.unique(n_pauses)) - 1
    if n_parts < 2 or n_paused < 1:
        return
    where = (
        f"The recording has {n_parts} parts; what happened between them is not in the numbers,"
        " and no event runs on from one part into the next."
        if n_paused == n_parts - 1
        else f"The recording has {n_parts} parts, some of which follow each other without a pause."
        f" What happened in {n_paused} of the breaks between them is not in the numbers, and no"
        " event runs on across these."
    )
    yield Flag("several_parts", FlagLevel.INFO, where)


def _extensions(facts: _Facts) -> Iterator[Flag]:
    added = installed_metrics()
    if added.origins:
        yield Flag(
            "extension_used",
            FlagLevel.INFO,
            f"Metrics added by installed packages: {', '.join(added.origins)}.",
        )
    for metric in added.metrics:
        value = facts.metrics.get(metric.spec.key)
        if value is not None and FAILED in value.reason:
            yield left_out_flag(value.key, value.reason)
    for name, why in added.problems:
        yield left_out_flag(name, why)


def left_out_flag(name: str, why: str) -> Flag:
    """Return the flag that names an extension that is left out, and why."""
    return Flag(
        "extension_left_out",
        FlagLevel.CAUTION,
        f"The extension {name} is left out: {why}. Everything else stands.",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _clock(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s:02d} s"


_CHECKS = (
    _low_coverage,
    _unstable_threshold,
    _censoring,
    _sampling,
    _timing,
    _closing_field,
    _parts,
    _extensions,
)
