"""Funnel plots over surgeons: limits instead of ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ubereport.cohort.audit_results import Funnel, FunnelLimit, FunnelPoint, FunnelZone
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.cohort.wording import value_text
from ubereport.core.arrays import FloatArray
from ubereport.core.config import AuditConfig
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.distributions import (
    chi_square_tail,
    exact_limits,
    hypergeometric,
    t_quantile,
)

# Below this many surgeons trimming a tenth trims nobody: one true outlier would widen its own
# limits, so overdispersion is stated and not applied.
MIN_POINTS_FOR_PHI = 10
_N_LIMITS = 40


def mean_funnel(
    values: Sequence[float],
    surgeons: Sequence[str],
    spec: MetricSpec,
    scale: MetricScale,
    config: AuditConfig,
) -> Funnel:
    """Funnel of the mean of a case metric, on its scale, carried back to its unit.

    Each surgeon is compared with the others. With s the pooled SD inside surgeons, n of N cases,
    and m the mean of all, ``(mean − mean of the others) / (s sqrt(1/n + 1/(N − n)))`` equals
    ``(mean − m) / (s sqrt(1/n − 1/N))``: one target is drawn, with limits that know that it holds
    the surgeon's own cases. Quantiles are Student's t, since s is estimated.
    """
    by_surgeon, n_small = _by_surgeon(scale.forward(values), surgeons, config)
    if len(by_surgeon) < 2:
        return _no_funnel(spec, scale.kind.value, n_small, config)
    together = np.concatenate(list(by_surgeon.values()))
    target, total = float(together.mean()), len(together)
    squares = sum(float(np.sum((y - y.mean()) ** 2)) for y in by_surgeon.values())
    degrees = total - len(by_surgeon)
    sd = math.sqrt(squares / degrees)
    # The mean of equal values may differ from them by rounding, which is no spread.
    sd = 0.0 if sd <= 1e-9 * max(1.0, abs(target)) else sd
    z = [(float(y.mean()) - target) / (sd * math.sqrt(1 / len(y) - 1 / total)) if sd > 0 else 0.0
         for y in by_surgeon.values()]  # fmt: skip
    phi, is_widened = _overdispersion(z)
    widen = math.sqrt(phi) if is_widened else 1.0
    t_95, t_998 = (t_quantile(p, degrees) for p in (0.975, 0.999))

    # The target holds the surgeon's own cases, which pulls it toward the surgeon: the distance of a
    # mean from it varies by s² (1/n - 1/N), not s²/n. One who has all the cases is the target and
    # cannot lie away from it, so that the funnel closes there.
    def limit(n: float, quantile: float) -> float:
        error = sd * math.sqrt(max(1 / n - 1 / total, 0.0))
        return float(scale.back(target + quantile * widen * error))

    points = tuple(
        FunnelPoint(
            name, len(y), float(scale.back(y.mean())), _zone(abs(distance) / widen, t_95, t_998)
        )
        for (name, y), distance in zip(by_surgeon.items(), z, strict=True)
    )
    sizes = [len(y) for y in by_surgeon.values()]
    limits = tuple(
        FunnelLimit(n, limit(n, -t_95), limit(n, t_95), limit(n, -t_998), limit(n, t_998))
        for n in _grid(sizes)
    )
    back = float(scale.back(target))
    by_chance = 1 - 0.95 ** len(points)
    reading = _reading(points, by_chance, phi, is_widened, n_small, value_text(back, spec), config)
    return Funnel(
        spec.key, spec.title, spec.unit, scale.kind.value, back, points, limits, phi, is_widened,
        n_small, reading, is_share=spec.is_share,
    )  # fmt: skip


def share_funnel(
    is_case: Sequence[bool], surgeons: Sequence[str], spec: MetricSpec, config: AuditConfig
) -> Funnel:
    """Funnel of the share of cases with something, with exact limits.

    `spec` describes that share. Each surgeon is compared with the others: of D cases with it among
    N, a surgeon with n cases has a hypergeometric number (as in Fisher's exact test). A limit is
    left with at most its probability: one case among few is no signal where any of the surgeons
    may have had it. Overdispersion is judged on z-scores of the shares.
    """
    by_surgeon, n_small = _by_surgeon(np.asarray(is_case, dtype=np.float64), surgeons, config)
    if len(by_surgeon) < 2:
        return _no_funnel(spec, ScaleKind.IDENTITY.value, n_small, config)
    together = np.concatenate(list(by_surgeon.values()))
    target, total = float(together.mean()), len(together)
    if target in (0.0, 1.0):
        which = "no case" if target == 0 else "every case"
        return _no_funnel(spec, "identity", n_small, config, f"{which} has it")
    spread = math.sqrt(target * (1 - target))
    z = [(float(y.mean()) - target) / (spread * math.sqrt(1 / len(y) - 1 / total))
         for y in by_surgeon.values()]  # fmt: skip
    phi, is_widened = _overdispersion(z)
    widen = math.sqrt(phi) if is_widened else 1.0
    n_with = round(float(together.sum()))

    def limits_of(n: int) -> tuple[float, ...]:
        count = hypergeometric(total, n_with, n)
        exact = exact_limits(count, n, (0.025, 0.975, 0.001, 0.999))
        return tuple(min(max(target + widen * (each - target), 0.0), 1.0) for each in exact)

    points, chance_inside = [], 1.0
    for name, y in by_surgeon.items():
        low_95, high_95, low_998, high_998 = limits_of(len(y))
        shares = np.arange(len(y) + 1) / len(y)
        reached = hypergeometric(total, n_with, len(y)).cdf(np.arange(-1, len(y) + 1))
        chance_inside *= float(np.diff(reached)[(shares >= low_95) & (shares <= high_95)].sum())
        share = float(y.mean())
        zone = FunnelZone.INSIDE
        if not low_95 <= share <= high_95:
            zone = FunnelZone.BEYOND_95
        if not low_998 <= share <= high_998:
            zone = FunnelZone.BEYOND_998
        points.append(FunnelPoint(name, len(y), share, zone))
    limits = tuple(
        FunnelLimit(n, *limits_of(n))
        for n in sorted({round(n) for n in _grid([len(y) for y in by_surgeon.values()])})
        if n < total
    )
    reading = _reading(
        points,
        max(1 - chance_inside, 0.0),
        phi,
        is_widened,
        n_small,
        value_text(target, spec),
        config,
    )
    return Funnel(
        spec.key, spec.title, spec.unit, ScaleKind.IDENTITY.value, target, tuple(points), limits,
        phi, is_widened, n_small, reading, is_share=spec.is_share,
    )  # fmt: skip


def false_alarm_of_funnels(funnels: Sequence[Funnel]) -> float:
    """Return the largest probability that chance puts any surgeon beyond a 99.8 % limit."""
    return 1 - 0.998 ** sum(len(funnel.points) for funnel in funnels)


def winsorized_phi(z: Sequence[float], share: float = 0.1) -> float:
    """Return the mean square of z-scores of which the outer `share` at each end is drawn in.

    The ``floor(share × n)`` largest become the next smaller one, likewise the smallest. Source:
    Spiegelhalter, Stat Med 2005;24:1185, appendix A.3.1.
    """
    ordered = np.sort(np.asarray(z, dtype=np.float64))
    k = math.floor(share * len(ordered))
    clipped = np.clip(ordered, ordered[k], ordered[len(ordered) - 1 - k])
    return float(np.mean(clipped**2))


def _overdispersion(z: Sequence[float]) -> tuple[float, bool]:
    phi = winsorized_phi(z)
    p_value = chi_square_tail(len(z) * phi, len(z) - 1)
    return phi, len(z) >= MIN_POINTS_FOR_PHI and p_value < 0.05


def _by_surgeon(
    values: FloatArray, surgeons: Sequence[str], config: AuditConfig
) -> tuple[dict[str, FloatArray], int]:
    """Values of each surgeon with enough cases, by pseudonym, and how many have too few."""
    names = np.array(surgeons)
    groups = {name: values[names == name] for name in sorted(set(surgeons))}
    large = {name: y for name, y in groups.items() if len(y) >= config.min_cases_per_surgeon}
    return large, len(groups) - len(large)


def _grid(sizes: Sequence[int]) -> list[float]:
    top = max(max(sizes) * 1.1, min(sizes) + 1.0)
    return [float(n) for n in np.linspace(max(min(sizes) * 0.8, 2.0), top, _N_LIMITS)]


def _zone(distance: float, limit_95: float, limit_998: float) -> FunnelZone:
    if distance > limit_998:
        return FunnelZone.BEYOND_998
    return FunnelZone.BEYOND_95 if distance > limit_95 else FunnelZone.INSIDE


def _no_funnel(
    spec: MetricSpec, scale: str, n_small: int, config: AuditConfig, reason: str = ""
) -> Funnel:
    why = reason or f"fewer than two surgeons have {config.min_cases_per_surgeon} cases"
    return Funnel(
        spec.key, spec.title, spec.unit, scale, None, (), (), None, False, n_small,
        f"No funnel plot: {why}.", why, is_share=spec.is_share,
    )  # fmt: skip


_NO_RANKING = "Cases differ in difficulty; the plot is no ranking."


def _reading(
    points: Sequence[FunnelPoint],
    by_chance: float,
    phi: float,
    is_widened: bool,
    n_small: int,
    target: str,
    config: AuditConfig,
) -> str:
    n_95 = sum(point.zone is FunnelZone.BEYOND_95 for point in points)
    n_998 = sum(point.zone is FunnelZone.BEYOND_998 for point in points)
    # One string a sentence: sentences are what a report tells in another language.
    sentences = (
        f"{len(points)} surgeons around {target}, each compared with the others.",
        f"{n_95} between the 95 % and the 99.8 % limit, {n_998} beyond the 99.8 % limit.",
        f"Of {len(points)} surgeons without any difference, one or more lies beyond a 95 % limit "
        f"{100 * by_chance:.0f} % of the time; only the outer limit counts as a signal.",
    )
    text = " ".join(sentences)
    if n_small:
        text += f" {n_small} with fewer than {config.min_cases_per_surgeon} cases not drawn."
    if is_widened:
        text += f" The limits were widened for overdispersion (φ = {phi:.2f})."
    elif len(points) < MIN_POINTS_FOR_PHI and phi > 1:
        text += (
            f" Overdispersion φ = {phi:.2f} is stated and not corrected: with so few surgeons it "
            "cannot be told from a true difference."
        )
    return f"{text} {_NO_RANKING}"
