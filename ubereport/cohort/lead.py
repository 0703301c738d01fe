"""The estimate that leads a comparison, and whether a direction may be named at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.cohort.adjusted import AdjustedModel, ContrastFit
from ubereport.cohort.comparison_results import (
    BalanceRow,
    Lead,
    ThresholdContrast,
    TippingPoint,
    Verdict,
)
from ubereport.cohort.device import CaseAreas, ErrorDraws, SeenError
from ubereport.cohort.scales import MetricScale
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title
from ubereport.statistics.crossings import crossing
from ubereport.statistics.distributions import t_reach
from ubereport.statistics.estimates import Estimate, TestResult

_MAX_FACTOR, _MAX_FALSE_AREA = 10.0, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class LeadTerms:
    """What every contrast of a comparison is judged by.

    Parameters
    ----------
    areas
        The primary metric, and what it would be under an error of the model.
    at_thresholds
        (n,) the metric at the lenient and the strict threshold; None where not measured.
    codes
        (n,) group of each case.
    draws, seen
        What the model may have erred, and was seen to; None where the bundle does not say.
    balance
        Rows of the covariates held equal.
    barriers
        Why no contrast of this comparison may name a direction.
    scale, config
        The scale of the metric, and what was asked for.
    hidden
        (groups, why) for bleeding lost from view: stands against contrasts of all these groups.
    """

    groups: tuple[str, ...]
    areas: CaseAreas
    at_thresholds: Mapping[str, FloatArray] | None
    codes: IntArray
    n_surgeons: int
    draws: ErrorDraws | None
    seen: SeenError | None
    balance: Sequence[BalanceRow]
    barriers: tuple[str, ...]
    scale: MetricScale
    config: CompareConfig
    hidden: tuple[tuple[frozenset[str], str], ...] = ()


def lead_of(group: str, reference: str, model: AdjustedModel, terms: LeadTerms) -> Lead:
    """Return what may be said of `group` against `reference`.

    A direction is named only where nothing stands against it: the two can be told apart from the
    surgeons and from every covariate, the adjusted p-value (Holm) is below the level, the interval
    that holds the model's own error leaves zero out, and the sign is the same at all thresholds of
    the bundle. With a margin, the groups are called alike where the interval lies inside it.
    """
    fit = next((f for f in model.fits if (f.group, f.reference) == (group, reference)), None)
    barriers = (*terms.barriers, *_barriers(group, reference, fit, model, terms))
    if fit is None:
        nothing = Estimate(None, None, None, "none", barriers[-1], terms.config.confidence)
        test = TestResult("none", None, reason=barriers[-1])
        return Lead(group, reference, Verdict.DESCRIPTIVE, barriers, nothing, nothing, (), None,
                    None, test)  # fmt: skip
    contrast = next(
        c for c in model.comparison.contrasts if (c.group, c.reference) == (group, reference)
    )
    with_error = _with_error(fit, terms)
    thresholds = _at_thresholds(fit, terms)
    verdict = _verdict(contrast.test, with_error, thresholds, barriers, terms.config)
    return Lead(
        group=group,
        reference=reference,
        verdict=verdict,
        barriers=barriers,
        difference=contrast.difference,
        with_error=with_error,
        at_thresholds=thresholds,
        tipping=tipping_point(fit, terms),
        e_value=e_value(fit.effect / fit.residual_sd) if fit.residual_sd > 0 else None,
        test=contrast.test,
    )


def _barriers(
    group: str, reference: str, fit: ContrastFit | None, model: AdjustedModel, terms: LeadTerms
) -> list[str]:
    apart = [
        row.column
        for row in terms.balance
        if {group, reference} in [set(pair) for pair in row.apart]
    ]
    barriers = [
        f"{column_title(name)} alone tells the two apart: no case of one is like any case of the "
        "other in it"
        for name in dict.fromkeys(apart)
    ]
    barriers += [why for groups, why in terms.hidden if groups <= {group, reference}]
    if fit is None:
        missing = model.comparison.reason or "too few complete cases in one of the two"
        return [*barriers, missing]
    if terms.n_surgeons == 0:
        barriers.append("no surgeon is stated, so groups cannot be told apart from surgeons")
    elif terms.n_surgeons > 1 and fit.n_shared_surgeons == 0:
        barriers.append("no surgeon used both, so groups cannot be told apart from surgeons")
    elif terms.n_surgeons > 1 and not fit.is_within:
        barriers.append(
            "too few surgeons used more than one group, so groups cannot be told apart from "
            "surgeons"
        )
    if terms.draws is None:
        barriers.append(
            "the model's bundle does not say what it erred on each unseen operation, and no stills "
            "of the groups were labelled"
            if terms.areas.is_known
            else "this metric cannot be read under another error of the model"
        )
    return barriers


def _verdict(
    test: TestResult,
    with_error: Estimate,
    thresholds: Sequence[ThresholdContrast],
    barriers: Sequence[str],
    config: CompareConfig,
) -> Verdict:
    if barriers or with_error.low is None or with_error.high is None:
        return Verdict.DESCRIPTIVE
    low, high = with_error.low, with_error.high
    alpha = 1 - config.confidence
    at_thresholds = [t.difference.value for t in thresholds]
    # A difference whose sign depends on how strict the model is set is one of the setting.
    signs = {np.sign(value or 0.0) for value in (with_error.value, *at_thresholds)}
    is_shown = test.p_holm is not None and test.p_holm < alpha and len(signs) <= 1
    if is_shown and low > 0:
        return Verdict.HIGHER
    if is_shown and high < 0:
        return Verdict.LOWER
    if config.margin is not None and -config.margin < low and high < config.margin:
        return Verdict.EQUIVALENT
    return Verdict.NOT_SHOWN


def _in_unit(fit: ContrastFit, terms: LeadTerms, effect: float) -> float:
    return float(terms.scale.back(fit.start + effect) - terms.scale.back(fit.start))


def _with_error(fit: ContrastFit, terms: LeadTerms) -> Estimate:
    """Return the difference with an interval for chance and for the model's error together.

    Every draw of the errors gives other areas, another effect, and around it Student's t for
    chance; the interval holds the middle of all draws (Monte Carlo error analysis, as in Greenland,
    J R Stat Soc A 2005;168:267).
    """
    method = "adjusted, interval for chance and the model's own error"
    confidence = terms.config.confidence
    if terms.draws is None or not terms.areas.is_known:
        reason = "what the model erred in each group is not known"
        value = _in_unit(fit, terms, fit.effect)
        return Estimate(value, None, None, method, reason, confidence)
    effects = _effects(fit, terms, terms.draws.shift, terms.draws.slope)
    rng = np.random.default_rng(terms.config.seed)
    # One draw of chance for each draw of the errors: adding the two intervals would count the worst
    # of both as the rule.
    spread = effects + fit.error * rng.standard_t(fit.degrees, len(effects))
    tail = (1 - confidence) / 2
    low, value, high = (
        _in_unit(fit, terms, float(effect)) for effect in np.quantile(spread, [tail, 0.5, 1 - tail])
    )
    return Estimate(value, low, high, method, "", confidence)


def _effects(
    fit: ContrastFit, terms: LeadTerms, shift: FloatArray, slope: FloatArray
) -> FloatArray:
    """(k,) the effect if areas of each group had been ``shift + slope m``."""
    values = terms.areas.under(shift, slope, terms.codes)[:, fit.rows]
    return np.asarray(terms.scale.forward(values) @ fit.weights)


def _at_thresholds(fit: ContrastFit, terms: LeadTerms) -> tuple[ThresholdContrast, ...]:
    """Return the contrast at each threshold of the bundle, with the spread of the central one."""
    confidence = terms.config.confidence
    reach = t_reach(confidence, fit.degrees) * fit.error
    contrasts = []
    for name, values in (terms.at_thresholds or {}).items():
        own = values[fit.rows]
        if not np.isnan(own).any():
            effect = float(terms.scale.forward(own) @ fit.weights)
            value, low, high = (_in_unit(fit, terms, effect + step) for step in (0, -reach, reach))
            estimate = Estimate(value, low, high, "adjusted", "", confidence)
            contrasts.append(ThresholdContrast(name, estimate))
    return tuple(contrasts)


def tipping_point(fit: ContrastFit, terms: LeadTerms) -> TippingPoint | None:
    """Return how much more the model must err under one group to undo the finding.

    `factor`: how many times too large its areas would have to be in the group that measures higher
    (as often: too small in the other). `false_area_frac`: how much clean view it would have to
    paint there. The finding is undone where the interval for chance reaches zero. None where there
    is no finding, or the metric cannot be read under another error; a number is None where not even
    ten times, or half of the view, undoes it.
    """
    reach = t_reach(terms.config.confidence, fit.degrees) * fit.error
    if not terms.areas.is_known or abs(fit.effect) <= reach:
        return None
    higher = fit.group if fit.effect > 0 else fit.reference
    at, sign = terms.groups.index(higher), float(np.sign(fit.effect))

    # Take the supposed error back out of one group's areas, and see what is left of the effect
    # beyond chance. It falls as the error grows; where it crosses zero the finding is undone. Paint
    # of p on clean view measures t as p + (1 - p) t, hence both a shift and a slope.
    def remainder(factor: float, false_area: float) -> float:
        shift, slope = np.zeros((1, len(terms.groups))), np.ones((1, len(terms.groups)))
        slope[0, at] = 1 / (factor * (1 - false_area))
        shift[0, at] = -false_area / (1 - false_area) / factor
        return sign * float(_effects(fit, terms, shift, slope)[0]) - reach

    return TippingPoint(
        higher,
        crossing(lambda factor: remainder(factor, 0.0), 1.0, _MAX_FACTOR),
        crossing(lambda false_area: remainder(1.0, false_area), 0.0, _MAX_FALSE_AREA),
        None if terms.seen is None else terms.seen.factor,
        None if terms.seen is None else terms.seen.false_area_frac,
        0 if terms.seen is None else terms.seen.n_operations,
    )


def e_value(standardized_effect: float) -> float:
    """Return how strongly something unmeasured must go with both group and outcome to explain it.

    On the scale of risk ratios, ``RR = exp(0.91 d)`` and ``E = RR + sqrt(RR (RR - 1))``. Source:
    VanderWeele and Ding, Ann Intern Med 2017;167:268.
    """
    # Groups without any spread are infinitely many deviations apart: the scale ends at exp(20).
    ratio = float(np.exp(min(0.91 * abs(standardized_effect), 20.0)))
    return ratio + float(np.sqrt(ratio * (ratio - 1)))
