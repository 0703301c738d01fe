"""Time to clear at event level: Kaplan–Meier with clusters (events in cases in surgeons)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import AtRisk, ClearCurve, ClearDifference, TimeToClear
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.cohort.time_ratio import time_ratio
from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.statistics.cluster_draws import Clusters, case_weights, find_clusters
from ubereport.statistics.distributions import normal_tail
from ubereport.statistics.estimates import Estimate
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier_of_durations

AT_RISK_TIMES_S = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
_MARKS_S = (60.0, 180.0)
BAND_TIMES_S = np.arange(0.0, 301.0, 5.0)
# Resampled cohorts at a time: weights of all of them by all events at once would fill the memory of
# a large library.
_CHUNK = 100
_METHOD = "Kaplan–Meier, interval from the cluster bootstrap"
_LOGIT = MetricScale(ScaleKind.LOGIT, 0.005)
_SCALES = (None, _LOGIT, _LOGIT, MetricScale(ScaleKind.LOG, 1.0))
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
    times_s, open_frac = open_curves(duration_s, is_cleared, weights)
    quantities = np.empty((len(weights), 4))
    # Half open is reached although a product of shares may lie above it by rounding.
    is_half = open_frac <= 0.5 + 1e-12
    quantities[:, 0] = np.where(is_half.any(axis=1), times_s[is_half.argmax(axis=1)], np.inf)
    # One column more in front: before the first time all are open, and searchsorted then names the
    # column that stands at a time.
    padded = np.column_stack([np.ones(len(weights)), open_frac])
    for column, mark_s in enumerate(_MARKS_S, start=1):
        quantities[:, column] = 1 - padded[:, np.searchsorted(times_s, mark_s, side="right")]
    # Steps beyond the horizon get no length and so no area.
    edges_s = np.minimum(np.concatenate([[0.0], times_s, [max(horizon_s, times_s[-1])]]), horizon_s)
    quantities[:, 3] = padded @ np.diff(edges_s)
    quantities[weights.sum(axis=1) == 0] = np.nan
    return quantities


def open_curves(
    duration_s: FloatArray, is_cleared: BoolArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the distinct times (t,) and the share still open from each on, (b, t)."""
    # Kaplan and Meier for many sets of weights at once: sort the events by time, sum the weights
    # that leave, and that clear, at each distinct time; who is at risk then is what leaves from
    # there on (a sum from the end), and what stays open is the product of the shares that do.
    order = np.argsort(duration_s, kind="stable")
    times_s, starts = np.unique(duration_s[order], return_index=True)
    leaving = np.add.reduceat(weights[:, order], starts, axis=1)
    cleared = np.add.reduceat(weights[:, order] * is_cleared[order], starts, axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    # Sums from the end leave rounding where nobody is at risk any more; divided by it, the curve
    # would fall on nothing.
    hazard = np.divide(cleared, at_risk, out=np.zeros_like(cleared), where=at_risk > 1e-12)
    return times_s, np.cumprod(1 - np.clip(hazard, 0, 1), axis=1)


def time_to_clear(events: ClearEvents, config: CompareConfig) -> TimeToClear:
    """Compare the time to clear of the groups.

    Every case with events counts alike, so that a case with forty events does not speak for forty.
    The intervals come from a bootstrap of clusters. Where `min_surgeons_for_mixed` surgeons or more
    used each group, whole surgeons are drawn; otherwise cases are drawn inside each surgeon and
    group, and the intervals speak of these surgeons only. They reach as many bootstrap standard
    errors as Student's t asks for the effective number of clusters: shares on the logit scale,
    means on the log, differences as they are; the median by percentiles of the same reach. A
    difference has no interval where a group has fewer than `min_cases_for_p` cases with events: one
    that leaves zero out is a p-value by another name.
    """
    n_events = np.bincount(events.case_index, minlength=len(events.case_group))
    clusters = find_clusters(
        events.case_group,
        events.case_surgeon,
        n_events,
        len(events.groups),
        config.min_surgeons_for_mixed,
    )
    # Each case shares one vote among its events; events of one case resemble each other.
    event_weights = 1.0 / n_events[events.case_index]
    drawn_cases = case_weights(
        events.case_group, events.case_surgeon, clusters, config.n_bootstrap, config.seed
    )
    groups = [
        _group_events(
            events, event_weights, group, drawn_cases, clusters.reach(group, config.confidence),
            config,
        )
        for group in range(len(events.groups))
    ]  # fmt: skip
    curves = tuple(_curve(group, name) for group, name in zip(groups, events.groups, strict=True))
    pairs = [(group, reference) for reference, group in combinations(range(len(groups)), 2)]
    differences = tuple(
        ClearDifference(
            curves[group].group,
            curves[reference].group,
            *_differences(groups, curves, (group, reference), clusters, config),
            _ratio(events, group, reference, config),
        )
        for group, reference in pairs
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


@dataclass(frozen=True, slots=True, eq=False)
class _GroupEvents:
    """The n events of one group, and what b resampled cohorts say of it, NaN where one has none.

    `weights` (1, n) is how much each event counts. Of resampled cohorts: `quantities` (b, 4) are
    those of `clear_quantities`, `bands` (b, t) open shares at `BAND_TIMES_S`, and `bounds`
    (m, b, 2) those of the share cleared by each mark. Intervals reach `reach` standard errors.
    """

    duration_s: FloatArray
    is_cleared: BoolArray
    weights: FloatArray
    n_cases: int
    n_cases_with_events: int
    n_onset_unseen: int
    quantities: FloatArray
    bands: FloatArray
    bounds: FloatArray
    reach: float
    config: CompareConfig

    def bounds_at(self, mark: int) -> tuple[float, float] | None:
        """Return the bounds of the share cleared by a mark; None without events."""
        low, high = _bounds(self.duration_s, self.is_cleared, self.weights, _MARKS_S[mark])[0]
        return None if np.isnan(low) else (float(low), float(high))


def _group_events(
    events: ClearEvents,
    event_weights: FloatArray,
    group: int,
    drawn_cases: FloatArray,
    reach: float,
    config: CompareConfig,
) -> _GroupEvents:
    is_group = events.case_group == group
    rows = np.flatnonzero(is_group[events.case_index])
    own = (events.duration_s[rows], events.is_cleared[rows])
    quantities = np.full((config.n_bootstrap, 4), np.nan)
    bands = np.full((config.n_bootstrap, len(BAND_TIMES_S)), np.nan)
    bounds = np.full((len(_MARKS_S), config.n_bootstrap, 2), np.nan)
    for start in range(0, config.n_bootstrap if len(rows) else 0, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        drawn = drawn_cases[chunk][:, events.case_index[rows]] * event_weights[rows]
        quantities[chunk] = clear_quantities(*own, drawn, config.rmst_horizon_s)
        times_s, open_frac = open_curves(*own, drawn)
        padded = np.column_stack([np.ones(len(drawn)), open_frac])
        band = padded[:, np.searchsorted(times_s, BAND_TIMES_S, side="right")]
        band[drawn.sum(axis=1) == 0] = np.nan
        bands[chunk] = band
        for mark, mark_s in enumerate(_MARKS_S):
            bounds[mark, chunk] = _bounds(*own, drawn, mark_s)
    return _GroupEvents(
        *own,
        weights=event_weights[rows][None, :],
        n_cases=int(is_group.sum()),
        n_cases_with_events=len(np.unique(events.case_index[rows])),
        n_onset_unseen=int(events.n_onset_unseen[is_group].sum()),
        quantities=quantities,
        bands=bands,
        bounds=bounds,
        reach=reach,
        config=config,
    )


def _curve(own: _GroupEvents, name: str) -> ClearCurve:
    plain = kaplan_meier_of_durations(own.duration_s, own.is_cleared, own.n_onset_unseen)
    time_s, open_frac = _steps(own)
    median_s, share_60, share_180, mean_s = (
        _estimate(own, i, value, reason)
        for i, (value, reason) in enumerate(_point_estimates(own, plain))
    )
    low, high = _band(own, time_s, open_frac)
    return ClearCurve(
        group=name,
        n_cases=own.n_cases,
        n_events=plain.n_events,
        n_cleared=plain.n_events - plain.n_censored,
        n_censored=plain.n_censored,
        n_onset_unseen=plain.n_onset_unseen,
        time_s=tuple(time_s.tolist()),
        open_frac=tuple(open_frac.tolist()),
        at_risk=tuple(AtRisk(t, plain.n_at_risk_at(t)) for t in AT_RISK_TIMES_S),
        median_s=median_s,
        cleared_60s_share=share_60,
        cleared_180s_share=share_180,
        mean_to_horizon_s=mean_s,
        band_low_frac=low,
        band_high_frac=high,
        bounds_60s=own.bounds_at(0),
        bounds_180s=own.bounds_at(1),
        limits_60s=_limits(own, 0),
        limits_180s=_limits(own, 1),
        watched_s=float(own.duration_s.sum()),
        censored_s=tuple(np.sort(own.duration_s[~own.is_cleared]).tolist()),
    )


def _steps(own: _GroupEvents) -> tuple[FloatArray, FloatArray]:
    """Return the case-weighted curve: 0 and the times of clearings, and what is open from each."""
    if not own.is_cleared.any():
        return np.array([0.0]), np.array([1.0])
    times_s, open_frac = open_curves(own.duration_s, own.is_cleared, own.weights)
    at = np.searchsorted(times_s, np.unique(own.duration_s[own.is_cleared]))
    return np.append(0.0, times_s[at]), np.append(1.0, open_frac[0, at])


def _with_events(replicates: FloatArray) -> FloatArray | None:
    """Return the rows of resampled cohorts that have events; None where most have none."""
    rows = replicates[~np.isnan(replicates).any(axis=1)]
    return None if len(rows) < len(replicates) / 2 else rows


def _band(
    own: _GroupEvents, time_s: FloatArray, open_frac: FloatArray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return limits around the curve at `BAND_TIMES_S`; empty without events, as for the shares."""
    replicates = _with_events(own.bands)
    if replicates is None or len(open_frac) < 2:
        return (), ()
    # The band is drawn around the curve itself and not around the mean of the resampled ones, which
    # is biased where few events are left.
    center = _LOGIT.forward(open_frac[np.searchsorted(time_s, BAND_TIMES_S, side="right") - 1])
    error = np.std(_LOGIT.forward(replicates), axis=0, ddof=1)
    low, high = (_LOGIT.back(center + sign * own.reach * error) for sign in (-1, 1))
    return tuple(low.tolist()), tuple(high.tolist())


def _bounds(
    duration_s: FloatArray, is_cleared: BoolArray, weights: FloatArray, mark_s: float
) -> FloatArray:
    """Return (b, 2) the share cleared by `mark_s` if no censored event cleared in time, and if all.

    Only an event censored before the mark is in doubt. Kaplan–Meier takes it as cleared as often
    as those still watched, which is wrong where heavy bleeding is what hides the view. NaN where
    all weights (b, n) are 0.
    """
    sure = weights @ (is_cleared & (duration_s <= mark_s))
    in_doubt = weights @ (~is_cleared & (duration_s < mark_s))
    total = weights.sum(axis=1)
    # 0 / 0 of a resampled cohort without events is NaN, which is what is asked for.
    with np.errstate(invalid="ignore"):
        return np.asarray(np.column_stack([sure, sure + in_doubt]) / total[:, None])


def _limits(own: _GroupEvents, mark: int) -> tuple[float, float] | None:
    """Widen bounds by chance, each by its own standard error on the logit scale.

    The interval for the range that the data leave open: Imbens and Manski, Econometrica
    2004;72:1845. None where too many resampled cohorts have no event of the group.
    """
    # Each end gets its own error: what the data leave open lies between the ends for certain, so
    # chance is added outside of each and never inside, as an interval around one number would.
    bounds, replicates = own.bounds_at(mark), _with_events(own.bounds[mark])
    if bounds is None or replicates is None:
        return None
    errors = np.std(_LOGIT.forward(replicates), axis=0, ddof=1)
    low, high = _LOGIT.back(_LOGIT.forward(bounds) + np.array([-own.reach, own.reach]) * errors)
    return float(low), float(high)


def _point_estimates(own: _GroupEvents, plain: KaplanMeierCurve) -> list[tuple[float | None, str]]:
    """Median, shares at 60 and 180 s and restricted mean, each with why it has no value."""
    if plain.n_events == 0:
        return [(None, "no event with an observed onset")] * 4
    if plain.n_censored == plain.n_events:
        return [(None, "no clearing was seen: all events are censored")] * 4
    horizon_s = own.config.rmst_horizon_s
    quantities = clear_quantities(own.duration_s, own.is_cleared, own.weights, horizon_s)[0]
    estimates: list[tuple[float | None, str]] = [(float(quantities[0]), "")]
    if not np.isfinite(quantities[0]):
        estimates = [(None, "more than half of the events stayed open")]
    for value, at_s in zip(quantities[1:], (*_MARKS_S, horizon_s), strict=True):
        is_followed = plain.cleared_share_at(at_s) is not None
        unwatched = (None, f"no event was watched for {at_s:.0f} s")
        estimates.append((float(value), "") if is_followed else unwatched)
    return estimates


def _estimate(own: _GroupEvents, column: int, value: float | None, reason: str) -> Estimate:
    """Put an interval around a number: on the scale of its column, by percentiles where None."""
    confidence = own.config.confidence
    if value is None:
        return Estimate(None, None, None, _METHOD, reason, confidence)
    replicates = _with_events(own.quantities[:, [column]])
    if replicates is None:
        why = "too many resampled cohorts have no event of the group"
        return Estimate(value, None, None, _METHOD, why, confidence)
    scale, drawn = _SCALES[column], replicates[:, 0]
    low, high = (
        _percentiles(drawn, own.reach) if scale is None else _spread(value, drawn, own.reach, scale)
    )
    if not np.isfinite(low) or not np.isfinite(high):
        why = "a limit lies beyond what was observed"
        return Estimate(value, None, None, _METHOD, why, confidence)
    if low == high:
        why = "the events do not differ enough for an interval"
        return Estimate(value, None, None, _METHOD, why, confidence)
    return Estimate(value, low, high, _METHOD, "", confidence)


def _percentiles(replicates: FloatArray, reach: float) -> tuple[float, float]:
    # Of single values, none between two: a resampled median may be infinite, and half the way to
    # infinity is no number.
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


def _differences(
    groups: Sequence[_GroupEvents],
    curves: Sequence[ClearCurve],
    pair: tuple[int, int],
    clusters: Clusters,
    config: CompareConfig,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the differences of shares at 60 and 180 s and of means, group less reference."""
    n_fewest = min(groups[i].n_cases_with_events for i in pair)
    estimates = []
    for column, name in enumerate(_DIFFERENCES, start=1):
        first, second = (getattr(curves[i], name) for i in pair)
        if first.value is None or second.value is None:
            reason = first.reason or second.reason
            estimates.append(Estimate(None, None, None, _METHOD, reason, config.confidence))
            continue
        value = first.value - second.value
        reach, reason = 0.0, f"fewer than {config.min_cases_for_p} cases with events in a group"
        if n_fewest >= config.min_cases_for_p:
            x, y = (groups[i].quantities[:, column] for i in pair)
            reach = _reach(x, y, pair, clusters, config)
            reason = "" if reach > 0 else "the events do not differ enough for an interval"
        low, high = (None, None) if reason else (value - reach, value + reach)
        estimates.append(Estimate(value, low, high, _METHOD, reason, config.confidence))
    share_60, share_180, mean_s = estimates
    return share_60, share_180, mean_s


def _ratio(events: ClearEvents, group: int, reference: int, config: CompareConfig) -> Estimate:
    rows = np.isin(events.case_group[events.case_index], [group, reference])
    return time_ratio(
        events.duration_s[rows],
        events.is_cleared[rows],
        events.case_index[rows],
        events.case_group == group,
        events.case_surgeon,
        config,
    )


def _reach(
    x: FloatArray, y: FloatArray, pair: tuple[int, int], clusters: Clusters, config: CompareConfig
) -> float:
    """Return how far the interval of a difference reaches; 0 where it cannot be told."""
    is_known = ~np.isnan(x) & ~np.isnan(y)
    if is_known.sum() < len(x) / 2:
        return 0.0
    x, y = x[is_known], y[is_known]
    if clusters.is_surgeon_drawn:
        variances = (float(np.var(x - y, ddof=1)), 0.0)
    else:
        variances = (float(np.var(x, ddof=1)), float(np.var(y, ddof=1)))
    reach = clusters.reach_of_difference(pair, variances, config.confidence)
    return reach if reach > 1e-12 else 0.0
