"""The adjusted comparison: surgeon and covariates held equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ubereport.cohort.comparison_results import (
    AdjustedComparison,
    AdjustedContrast,
    AdjustedValue,
    DropCount,
    LeftOut,
)
from ubereport.cohort.design import Covariate, Design, build_design
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.config import CompareConfig
from ubereport.statistics.distributions import t_reach, t_tail
from ubereport.statistics.estimates import Estimate, TestResult
from ubereport.statistics.linear_models import (
    LinearFit,
    effect_weights,
    fit_fixed,
    fit_mixed,
    permutation_p_value,
)
from ubereport.statistics.ranks import holm
from ubereport.statistics.robust import PulledIn, pull_in

# Every model is fitted to cases whose far-off ones were pulled in: see `statistics.robust`.
_ROBUST = "cases far off count for less (Huber)"
_MIXED = (
    "linear mixed model, random intercept per surgeon (REML), contrasts inside surgeons; " + _ROBUST
)
_FIXED = "linear model with surgeons as fixed effects, permutations inside surgeons; " + _ROBUST
_PLAIN = "linear model, permutations over all cases; " + _ROBUST


@dataclass(frozen=True, slots=True, eq=False)
class ModelCases:
    """Cases of a comparison, one entry a case; surgeon and covariates may be unknown (None).

    `group_codes` index `groups`, whose first is the reference.
    """

    case_ids: tuple[str, ...]
    values: FloatArray
    group_codes: IntArray
    groups: tuple[str, ...]
    surgeons: tuple[str | None, ...]
    covariates: tuple[Covariate, ...]

    def subset(self, rows: Sequence[int]) -> ModelCases:
        """Return the cases at the positions `rows`."""
        return ModelCases(
            tuple(self.case_ids[i] for i in rows),
            self.values[list(rows)],
            self.group_codes[list(rows)],
            self.groups,
            tuple(self.surgeons[i] for i in rows),
            tuple(Covariate(c.name, tuple(c.values[i] for i in rows)) for c in self.covariates),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    design: Design
    fit: LinearFit
    pulled: PulledIn
    surgeon_codes: IntArray
    is_mixed: bool


@dataclass(frozen=True, slots=True, eq=False)
class ContrastFit:
    """One adjusted contrast as a sum over cases: its effect is ``weights · y`` on the scale.

    Parameters
    ----------
    rows, weights
        (m,) positions of the model's cases among those given, and what each counts.
    effect, error, degrees
        Effect, standard error, degrees of freedom.
    start
        Typical value of the reference on the scale.
    residual_sd
        Spread that the model leaves, of the cases as they are.
    n_shared_surgeons
        Surgeons who used both groups.
    is_within
        Whether the contrast is one inside surgeons.
    """

    group: str
    reference: str
    rows: IntArray
    weights: FloatArray
    effect: float
    error: float
    degrees: float
    start: float
    residual_sd: float
    n_shared_surgeons: int
    is_within: bool


@dataclass(frozen=True, slots=True, eq=False)
class AdjustedModel:
    """The adjusted comparison, and each of its contrasts as a sum over cases."""

    comparison: AdjustedComparison
    fits: tuple[ContrastFit, ...]


def adjusted_model(cases: ModelCases, scale: MetricScale, config: CompareConfig) -> AdjustedModel:
    """Compare the groups with surgeon and covariates held equal.

    From `min_surgeons_for_mixed` surgeons on: a mixed model with a random intercept per surgeon.
    Below: surgeons as fixed effects, p-values by permuting inside surgeons. Groups below
    `min_cases_for_p` cases take no part. The outcome is on the metric's scale (see `scales`).

    Covariates are taken in their order as long as the cases last: together they may cost
    `max_missing_frac` of the cases and need `min_cases_per_term` cases a term.
    """
    base = _complete(cases, (), config)
    # From here on every way out says why there is no model: an empty table without a reason would
    # be read as no difference.
    head = _empty(scale, base.cases, base.n_surgeons, base.dropped)
    if len(base.cases.groups) < 2:
        reason = (
            f"fewer than two groups have {config.min_cases_for_p} cases with all that the model "
            "needs"
        )
        return AdjustedModel(replace(head, reason=reason), ())
    if np.ptp(scale.forward(base.cases.values)) == 0:
        return AdjustedModel(replace(head, reason="the metric is the same in all cases"), ())
    design = _design(base, config)
    if design is None:
        reason = "groups cannot be told apart from surgeons: nobody used more than one of them"
        return AdjustedModel(replace(head, reason=reason), ())
    base, design, left_out = _with_covariates(cases, base, design, config)
    fitted = _fit(base, design, scale, config)
    comparison = replace(
        _empty(scale, base.cases, base.n_surgeons, base.dropped),
        method=_method(fitted, base.n_surgeons),
        covariates=design.covariates,
        left_out=left_out,
        values=_typical_values(base.cases, fitted, scale),
        contrasts=_contrasts(base.cases, fitted, scale, config),
        surgeon_sd=fitted.fit.surgeon_sd,
        residual_sd=fitted.fit.residual_sd,
        notes=_notes(base.cases, fitted, base.n_surgeons),
    )
    place = {case_id: row for row, case_id in enumerate(cases.case_ids)}
    rows = np.array([place[case_id] for case_id in base.cases.case_ids], dtype=np.int64)
    return AdjustedModel(comparison, _contrast_fits(base.cases, rows, fitted, scale))


def _contrast_fits(
    cases: ModelCases, rows: IntArray, fitted: _Fitted, scale: MetricScale
) -> tuple[ContrastFit, ...]:
    residuals = scale.forward(cases.values) - fitted.pulled.fitted
    degrees = max(len(residuals) - np.linalg.matrix_rank(fitted.pulled.matrix), 1)
    residual_sd = float(np.sqrt(residuals @ residuals / degrees))
    fits = []
    for reference, group in combinations(range(len(cases.groups)), 2):
        contrast = fitted.design.contrast(group, reference)
        effect, error = fitted.fit.of(contrast)
        weights = effect_weights(fitted.design.matrix, contrast, fitted.surgeon_codes, fitted.fit)
        fits.append(
            ContrastFit(
                cases.groups[group],
                cases.groups[reference],
                rows,
                fitted.pulled.carried(weights),
                effect,
                error,
                _degrees(cases, fitted, group, reference),
                float(fitted.design.row_of(reference) @ fitted.fit.coefficients),
                residual_sd,
                len(_shared_surgeons(cases, fitted, group, reference)),
                fitted.design.is_within,
            )
        )
    return tuple(fits)


def _shared_surgeons(cases: ModelCases, fitted: _Fitted, group: int, reference: int) -> set[int]:
    users = [set(fitted.surgeon_codes[cases.group_codes == g].tolist()) for g in (group, reference)]
    return users[0] & users[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Complete:
    """Cases that lack nothing that a model needs, and those that do."""

    cases: ModelCases
    surgeon_codes: IntArray
    n_surgeons: int
    dropped: tuple[DropCount, ...]


def _with_covariates(
    cases: ModelCases, base: _Complete, design: Design, config: CompareConfig
) -> tuple[_Complete, Design, tuple[LeftOut, ...]]:
    """Add covariates one by one while the cases allow it."""
    # One covariate after the other, the most important first: each is tried together with those
    # already in, on the cases that know them all. It stays only if enough cases and every group are
    # left and the design can still tell everything apart; else it is named with the reason.
    allowed = (1 - config.max_missing_frac) * len(base.cases.case_ids)
    n_groups = len(base.cases.groups)
    current, left_out = base, []
    for covariate in cases.covariates:
        names = (*design.covariates, covariate.name)
        trial = _complete(cases, names, config)
        wider = None
        if len(trial.cases.case_ids) < allowed or len(trial.cases.groups) < n_groups:
            missing = sum(value is None for value in covariate.values)
            reason = f"not known in {missing} cases; too many would be lost"
        else:
            wider = _design(trial, config)
            reason = wider.left_out[0].reason if wider is not None and wider.left_out else ""
        if reason or wider is None:
            left_out.append(LeftOut(covariate.name, reason or "leaves too few surgeons"))
        else:
            current, design = trial, wider
    return current, design, tuple(left_out)


def _empty(
    scale: MetricScale, cases: ModelCases, n_surgeons: int, dropped: tuple[DropCount, ...]
) -> AdjustedComparison:
    return AdjustedComparison(
        method="none",
        scale=scale.kind.value,
        n_cases=len(cases.case_ids),
        n_surgeons=n_surgeons,
        covariates=(),
        left_out=(),
        dropped=dropped,
        values=(),
        contrasts=(),
        surgeon_sd=None,
        residual_sd=None,
        notes=(),
    )


def _method(fitted: _Fitted, n_surgeons: int) -> str:
    if fitted.is_mixed:
        return _MIXED
    return _FIXED if n_surgeons >= 2 else _PLAIN


def _complete(cases: ModelCases, names: Sequence[str], config: CompareConfig) -> _Complete:
    """Keep the cases whose surgeon (if any is stated) and covariates `names` are known."""
    named = tuple(c for name in names for c in cases.covariates if c.name == name)
    cases = replace(cases, covariates=named)
    # Where no case names a surgeon the model goes without; where some do, a case without one cannot
    # be held equal to any.
    is_surgeon_used = any(surgeon is not None for surgeon in cases.surgeons)
    drops: dict[str, list[int]] = {}
    for row in range(len(cases.case_ids)):
        lacks = ["surgeon"] if is_surgeon_used and cases.surgeons[row] is None else []
        lacks += [c.name for c in cases.covariates if c.values[row] is None]
        if lacks:
            drops.setdefault(f"{lacks[0]} not known", []).append(row)
    gone = {row for rows in drops.values() for row in rows}
    for group, rows in _small_groups(cases, gone, config.min_cases_for_p).items():
        drops[f"group {group} has fewer than {config.min_cases_for_p} complete cases"] = rows
        gone.update(rows)
    kept = _without_empty_groups(
        cases.subset([row for row in range(len(cases.case_ids)) if row not in gone])
    )
    surgeons = sorted({s for s in kept.surgeons if s is not None})
    code_of: dict[str | None, int] = {None: 0} | {s: code for code, s in enumerate(surgeons)}
    codes = [code_of[surgeon] for surgeon in kept.surgeons]
    dropped = tuple(
        DropCount(reason, tuple(cases.case_ids[row] for row in rows))
        for reason, rows in sorted(drops.items())
    )
    return _Complete(kept, np.array(codes, dtype=np.int64), len(surgeons), dropped)


def _small_groups(cases: ModelCases, gone: set[int], min_cases: int) -> dict[str, list[int]]:
    rows_of: dict[str, list[int]] = {}
    for row, code in enumerate(cases.group_codes):
        if row not in gone:
            rows_of.setdefault(cases.groups[code], []).append(row)
    return {group: rows for group, rows in rows_of.items() if len(rows) < min_cases}


def _without_empty_groups(cases: ModelCases) -> ModelCases:
    present = sorted(set(cases.group_codes.tolist()))
    codes = np.searchsorted(np.array(present, dtype=np.int64), cases.group_codes)
    return replace(
        cases,
        groups=tuple(cases.groups[code] for code in present),
        group_codes=np.asarray(codes, dtype=np.int64),
    )


def _is_mixed(complete: _Complete, config: CompareConfig) -> bool:
    return complete.n_surgeons >= config.min_surgeons_for_mixed


def _design(complete: _Complete, config: CompareConfig) -> Design | None:
    return build_design(
        complete.cases.group_codes,
        len(complete.cases.groups),
        complete.surgeon_codes if complete.n_surgeons >= 2 else None,
        complete.cases.covariates,
        config.min_cases_per_term,
        is_surgeon_fixed=not _is_mixed(complete, config),
    )


def _fit(complete: _Complete, design: Design, scale: MetricScale, config: CompareConfig) -> _Fitted:
    y, codes = scale.forward(complete.cases.values), complete.surgeon_codes
    is_mixed = _is_mixed(complete, config)
    everything = design.matrix
    if is_mixed:
        # What is far off is so for its surgeon: surgeons who differ are no extremes.
        surgeons = np.equal.outer(codes, np.unique(codes)).astype(np.float64)
        everything = np.column_stack([design.matrix, surgeons])
    pulled = pull_in(y, everything)
    fit = (
        fit_mixed(pulled.values, design.matrix, codes)
        if is_mixed
        else fit_fixed(pulled.values, design.matrix)
    )
    fit = replace(fit, covariance=fit.covariance * pulled.variance_factor)
    return _Fitted(design, fit, pulled, codes, is_mixed)


def _contrasts(
    cases: ModelCases, fitted: _Fitted, scale: MetricScale, config: CompareConfig
) -> tuple[AdjustedContrast, ...]:
    pairs = [(group, reference) for reference, group in combinations(range(len(cases.groups)), 2)]
    contrasts = [_contrast(cases, fitted, scale, config, pair) for pair in pairs]
    adjusted = holm([contrast.test.p_value for contrast in contrasts])
    return tuple(
        replace(c, test=replace(c.test, p_holm=p, family=f"{len(pairs)} adjusted contrasts"))
        for c, p in zip(contrasts, adjusted, strict=True)
    )


def _contrast(
    cases: ModelCases,
    fitted: _Fitted,
    scale: MetricScale,
    config: CompareConfig,
    pair: tuple[int, int],
) -> AdjustedContrast:
    group, reference = pair
    effect, error = fitted.fit.of(fitted.design.contrast(group, reference))
    degrees = _degrees(cases, fitted, group, reference)
    quantile = t_reach(config.confidence, degrees)
    low, high = effect - quantile * error, effect + quantile * error
    name = f"effect on the {scale.kind.value} scale"
    interval = Estimate(effect, low, high, name, "", config.confidence)
    ratio = None
    if scale.kind is not ScaleKind.IDENTITY:
        name = "odds ratio" if scale.kind is ScaleKind.LOGIT else "ratio"
        values = [float(np.exp(v)) for v in (effect, low, high)]
        ratio = Estimate(values[0], values[1], values[2], name, "", config.confidence)
    return AdjustedContrast(
        cases.groups[group],
        cases.groups[reference],
        interval,
        ratio,
        _difference(fitted, scale, reference, interval),
        _test(cases, fitted, scale, config, pair, (effect, error, degrees)),
    )


def _difference(fitted: _Fitted, scale: MetricScale, reference: int, effect: Estimate) -> Estimate:
    """Carry an effect into the unit of the metric, from the typical value of the reference on.

    Sign and coverage stay those of the effect, so that it and the difference never disagree.
    """
    start = float(fitted.design.row_of(reference) @ fitted.fit.coefficients)
    limits = (effect.value, effect.low, effect.high)
    value, low, high = (
        float(scale.back(start + (0.0 if limit is None else limit)) - scale.back(start))
        for limit in limits
    )
    method = "effect carried into the unit of the metric, from the reference's typical value"
    return Estimate(value, low, high, method, "", effect.confidence)


def _degrees(cases: ModelCases, fitted: _Fitted, group: int, reference: int) -> float:
    """Degrees of freedom of a contrast: inside surgeons where two or more used both groups."""
    n, p = fitted.design.matrix.shape
    if not fitted.is_mixed:
        return float(max(n - p, 1))
    users = [set(fitted.surgeon_codes[cases.group_codes == g].tolist()) for g in (group, reference)]
    if fitted.design.is_within and len(users[0] & users[1]) >= 2:
        # Inside surgeons every surgeon costs one degree, as if it were a fixed effect.
        return float(max(n - p - (len(set(fitted.surgeon_codes.tolist())) - 1), 1))
    # A contrast between surgeons knows as many independent things as there are surgeons, however
    # many cases each of them has.
    return float(max(len(users[0] | users[1]) - 2, 1))


def _test(
    cases: ModelCases,
    fitted: _Fitted,
    scale: MetricScale,
    config: CompareConfig,
    pair: tuple[int, int],
    wald: tuple[float, float, float],
) -> TestResult:
    if fitted.is_mixed:
        effect, error, degrees = wald
        if error == 0:
            return TestResult("Wald t test", None, reason="no p-value: no spread is left")
        p_value = 2 * t_tail(abs(effect / error), degrees)
        return TestResult(f"Wald t test, {degrees:.0f} degrees of freedom", p_value, effect / error)
    without = fitted.design.merged(*pair)
    p_value = permutation_p_value(
        # Far-off cases are pulled in anew without the contrast: under the hypothesis that is tested
        # it must not decide which case is far off.
        pull_in(scale.forward(cases.values), without).values,
        fitted.design.matrix,
        without,
        fitted.surgeon_codes,
        config.n_permutations,
        config.seed,
    )
    return TestResult("permutation test inside surgeons", p_value)


def _typical_values(
    cases: ModelCases, fitted: _Fitted, scale: MetricScale
) -> tuple[AdjustedValue, ...]:
    predicted = [
        fitted.design.row_of(index) @ fitted.fit.coefficients for index in range(len(cases.groups))
    ]
    return tuple(
        AdjustedValue(group, float(value))
        for group, value in zip(cases.groups, scale.back(predicted), strict=True)
    )


def _notes(cases: ModelCases, fitted: _Fitted, n_surgeons: int) -> tuple[str, ...]:
    if n_surgeons == 0:
        return ("No surgeon is stated, so surgeons could not be held equal.",)
    if n_surgeons == 1:
        return ("One surgeon only: nothing is known of how others would fare.",)
    notes = []
    if not fitted.design.is_within and not _is_balanced(cases, fitted):
        notes.append(
            "Few surgeons used more than one group, so groups are compared between surgeons: what "
            "belongs to the surgeon cannot be taken apart from the group."
        )
    return tuple(notes)


def _is_balanced(cases: ModelCases, fitted: _Fitted) -> bool:
    """Whether every surgeon used the groups in the same shares."""
    table = np.zeros((int(fitted.surgeon_codes.max()) + 1, len(cases.groups)))
    np.add.at(table, (fitted.surgeon_codes, cases.group_codes), 1)
    shares = table / table.sum(axis=1, keepdims=True)
    return bool(np.allclose(shares, shares[0]))
