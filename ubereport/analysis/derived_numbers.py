"""Everything that follows from the stored series, without touching the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ubereport.core.case import PEAK_REACH_S, CaseRecord, Flag, KeyFrame, KeyFrameKind
from ubereport.core.config import (
    AnalysisConfig,
    EventConfig,
    MetricConfig,
    config_from_toml,
    config_sha256,
    config_to_toml,
)
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries, Threshold
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.flags import DERIVED_FLAGS, quality_flags
from ubereport.metrics.registry import compute_metrics


@dataclass(frozen=True, slots=True)
class Derived:
    """Events, metrics and flags of a series."""

    events: tuple[HemostasisEvent, ...]
    metrics: tuple[MetricValue, ...]
    flags: tuple[Flag, ...]


def derive(series: AreaSeries, events: EventConfig, metrics: MetricConfig) -> Derived:
    """Derive events, metrics with their bands, and flags from a series."""
    by_threshold = {t: detect_events(series.at(t), events) for t in Threshold}
    central = by_threshold[Threshold.CENTRAL]
    values = compute_metrics(series, by_threshold, events, metrics)
    return Derived(central, values, quality_flags(series, central, values, events, metrics))


def rederive(record: CaseRecord, events: EventConfig) -> CaseRecord:
    """Return the case with its events, metrics and flags under other event thresholds.

    Key frames stay where the moment that they show is still one; flags that came from the
    recording and not from the series stay.
    """
    config = config_from_toml(record.provenance.config_toml, AnalysisConfig)
    after = derive(record.series, events, config.metrics)
    changed = replace(config, events=events)
    # What the series gives is told anew, whatever an earlier version said of it; what is left came
    # from the recording, which is not at hand.
    others = [flag for flag in record.flags if flag.key not in DERIVED_FLAGS]
    return replace(
        record,
        events=after.events,
        metrics=after.metrics,
        flags=(*others, *after.flags),
        key_frames=match_key_frames(record.key_frames, after.events),
        provenance=replace(
            record.provenance,
            config_toml=config_to_toml(changed),
            config_sha256=config_sha256(changed),
        ),
    )


def match_key_frames(
    key_frames: Sequence[KeyFrame], events: Sequence[HemostasisEvent]
) -> tuple[KeyFrame, ...]:
    """Return the key frames that show onset, peak or clearing of one of `events`, renumbered.

    For events found anew in a stored series: a picture stays where its moment is still one.
    """
    shown = [(frame, _event_shown(frame, events)) for frame in key_frames]
    matched = [replace(frame, event_index=at) for frame, at in shown if at is not None]
    return tuple(sorted(matched, key=lambda frame: (frame.event_index, frame.time_s)))


def _event_shown(frame: KeyFrame, events: Sequence[HemostasisEvent]) -> int | None:
    reach_s = PEAK_REACH_S if frame.kind is KeyFrameKind.PEAK else 0.0
    for index, event in enumerate(events):
        moment_s = {
            KeyFrameKind.ONSET: event.onset_s,
            KeyFrameKind.PEAK: event.peak_s,
            KeyFrameKind.CLEAR: event.clear_s,
        }[frame.kind]
        if moment_s is not None and abs(frame.time_s - moment_s) <= reach_s:
            return index
    return None
