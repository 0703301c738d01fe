"""Control charts: XmR for a metric, u-chart for events; what stands out is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ubereport.cohort.alarms import USUAL_RULES, ChartRules
from ubereport.cohort.audit_results import ControlChart, ControlPoint, Dispersion, Signal
from ubereport.cohort.chart_signals import signals_of
from ubereport.cohort.comparison_results import DropCount
from ubereport.cohort.scales import MetricScale
from ubereport.cohort.wording import plural
from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import AuditConfig
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.distributions import (
    chi_square_tail,
    dispersion_p_value,
    poisson_distances,
    poisson_limits,
)

# Wheeler: 3 / d2 and D4 for moving ranges of two.
XMR_FACTOR = 2.66
RANGE_SCREEN_FACTOR = 3.267
_D2 = 1.128
MIN_POINTS = 3
MIN_POINTS_FOR_CORRELATION = 12
_Z_95_ONE_SIDED = 1.6448536269514722
# From this share of cases on a bound of a metric (no impairment at all, say) on, its limits rest on
# the cases that differ: with a fifth of them the usual limits still hold.
_BOUND_SHARE = 0.25
# Of the usual spread, for running averages of such cases: with 1.35 a sixth of steady charts had a
# signal, with 1.65 fewer bad months of short charts are found.
_AVERAGED_SPREAD = 1.5
_SPARSE_EVENTS = 8
# What is taken out of the limits: points and runs, not the weaker patterns.
# An average also marks steady cases that come after those that moved it.
_SPECIAL = {Signal.OUTSIDE, Signal.ONE_SIDE}


@dataclass(frozen=True, slots=True)
class ChartCases:
    """Cases of one chart in order of their dates; `dropped` could not be drawn."""

    case_ids: tuple[str, ...]
    dates: tuple[str, ...]
    dropped: tuple[DropCount, ...] = ()


@dataclass(frozen=True, slots=True)
class XmrLimits:
    """Center, mean moving range, and how many ranges were screened out."""

    center: float
    mean_moving_range: float
    n_screened: int

    @property
    def sigma(self) -> float:
        """A third of the usual distance from the center to a limit."""
        return XMR_FACTOR * self.mean_moving_range / 3


def xmr_limits(values: FloatArray, *, is_screened: bool = False) -> XmrLimits | None:
    """Return center and mean moving range of an individuals chart; None under three points.

    `is_screened` leaves out, once, the moving ranges that reach 3.267 times their mean. Source:
    Wheeler, Understanding Variation; the defaults of NHS "Making Data Count" as read in
    NHSRplotthedots.
    """
    if len(values) < MIN_POINTS:
        return None
    ranges = np.abs(np.diff(values))
    is_kept = np.ones(len(ranges), dtype=np.bool_)
    if is_screened and ranges.mean() > 0:
        is_kept = ranges < RANGE_SCREEN_FACTOR * ranges.mean()
    return XmrLimits(float(values.mean()), float(ranges[is_kept].mean()), int((~is_kept).sum()))


def xmr_chart(
    cases: ChartCases,
    values: FloatArray,
    spec: MetricSpec,
    scale: MetricScale,
    procedure: str,
    config: AuditConfig,
    rules: ChartRules = USUAL_RULES,
) -> ControlChart:
    """Draw a metric case by case: limits are set on its scale and carried back to its unit."""
    scaled = scale.forward(values)
    bounds = [0.0] if spec.upper_bound is None else [0.0, spec.upper_bound]

    def fit(is_kept: BoolArray, is_robust: bool) -> _Fit | None:
        # Limits are set on the metric's scale, where cases spread alike at all levels; on shares
        # near 0 the lower limit would lie below any value that there is.
        limits = xmr_limits(scaled[is_kept], is_screened=config.is_moving_range_screened)
        if limits is None:
            return None
        is_bound = any((values[is_kept] == bound).mean() >= _BOUND_SHARE for bound in bounds)
        ranges = _ranges(scaled[is_kept], is_bound)
        if is_robust:
            center = float(np.median(scaled[is_kept]))
            return _Fit(center, np.full(len(values), _robust_sigma(ranges)), 0, None, None)
        autocorrelation = _autocorrelation(scaled[is_kept])
        # Neighbors that resemble each other make moving ranges, and limits, too small.
        independent = math.sqrt(1 - (autocorrelation or 0.0))
        usual = _Fit(
            limits.center,
            np.full(len(values), limits.sigma / independent),
            limits.n_screened,
            autocorrelation,
            None,
        )
        if not is_bound:
            return usual
        # Means of several cases are nearer to normal than single ones: the running average goes by
        # less, and finds a bad month that no case alone would show.
        of_changes = replace(limits, mean_moving_range=float(ranges.mean())).sigma / independent
        return replace(
            usual,
            sigma=np.full(len(values), of_changes),
            middle=float(np.median(scaled[is_kept])),
            averaged_sigma=np.minimum(_AVERAGED_SPREAD * usual.sigma, of_changes),
        )

    phase = _phase_one(scaled, config, rules, fit)
    lines: dict[str, float | None] = dict.fromkeys(
        ("center", "lower", "upper", "near_lower", "near_upper")
    )
    if phase.fit is not None:
        k, sigma = rules.limit_sigmas, float(phase.fit.sigma[0])
        offsets = {"center": 0.0, "lower": -k, "upper": k, "near_lower": -2 * k / 3,
                   "near_upper": 2 * k / 3}  # fmt: skip
        lines = {
            name: float(scale.back(phase.fit.center + k * sigma)) for name, k in offsets.items()
        }
    points = _points(cases, values, [lines["lower"]] * len(values),
                     [lines["upper"]] * len(values), phase.signals)  # fmt: skip
    chart = _chart("xmr", scale.kind.value, cases, points, spec, procedure, phase, config, rules)
    return replace(
        chart,
        center=lines["center"],
        lower=lines["lower"],
        upper=lines["upper"],
        near_lower=lines["near_lower"],
        near_upper=lines["near_upper"],
        n_screened=0 if phase.fit is None else phase.fit.n_screened,
        autocorrelation=None if phase.fit is None else phase.fit.autocorrelation,
    )


def _chart(
    kind: str,
    scale: str,
    cases: ChartCases,
    points: tuple[ControlPoint, ...],
    spec: MetricSpec,
    procedure: str,
    phase: _PhaseOne,
    config: AuditConfig,
    rules: ChartRules,
) -> ControlChart:
    """Return a chart without lines of its own; limits of single points stand with the points."""
    return ControlChart(
        kind=kind,
        procedure=procedure,
        metric_key=spec.key,
        title=spec.title,
        unit=spec.unit,
        scale=scale,
        points=points,
        n_baseline=phase.n_baseline,
        is_trial=phase.n_baseline < config.trial_points,
        dispersion=None if phase.fit is None else phase.fit.dispersion,
        dropped=cases.dropped,
        reading=_reading(points, phase, config, rules),
        limit_sigmas=rules.limit_sigmas,
        excluded=tuple(cases.case_ids[i] for i in phase.excluded),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Center and sigma (n,) of a chart's cases, on its scale, and what they were corrected for.

    `middle` is what runs are counted on both sides of: half of steady cases lie on each, and one
    that many cases have is on none. None is the center. `averaged_sigma` (n,) is what the running
    average goes by; None is `sigma`. `distances` (n,) are given where sigmas do not tell how
    unlikely a case is.
    """

    center: float
    sigma: FloatArray
    n_screened: int
    autocorrelation: float | None
    dispersion: Dispersion | None
    middle: float | None = None
    averaged_sigma: FloatArray | None = None
    distances: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _PhaseOne:
    """Limits after what stood out was taken out of them, what stands out then, and who was out."""

    fit: _Fit | None
    signals: list[tuple[Signal, ...]]
    n_baseline: int
    excluded: tuple[int, ...] = ()


def _phase_one(
    values: FloatArray,
    config: AuditConfig,
    rules: ChartRules,
    fit: Callable[[BoolArray, bool], _Fit | None],
) -> _PhaseOne:
    """Fit limits to the baseline, take out what stands out of it, and fit again until nothing does.

    `fit` gets which of the `values` (n,) the limits rest on, and whether robustly (by medians): so
    is the first time, since a few large special causes widen the limits that should find them. At
    most a third of the baseline is taken out: one of which more stands out was no steady state,
    and its limits stay as they are.
    """
    n = len(values)
    n_baseline = min(config.baseline_cases, n) if config.baseline_cases else n
    is_baseline = np.arange(n) < n_baseline
    # Both fits are needed: the usual one stands if nothing is taken out, the robust one says what
    # stands out the first time.
    is_kept, fitted = is_baseline, fit(is_baseline, False)
    first = fit(is_baseline, True)
    if fitted is None or first is None:
        return _PhaseOne(None, [()] * n, 0)
    # Round by round: what stands out of the last limits is taken out of the cases that the next
    # rest on. The first round looks with limits by medians and takes out single points only; it
    # ends when a round takes out nobody, or would take out more than a third.
    candidate, signals = first, _signals(values, fitted, rules)
    while True:
        candidate_signals = _signals(values, candidate, rules)
        special = {Signal.OUTSIDE} if candidate is first else _SPECIAL
        is_out = np.array(
            [bool(special & set(names)) for names in candidate_signals], dtype=np.bool_
        )
        fewer = is_kept & ~is_out
        is_steady = fewer.sum() >= max(MIN_POINTS, 2 * n_baseline / 3)
        again = fit(fewer, False) if is_steady else None
        if again is None or (fewer.sum() == is_kept.sum() and candidate is not first):
            break
        is_kept, fitted, candidate = fewer, again, again
        signals = _signals(values, fitted, rules)
    excluded = np.flatnonzero(is_baseline & ~is_kept)
    return _PhaseOne(fitted, signals, int(is_kept.sum()), tuple(int(i) for i in excluded))


def _signals(values: FloatArray, fit: _Fit, rules: ChartRules) -> list[tuple[Signal, ...]]:
    distances = fit.distances
    if distances is None:
        distances = _distances(values, fit.center, fit.sigma)
    sides = None if fit.middle is None else _distances(values, fit.middle, fit.sigma)
    averaged = None
    if fit.averaged_sigma is not None:
        averaged = _distances(values, fit.center, fit.averaged_sigma)
    return signals_of(values, distances, rules, sides, averaged)


def _ranges(values: FloatArray, is_bound: bool) -> FloatArray:
    """Return the moving ranges; where many cases lie on a bound, those between unequal cases.

    Where many cases have none of something at all, ranges of 0 between these say nothing of how far
    the others spread.
    """
    ranges = np.abs(np.diff(values))
    return ranges[ranges > 0] if is_bound and ranges.any() else ranges


def _moving_sigma(values: FloatArray) -> float:
    """Return the spread of cases from their mean moving range."""
    return float(np.abs(np.diff(values)).mean() / _D2)


def _robust_sigma(ranges: FloatArray) -> float:
    """Return a generous spread of cases from the median of their moving ranges.

    Wheeler's factor is 3.145 / 3. Medians of some dozen ranges vary much; half as wide again keeps
    steady cases out of it (the page's false-alarm share is checked with it in place).
    """
    return 1.5 * 3.145 / 3 * float(np.median(ranges))


def _autocorrelation(values: FloatArray) -> float | None:
    """Return the correlation of neighboring cases where it is above chance (one-sided 5 %)."""
    deviations = values - values.mean()
    total = float(np.sum(deviations**2))
    n = len(values)
    # The mean of equal values may differ from them by rounding.
    if n < MIN_POINTS_FOR_CORRELATION or total <= n * (1e-12 * max(1.0, abs(values.mean()))) ** 2:
        return None
    r = float(np.sum(deviations[1:] * deviations[:-1])) / total
    # In noise r lies around -1/n with a standard error near 1/sqrt(n).
    return min(r, 0.9) if r > -1 / n + _Z_95_ONE_SIDED / math.sqrt(n) else None


def u_chart(
    cases: ChartCases,
    counts: FloatArray,
    exposure: FloatArray,
    spec: MetricSpec,
    procedure: str,
    config: AuditConfig,
    rules: ChartRules = USUAL_RULES,
) -> ControlChart:
    """Draw events per exposure, e.g. per 10 minutes at risk; limits widen where little was seen.

    Limits are ``u ± k sqrt(u / exposure)``, not below 0; where fewer than eight events are expected
    of a case in the mean, those of the Poisson distribution with the same probabilities. Where the
    counts vary more than Poisson
    counts do, the rates of cases are skewed: limits are then set on Anscombe's root
    ``2 sqrt((count + 3/8) / exposure)``, on which Poisson counts have the variance ``1 / exposure``
    (Biometrika 1948;35:246); the variance between cases, from moving ranges as Laney takes it
    (Quality Engineering 2002;14:531), is added.
    """
    rates = counts / exposure
    roots = 2 * np.sqrt((counts + 0.375) / exposure)
    is_root = _is_overdispersed(counts, exposure, config)

    def fit(is_kept: BoolArray, is_robust: bool) -> _Fit | None:
        if is_kept.sum() < MIN_POINTS or counts[is_kept].sum() == 0:
            return None
        # All events over all exposure, not the mean of the cases' rates: a case that was at risk
        # for two minutes must not weigh as much as one of two hours.
        center = float(counts[is_kept].sum() / exposure[is_kept].sum())
        dispersion = dispersion_of(counts[is_kept], exposure[is_kept])
        if not is_root and _is_sparse(counts[is_kept]):
            distances = poisson_distances(counts, center * exposure)
            sigma = np.sqrt(center / exposure)
            told = replace(dispersion, is_applied=False)
            return _Fit(center, sigma, 0, None, told, distances=distances)
        if not is_root:
            return _Fit(center, np.sqrt(center / exposure), 0, None, replace(dispersion,
                        is_applied=False))  # fmt: skip
        middle = float(np.median(roots[is_kept]) if is_robust else np.mean(roots[is_kept]))
        spread = (
            _robust_sigma(np.abs(np.diff(roots[is_kept])))
            if is_robust
            else _moving_sigma(roots[is_kept])
        )
        # What Poisson counts spread by themselves is taken off the spread that was seen; what is
        # left lies between cases and is added to each case's own.
        usual = float((1 / exposure[is_kept]).mean())
        sigma = np.sqrt(max(spread**2 - usual, 0.0) + 1 / exposure)
        wider = max(1.0, spread / math.sqrt(usual))
        return _Fit(middle, sigma, 0, None, replace(dispersion, sigma_z=wider, is_applied=True))

    phase = _phase_one(roots if is_root else rates, config, rules, fit)
    final = phase.fit
    center: float | None = None
    lower: list[float | None] = [None] * len(counts)
    upper: list[float | None] = [None] * len(counts)
    if final is not None:
        center = (final.center / 2) ** 2 if is_root else final.center
        if final.distances is not None:
            expected = final.center * exposure
            low, high = (c / exposure for c in poisson_limits(expected, rules.limit_sigmas))
        else:
            reach = rules.limit_sigmas * final.sigma
            low, high = np.maximum(final.center - reach, 0.0), final.center + reach
        if is_root:
            # Back to rates: a root is of three eighths of an event more than a case had.
            low, high = (np.maximum((r / 2) ** 2 - 0.375 / exposure, 0.0) for r in (low, high))
        lower, upper = low.tolist(), high.tolist()
    points = _points(cases, rates, lower, upper, phase.signals)
    scale = "root" if is_root else "identity"
    chart = _chart("u", scale, cases, points, spec, procedure, phase, config, rules)
    return replace(chart, center=center)


def _is_overdispersed(counts: FloatArray, exposure: FloatArray, config: AuditConfig) -> bool:
    """Whether the baseline's counts vary more than Poisson counts do."""
    n = min(config.baseline_cases, len(counts)) if config.baseline_cases else len(counts)
    if n < MIN_POINTS or counts[:n].sum() == 0:
        return False
    return dispersion_of(counts[:n], exposure[:n]).is_applied


def _is_sparse(counts: FloatArray) -> bool:
    """Whether so few events are expected of a case that their counts are far from normal values."""
    return bool(counts.mean() < _SPARSE_EVENTS)


def dispersion_of(counts: FloatArray, exposure: FloatArray) -> Dispersion:
    """Compare the spread of counts with that of a Poisson process of constant rate.

    `is_applied` where Pearson's chi-square says p < 0.05 and Laney's sigma exceeds 1.
    """
    rate = counts.sum() / exposure.sum()
    z = (counts / exposure - rate) / np.sqrt(rate / exposure)
    chi_square, degrees = float(np.sum(z**2)), len(counts) - 1
    p_value = (
        dispersion_p_value(counts, exposure)
        if _is_sparse(counts)
        else chi_square_tail(chi_square, degrees)
    )
    sigma_z = _moving_sigma(z)
    return Dispersion(chi_square / degrees, p_value, sigma_z, p_value < 0.05 and sigma_z > 1)


def _distances(values: FloatArray, center: float, sigma: FloatArray) -> FloatArray:
    """(n,) distance from the center in thirds of the limit."""
    offsets = values - center
    # The mean of equal values may differ from them by rounding; that is no distance.
    offsets[np.abs(offsets) <= 1e-12 * max(1.0, abs(center))] = 0.0
    sigma = np.where(sigma <= 1e-12 * max(1.0, abs(center)), 0.0, sigma)
    distances = np.zeros(len(values))
    np.divide(offsets, sigma, out=distances, where=sigma > 0)
    distances[(sigma == 0) & (offsets != 0)] = np.inf
    return distances


def _points(
    cases: ChartCases,
    values: FloatArray,
    lower: Sequence[float | None],
    upper: Sequence[float | None],
    signals: Sequence[tuple[Signal, ...]],
) -> tuple[ControlPoint, ...]:
    return tuple(
        ControlPoint(*entry)
        for entry in zip(
            cases.case_ids, cases.dates, values.tolist(), lower, upper, signals, strict=True
        )
    )


def _signal_text(signal: Signal, cases: str, rules: ChartRules) -> str:
    return {
        Signal.OUTSIDE: f"{cases} outside the limits.",
        Signal.ONE_SIDE: f"{cases} in a run of {rules.run_points} or more on one side.",
        Signal.TREND: f"{cases} in a trend of {rules.trend_points} or more.",
        Signal.NEAR_LIMIT: f"{cases} near a limit twice in three.",
        Signal.AVERAGE: f"{cases} at which the average of the latest cases lies off.",
    }[signal]


def _limits_text(cases: str, n_baseline: int, n_excluded: int, trial_points: int) -> str:
    """Say what the limits rest on: whole sentences, since reports tell them in other languages."""
    if n_excluded and n_baseline < trial_points:
        return (
            f"{cases}; limits from {n_baseline}, {n_excluded} that stood out taken out (trial "
            f"limits: fewer than {trial_points})."
        )
    if n_excluded:
        return f"{cases}; limits from {n_baseline}, {n_excluded} that stood out taken out."
    if n_baseline < trial_points:
        return f"{cases}; limits from {n_baseline} (trial limits: fewer than {trial_points})."
    return f"{cases}; limits from {n_baseline}."


def _reading(
    points: Sequence[ControlPoint], phase: _PhaseOne, config: AuditConfig, rules: ChartRules
) -> str:
    n_baseline, n_excluded = phase.n_baseline, len(phase.excluded)
    if phase.fit is None:
        return f"{plural(len(points), 'case')}: too few, or too few events, for limits."
    counts = {signal: sum(signal in point.signals for point in points) for signal in Signal}
    sentences = [
        _signal_text(signal, plural(n, "case"), rules) for signal, n in counts.items() if n
    ]
    text = _limits_text(plural(len(points), "case"), n_baseline, n_excluded, config.trial_points)
    text += f" {' '.join(sentences)}" if sentences else " Nothing stands out from chance variation."
    if phase.fit.averaged_sigma is not None:
        text += (
            " A quarter of the cases or more lie at a bound of the metric; the limits rest on the "
            "moving ranges between cases that differ."
        )
    dispersion, autocorrelation = phase.fit.dispersion, phase.fit.autocorrelation
    if dispersion is not None and dispersion.is_applied:
        text += (
            " The counts vary more than chance alone would make them; the limits were widened by "
            f"a factor of {dispersion.sigma_z:.2f}."
        )
    if autocorrelation is not None:
        text += (
            f" Cases in a row resemble each other (correlation {autocorrelation:.2f}); the limits "
            "were widened for it."
        )
    return text
