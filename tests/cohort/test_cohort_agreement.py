from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from ubereport.cohort.ratings_and_outcomes import (
    outcome_relation,
    rating_agreement,
    with_holm_outcomes,
)
from ubereport.core.covariates import known_column
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.agreement import weighted_kappa
from ubereport.statistics.correlation import spearman

SPEC = metric_spec("impaired_share_20")
TABLE = np.array([[22, 6, 1, 0], [4, 15, 7, 1], [0, 5, 14, 3], [0, 1, 4, 9.0]])


def test_weighted_kappa_equals_statsmodels():
    ours, theirs = weighted_kappa(TABLE), cohens_kappa(TABLE, wt="quadratic")
    assert ours.value == pytest.approx(theirs.kappa, abs=1e-12)
    assert ours.low == pytest.approx(theirs.kappa_low, abs=1e-10)
    assert ours.high == pytest.approx(theirs.kappa_upp, abs=1e-10)


def test_perfect_and_empty_agreement():
    assert weighted_kappa(np.diag([5.0, 5, 5])).value == pytest.approx(1.0)
    assert weighted_kappa(np.full((3, 3), 4.0)).value == pytest.approx(0.0)
    alike = weighted_kappa(np.array([[9.0, 0], [0, 0]]))
    assert alike.value is None
    assert "alike" in alike.reason


def test_spearman_equals_r_with_bonett_and_wrights_interval(reference, reference_cases):
    x, y = reference_cases["y"], reference_cases["age"]
    found = spearman(x, y)
    assert found.value == pytest.approx(reference["spearman"], abs=1e-12)
    r = found.value
    error = math.sqrt((1 + r * r / 2) / (90 - 3))
    assert found.low == pytest.approx(math.tanh(math.atanh(r) - 1.959964 * error), abs=1e-6)
    assert found.high == pytest.approx(math.tanh(math.atanh(r) + 1.959964 * error), abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (np.arange(9.0), np.arange(9.0), "fewer than 10 cases"),
        (np.arange(12.0), np.ones(12), "the same in all cases"),
    ],
)
def test_no_correlation_where_there_is_none_to_see(x, y, reason):
    assert reason in spearman(x, y).reason
    assert spearman(x, y).value is None


def test_a_perfect_order_has_no_interval():
    found = spearman(np.arange(12.0), np.arange(12.0) ** 3)
    assert found.value == pytest.approx(1.0)
    assert found.low is None


def test_bands_and_table_of_ratings():
    shares = [0.0, 0.049, 0.05, 0.19, 0.20, 0.49, 0.50, 0.9, 0.01, 0.3]
    ratings = [0, 0, 1, 1, 2, 2, 3, 3, 1, 2]
    found = rating_agreement(ratings, shares, "clarity_rating", SPEC)
    cells = {(c.rating, c.band): c.n_cases for c in found.table if c.n_cases}
    assert cells == {(0, 0): 2, (1, 1): 2, (2, 2): 3, (3, 3): 2, (1, 0): 1}
    table = np.zeros((4, 4))
    for (rating, band), n in cells.items():
        table[rating, band] = n
    assert found.weighted_kappa.value == pytest.approx(
        cohens_kappa(table, wt="quadratic").kappa, abs=1e-12
    )
    assert found.spearman.value == pytest.approx(stats.spearmanr(ratings, shares).statistic)
    assert "weighted kappa 0.9" in found.reading


def test_ratings_on_another_scale_are_compared_by_rank_only():
    rng = np.random.default_rng(1)
    shares = rng.random(20)
    found = rating_agreement(list(np.round(10 * shares)), list(shares), "clarity_rating", SPEC)
    assert found.weighted_kappa.value is None
    assert "not on the scale 0" in found.weighted_kappa.reason
    assert found.spearman.value > 0.9
    assert "No weighted kappa" in found.reading


def test_few_ratings_have_no_figures():
    found = rating_agreement([0, 1, 2], [0.1, 0.2, 0.3], "clarity_rating", SPEC)
    assert found.spearman.value is None
    assert "no figure, fewer than 10 cases" in found.reading


def test_number_outcome_is_a_rank_correlation(reference_cases):
    column = known_column("hb_drop_g_dl")
    y, age = reference_cases["y"], reference_cases["age"]
    found = outcome_relation(age, y, column, SPEC)
    assert found.estimate.value == pytest.approx(stats.spearmanr(y, age).statistic)
    assert found.test.p_value == pytest.approx(stats.spearmanr(y, age).pvalue)
    assert found.n_cases == 90


def test_flag_outcome_is_a_rank_difference():
    column = known_column("hematoma")
    values = np.arange(20.0)
    found = outcome_relation(np.arange(20) >= 12, values, column, SPEC)
    assert found.estimate.value == 1.0
    expected = stats.mannwhitneyu(values[12:], values[:12], method="exact").pvalue
    assert found.test.p_value == pytest.approx(expected)
    few = outcome_relation(np.arange(20) >= 19, values, column, SPEC)
    assert few.estimate.value is None
    assert "1 cases with and 19 without" in few.estimate.reason
    assert few.test.p_value is None


def test_relations_are_corrected_together_and_read():
    column = known_column("hb_drop_g_dl")
    rng = np.random.default_rng(7)
    x = rng.random(40)
    strong = outcome_relation(x + 0.1 * rng.random(40), x, column, SPEC)
    weak = outcome_relation(rng.random(40), x, column, SPEC)
    first, second = with_holm_outcomes([strong, weak], {"hb_drop_g_dl": "Hemoglobin drop"})
    assert first.test.p_holm == pytest.approx(2 * strong.test.p_value)
    assert second.test.p_holm == pytest.approx(weak.test.p_value)
    assert first.reading.startswith("Hemoglobin drop and impaired_share_20, 40 cases: Spearman")
    assert first.test.family == "outcome relations, 2 tests"


def test_bands_of_the_impaired_share_are_for_no_other_metric():
    rng = np.random.default_rng(5)
    areas = rng.uniform(0.0, 0.3, 40)
    found = rating_agreement(
        np.digitize(areas, (0.05, 0.2)).tolist(), areas.tolist(), "clarity_rating",
        metric_spec("area_mean_frac"),
    )  # fmt: skip
    assert found.weighted_kappa.value is None
    assert "bands are those of the impaired share" in found.weighted_kappa.reason
    assert found.spearman.value > 0.8
