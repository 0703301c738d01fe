from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.regression.mixed_linear_model import MixedLM

from ubereport.cohort.adjusted import ModelCases, adjusted_model
from ubereport.cohort.design import Covariate, build_design, covariate_terms
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.core.config import CompareConfig
from ubereport.statistics.linear_models import fit_fixed, fit_mixed, permutation_p_value

PLAIN = MetricScale(ScaleKind.IDENTITY)
LOGIT = MetricScale(ScaleKind.LOGIT, 0.005)
CONFIG = CompareConfig(n_permutations=999)
# Pinheiro and Bates, Mixed-Effects Models in S and S-PLUS (2000), section 1.1: travel times.
RAIL = np.array([55, 53, 54, 26, 37, 32, 78, 91, 85, 92, 100, 96, 49, 51, 50, 80, 85, 83.0])


def cases_of(n_surgeons, n=60, effect=0.0, seed=3, **covariates):
    rng = np.random.default_rng(seed)
    surgeon = np.arange(n) % n_surgeons
    group = np.arange(n) // n_surgeons % 2
    y = 0.3 * surgeon + effect * group + rng.normal(0, 1, n)
    return ModelCases(
        tuple(f"c{i}" for i in range(n)),
        y,
        group,
        ("a", "b"),
        tuple(f"S{s}" for s in surgeon),
        tuple(Covariate(name, tuple(values)) for name, values in covariates.items()),
    )


def test_mixed_model_equals_the_published_rail_example():
    fit = fit_mixed(RAIL, np.ones((18, 1)), np.repeat(np.arange(6), 3))
    assert fit.coefficients[0] == pytest.approx(66.5, abs=1e-9)
    assert np.sqrt(fit.covariance[0, 0]) == pytest.approx(10.17104, abs=1e-4)
    assert fit.surgeon_sd == pytest.approx(24.80547, abs=1e-4)
    assert fit.residual_sd == pytest.approx(4.020779, abs=1e-5)


def test_mixed_model_equals_lme4(reference, reference_cases):
    group = reference_cases["group"]
    matrix = np.column_stack([np.ones(90), group == 1, group == 2, reference_cases["age"]])
    fit = fit_mixed(reference_cases["y"], matrix.astype(float), reference_cases["surgeon"])
    errors = np.sqrt(np.diag(fit.covariance))
    for i, term in enumerate(("(Intercept)", "groupb", "groupc", "age")):
        assert fit.coefficients[i] == pytest.approx(reference[f"mixed_{term}"], abs=1e-5)
        assert errors[i] == pytest.approx(reference[f"mixed_se_{term}"], abs=1e-5)
    assert fit.surgeon_sd == pytest.approx(reference["mixed_surgeon_sd"], abs=1e-4)
    assert fit.residual_sd == pytest.approx(reference["mixed_residual_sd"], abs=1e-5)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_mixed_model_equals_statsmodels(reference_cases):
    # By Powell's method: statsmodels' first choices (BFGS, L-BFGS) break off on these cases.
    matrix = np.column_stack([np.ones(90), reference_cases["age"] - 65])
    ours = fit_mixed(reference_cases["y"], matrix, reference_cases["surgeon"])
    model = MixedLM(reference_cases["y"], matrix, groups=reference_cases["surgeon"])
    theirs = model.fit(method=["powell"])
    assert ours.coefficients == pytest.approx(theirs.fe_params, abs=1e-5)
    assert ours.surgeon_sd == pytest.approx(float(np.asarray(theirs.cov_re)[0, 0]) ** 0.5, abs=1e-4)
    assert ours.residual_sd == pytest.approx(theirs.scale**0.5, abs=1e-5)


def test_mixed_model_without_surgeon_differences_is_least_squares():
    # Alternating residuals inside every surgeon: the variance between them is at its boundary, 0.
    y = np.tile([1.0, -1.0, 2.0, -2.0], 6)
    matrix = np.column_stack([np.ones(24), np.tile([0.0, 0.0, 1.0, 1.0], 6)])
    fit = fit_mixed(y, matrix, np.repeat(np.arange(6), 4))
    assert fit.surgeon_sd == 0.0
    least_squares = sm.OLS(y, matrix).fit()
    assert fit.coefficients == pytest.approx(least_squares.params)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(least_squares.bse)


def test_fixed_model_has_the_hc3_errors_of_statsmodels(reference_cases):
    matrix = np.column_stack([np.ones(90), reference_cases["age"], reference_cases["group"] == 1])
    fit = fit_fixed(reference_cases["y"], matrix.astype(float))
    theirs = sm.OLS(reference_cases["y"], matrix.astype(float)).fit(cov_type="HC3")
    assert fit.coefficients == pytest.approx(theirs.params, abs=1e-10)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(theirs.bse, abs=1e-10)


def test_permutation_p_value_equals_the_full_enumeration():
    y = np.array([1.2, 3.4, 2.2, 0.1, 5.0, 4.2, 3.3, 6.1])
    group = np.array([0, 1, 0, 1, 0, 1, 0, 1.0])
    strata = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    reduced = np.column_stack([np.ones(8), strata]).astype(float)
    full = np.column_stack([reduced, group])
    p_value = permutation_p_value(y, full, reduced, strata, 20_000, seed=1)

    # Independent: labels permuted in both strata, all 6 × 6 ways, by the within-stratum difference.
    def statistic(ones):
        chosen = np.isin(np.arange(8), ones)
        return abs(sum(y[chosen & (strata == s)].mean() - y[~chosen & (strata == s)].mean()
                       for s in (0, 1)))  # fmt: skip

    observed = statistic([1, 3, 5, 7])
    ways = [
        statistic([*a, *b]) for a in combinations(range(4), 2) for b in combinations(range(4, 8), 2)
    ]
    exact = np.mean([way >= observed - 1e-12 for way in ways])
    assert p_value == pytest.approx(exact, abs=0.02)


def test_numbers_and_levels_become_terms():
    (age,), reason = covariate_terms(Covariate("age", (50, 60.0, 70)))
    assert reason == ""
    assert (age.mean(), age.std()) == (pytest.approx(0), pytest.approx(1))
    terms, _ = covariate_terms(Covariate("procedure", ("x", "x", "y", "z")))
    assert [term.tolist() for term in terms] == [[0, 0, 1, 0], [0, 0, 0, 1]]
    flag, _ = covariate_terms(Covariate("flag", (True, False, True)))
    assert [term.tolist() for term in flag] == [[0, 1, 0]]
    assert covariate_terms(Covariate("same", (1, 1)))[1] == "the same in all cases"
    assert covariate_terms(Covariate("same", ("x", "x")))[1] == "the same in all cases"
    assert "9 levels" in covariate_terms(Covariate("id", tuple("abcdefghi")))[1]


def test_contrasts_of_a_design():
    design = build_design(np.array([0, 1, 2, 0, 1, 2]), 3, None, [], 1)
    assert design is not None
    assert design.contrast(2, 1).tolist() == [0, -1, 1]
    assert design.contrast(0, 1).tolist() == [0, -1, 0]
    assert design.row_of(2).tolist() == [1, 0, 1]
    merged = design.merged(2, 1)
    assert merged.tolist() == [[1, 0], [1, 1], [1, 1]] * 2
    assert design.merged(1, 0).tolist() == np.delete(design.matrix, 1, axis=1).tolist()


def test_five_surgeons_get_a_mixed_model_and_four_do_not():
    five = adjusted_model(cases_of(5), PLAIN, CONFIG).comparison
    assert five.method.startswith("linear mixed model")
    assert five.surgeon_sd is not None
    four = adjusted_model(cases_of(4), PLAIN, CONFIG).comparison
    assert "fixed effects" in four.method
    assert four.surgeon_sd is None
    assert "permutation" in four.contrasts[0].test.name


def test_fixed_effects_recover_a_planted_effect_exactly_without_noise():
    cases = cases_of(4, effect=-0.8)
    surgeon = np.array([float(s[1:]) for s in cases.surgeons])
    noiseless = replace(cases, values=surgeon - 0.8 * cases.group_codes + 1e-9 * cases.values)
    found = adjusted_model(noiseless, PLAIN, CONFIG).comparison
    assert found.contrasts[0].effect.value == pytest.approx(-0.8, abs=1e-6)
    assert found.contrasts[0].difference.value == pytest.approx(-0.8, abs=1e-6)
    assert found.contrasts[0].ratio is None
    assert found.contrasts[0].test.p_value == pytest.approx(1 / 1000)
    assert [v.value for v in found.values] == pytest.approx([1.5, 0.7], abs=1e-6)


def test_effect_on_the_logit_is_an_odds_ratio():
    cases = cases_of(5, effect=-0.7)
    shares = replace(cases, values=LOGIT.back(cases.values - 2))
    found = adjusted_model(shares, LOGIT, CONFIG).comparison.contrasts[0]
    same = adjusted_model(cases, PLAIN, CONFIG).comparison.contrasts[0]
    assert found.effect.value == pytest.approx(same.effect.value, abs=1e-9)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(np.exp(found.effect.value))
    assert found.ratio.low == pytest.approx(np.exp(found.effect.low))
    # In percentage points the interval says what the odds ratio says: 0 lies on the same side.
    typical = LOGIT.forward(adjusted_model(shares, LOGIT, CONFIG).comparison.values[0].value)
    for limit in ("value", "low", "high"):
        moved = LOGIT.back(typical + getattr(found.effect, limit)) - LOGIT.back(typical)
        assert getattr(found.difference, limit) == pytest.approx(float(moved), abs=1e-12)


def test_surgeons_who_prefer_a_group_do_not_bias_the_mixed_model():
    rng = np.random.default_rng(5)
    n, surgeon = 4000, np.repeat(np.arange(8), 500)
    group = (rng.random(n) < np.where(surgeon < 4, 0.2, 0.8)).astype(np.int64)
    y = 1.0 * (surgeon >= 4) + 0.5 * group + rng.normal(0, 0.5, n)
    cases = ModelCases(tuple(map(str, range(n))), y, group, ("a", "b"),
                       tuple(f"S{s}" for s in surgeon), ())  # fmt: skip
    found = adjusted_model(cases, PLAIN, CONFIG).comparison
    assert found.contrasts[0].effect.value == pytest.approx(0.5, abs=0.05)


def test_groups_split_by_surgeon_cannot_be_told_apart_with_few_surgeons():
    cases = cases_of(4)
    split = replace(cases, group_codes=np.array([int(s[1:]) % 2 for s in cases.surgeons]))
    found = adjusted_model(split, PLAIN, CONFIG).comparison
    assert "cannot be told apart from surgeons" in found.reason
    assert found.contrasts == ()


def test_groups_split_by_surgeon_are_compared_between_many_surgeons_with_few_degrees():
    cases = cases_of(8, n=80)
    split = replace(cases, group_codes=np.array([int(s[1:]) % 2 for s in cases.surgeons]))
    found = adjusted_model(split, PLAIN, CONFIG).comparison
    assert "6 degrees of freedom" in found.contrasts[0].test.name
    assert "compared between surgeons" in found.notes[0]


def test_one_surgeon_and_no_surgeon_are_said():
    cases = cases_of(4)
    one = replace(cases, surgeons=("S1",) * 60)
    assert "One surgeon only" in adjusted_model(one, PLAIN, CONFIG).comparison.notes[0]
    none = replace(cases, surgeons=(None,) * 60)
    assert "No surgeon is stated" in adjusted_model(none, PLAIN, CONFIG).comparison.notes[0]


def test_unknown_surgeons_and_covariates_cost_their_cases_only_where_used():
    age = [60.0 + i % 7 for i in range(60)]
    age[3] = None
    rare = [float(i % 5) if i < 30 else None for i in range(60)]
    cases = cases_of(5, age=age, rare=rare)
    cases = replace(cases, surgeons=(None, *cases.surgeons[1:]))
    found = adjusted_model(cases, PLAIN, CONFIG).comparison
    assert found.covariates == ("age",)
    assert [(d.reason, d.case_ids) for d in found.dropped] == [
        ("age not known", ("c3",)),
        ("surgeon not known", ("c0",)),
    ]
    assert [(left.column, left.reason) for left in found.left_out] == [
        ("rare", "not known in 30 cases; too many would be lost")
    ]
    assert found.n_cases == 58


def test_covariates_that_say_nothing_new_are_left_out():
    group = [str(i // 5 % 2) for i in range(60)]
    found = adjusted_model(cases_of(5, twin=group, same=[1] * 60), PLAIN, CONFIG).comparison
    assert {left.column: left.reason for left in found.left_out} == {
        "twin": "says the same as the groups or other columns of the model",
        "same": "the same in all cases",
    }


def test_few_cases_carry_few_terms():
    ages = {f"x{i}": list(np.random.default_rng(i).normal(size=24)) for i in range(4)}
    found = adjusted_model(cases_of(2, n=24, **ages), PLAIN, CONFIG).comparison
    assert found.covariates == ("x0",)  # intercept, group, surgeon, one term: 4 × 5 ≤ 24 < 5 × 5
    assert "too few cases (24)" in found.left_out[0].reason


def test_small_groups_take_no_part():
    cases = cases_of(5)
    codes = cases.group_codes.copy()
    codes[:3] = 2
    three = replace(cases, group_codes=codes, groups=("a", "b", "rare"))
    found = adjusted_model(three, PLAIN, CONFIG).comparison
    assert {v.group for v in found.values} == {"a", "b"}
    assert found.dropped[0].reason == "group rare has fewer than 5 complete cases"
    only = adjusted_model(cases.subset(range(6)), PLAIN, CONFIG).comparison
    assert "fewer than two groups" in only.reason


def test_a_constant_metric_has_no_estimate():
    cases = replace(cases_of(5), values=np.ones(60))
    assert (
        adjusted_model(cases, PLAIN, CONFIG).comparison.reason
        == "the metric is the same in all cases"
    )


def test_three_groups_are_corrected_together():
    cases = cases_of(5, n=90)
    three = replace(cases, group_codes=np.arange(90) // 5 % 3, groups=("a", "b", "c"))
    found = adjusted_model(three, PLAIN, CONFIG).comparison
    assert [(c.group, c.reference) for c in found.contrasts] == [("b", "a"), ("c", "a"), ("c", "b")]
    for contrast in found.contrasts:
        assert contrast.test.p_holm >= contrast.test.p_value
    a, b, c = (v.value for v in found.values)
    assert [x.difference.value for x in found.contrasts] == pytest.approx([b - a, c - a, c - b])
