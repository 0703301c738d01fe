"""Time to clear at event level: Kaplan–Meier with clusters (events in cases in surgeons)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ubereport.config import CompareConfig
from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.cohort import AtRisk, ClearCurve, ClearDifference, Estimate, TimeToClear
from ubereport.metrics.survival import KaplanMeierCurve, kaplan_meier_of_durations

__all__ = ["ClearEvents", "StepCurve", "clear_curve", "time_to_clear"]

AT_RISK_TIMES_S = (0.0, 30.0, 60.0, 120.0, 180.0, 300.0)
_MARKS_S = (60.0, 180.0)


@dataclass(frozen=True, slots=True, eq=False)
class StepCurve:
    """Share of events still open: 1 at first, `value[i]` from `time_s[i]` on."""

    time_s: FloatArray
    value: FloatArray

    def at(self, time_s: float) -> float:
        """Value at a time; the last value is carried on beyond the last observation."""
        index = int(np.searchsorted(self.time_s, time_s, side="right"))
        return float(self.value[index - 1]) if index else 1.0

    def mean_to(self, horizon_s: float) -> float:
        """Area under the curve from 0 to the horizon: the restricted mean time to clear."""
        inside = self.time_s < horizon_s
        edges = np.concatenate([[0.0], self.time_s[inside], [horizon_s]])
        heights = np.concatenate([[1.0], self.value[inside]])
        return float(np.sum(np.diff(edges) * heights))

    def median_s(self) -> float:
        """First time at which half or fewer are open; infinite if that is never seen."""
        below = np.flatnonzero(self.value <= 0.5 + 1e-12)
        return float(self.time_s[below[0]]) if len(below) else np.inf


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
    """

    duration_s: FloatArray
    is_cleared: BoolArray
    case_index: IntArray
    case_group: IntArray
    case_surgeon: IntArray
    n_onset_unseen: IntArray
    groups: tuple[str, ...]


def clear_curve(
    duration_s: FloatArray, is_cleared: BoolArray, weights: FloatArray | None = None
) -> StepCurve:
    """Return the Kaplan–Meier estimate of the share of events still open.

    Parameters
    ----------
    duration_s, is_cleared
        (n,) each; censored events leave after the clearings of the same moment.
    weights
        (n,) how often each event counts; None counts each once.

    Source: Kaplan and Meier, J Am Stat Assoc 1958;53:457.
    """
    if weights is None:
        weights = np.ones(len(duration_s))
    present = weights > 0
    order = np.argsort(duration_s[present], kind="stable")
    times, starts = np.unique(duration_s[present][order], return_index=True)
    if len(times) == 0:
        return StepCurve(times, times.copy())
    weight = weights[present][order]
    leaving = np.add.reduceat(weight, starts)
    cleared = np.add.reduceat(weight * is_cleared[present][order], starts)
    at_risk = weight.sum() - np.concatenate([[0.0], np.cumsum(leaving)[:-1]])
    value = np.cumprod(1 - cleared / at_risk)
    # Where all that is left clears, rounding must not leave a sliver open.
    value[cleared >= at_risk - 1e-9] = 0.0
    is_step = cleared > 0
    return StepCurve(times[is_step], np.asarray(value[is_step]))


def time_to_clear(events: ClearEvents, config: CompareConfig) -> TimeToClear:
    """Compare the time to clear of the groups.

    The intervals are percentiles of a bootstrap that draws whole cases, so that many events of
    one case do not pass for many observations. From `min_surgeons_for_mixed` surgeons on it first
    draws surgeons, then cases of each surgeon and group; below, surgeons stay fixed.
    """
    n_surgeons = len(np.unique(events.case_surgeon))
    is_drawn = n_surgeons >= config.min_surgeons_for_mixed
    clustering = (
        f"bootstrap of {n_surgeons} surgeons and of the cases of each"
        if is_drawn
        else "bootstrap of cases; surgeons fixed: it speaks of these surgeons only"
    )
    replicates = _replicates(events, config, is_drawn)
    curves = tuple(
        _curve(events, group, replicates[group], config) for group in range(len(events.groups))
    )
    differences = tuple(
        _difference(
            curves[group], curves[reference], replicates[group], replicates[reference], config
        )
        for reference, group in combinations(range(len(curves)), 2)
    )
    reason = "" if len(events.duration_s) else "no event with an observed onset"
    return TimeToClear(
        config.rmst_horizon_s, clustering, config.n_bootstrap, curves, differences, reason
    )


def _quantities(curve: StepCurve, horizon_s: float) -> list[float]:
    """Median, share cleared by 60 s and by 180 s, mean to the horizon."""
    shares = [1 - curve.at(mark_s) for mark_s in _MARKS_S]
    return [curve.median_s(), *shares, curve.mean_to(horizon_s)]


def _replicates(events: ClearEvents, config: CompareConfig, is_drawn: bool) -> FloatArray:
    """Return the (groups, n_bootstrap, 4) quantities of resampled cohorts; NaN without events."""
    rng = np.random.default_rng(config.seed)
    draw = _case_drawer(events, rng, is_drawn)
    rows_of = [
        np.flatnonzero(events.case_group[events.case_index] == group)
        for group in range(len(events.groups))
    ]
    replicates = np.full((len(events.groups), config.n_bootstrap, 4), np.nan)
    for replicate in range(config.n_bootstrap):
        weights = draw()[events.case_index]
        for group, rows in enumerate(rows_of):
            if weights[rows].any():
                curve = clear_curve(events.duration_s[rows], events.is_cleared[rows], weights[rows])
                replicates[group, replicate] = _quantities(curve, config.rmst_horizon_s)
    return replicates


def _case_drawer(
    events: ClearEvents, rng: np.random.Generator, is_drawn: bool
) -> Callable[[], FloatArray]:
    """Return a function that gives (c,) how often each case is drawn this time."""
    surgeons, surgeon_of = np.unique(events.case_surgeon, return_inverse=True)
    cells = [
        (surgeon, np.flatnonzero((surgeon_of == surgeon) & (events.case_group == group)))
        for surgeon in range(len(surgeons))
        for group in range(len(events.groups))
    ]
    cells = [(surgeon, cases) for surgeon, cases in cells if len(cases)]
    even = np.full(len(surgeons), 1 / max(len(surgeons), 1))

    def draw() -> FloatArray:
        times = rng.multinomial(len(surgeons), even) if is_drawn else np.ones(len(surgeons), int)
        weights = np.zeros(len(surgeon_of))
        for surgeon, cases in cells:
            n = len(cases)
            weights[cases] = rng.multinomial(int(times[surgeon]) * n, np.full(n, 1 / n))
        return weights

    return draw


def _curve(
    events: ClearEvents, group: int, replicates: FloatArray, config: CompareConfig
) -> ClearCurve:
    rows = np.flatnonzero(events.case_group[events.case_index] == group)
    is_group = events.case_group == group
    curve = kaplan_meier_of_durations(
        events.duration_s[rows],
        events.is_cleared[rows],
        int(events.n_onset_unseen[is_group].sum()),
    )
    median_s, share_60, share_180, mean_s = (
        _estimate(value, reason, replicates[:, i], config.confidence)
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
    steps = StepCurve(curve.time_s[1:], curve.survival_frac[1:])
    is_followed = curve.cleared_share_at(horizon_s) is not None
    mean_s = steps.mean_to(horizon_s) if is_followed else None
    quantities = [curve.median_s, *values, mean_s]
    unwatched = [f"no event was watched for {t:.0f} s" for t in (*_MARKS_S, horizon_s)]
    reasons = ["more than half of the events stayed open", *unwatched]
    return [
        (value, "" if value is not None else reason)
        for value, reason in zip(quantities, reasons, strict=True)
    ]


def _estimate(
    value: float | None, reason: str, replicates: FloatArray, confidence: float
) -> Estimate:
    method = "Kaplan–Meier, interval from the cluster bootstrap"
    if value is None:
        return Estimate(None, None, None, method, reason, confidence)
    low, high = _percentiles(replicates, confidence)
    if not np.isfinite(low) or not np.isfinite(high):
        why = "a limit lies beyond what was observed"
        return Estimate(value, None, None, method, why, confidence)
    if low == high:
        why = "the events do not differ enough for an interval"
        return Estimate(value, None, None, method, why, confidence)
    return Estimate(value, low, high, method, "", confidence)


def _percentiles(replicates: FloatArray, confidence: float) -> tuple[float, float]:
    known = np.sort(replicates[~np.isnan(replicates)])
    if len(known) == 0:
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low = known[int(np.floor(tail * (len(known) - 1)))]
    high = known[int(np.ceil((1 - tail) * (len(known) - 1)))]
    return float(low), float(high)


def _difference(
    group: ClearCurve,
    reference: ClearCurve,
    group_replicates: FloatArray,
    reference_replicates: FloatArray,
    config: CompareConfig,
) -> ClearDifference:
    with np.errstate(invalid="ignore"):
        replicates = group_replicates - reference_replicates
    names = ("median_s", "cleared_60s_share", "cleared_180s_share", "mean_to_horizon_s")
    estimates = []
    for i, name in enumerate(names):
        first, second = getattr(group, name), getattr(reference, name)
        is_known = first.value is not None and second.value is not None
        value = first.value - second.value if is_known else None
        reason = "" if is_known else (first.reason or second.reason)
        estimates.append(_estimate(value, reason, replicates[:, i], config.confidence))
    return ClearDifference(group.group, reference.group, *estimates[1:])
