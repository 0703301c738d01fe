"""Control charts: XmR for a metric, u-chart for events; what stands out is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ubereport.cohort.scales import MetricScale
from ubereport.config import AuditConfig
from ubereport.core.arrays import BoolArray, FloatArray, IntArray
from ubereport.core.audit import ControlChart, ControlPoint, Dispersion, Signal
from ubereport.core.cohort import DropCount
from ubereport.core.metrics import MetricSpec

__all__ = ["ChartCases", "XmrLimits", "dispersion_of", "signals_of", "u_chart", "xmr_chart",
           "xmr_limits"]  # fmt: skip

# Wheeler: 3 / d2 and D4 for moving ranges of two.
XMR_FACTOR = 2.66
RANGE_SCREEN_FACTOR = 3.267
_D2 = 1.128
MIN_POINTS = 3


@dataclass(frozen=True, slots=True)
class ChartCases:
    """Cases of one chart in order of their dates; `dropped` could not be drawn."""

    case_ids: tuple[str, ...]
    dates: tuple[str, ...]
    dropped: tuple[DropCount, ...] = ()


@dataclass(frozen=True, slots=True)
class XmrLimits:
    """Center, mean moving range, how many ranges were screened out, how many points served."""

    center: float
    mean_moving_range: float
    n_screened: int
    n_baseline: int

    @property
    def sigma(self) -> float:
        """A third of the distance from the center to a limit."""
        return XMR_FACTOR * self.mean_moving_range / 3


def xmr_limits(
    values: FloatArray, n_baseline: int = 0, is_screened: bool = False
) -> XmrLimits | None:
    """Return center and mean moving range of an individuals chart; None under three points.

    `n_baseline` first points serve, all where 0. `is_screened` leaves out, once, the moving
    ranges that reach 3.267 times their mean. Source: Wheeler, Understanding Variation; the
    defaults of NHS "Making Data Count" as read in NHSRplotthedots.
    """
    baseline = values[:n_baseline] if n_baseline else values
    if len(baseline) < MIN_POINTS:
        return None
    ranges = np.abs(np.diff(baseline))
    is_kept = np.ones(len(ranges), dtype=np.bool_)
    if is_screened and ranges.mean() > 0:
        is_kept = ranges < RANGE_SCREEN_FACTOR * ranges.mean()
    return XmrLimits(
        float(baseline.mean()),
        float(ranges[is_kept].mean()),
        int((~is_kept).sum()),
        len(baseline),
    )


def xmr_chart(
    cases: ChartCases,
    values: FloatArray,
    spec: MetricSpec,
    scale: MetricScale,
    procedure: str,
    config: AuditConfig,
) -> ControlChart:
    """Draw a metric case by case: limits are set on its scale and carried back to its unit."""
    scaled = scale.forward(values)
    limits = xmr_limits(scaled, config.baseline_cases, config.is_moving_range_screened)
    lines: dict[str, float | None] = dict.fromkeys(
        ("center", "lower", "upper", "near_lower", "near_upper")
    )
    signals: list[tuple[Signal, ...]] = [()] * len(values)
    if limits is not None:
        offsets = {"center": 0, "lower": -3, "upper": 3, "near_lower": -2, "near_upper": 2}
        lines = {
            name: float(scale.back(limits.center + k * limits.sigma)) for name, k in offsets.items()
        }
        distances = _distances(scaled, limits.center, np.full(len(values), limits.sigma))
        signals = signals_of(scaled, distances, config.run_points)
    points = _points(cases, values, [lines["lower"]] * len(values),
                     [lines["upper"]] * len(values), signals)  # fmt: skip
    n_baseline = 0 if limits is None else limits.n_baseline
    return ControlChart(
        kind="xmr",
        procedure=procedure,
        metric_key=spec.key,
        title=spec.title,
        unit=spec.unit,
        scale=scale.kind.value,
        points=points,
        center=lines["center"],
        lower=lines["lower"],
        upper=lines["upper"],
        near_lower=lines["near_lower"],
        near_upper=lines["near_upper"],
        n_baseline=n_baseline,
        n_screened=0 if limits is None else limits.n_screened,
        is_trial=n_baseline < config.trial_points,
        dispersion=None,
        dropped=cases.dropped,
        reading=_reading(points, n_baseline, config, None),
    )


def u_chart(
    cases: ChartCases,
    counts: FloatArray,
    exposure: FloatArray,
    spec: MetricSpec,
    procedure: str,
    config: AuditConfig,
) -> ControlChart:
    """Draw events per exposure, e.g. per 10 evaluable minutes; limits widen where little was seen.

    Limits are ``u ± 3 sqrt(u / exposure)``, not below 0. Where the counts vary more than Poisson
    counts do, they are widened by Laney's sigma of the z-scores (Quality Engineering 2002;14:531).
    """
    rates = counts / exposure
    n_baseline = min(config.baseline_cases, len(counts)) if config.baseline_cases else len(counts)
    center: float | None = None
    dispersion: Dispersion | None = None
    lower: list[float | None] = [None] * len(counts)
    upper: list[float | None] = [None] * len(counts)
    signals: list[tuple[Signal, ...]] = [()] * len(counts)
    if n_baseline >= MIN_POINTS and counts[:n_baseline].sum() > 0:
        center = float(counts[:n_baseline].sum() / exposure[:n_baseline].sum())
        dispersion = dispersion_of(counts[:n_baseline], exposure[:n_baseline])
        widen = dispersion.sigma_z if dispersion.is_applied else 1.0
        sigma = widen * np.sqrt(center / exposure)
        lower = np.maximum(center - 3 * sigma, 0.0).tolist()
        upper = (center + 3 * sigma).tolist()
        signals = signals_of(rates, _distances(rates, center, sigma), config.run_points)
    points = _points(cases, rates, lower, upper, signals)
    return ControlChart(
        kind="u",
        procedure=procedure,
        metric_key=spec.key,
        title=spec.title,
        unit=spec.unit,
        scale="identity",
        points=points,
        center=center,
        lower=None,
        upper=None,
        near_lower=None,
        near_upper=None,
        n_baseline=n_baseline if center is not None else 0,
        n_screened=0,
        is_trial=n_baseline < config.trial_points,
        dispersion=dispersion,
        dropped=cases.dropped,
        reading=_reading(points, n_baseline if center is not None else 0, config, dispersion),
    )


def dispersion_of(counts: FloatArray, exposure: FloatArray) -> Dispersion:
    """Compare the spread of counts with that of a Poisson process of constant rate.

    `is_applied` where Pearson's chi-square says p < 0.05 and Laney's sigma exceeds 1.
    """
    rate = counts.sum() / exposure.sum()
    z = (counts / exposure - rate) / np.sqrt(rate / exposure)
    chi_square, degrees = float(np.sum(z**2)), len(counts) - 1
    p_value = float(stats.chi2.sf(chi_square, degrees))
    sigma_z = float(np.abs(np.diff(z)).mean() / _D2)
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


def signals_of(
    values: FloatArray, distances: FloatArray, run_points: int = 7
) -> list[tuple[Signal, ...]]:
    """Name what stands out; every point of a run carries its signal.

    - outside: beyond a limit (3);
    - one side: `run_points` in a row on one side of the center;
    - trend: `run_points` in a row each above (or each below) the one before;
    - near limit: two of three in a row, all on one side, between 2 and 3.

    Source: NHS "Making Data Count" rules as implemented in NHSRplotthedots.
    """
    side = np.sign(distances).astype(np.int64)
    size = np.abs(distances)
    marks = {
        Signal.OUTSIDE: size > 3,
        Signal.ONE_SIDE: _in_run(side, run_points),
        Signal.TREND: _in_trend(values, run_points),
        Signal.NEAR_LIMIT: _in_two_of_three((size > 2) & (size <= 3), side),
    }
    return [tuple(signal for signal, mark in marks.items() if mark[i]) for i in range(len(values))]


def _in_run(side: IntArray, length: int) -> BoolArray:
    marked = np.zeros(len(side), dtype=np.bool_)
    for end in range(length, len(side) + 1):
        window = side[end - length : end]
        if window[0] != 0 and np.all(window == window[0]):
            marked[end - length : end] = True
    return marked


def _in_trend(values: FloatArray, length: int) -> BoolArray:
    marked = np.zeros(len(values), dtype=np.bool_)
    steps = np.sign(np.diff(values))
    for end in range(length, len(values) + 1):
        window = steps[end - length : end - 1]
        if np.all(window == 1) or np.all(window == -1):
            marked[end - length : end] = True
    return marked


def _in_two_of_three(is_near: BoolArray, side: IntArray) -> BoolArray:
    marked = np.zeros(len(side), dtype=np.bool_)
    for end in range(3, len(side) + 1):
        window = slice(end - 3, end)
        if is_near[window].sum() >= 2 and abs(int(side[window].sum())) == 3:
            marked[window] |= is_near[window]
    return marked


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


def _reading(
    points: Sequence[ControlPoint],
    n_baseline: int,
    config: AuditConfig,
    dispersion: Dispersion | None,
) -> str:
    if n_baseline == 0:
        return f"{len(points)} cases: too few, or too few events, for limits."
    names = {
        Signal.OUTSIDE: "outside the limits",
        Signal.ONE_SIDE: f"in a run of {config.run_points} or more on one side",
        Signal.TREND: f"in a trend of {config.run_points} or more",
        Signal.NEAR_LIMIT: "near a limit twice in three",
    }
    found = []
    for signal, words in names.items():
        n = sum(signal in point.signals for point in points)
        if n:
            found.append(f"{n} case{'' if n == 1 else 's'} {words}")
    text = f"{len(points)} cases; limits from {n_baseline}"
    if n_baseline < config.trial_points:
        text += f" (trial limits: fewer than {config.trial_points})"
    text += f". {'; '.join(found)}." if found else ". Nothing stands out from chance variation."
    if dispersion is not None and dispersion.is_applied:
        text += (
            " The counts vary more than chance alone would make them; the limits were widened by "
            f"{dispersion.sigma_z:.2f}."
        )
    return text
