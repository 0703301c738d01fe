"""Overlap weights against statsmodels' logistic regression, matching against SciPy's assignment."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import cohort_table
from ubereport.cohort.weighting import MATCHED, OVERLAP, logistic_probabilities, overlap_difference
from ubereport.core.config import CompareConfig

FAST = CompareConfig(n_bootstrap=100, n_permutations=199)


def confounded(seed=1, n=200):
    """An effect of 0.1 on a value that one covariate raises, as it raises the chance of b."""
    rng = np.random.default_rng(seed)
    terms = np.column_stack([rng.normal(0, 1, n), rng.random(n) < 0.3]).astype(float)
    is_group = rng.random(n) < 1 / (1 + np.exp(-(0.8 * terms[:, 0] - 0.5 * terms[:, 1])))
    values = 0.3 + 0.1 * is_group + 0.2 * terms[:, 0] + rng.normal(0, 0.05, n)
    return values, is_group, terms


def test_probabilities_are_those_of_statsmodels():
    _, is_group, terms = confounded()
    fitted = sm.GLM(is_group.astype(float), sm.add_constant(terms), family=sm.families.Binomial())
    assert logistic_probabilities(terms, is_group) == pytest.approx(
        fitted.fit().fittedvalues, abs=1e-8
    )


def test_groups_that_terms_tell_apart_have_no_probabilities():
    terms = np.linspace(-1, 1, 40)[:, None]
    assert logistic_probabilities(terms, terms[:, 0] > 0) is None


def test_overlap_weights_make_means_alike_and_find_the_effect():
    values, is_group, terms = confounded()
    fitted = sm.GLM(is_group.astype(float), sm.add_constant(terms), family=sm.families.Binomial())
    score = np.asarray(fitted.fit().fittedvalues)
    weights = np.where(is_group, 1 - score, score)
    # Li, Morgan and Zaslavsky, theorem 3: weighted means of all terms are equal exactly.
    for term in terms.T:
        means = [np.average(term[own], weights=weights[own]) for own in (is_group, ~is_group)]
        assert means[0] == pytest.approx(means[1], abs=1e-8)
    expected = np.average(values[is_group], weights=weights[is_group]) - np.average(
        values[~is_group], weights=weights[~is_group]
    )
    found = overlap_difference(values, is_group, terms, FAST)
    assert found.value == pytest.approx(expected, abs=1e-8)
    assert found.low < 0.1 < found.high
    plain = values[is_group].mean() - values[~is_group].mean()
    assert plain > found.high


def test_their_intervals_hold_the_effect_as_often_as_they_say():
    held = []
    for seed in range(60):
        found = overlap_difference(*confounded(seed, 120), FAST)
        held.append(found.low <= 0.1 <= found.high)
    # 95 % of 60, three standard errors below.
    assert np.mean(held) >= 0.86


@pytest.mark.parametrize(
    ("n_group", "said"), [(9, "fewer than 10 cases"), (20, "tell the two apart")]
)
def test_no_estimate_says_why(n_group, said):
    is_group = np.arange(40) < n_group
    terms = np.column_stack([np.arange(40) < n_group]).astype(float)
    found = overlap_difference(np.arange(40.0), is_group, terms, FAST)
    assert found.value is None
    assert said in found.reason


def matched_library(make_row):
    """Eleven cases of a and eight of b: two procedures, durations of their own."""
    rng = np.random.default_rng(6)
    rows = []
    for i in range(19):
        group = "a" if i < 11 else "b"
        values = {"impaired_share_20": float(rng.uniform(0.05, 0.5)),
                  "recorded_s": float(np.exp(rng.normal(8, 0.5)))}  # fmt: skip
        manifest = {"technique": group, "procedure": "ULBD" if i % 3 else "discectomy"}
        rows.append(make_row(f"c{i:02d}", values, manifest))
    return cohort_table(rows)


def test_matched_pairs_are_the_nearest_free_case_of_the_same_procedure(make_row):
    table = matched_library(make_row)
    comparison = compare_cohort(table, config=FAST, reference="a")
    (found,) = [e for e in comparison.other_estimates if e.method == MATCHED]
    cases = table.cases
    log_s = np.log(cases["recorded_s"].to_numpy(dtype=float))
    caliper = 0.5 * log_s.std()
    # Independent: cases of b in their order, each takes the nearest left of a, plain loops.
    left = [i for i in range(19) if cases["technique"].iloc[i] == "a"]
    pairs = []
    for b in (i for i in range(19) if cases["technique"].iloc[i] == "b"):
        near = sorted(
            (abs(log_s[b] - log_s[a]), a)
            for a in left
            if cases["procedure"].iloc[a] == cases["procedure"].iloc[b]
        )
        if near and near[0][0] <= caliper:
            pairs.append((b, near[0][1]))
            left.remove(near[0][1])
    share = cases["impaired_share_20"].to_numpy(dtype=float)
    differences = np.array([share[b] - share[a] for b, a in pairs])
    walsh = [(x + y) / 2 for i, x in enumerate(differences) for y in differences[i:]]
    assert found.n_group == found.n_reference == len(pairs) >= 4
    assert found.difference.value == pytest.approx(np.median(walsh))
    # The interval is that of Wilcoxon's signed ranks: its ends are where p reaches 5 %.
    if found.difference.low is not None:
        inside = differences - (found.difference.low + found.difference.high) / 2
        assert stats.wilcoxon(inside).pvalue > 0.05


def test_a_comparison_gives_overlap_weights_beside_the_adjusted_estimate(make_row):
    comparison = compare_cohort(matched_library(make_row), config=FAST, reference="a")
    (found,) = [e for e in comparison.other_estimates if e.method == OVERLAP]
    assert found.difference.value is None
    assert "fewer than 10 cases" in found.difference.reason
