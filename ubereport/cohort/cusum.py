"""Learning curves: CUSUM against the own mean, and whether its peak is more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ubereport.cohort.audit_results import LearningCurve
from ubereport.cohort.scales import MetricScale
from ubereport.cohort.wording import p_text, value_text
from ubereport.core.arrays import FloatArray
from ubereport.core.config import AuditConfig
from ubereport.core.metrics import MetricSpec
from ubereport.statistics.ranks import holm

_MIN_FOR_CORRELATION = 8
_MAD_TO_SD = 1.4826


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
    # Case numbers are moved to -1 … 1: powers of numbers up to some hundred would make the fit lose
    # its digits.
    order = np.linspace(-1.0, 1.0, len(values))
    fitted = np.polynomial.polynomial.polyval(
        order, np.polynomial.polynomial.polyfit(order, sums, degree)
    )
    total = float(np.sum((sums - sums.mean()) ** 2))
    residual = float(np.sum((sums - fitted) ** 2))
    return Cusum(sums, np.asarray(fitted), 1 - residual / total if total > 0 else 0.0)


def peak_p_value(
    values: FloatArray, n_permutations: int, seed: int, autocorrelation: float = 0.0
) -> float:
    """Share of random orders of the same values whose CUSUM strays at least as far from zero.

    A CUSUM has a maximum even in noise; this says how often noise alone has one as large. Where
    neighbors resemble each other the sums of noise wander farther, by
    ``sqrt((1 + r) / (1 − r))`` for large n, and the observed peak is measured in that unit. Source:
    Taylor, Change-Point Analysis (2000), with permutations for its bootstrap.
    """
    rng = np.random.default_rng(seed)
    deviations = values - values.mean()
    wander = np.sqrt((1 + autocorrelation) / (1 - autocorrelation))
    observed = np.max(np.abs(np.cumsum(deviations))) / wander
    shuffled = rng.permuted(np.repeat(deviations[None, :], n_permutations, axis=0), axis=1)
    peaks = np.max(np.abs(np.cumsum(shuffled, axis=1)), axis=1)
    # Orders of a few values repeat: one that is equal but for rounding counts as beyond.
    n_beyond = int(np.sum(peaks >= observed * (1 - 1e-9)))
    # The order that was seen is one of the orders: a p-value is never 0.
    return (n_beyond + 1) / (n_permutations + 1)


def neighbor_correlation(values: FloatArray, turning_case: int) -> float:
    """Return how much neighboring cases resemble each other beyond one change of level.

    The lag-1 correlation of what is left when both levels are taken out, corrected for its bias
    of about ``(1 + 4 r) / n`` toward minus (Kendall; Marriott and Pope, Biometrika 1954;41:390).
    """
    n = len(values)
    remainder = values.astype(np.float64)
    # A change of level makes neighbors alike on both of its sides. Left in, the very turn that is
    # looked for would count as autocorrelation and argue itself away.
    for part in (slice(None, turning_case), slice(turning_case, None)):
        if len(remainder[part]):
            remainder[part] -= remainder[part].mean()
    total = float(np.sum(remainder**2))
    if n < _MIN_FOR_CORRELATION or total == 0:
        return 0.0
    r = float(np.sum(remainder[1:] * remainder[:-1])) / total
    return r + (1 + 4 * r) / n


def mean_neighbor_correlation(series: Sequence[FloatArray]) -> float:
    """Return the mean of `neighbor_correlation` over surgeons, weighted by cases, 0 to 0.9."""
    drawn = [drawn_in(values)[0] for values in series]
    each = [neighbor_correlation(values, cusum_of(values).turning_case) for values in drawn]
    if not each:
        return 0.0
    # Toward 1 the allowance has no bound. Below 0 it would shrink, and noise find more turns.
    return float(np.clip(np.average(each, weights=[len(values) for values in drawn]), 0.0, 0.9))


def drawn_in(values: FloatArray) -> tuple[FloatArray, int]:
    """Draw values beyond three robust SD of their median in to there; also return how many.

    One case with a special cause moves the own mean and makes a corner in every sum after it; a
    change of level moves the median and its spread along.
    """
    median = float(np.median(values))
    reach = 3 * _MAD_TO_SD * float(np.median(np.abs(values - median)))
    if reach == 0:
        return values, 0
    inside = np.clip(values, median - reach, median + reach)
    return inside, int(np.sum(inside != values))


def learning_curve(
    surgeon: str,
    case_ids: Sequence[str],
    dates: Sequence[str],
    values: FloatArray,
    expected: FloatArray,
    spec: MetricSpec,
    scale: MetricScale,
    config: AuditConfig,
    correlation: float = 0.0,
) -> LearningCurve:
    """Return the CUSUM of one surgeon's cases, in order of their dates, on the metric's scale.

    `expected` (n,) is what the case mix makes expect of each case, on that scale; the sums are of
    what is left beyond it. `correlation` is how much neighboring cases resemble each other, over
    all surgeons: one surgeon's cases are too few to tell.
    """
    plain = scale.forward(values)
    # What the case mix explains is taken off. Its mean is put back, which changes no sum and keeps
    # values on the scale that people know.
    scaled, n_drawn_in = drawn_in(plain - expected + expected.mean())
    cusum = cusum_of(scaled, config.polynomial_degree)
    turn = cusum.turning_case
    p_value = peak_p_value(scaled, config.n_permutations, config.seed, correlation)
    # Levels are those of the cases as they were: drawing in serves to find the turn alone.
    before = float(scale.back(plain[:turn].mean()))
    after = float(scale.back(plain[turn:].mean())) if turn < len(plain) else None
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
        autocorrelation=correlation,
        n_drawn_in=n_drawn_in,
    )


def with_holm_curves(
    curves: Sequence[LearningCurve], spec: MetricSpec, alpha: float
) -> tuple[LearningCurve, ...]:
    """Correct the p-values for the number of curves and put each curve into a sentence.

    A turning point is named where the corrected p-value is below `alpha`.
    """
    adjusted = holm([curve.p_value for curve in curves])
    corrected = [
        replace(
            curve,
            p_holm=p_holm or 0.0,
            is_turning=(p_holm or 0.0) < alpha and curve.mean_after is not None,
        )
        for curve, p_holm in zip(curves, adjusted, strict=True)
    ]
    return tuple(replace(curve, reading=_reading(curve, spec)) for curve in corrected)


def _reading(curve: LearningCurve, spec: MetricSpec) -> str:
    # Whole sentences, since reports tell them in other languages; a curve is of several cases.
    n_cases = len(curve.cusum)
    if not curve.is_turning:
        return (
            f"{curve.surgeon}, {n_cases} cases: the farthest point, at case {curve.turning_case}, "
            "is not so far that the same cases in random order would seldom bring it "
            f"({p_text(curve.p_holm)}); no turning point is claimed."
        )
    return (
        f"{curve.surgeon}, {n_cases} cases: the level changed around case {curve.turning_case}: "
        f"{value_text(curve.mean_before, spec)} before, {value_text(curve.mean_after, spec)} "
        f"after; random order brings this seldom ({p_text(curve.p_holm)}). Whether practice, case "
        "mix or equipment changed, the curve does not say."
    )
