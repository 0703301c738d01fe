"""A case against the truth of its recording: area, events, lost time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.laboratory.evaluation.results import (
    EventMatch,
    EventScore,
    ReasonScore,
    RecordingEvaluation,
)
from ubereport.laboratory.evaluation.truth import RecordingTruth, TrueEvent
from ubereport.statistics.agreement import limits_of_agreement
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.group_bootstrap import Resampler
from ubereport.statistics.pairing import best_pairs

MIN_IOUS = (0.1, 0.25, 0.5)
RECORDING_KEYS = (
    "area_mae_frac",
    "area_bias_frac",
    "event_f1_10",
    "event_f1_25",
    "event_f1_50",
    "onset_error_median_s",
    "clear_error_median_s",
    "false_events_per_hour",
    "lost_precision",
    "lost_recall",
)
_SECONDS_PER_HOUR = 3600.0

IntervalPair = tuple[int, int, float]


def evaluate_recording(
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    truth: RecordingTruth,
    max_gap_s: float,
) -> RecordingEvaluation:
    """Compare a case with the truth of its recording.

    The area of a sample is held against the true area at its presentation time and weighted with
    the time that the sample stands for; only where both are valid. Events are matched one to one.
    A true event that did not clear ends where the view was last good, a detected one where it was
    last observed.

    Parameters
    ----------
    series, events
        Of the case.
    truth
        On the same clock.
    max_gap_s
        The longest loss that does not end an event, as the events were detected with.
    """
    # The true row on display at each sample; before the first and after the last there is none.
    row = np.searchsorted(truth.time_s, series.time_s + 1e-6, side="right") - 1
    # The truth may begin later or end earlier than the recording; outside of it nothing is
    # compared.
    is_inside = (row >= 0) & (series.time_s < truth.edges_s[-1])
    row = np.clip(row, 0, len(truth.time_s) - 1)
    both = series.is_valid & is_inside & truth.is_valid[row]
    difference = (series.area_frac - truth.area_frac[row])[both]
    weight_s = series.duration_s[both]
    scores, matches = _events(events, truth, max_gap_s)
    onset_s = [m.onset_error_s for m in matches if m.onset_error_s is not None]
    clear_s = [m.clear_error_s for m in matches if m.clear_error_s is not None]
    n_false = len(events) - len(matches)
    hours = truth.valid_s / _SECONDS_PER_HOUR
    return RecordingEvaluation(
        compared_s=float(weight_s.sum()),
        true_valid_s=truth.valid_s,
        area_mae_frac=_weighted_mean(np.abs(difference), weight_s),
        area_bias_frac=_weighted_mean(difference, weight_s),
        area_limits_frac=limits_of_agreement(difference, weight_s),
        events=scores,
        matches=matches,
        onset_error_median_s=float(np.median(np.abs(onset_s))) if onset_s else None,
        clear_error_median_s=float(np.median(np.abs(clear_s))) if clear_s else None,
        onset_bias_quartiles_s=_quartiles(onset_s),
        clear_bias_quartiles_s=_quartiles(clear_s),
        false_events_per_hour=n_false / hours if hours > 0 else None,
        reasons=_reasons(series, truth),
    )


def over_recordings(
    evaluations: Sequence[RecordingEvaluation],
    n_resamples: int = 1000,
    seed: int = 1,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Return the mean over recordings of each of `RECORDING_KEYS`, recordings resampled.

    Recordings without a number (no event at all, say) are left out of that number's mean.
    """
    names = [str(i) for i in range(len(evaluations))]
    resampler = Resampler(names, n_resamples, seed, confidence)
    estimates: dict[str, Estimate] = {}
    for key in RECORDING_KEYS:
        values = [recording_value(evaluation, key) for evaluation in evaluations]
        column = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        estimates[key] = resampler.over_rows(column, lambda known: float(np.mean(known)))
    return estimates


def recording_value(evaluation: RecordingEvaluation, key: str) -> float | None:
    """Return the number of an evaluation that `RECORDING_KEYS` calls `key`."""
    if key.startswith("event_f1_"):
        return evaluation.event_score(int(key.removeprefix("event_f1_")) / 100).f1
    if key == "lost_precision":
        return evaluation.reasons[-1].precision
    if key == "lost_recall":
        return evaluation.reasons[-1].recall
    value: float | None = getattr(evaluation, key)
    return value


def _weighted_mean(values: FloatArray, weight_s: FloatArray) -> float | None:
    return float(np.average(values, weights=weight_s)) if len(values) else None


def _quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    if not values:
        return None
    low, middle, high = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))
    return low, middle, high


def _events(
    events: Sequence[HemostasisEvent], truth: RecordingTruth, max_gap_s: float
) -> tuple[tuple[EventScore, ...], tuple[EventMatch, ...]]:
    true = [truth.event_interval(event, max_gap_s) for event in truth.events]
    detections = [Interval(event.onset_s, event.end_s) for event in events]
    pairs = {min_iou: match_intervals(true, detections, min_iou) for min_iou in MIN_IOUS}
    scores = tuple(_score(m, len(true), len(detections), len(pairs[m])) for m in MIN_IOUS)
    matches = tuple(_match(pair, truth.events, events) for pair in pairs[MIN_IOUS[0]])
    return scores, matches


def match_intervals(
    true: Sequence[Interval], detections: Sequence[Interval], min_iou: float
) -> tuple[IntervalPair, ...]:
    """Return (true, found, IoU) index pairs: as many as possible, then of largest total IoU.

    Every interval is used once at most, and only pairs of at least `min_iou` exist.

    Raises
    ------
    ValueError
        If `min_iou` is not above 0 and at most 1.
    """
    if not 0 < min_iou <= 1:
        raise ValueError(f"temporal IoU of {min_iou}; allowed: above 0 to 1")
    overlap = np.array([[t.iou(f) for f in detections] for t in true], dtype=np.float64)
    # With no interval on one side NumPy would make a list of the wrong shape.
    overlap = overlap.reshape(len(true), len(detections))
    # Each allowed pair is worth more than all overlaps of any matching together, so that one more
    # pair always wins; a forbidden pair is worth nothing.
    worth = np.where(overlap >= min_iou, overlap + min(len(true), len(detections)) + 1.0, 0.0)
    return tuple(
        (row, column, float(overlap[row, column]))
        for row, column in best_pairs(worth)
        if overlap[row, column] >= min_iou
    )


def _score(min_iou: float, n_true: int, n_found: int, n_matched: int) -> EventScore:
    n_events = n_true + n_found
    return EventScore(
        min_iou,
        n_true,
        n_found,
        n_matched,
        2 * n_matched / n_events if n_events else None,
        n_matched / n_found if n_found else None,
        n_matched / n_true if n_true else None,
    )


def _match(
    pair: IntervalPair, true: Sequence[TrueEvent], detections: Sequence[HemostasisEvent]
) -> EventMatch:
    event, detected = true[pair[0]], detections[pair[1]]
    onset_error_s, clear_error_s = None, None
    # An onset that the case did not see is no error of timing, as little as a clearing that was not
    # seen.
    if detected.is_onset_observed:
        onset_error_s = detected.onset_s - event.onset_s
    if detected.clear_s is not None and event.clear_s is not None:
        clear_error_s = detected.clear_s - event.clear_s
    return EventMatch(event.onset_s, detected.onset_s, pair[2], onset_error_s, clear_error_s)


def _reasons(series: AreaSeries, truth: RecordingTruth) -> tuple[ReasonScore, ...]:
    """Score every reason that occurs on either side, then all of them taken together."""
    seconds = _common_seconds(series, truth)
    present = [
        reason
        for reason in LossReason
        if reason not in (LossReason.NONE, LossReason.PAUSE)
        and any(reason in pair for pair in seconds)
    ]
    scores = [
        _reason_score(
            reason,
            sum(s for (true, _), s in seconds.items() if true is reason),
            sum(s for (_, measured), s in seconds.items() if measured is reason),
            seconds.get((reason, reason), 0.0),
        )
        for reason in present
    ]
    lost = [
        (t is not LossReason.NONE, f is not LossReason.NONE, s) for (t, f), s in seconds.items()
    ]
    total = _reason_score(
        None,
        sum(s for t, _, s in lost if t),
        sum(s for _, f, s in lost if f),
        sum(s for t, f, s in lost if t and f),
    )
    return (*scores, total)


def _reason_score(
    reason: LossReason | None, true_s: float, found_s: float, both_s: float
) -> ReasonScore:
    precision = both_s / found_s if found_s > 0 else None
    recall = both_s / true_s if true_s > 0 else None
    return ReasonScore(reason, true_s, found_s, both_s, precision, recall)


def _common_seconds(
    series: AreaSeries, truth: RecordingTruth
) -> dict[tuple[LossReason, LossReason], float]:
    """Return seconds by (true, found) reason, over the recorded time of the case.

    The rows of the case are cut where a true stretch begins or ends, and each piece is given the
    reason of the true stretch that holds its middle.
    """
    cuts_s = np.unique([t for s in truth.stretches for t in (s.interval.start_s, s.interval.end_s)])
    starts_s = np.array([s.interval.start_s for s in truth.stretches])
    seconds: dict[tuple[LossReason, LossReason], float] = {}
    for start_s, end_s, measured in zip(
        series.time_s, series.end_time_s, series.reason, strict=True
    ):
        if not measured.is_recorded:
            continue
        # Rows of the case and stretches of the truth have different edges. Cut at both, so that
        # each piece has one reason on either side.
        inner = cuts_s[(cuts_s > start_s) & (cuts_s < end_s)]
        edges_s = np.concatenate([[start_s], inner, [end_s]])
        for a, b in pairwise(edges_s.tolist()):
            # Asked in the middle of the piece, where rounding of its ends cannot pick the neighbor.
            true = _reason_at((a + b) / 2, starts_s, truth)
            if true.is_recorded:
                seconds[true, measured] = seconds.get((true, measured), 0.0) + b - a
    return seconds


def _reason_at(time_s: float, starts_s: FloatArray, truth: RecordingTruth) -> LossReason:
    at = int(np.searchsorted(starts_s, time_s, side="right")) - 1
    if at < 0 or not truth.stretches[at].interval.contains(time_s):
        return LossReason.NONE
    return truth.stretches[at].reason
