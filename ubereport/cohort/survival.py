"""Time to clear at event level: Kaplan–Meier with clusters (events in cases in surgeons)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import AtRisk, ClearCurve, ClearDifference, TimeToClear
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.statistics.cluster_draws import Clusters, case_weights, find_clusters
from ubereport.statistics.distributions import normal_tail
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier_of_durations

__all__ = ["ClearEvents", "clear_quantities", "time_to_clear"]

AT_RISK_TIMES_S = (0.0, 30.0, 60.0, 120.0, 180.0, 300.0)
_MARKS_S = (60.0, 180.0)
_CHUNK = 100
_SCALES = (
    None,
    MetricScale(ScaleKind.LOGIT, 0.005),
    MetricScale(ScaleKind.LOGIT, 0.005),
    MetricScale(ScaleKind.LOG, 1.0),
)
_DIFFERENCES = ("cleared_60s_share", "cleared_180s_share", "mean_to_horizon_s")


@dataclass(frozen=True, slots=True, eq=False)
class ClearEvents:
    """Events with an observed onset, in cases, in groups, under surgeons.

    Parameters
    ----------
    duration_s
        (n,) onset to clearing, or to the last moment observed.
    is_cleared
        (n,) whether the clearing was seen.
    case_index
        (n,) position of the event's case in the arrays below.
    case_group
        (c,) index into `groups`, one a case.
    case_surgeon
        (c,) code of the surgeon; cases of unknown surgeons have codes of their own.
    n_onset_unseen
        (c,) events of the case that were left out because their onset was not seen.
    groups
        Names, the reference first.
    """

    duration_s: FloatArray
    is_cleared: BoolArray
    case_index: IntArray
    case_group: IntArray
    case_surgeon: IntArray
    n_onset_unseen: IntArray
    groups: tuple[str, ...]


def clear_quantities(
    duration_s: FloatArray, is_cleared: BoolArray, weights: FloatArray, horizon_s: float
) -> FloatArray:
    """Return what the Kaplan–Meier curves of weighted events say, one row a set of weights.

    Parameters
    ----------
    duration_s, is_cleared
        (n,) each; events censored at the moment of a clearing leave after it.
    weights
        (b, n) how often each event counts.
    horizon_s
        End of the restricted mean.

    Returns
    -------
    (b, 4) float64: first time at which half or fewer are open (infinite if none), share cleared
    by 60 s and by 180 s, area under the curve to the horizon. Beyond the last observation the
    curve is carried on. NaN where all weights are 0.
    """
    order = np.argsort(duration_s, kind="stable")
    times_s, starts = np.unique(duration_s[order], return_index=True)
    leaving = np.add.reduceat(weights[:, order], starts, axis=1)
    cleared = np.add.reduceat(weights[:, order] * is_cleared[order], starts, axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    hazard = np.divide(cleared, at_risk, out=np.zeros_like(cleared), where=at_risk > 0)
    open_frac = np.cumprod(1 - hazard, axis=1)
    quantities = np.empty((len(weights), 4))
    is_half = open_frac <= 0.5 + 1e-12
    quantities[:, 0] = np.where(is_half.any(axis=1), times_s[is_half.argmax(axis=1)], np.inf)
    padded = np.column_stack([np.ones(len(weights)), open_frac])
    for column, mark_s in enumerate(_MARKS_S, start=1):
        quantities[:, column] = 1 - padded[:, np.searchsorted(times_s, mark_s, side="right")]
    edges_s = np.minimum(np.concatenate([[0.0], times_s, [max(horizon_s, times_s[-1])]]), horizon_s)
    quantities[:, 3] = padded @ np.diff(edges_s)
    quantities[weights.sum(axis=1) == 0] = np.nan
    return quantities


def time_to_clear(events: ClearEvents, config: CompareConfig) -> TimeToClear:
    """Compare the time to clear of the groups.

    The intervals come from a bootstrap of clusters, so that many events of one case do not pass
    for many observations. Where `min_surgeons_for_mixed` surgeons or more used each group, whole
    surgeons are drawn; otherwise cases are drawn inside each surgeon and group, and the intervals
    speak of these surgeons only. They reach as many bootstrap standard errors as Student's t asks
    for the effective number of clusters: shares on the logit scale, means on the log, differences
    as they are; the median by percentiles of the same reach.
    """
    n_events = np.bincount(events.case_index, minlength=len(events.case_group))
    clusters = find_clusters(
        events.case_group,
        events.case_surgeon,
        n_events,
        len(events.groups),
        config.min_surgeons_for_mixed,
    )
    replicates = _replicates(events, config, clusters)
    curves = tuple(
        _curve(
            events,
            group,
            replicates[group],
            clusters.reach(group, group, config.confidence),
            config,
        )
        for group in range(len(events.groups))
    )
    differences = tuple(
        _difference(
            (curves[group], curves[reference]),
            replicates[group, :, 1:] - replicates[reference, :, 1:],
            clusters.reach(group, reference, config.confidence),
            config.confidence,
        )
        for reference, group in combinations(range(len(curves)), 2)
    )
    reason = "" if len(events.duration_s) else "no event with an observed onset"
    clustering = (
        "bootstrap of whole surgeons"
        if clusters.is_surgeon_drawn
        else "bootstrap of whole cases inside surgeons; it speaks of these surgeons only"
    )
    return TimeToClear(
        config.rmst_horizon_s, clustering, config.n_bootstrap, curves, differences, reason
    )


def _replicates(events: ClearEvents, config: CompareConfig, clusters: Clusters) -> FloatArray:
    """Return the (groups, n_bootstrap, 4) quantities of resampled cohorts; NaN without events."""
    weights = case_weights(
        events.case_group, events.case_surgeon, clusters, config.n_bootstrap, config.seed
    )
    replicates = np.full((len(events.groups), config.n_bootstrap, 4), np.nan)
    for group in range(len(events.groups)):
        rows = np.flatnonzero(events.case_group[events.case_index] == group)
        for start in range(0, config.n_bootstrap if len(rows) else 0, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            replicates[group, chunk] = clear_quantities(
                events.duration_s[rows],
                events.is_cleared[rows],
                weights[chunk][:, events.case_index[rows]],
                config.rmst_horizon_s,
            )
    return replicates


def _curve(
    events: ClearEvents, group: int, replicates: FloatArray, reach: float, config: CompareConfig
) -> ClearCurve:
    rows = np.flatnonzero(events.case_group[events.case_index] == group)
    is_group = events.case_group == group
    curve = kaplan_meier_of_durations(
        events.duration_s[rows],
        events.is_cleared[rows],
        int(events.n_onset_unseen[is_group].sum()),
    )
    median_s, share_60, share_180, mean_s = (
        _estimate(value, reason, replicates[:, i], (reach, _SCALES[i]), config.confidence)
        for i, (value, reason) in enumerate(_point_estimates(curve, config.rmst_horizon_s))
    )
    return ClearCurve(
        group=events.groups[group],
        n_cases=int(is_group.sum()),
        n_events=curve.n_events,
        n_cleared=curve.n_events - curve.n_censored,
        n_censored=curve.n_censored,
        n_onset_unseen=curve.n_onset_unseen,
        time_s=tuple(curve.time_s.tolist()),
        open_frac=tuple(curve.survival_frac.tolist()),
        at_risk=tuple(AtRisk(t, curve.n_at_risk_at(t)) for t in AT_RISK_TIMES_S),
        median_s=median_s,
        cleared_60s_share=share_60,
        cleared_180s_share=share_180,
        mean_to_horizon_s=mean_s,
    )


def _point_estimates(curve: KaplanMeierCurve, horizon_s: float) -> list[tuple[float | None, str]]:
    """Median, shares at 60 and 180 s and restricted mean, each with why it has no value."""
    if curve.n_events == 0:
        return [(None, "no event with an observed onset")] * 4
    if curve.n_censored == curve.n_events:
        return [(None, "no clearing was seen: all events are censored")] * 4
    values = [curve.cleared_share_at(mark_s) for mark_s in _MARKS_S]
    is_followed = curve.cleared_share_at(horizon_s) is not None
    mean_s = _restricted_mean_s(curve, horizon_s) if is_followed else None
    quantities = [curve.median_s, *values, mean_s]
    unwatched = [f"no event was watched for {t:.0f} s" for t in (*_MARKS_S, horizon_s)]
    reasons = ["more than half of the events stayed open", *unwatched]
    return [
        (value, "" if value is not None else reason)
        for value, reason in zip(quantities, reasons, strict=True)
    ]


def _restricted_mean_s(curve: KaplanMeierCurve, horizon_s: float) -> float:
    edges_s = np.append(curve.time_s, max(horizon_s, float(curve.time_s[-1])))
    return float(curve.survival_frac @ np.diff(np.minimum(edges_s, horizon_s)))


def _estimate(
    value: float | None,
    reason: str,
    replicates: FloatArray,
    how: tuple[float, MetricScale | None],
    confidence: float,
) -> Estimate:
    """Put an interval around `value`; `how` is its reach and scale, None for percentiles."""
    method = "Kaplan–Meier, interval from the cluster bootstrap"
    if value is None:
        return Estimate(None, None, None, method, reason, confidence)
    known = replicates[~np.isnan(replicates)]
    if len(known) < len(replicates) / 2:
        why = "too many resampled cohorts have no event of the group"
        return Estimate(value, None, None, method, why, confidence)
    reach, scale = how
    low, high = _percentiles(known, reach) if scale is None else _spread(value, known, reach, scale)
    if not np.isfinite(low) or not np.isfinite(high):
        why = "a limit lies beyond what was observed"
        return Estimate(value, None, None, method, why, confidence)
    if low == high:
        why = "the events do not differ enough for an interval"
        return Estimate(value, None, None, method, why, confidence)
    return Estimate(value, low, high, method, "", confidence)


def _percentiles(replicates: FloatArray, reach: float) -> tuple[float, float]:
    ordered, tail = np.sort(replicates), normal_tail(reach)
    low = ordered[int(np.floor(tail * (len(ordered) - 1)))]
    return float(low), float(ordered[int(np.ceil((1 - tail) * (len(ordered) - 1)))])


def _spread(
    value: float, replicates: FloatArray, reach: float, scale: MetricScale
) -> tuple[float, float]:
    error = float(np.std(scale.forward(replicates), ddof=1))
    if error < 1e-12:
        return value, value
    center = float(scale.forward(value))
    return float(scale.back(center - reach * error)), float(scale.back(center + reach * error))


def _difference(
    curves: tuple[ClearCurve, ClearCurve], replicates: FloatArray, reach: float, confidence: float
) -> ClearDifference:
    estimates = []
    for column, name in enumerate(_DIFFERENCES):
        first, second = (getattr(curve, name) for curve in curves)
        is_known = first.value is not None and second.value is not None
        value = first.value - second.value if is_known else None
        reason = "" if is_known else (first.reason or second.reason)
        how = (reach, MetricScale(ScaleKind.IDENTITY))
        estimates.append(_estimate(value, reason, replicates[:, column], how, confidence))
    return ClearDifference(curves[0].group, curves[1].group, *estimates)
