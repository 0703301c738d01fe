"""Quality flags: what a reader must know before trusting the numbers of a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ubereport.config import EventConfig, MetricConfig
from ubereport.core.case import Flag, FlagLevel, PartSummary
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries
from ubereport.metrics.quantiles import weighted_quantile

__all__ = ["quality_flags"]

_LOW_COVERAGE_FRAC = (0.5, 0.8)
_TRUNCATED_S = 2.0
_TRUNCATED_SHARE = 0.01
_DAMAGED_SHARE = (0.10, 0.01)
_FIELD_CONFIDENCE = 0.5
_BAND_WIDTH_FRAC = 0.05
_BAND_EVENTS = 3
_CENSORED_SHARE = 1 / 3
_CENSORED_MIN_EVENTS = 3
_SHORT_S = 600.0
_FIELD_CHANGE = 0.10


@dataclass(frozen=True, slots=True)
class _Facts:
    series: AreaSeries
    events: Sequence[HemostasisEvent]
    metrics: Mapping[str, MetricValue]
    parts: Sequence[PartSummary]
    view_changes_s: Sequence[float]
    decode_failures: Sequence[str]
    event_config: EventConfig
    metric_config: MetricConfig


def quality_flags(
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    metrics: Sequence[MetricValue],
    parts: Sequence[PartSummary],
    *,
    event_config: EventConfig,
    metric_config: MetricConfig,
    view_changes_s: Sequence[float] = (),
    decode_failures: Sequence[str] = (),
) -> tuple[Flag, ...]:
    """Return what weakens the numbers of a case, the most worrying first.

    Parameters
    ----------
    series, events, metrics
        The case; `metrics` as `compute_metrics` gives them, with bands.
    parts
        Its parts, in order.
    event_config, metric_config
        As used for `events` and `metrics`.
    view_changes_s
        Case times at which the field of view changed inside a part.
    decode_failures
        What readers reported, one text a failure; only counted here, never repeated.
    """
    facts = _Facts(
        series=series,
        events=events,
        metrics={value.key: value for value in metrics},
        parts=parts,
        view_changes_s=view_changes_s,
        decode_failures=decode_failures,
        event_config=event_config,
        metric_config=metric_config,
    )
    found = [flag for check in _CHECKS for flag in check(facts)]
    order = [FlagLevel.WARNING, FlagLevel.CAUTION, FlagLevel.INFO]
    return tuple(sorted(found, key=lambda flag: order.index(flag.level)))


def _low_coverage(facts: _Facts) -> Iterator[Flag]:
    covered = facts.series.coverage_frac
    if not facts.series.is_valid.any():
        yield Flag(
            "nothing_evaluable",
            FlagLevel.WARNING,
            "No part of the recording could be evaluated; there are no numbers to read.",
        )
    elif covered is not None and covered < _LOW_COVERAGE_FRAC[1]:
        lost = {reason: s for reason, s in facts.series.lost_s().items() if reason.is_recorded}
        most = max(lost, key=lambda reason: lost[reason]).value.replace("_", " ")
        level = FlagLevel.WARNING if covered < _LOW_COVERAGE_FRAC[0] else FlagLevel.CAUTION
        yield Flag(
            "low_coverage",
            level,
            f"Only {_percent(covered)} of the recorded time could be evaluated, most of the rest"
            f" lost as “{most}”; the numbers speak of the evaluable time only.",
        )


def _truncated(facts: _Facts) -> Iterator[Flag]:
    for number, part in enumerate(facts.parts, start=1):
        if part.declared_duration_s is None:
            continue
        missing_s = part.declared_duration_s - part.found_duration_s
        if missing_s > max(_TRUNCATED_S, _TRUNCATED_SHARE * part.declared_duration_s):
            yield Flag(
                "truncated",
                FlagLevel.WARNING,
                f"Part {number} ends {_clock(missing_s)} before its declared end; the missing time"
                " counts as lost.",
            )


def _damaged(facts: _Facts) -> Iterator[Flag]:
    for number, part in enumerate(facts.parts, start=1):
        n_bad = part.n_undecoded + part.n_corrupt
        if n_bad == 0:
            continue
        share = n_bad / part.n_samples
        levels = (FlagLevel.WARNING, FlagLevel.CAUTION, FlagLevel.INFO)
        level = levels[sum(share <= limit for limit in _DAMAGED_SHARE)]
        yield Flag(
            "damaged",
            level,
            f"{n_bad} of {part.n_samples} pictures looked at in part {number} were damaged or could"
            " not be decoded; they count as lost.",
        )


def _gaps(facts: _Facts) -> Iterator[Flag]:
    for number, part in enumerate(facts.parts, start=1):
        if part.gaps:
            yield Flag(
                "recording_gaps",
                FlagLevel.CAUTION,
                f"Part {number} has gaps: {len(part.gaps)} of together"
                f" {_clock(sum(gap.duration_s for gap in part.gaps))}; they count as lost.",
            )


def _repeated_part(facts: _Facts) -> Iterator[Flag]:
    first_number: dict[str, int] = {}
    for number, part in enumerate(facts.parts, start=1):
        first = first_number.setdefault(part.sha256, number)
        if first != number:
            yield Flag(
                "repeated_part",
                FlagLevel.WARNING,
                f"Parts {first} and {number} are the same file; its time is counted twice.",
            )


def _field_of_view(facts: _Facts) -> Iterator[Flag]:
    for number, part in enumerate(facts.parts, start=1):
        if part.field_of_view.confidence < _FIELD_CONFIDENCE:
            yield Flag(
                "field_of_view_uncertain",
                FlagLevel.CAUTION,
                f"The outline of the field of view in part {number} is uncertain; area fractions"
                " may be off.",
            )
    areas = [_field_area(part) for part in facts.parts]
    if areas and min(areas) < (1 - _FIELD_CHANGE) * max(areas):
        yield Flag(
            "field_of_view_differs",
            FlagLevel.CAUTION,
            "The field of view differs between parts (zoom or endoscope changed); area fractions"
            " refer to the view of their part.",
        )
    if facts.view_changes_s:
        times = ", ".join(_clock(time_s) for time_s in facts.view_changes_s[:5])
        more = " and later" if len(facts.view_changes_s) > 5 else ""
        yield Flag(
            "view_changed",
            FlagLevel.CAUTION,
            f"The view changed inside a part (zoom or endoscope) at {times}{more}.",
        )


def _field_area(part: PartSummary) -> float:
    field = part.field_of_view
    inside = (field.right_px - field.left_px) * (field.bottom_px - field.top_px)
    return inside / (part.width_px * part.height_px)


def _readers(facts: _Facts) -> Iterator[Flag]:
    if facts.decode_failures:
        yield Flag(
            "reader_failed",
            FlagLevel.INFO,
            f"Readers gave up {len(facts.decode_failures)} times and another one went on; see"
            " provenance.",
        )


def _unstable_threshold(facts: _Facts) -> Iterator[Flag]:
    low, high = _band(facts.metrics.get("impaired_share_20"))
    if high - low > _BAND_WIDTH_FRAC:
        yield Flag(
            "unstable_threshold",
            FlagLevel.CAUTION,
            f"The share of time with ≥ 20 % of the view obscured runs from {_percent(low)} to"
            f" {_percent(high)} with the probability threshold of the model.",
        )
    fewest, most = _band(facts.metrics.get("event_count"))
    if most - fewest >= _BAND_EVENTS and most >= 2 * fewest:
        yield Flag(
            "unstable_event_count",
            FlagLevel.CAUTION,
            f"The number of events runs from {fewest:.0f} to {most:.0f} with the"
            " probability threshold of the model.",
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
    typical_s = weighted_quantile(duration_s, duration_s, 0.5)
    if typical_s > facts.event_config.min_duration_s:
        yield Flag(
            "coarse_sampling",
            FlagLevel.CAUTION,
            f"Pictures were looked at every {typical_s:.1f} s; events shorter than that are missed"
            " and longer ones are timed no better.",
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


def _pauses(facts: _Facts) -> Iterator[Flag]:
    n_pauses = sum(not is_recorded for is_recorded in facts.series.is_recorded)
    if n_pauses:
        yield Flag(
            "pauses",
            FlagLevel.INFO,
            f"The recording was paused between parts ({n_pauses}); what happened then is not in the"
            " numbers, and no event runs across a pause.",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _clock(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s:02d} s"


_CHECKS = (
    _low_coverage,
    _truncated,
    _damaged,
    _gaps,
    _repeated_part,
    _field_of_view,
    _readers,
    _unstable_threshold,
    _censoring,
    _sampling,
    _closing_field,
    _pauses,
)
