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
    drop_counts,
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
    head = _empty(base, scale)
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
    fits = fitted.contrast_fits(cases.case_ids)
    comparison = replace(
        _empty(base, scale),
        method=fitted.method,
        covariates=design.covariates,
        left_out=left_out,
        values=fitted.typical_values(),
        contrasts=fitted.contrasts(fits),
        surgeon_sd=fitted.fit.surgeon_sd,
        residual_sd=fitted.fit.residual_sd,
        notes=fitted.notes,
    )
    return AdjustedModel(comparison, fits)


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


def _empty(complete: _Complete, scale: MetricScale) -> AdjustedComparison:
    return AdjustedComparison(
        method="none",
        scale=scale.kind.value,
        n_cases=len(complete.cases.case_ids),
        n_surgeons=complete.n_surgeons,
        covariates=(),
        left_out=(),
        dropped=complete.dropped,
        values=(),
        contrasts=(),
        surgeon_sd=None,
        residual_sd=None,
        notes=(),
    )


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
            # Counted under the first of them only: reasons then add up to the cases that are gone.
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
    dropped = drop_counts(
        (reason, cases.case_ids[row]) for reason, rows in drops.items() for row in rows
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
    return _Fitted(complete, design, fit, pulled, is_mixed, scale, config)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A model of complete cases, and what it says of each pair of groups."""

    complete: _Complete
    design: Design
    fit: LinearFit
    pulled: PulledIn
    is_mixed: bool
    scale: MetricScale
    config: CompareConfig

    @property
    def method(self) -> str:
        if self.is_mixed:
            return _MIXED
        return _FIXED if self.complete.n_surgeons >= 2 else _PLAIN

    @property
    def notes(self) -> tuple[str, ...]:
        if self.complete.n_surgeons == 0:
            return ("No surgeon is stated, so surgeons could not be held equal.",)
        if self.complete.n_surgeons == 1:
            return ("One surgeon only: nothing is known of how others would fare.",)
        if self.design.is_within or self._is_balanced():
            return ()
        return (
            "Few surgeons used more than one group, so groups are compared between surgeons: what "
            "belongs to the surgeon cannot be taken apart from the group.",
        )

    def _is_balanced(self) -> bool:
        """Whether every surgeon used the groups in the same shares."""
        codes, groups = self.complete.surgeon_codes, self.complete.cases.groups
        table = np.zeros((int(codes.max()) + 1, len(groups)))
        np.add.at(table, (codes, self.complete.cases.group_codes), 1)
        shares = table / table.sum(axis=1, keepdims=True)
        return bool(np.allclose(shares, shares[0]))

    def typical_values(self) -> tuple[AdjustedValue, ...]:
        groups = self.complete.cases.groups
        predicted = [self._typical_of(index) for index in range(len(groups))]
        return tuple(
            AdjustedValue(group, float(value))
            for group, value in zip(groups, self.scale.back(predicted), strict=True)
        )

    def _typical_of(self, group: int) -> float:
        """Return the value of the average case, were it of `group`, on the scale."""
        return float(self.design.row_of(group) @ self.fit.coefficients)

    def contrast_fits(self, case_ids: Sequence[str]) -> tuple[ContrastFit, ...]:
        """Return every pair as a sum over cases, whose places are those in `case_ids`."""
        cases, codes = self.complete.cases, self.complete.surgeon_codes
        place = {case_id: row for row, case_id in enumerate(case_ids)}
        rows = np.array([place[case_id] for case_id in cases.case_ids], dtype=np.int64)
        residuals = self.scale.forward(cases.values) - self.pulled.fitted
        degrees = max(len(residuals) - np.linalg.matrix_rank(self.pulled.matrix), 1)
        residual_sd = float(np.sqrt(residuals @ residuals / degrees))
        fits = []
        for group, reference in self._pairs():
            contrast = self.design.contrast(group, reference)
            effect, error = self.fit.of(contrast)
            weights = effect_weights(self.design.matrix, contrast, codes, self.fit)
            users = [set(codes[cases.group_codes == g].tolist()) for g in (group, reference)]
            fits.append(
                ContrastFit(
                    group=cases.groups[group],
                    reference=cases.groups[reference],
                    rows=rows,
                    weights=self.pulled.carried(weights),
                    effect=effect,
                    error=error,
                    degrees=self._degrees(*users),
                    start=self._typical_of(reference),
                    residual_sd=residual_sd,
                    n_shared_surgeons=len(users[0] & users[1]),
                    is_within=self.design.is_within,
                )
            )
        return tuple(fits)

    def _pairs(self) -> list[tuple[int, int]]:
        """Return the place of each group and of the reference that it is compared with."""
        n_groups = len(self.complete.cases.groups)
        return [(group, reference) for reference, group in combinations(range(n_groups), 2)]

    def _degrees(self, users: set[int], reference_users: set[int]) -> float:
        """Degrees of freedom of a contrast: inside surgeons where two or more used both groups."""
        n, p = self.design.matrix.shape
        if not self.is_mixed:
            return float(max(n - p, 1))
        if self.design.is_within and len(users & reference_users) >= 2:
            # Inside surgeons every surgeon costs one degree, as if it were a fixed effect.
            n_surgeons = len(set(self.complete.surgeon_codes.tolist()))
            return float(max(n - p - (n_surgeons - 1), 1))
        # A contrast between surgeons knows as many independent things as there are surgeons,
        # however many cases each of them has.
        return float(max(len(users | reference_users) - 2, 1))

    def contrasts(self, fits: Sequence[ContrastFit]) -> tuple[AdjustedContrast, ...]:
        contrasts = [
            self._contrast(fit, pair) for fit, pair in zip(fits, self._pairs(), strict=True)
        ]
        adjusted = holm([contrast.test.p_value for contrast in contrasts])
        family = f"{len(fits)} adjusted contrasts"
        return tuple(
            replace(c, test=replace(c.test, p_holm=p, family=family))
            for c, p in zip(contrasts, adjusted, strict=True)
        )

    def _contrast(self, fit: ContrastFit, pair: tuple[int, int]) -> AdjustedContrast:
        reach = t_reach(self.config.confidence, fit.degrees) * fit.error
        effect = (fit.effect, fit.effect - reach, fit.effect + reach)
        ratio = None
        if self.scale.kind is not ScaleKind.IDENTITY:
            name = "odds ratio" if self.scale.kind is ScaleKind.LOGIT else "ratio"
            ratio = self._estimate([float(np.exp(value)) for value in effect], name)
        # Sign and coverage of the difference stay those of the effect, so that the two never
        # disagree.
        start = self.scale.back(fit.start)
        difference = [float(self.scale.back(fit.start + value) - start) for value in effect]
        carried = "effect carried into the unit of the metric, from the reference's typical value"
        return AdjustedContrast(
            fit.group,
            fit.reference,
            self._estimate(effect, f"effect on the {self.scale.kind.value} scale"),
            ratio,
            self._estimate(difference, carried),
            self._test(fit, pair),
        )

    def _estimate(self, limits: Sequence[float], method: str) -> Estimate:
        value, low, high = limits
        return Estimate(value, low, high, method, "", self.config.confidence)

    def _test(self, fit: ContrastFit, pair: tuple[int, int]) -> TestResult:
        if self.is_mixed:
            if fit.error == 0:
                return TestResult("Wald t test", None, reason="no p-value: no spread is left")
            name = f"Wald t test, {fit.degrees:.0f} degrees of freedom"
            statistic = fit.effect / fit.error
            return TestResult(name, 2 * t_tail(abs(statistic), fit.degrees), statistic)
        without = self.design.merged(*pair)
        p_value = permutation_p_value(
            # Far-off cases are pulled in anew without the contrast: under the hypothesis that is
            # tested it must not decide which case is far off.
            pull_in(self.scale.forward(self.complete.cases.values), without).values,
            self.design.matrix,
            without,
            self.complete.surgeon_codes,
            self.config.n_permutations,
            self.config.seed,
        )
        return TestResult("permutation test inside surgeons", p_value)
