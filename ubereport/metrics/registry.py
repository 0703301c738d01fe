"""Every metric of a case: its name, unit, meaning, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import HemostasisEvent, Severity
from ubereport.core.metrics import Direction, MetricSpec, MetricValue
from ubereport.core.series import AreaSeries, LossReason, Threshold
from ubereport.metrics import area, episodes
from ubereport.metrics.case_input import CaseInput, Measurement, Metric
from ubereport.metrics.extension import AddedMetrics, added_metrics

_LOWER = Direction.LOWER_IS_BETTER
_HIGHER = Direction.HIGHER_IS_BETTER
_NEUTRAL = Direction.NEUTRAL

_LOSS_TITLES = {
    LossReason.BLACK: ("Lost: black", "the picture was black"),
    LossReason.NO_SIGNAL: ("Lost: no signal", "the recorder showed its no-signal picture"),
    LossReason.WHITE_OUT: ("Lost: white-out", "the picture was overexposed"),
    LossReason.BLURRED: (
        "Lost: blurred",
        "the picture was too blurred or veiled by smoke to judge",
    ),
    LossReason.CORRUPT: ("Lost: damaged", "the recording is damaged or cannot be decoded"),
    LossReason.FROZEN: ("Lost: frozen", "the picture stood still"),
    LossReason.OUT_OF_BODY: ("Lost: out of body", "the endoscope was outside the body"),
    LossReason.GAP: ("Lost: gap", "the recording has a gap or ends before its declared end"),
}
_FROM_CURVE = "from the Kaplan–Meier curve, so that events not seen to clear count too"


def _metric(
    key: str,
    title: str,
    unit: str,
    direction: Direction,
    measure: Callable[[CaseInput], Measurement],
    definition: str,
    *,
    is_headline: bool = False,
    has_band: bool = True,
) -> Metric:
    # By the name, which the unit of a share, 1, does not tell from a count.
    is_share = key.endswith(("_share", "_frac")) or "_share_" in key
    upper_bound = 1.0 if is_share else None
    spec = MetricSpec(key, title, unit, definition, direction, 0.0, upper_bound, is_headline)
    return Metric(spec, measure, has_band)


# One metric an entry, kept as a table: key, title and unit; direction and function; definition.
# fmt: off
METRICS: tuple[Metric, ...] = (
    _metric("coverage_frac", "Coverage", "1", _HIGHER, area.coverage,
            "Share of the recorded time in which the view could be evaluated.",
            is_headline=True, has_band=False),
    _metric("recorded_s", "Recorded time", "s", _NEUTRAL, area.recorded,
            "Length of the recording, without pauses between its parts.", has_band=False),
    _metric("evaluable_s", "Evaluable time", "s", _NEUTRAL, area.evaluable,
            "Recorded time in which the picture could be judged; all shares refer to it.",
            has_band=False),
    _metric("at_risk_s", "Time at risk of an event", "s", _NEUTRAL, episodes.at_risk,
            "Evaluable time outside events."),
    *(_metric(f"lost_{reason.value}_s", title, "s", _NEUTRAL, partial(area.lost, reason=reason),
              f"Recorded time that could not be evaluated because {cause}.", has_band=False)
      for reason, (title, cause) in _LOSS_TITLES.items()),
    _metric("pause_s", "Pauses between parts", "s", _NEUTRAL,
            partial(area.lost, reason=LossReason.PAUSE),
            "Time between the parts of the recording, as stated; it is not recorded time.",
            has_band=False),
    *(_metric(f"impaired_share_{percent}", f"Share of time with ≥ {percent} % of the view obscured",
              "1", _LOWER, partial(area.impaired_share, area_frac=percent / 100),
              f"Share of the evaluable time in which blood covered at least {percent} % of the"
              " view.", is_headline=percent == 20)
      for percent in (5, 20, 50)),
    *(_metric(f"impaired_s_{percent}", f"Time with ≥ {percent} % of the view obscured",
              "s", _LOWER, partial(area.impaired_s, area_frac=percent / 100),
              f"Evaluable time in which blood covered at least {percent} % of the view.",
              is_headline=percent == 20)
      for percent in (5, 20, 50)),
    _metric("longest_run_20_s", "Longest run with ≥ 20 % of the view obscured", "s", _LOWER,
            partial(area.longest_run, area_frac=0.20),
            "Longest unbroken evaluable time with at least 20 % of the view obscured; a short loss"
            " of view that an event would bridge does not break it and is not counted."),
    _metric("area_mean_frac", "Mean area", "1", _LOWER, area.area_mean,
            "Part of the view covered by blood, averaged over the evaluable time.",
            is_headline=True),
    _metric("area_mean_of_tissue_frac", "Mean area over visible tissue", "1", _LOWER,
            area.area_mean_of_tissue,
            "Part of the visible tissue covered by blood, averaged over the evaluable time:"
            " instruments count neither way, and where they leave less than a quarter of the view"
            " nothing is measured.", has_band=False),
    _metric("area_median_frac", "Median area", "1", _LOWER, partial(area.area_quantile, share=0.5),
            "Part of the view covered by blood that was exceeded half of the evaluable time."),
    _metric("area_p90_frac", "90th percentile of the area", "1", _LOWER,
            partial(area.area_quantile, share=0.9),
            "Part of the view covered by blood that was exceeded in one tenth of the evaluable"
            " time."),
    _metric("area_time_frac_min", "Area-time", "min", _LOWER, area.area_time_min,
            "Area added up over the evaluable time: one minute is one minute of a fully covered"
            " view or ten minutes of a view covered by one tenth."),
    _metric("area_time_frac_min_per_h", "Area-time per evaluable hour", "min/h", _LOWER,
            area.area_time_per_hour,
            "Area-time divided by the evaluable hours, to compare cases of different length."),
    _metric("closing_area_mean_frac", "Closing field: mean area", "1", _LOWER,
            area.closing_area_mean,
            "Mean area over the closing window, the last evaluable minutes of the recording (all of"
            " them if there are fewer); pump pressure can hide a bleeder.", is_headline=True),
    _metric("closing_share_5", "Closing field: share with ≥ 5 % obscured", "1", _LOWER,
            partial(area.closing_share, area_frac=0.05),
            "Share of the closing window in which blood covered at least 5 % of the view."),
    _metric("event_count", "Hemostasis events", "1", _LOWER, episodes.count,
            "Times that the area reached the onset threshold and stayed there.", is_headline=True),
    _metric("event_rate_per_10min", "Events per 10 minutes at risk", "/(10.min)", _LOWER,
            episodes.rate_per_10min,
            "Hemostasis events that began in view, divided by the time in which one could begin:"
            " evaluable time outside events.", is_headline=True),
    _metric("event_time_share", "Share of time inside events", "1", _LOWER, episodes.event_share,
            "Share of the evaluable time between onset and clearing of an event."),
    *(_metric(f"{severity.value}_event_count", f"{severity.value.capitalize()} events", "1", _LOWER,
              partial(episodes.severity_count, severity=severity),
              f"Events in the {severity.value} band of peak area; a band of area, no clinical"
              " grade.")
      for severity in Severity),
    _metric("censored_count", "Events not seen to clear", "1", _NEUTRAL,
            partial(episodes.count, is_counted=lambda event: event.is_censored),
            "Events during which the view was lost for long, or a part or the recording ended."),
    _metric("rebleed_count", "Re-bleeds", "1", _LOWER,
            partial(episodes.count, is_counted=lambda event: event.is_rebleed),
            "Events that began soon after the clearing of the event before."),
    _metric("event_peak_median_frac", "Median peak area of events", "1", _LOWER,
            episodes.peak_median, "Median over the events of the largest smoothed area."),
    _metric("event_peak_max_frac", "Largest peak area", "1", _LOWER, episodes.peak_largest,
            "Largest smoothed area of any event."),
    _metric("time_to_clear_median_s", "Median time to clear", "s", _LOWER,
            partial(episodes.time_to_clear_quantile, share=0.5),
            f"Time from onset by which half of the events are cleared, {_FROM_CURVE}.",
            is_headline=True),
    *(_metric(f"time_to_clear_p{percent}_s", f"Time to clear, {percent} % of events", "s", _LOWER,
              partial(episodes.time_to_clear_quantile, share=percent / 100),
              f"Time from onset by which {percent} % of the events are cleared, {_FROM_CURVE}.")
      for percent in (25, 75)),
    *(_metric(f"cleared_{seconds}s_share", f"Cleared within {seconds} s", "1", _HIGHER,
              partial(episodes.cleared_share, time_s=float(seconds)),
              f"Share of events cleared within {seconds} s of their onset, {_FROM_CURVE}.")
      for seconds in (60, 180)),
)
# fmt: on
"""The program's own metrics, in the order in which they are printed."""


def installed_metrics() -> AddedMetrics:
    """Return the metrics that installed packages add to `METRICS`."""
    return added_metrics(frozenset(metric.spec.key for metric in METRICS))


def metric_spec(key: str, unit: str = "") -> MetricSpec:
    """Return what the metric called `key` means.

    A stored case may have one that an extension added which is not installed here: it is called
    by its key, and `unit` is the one it was stored with.
    """
    spec = _known_spec(key)
    if spec is not None:
        return spec
    title = key.replace("_", " ").capitalize()
    definition = "Added by an extension that is not installed here."
    return MetricSpec(key, title, unit, definition, Direction.NEUTRAL, lower_bound=None)


def is_known_metric(key: str) -> bool:
    """Whether `key` is one of `METRICS`, or an installed extension adds it."""
    return _known_spec(key) is not None


def _known_spec(key: str) -> MetricSpec | None:
    """Look among `METRICS` first: what is installed beside them takes a while to find."""
    own = next((metric.spec for metric in METRICS if metric.spec.key == key), None)
    if own is not None:
        return own
    added = installed_metrics().metrics
    return next((metric.spec for metric in added if metric.spec.key == key), None)


def compute_metrics(
    series: AreaSeries,
    events_by_threshold: Mapping[Threshold, tuple[HemostasisEvent, ...]],
    event_config: EventConfig,
    metric_config: MetricConfig,
) -> tuple[MetricValue, ...]:
    """Compute every metric of a case, in the order of `METRICS`; those of extensions follow.

    Parameters
    ----------
    series
        The case.
    events_by_threshold
        The events found in ``series.at(threshold)``: those of the central threshold, and those of
        its neighbors for the band around a value. A metric has a
        band where it has a value at all of them; without neighbors there are no bands.
    event_config, metric_config
        Windows and gaps.

    Raises
    ------
    ValueError
        If the events of the central threshold are missing.
    """
    if Threshold.CENTRAL not in events_by_threshold:
        raise ValueError("metrics need the events of the central threshold")
    coverage_frac = series.coverage_frac
    cases = {
        threshold: CaseInput(
            series.at(threshold), events, event_config, metric_config, coverage_frac
        )
        for threshold, events in events_by_threshold.items()
    }
    central = cases.pop(Threshold.CENTRAL)
    metrics = (*METRICS, *installed_metrics().metrics)
    return tuple(_value(metric, central, list(cases.values())) for metric in metrics)


def _value(metric: Metric, case: CaseInput, neighbors: list[CaseInput]) -> MetricValue:
    measured = metric.measure(case)
    values = [measured.value]
    if metric.has_band:
        values += [metric.measure(neighbor).value for neighbor in neighbors]
    numbers = [value for value in values if value is not None]
    # A band with one end missing would look narrow where in truth a threshold gave no value at all.
    has_band = len(values) > 1 and len(numbers) == len(values)
    return MetricValue(
        key=metric.spec.key,
        unit=metric.spec.unit,
        value=measured.value,
        reason=measured.reason,
        n=measured.n,
        coverage_frac=measured.coverage_frac,
        band_low=min(numbers) if has_band else None,
        band_high=max(numbers) if has_band else None,
    )
