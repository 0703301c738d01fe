"""Learning curves: CUSUM against the own mean, and whether its peak is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ubereport.cohort.ranks import holm
from ubereport.cohort.scales import MetricScale
from ubereport.cohort.wording import p_text, value_text
from ubereport.config import AuditConfig
from ubereport.core.arrays import FloatArray
from ubereport.core.audit import LearningCurve
from ubereport.core.metrics import MetricSpec

__all__ = ["Cusum", "cusum_of", "learning_curve", "peak_p_value", "with_holm_curves"]


@dataclass(frozen=True, slots=True, eq=False)
class Cusum:
    """Cumulative sums (n,) of the deviations from the mean, with a fitted polynomial (n,)."""

    sums: FloatArray
    fitted: FloatArray
    r_squared: float

    @property
    def turning_case(self) -> int:
        """1-based case at which the sum is farthest from zero."""
        return int(np.argmax(np.abs(self.sums))) + 1


def cusum_of(values: FloatArray, degree: int = 3) -> Cusum:
    """Return ``S[i] = sum of (x[j] − mean) for j ≤ i`` and a least-squares polynomial of it.

    `degree` is lowered where there are too few cases for it. Source: the CUSUM of learning-curve
    studies, e.g. Bolsin and Colson, Int J Qual Health Care 2000;12:433; target: the own mean.
    """
    sums = np.cumsum(values - values.mean())
    sums[-1] = 0.0  # by definition; what is left is rounding
    degree = min(degree, len(values) - 2)
    order = np.linspace(-1.0, 1.0, len(values))
    fitted = np.polynomial.polynomial.polyval(
        order, np.polynomial.polynomial.polyfit(order, sums, degree)
    )
    total = float(np.sum((sums - sums.mean()) ** 2))
    residual = float(np.sum((sums - fitted) ** 2))
    return Cusum(sums, np.asarray(fitted), 1 - residual / total if total > 0 else 0.0)


def peak_p_value(values: FloatArray, n_permutations: int, seed: int) -> float:
    """Share of random orders of the same values whose CUSUM strays at least as far from zero.

    A CUSUM has a maximum even in noise; this says how often noise alone has one as large. Source:
    Taylor, Change-Point Analysis (2000), with permutations for its bootstrap.
    """
    rng = np.random.default_rng(seed)
    deviations = values - values.mean()
    observed = np.max(np.abs(np.cumsum(deviations)))
    shuffled = rng.permuted(np.repeat(deviations[None, :], n_permutations, axis=0), axis=1)
    peaks = np.max(np.abs(np.cumsum(shuffled, axis=1)), axis=1)
    n_beyond = int(np.sum(peaks >= observed * (1 - 1e-9)))
    return (n_beyond + 1) / (n_permutations + 1)


def learning_curve(
    surgeon: str,
    case_ids: Sequence[str],
    dates: Sequence[str],
    values: FloatArray,
    spec: MetricSpec,
    scale: MetricScale,
    config: AuditConfig,
) -> LearningCurve:
    """Return the CUSUM of one surgeon's cases, in order of their dates, on the metric's scale."""
    scaled = scale.forward(values)
    cusum = cusum_of(scaled, config.polynomial_degree)
    p_value = peak_p_value(scaled, config.n_permutations, config.seed)
    turn = cusum.turning_case
    before = float(scale.back(scaled[:turn].mean()))
    after = float(scale.back(scaled[turn:].mean())) if turn < len(scaled) else None
    return LearningCurve(
        surgeon=surgeon,
        metric_key=spec.key,
        scale=scale.kind.value,
        case_ids=tuple(case_ids),
        dates=tuple(dates),
        cusum=tuple(cusum.sums.tolist()),
        fitted=tuple(cusum.fitted.tolist()),
        degree=min(config.polynomial_degree, len(scaled) - 2),
        r_squared=cusum.r_squared,
        turning_case=turn,
        mean_before=before,
        mean_after=after,
        p_value=p_value,
        p_holm=p_value,
        reading="",
    )


def with_holm_curves(
    curves: Sequence[LearningCurve], spec: MetricSpec
) -> tuple[LearningCurve, ...]:
    """Correct the p-values for the number of curves and put each curve into a sentence."""
    adjusted = holm([curve.p_value for curve in curves])
    corrected = [
        replace(curve, p_holm=curve.p_value if p_holm is None else p_holm)
        for curve, p_holm in zip(curves, adjusted, strict=True)
    ]
    return tuple(replace(curve, reading=_reading(curve, spec)) for curve in corrected)


def _reading(curve: LearningCurve, spec: MetricSpec) -> str:
    head = f"{curve.surgeon}, {len(curve.cusum)} cases: "
    if curve.p_holm >= 0.05 or curve.mean_after is None:
        return (
            f"{head}the farthest point, at case {curve.turning_case}, is no farther than the same "
            f"cases in random order would bring ({p_text(curve.p_holm)}); no turning point is "
            "claimed."
        )
    return (
        f"{head}the level changed around case {curve.turning_case}: "
        f"{value_text(curve.mean_before, spec)} before, {value_text(curve.mean_after, spec)} "
        f"after; random order brings this seldom ({p_text(curve.p_holm)}). Whether practice, case "
        "mix or equipment changed, the curve does not say."
    )
