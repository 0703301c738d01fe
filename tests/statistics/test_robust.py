"""Cases far off count for less: Huber's estimate as statsmodels gives it, and what follows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from ubereport.statistics.linear_models import fit_fixed
from ubereport.statistics.robust import pull_in


def made_up(n=80, seed=4, n_far=8):
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.ones(n), rng.normal(0, 1, n), rng.random(n) < 0.4]).astype(float)
    y = matrix @ [1.0, 0.5, -0.7] + rng.normal(0, 0.6, n)
    y[:n_far] += 6.0
    return y, matrix


def test_least_squares_on_what_was_pulled_in_is_hubers_estimate_of_statsmodels():
    y, matrix = made_up()
    theirs = sm.RLM(y, matrix, M=sm.robust.norms.HuberT(1.345)).fit(maxiter=500, tol=1e-10)
    pulled = pull_in(y, matrix)
    fit = fit_fixed(pulled.values, matrix)
    assert fit.coefficients == pytest.approx(theirs.params, abs=1e-6)
    assert pulled.case_weights == pytest.approx(theirs.weights, abs=1e-5)
    assert pulled.fitted == pytest.approx(theirs.fittedvalues, abs=1e-6)
    # H1 of statsmodels: one spread for all cases.
    n, p = matrix.shape
    left = pulled.values - pulled.fitted
    variance = left @ left / (n - p) * pulled.variance_factor
    errors = np.sqrt(variance * np.diag(np.linalg.inv(matrix.T @ matrix)))
    assert errors == pytest.approx(theirs.bse, rel=1e-4)


def test_without_far_cases_it_is_least_squares():
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(40), np.arange(40.0)])
    y = matrix @ [1.0, 2.0] + rng.choice([-1.0, 1.0], 40)
    pulled = pull_in(y, matrix)
    assert pulled.kept_share == 1.0
    assert pulled.values == pytest.approx(y)


def test_eight_far_cases_of_eighty_hardly_move_it():
    y, matrix = made_up()
    near = fit_fixed(pull_in(y, matrix).values, matrix).coefficients
    plain = fit_fixed(y, matrix).coefficients
    clean, _ = made_up(n_far=0)
    true = fit_fixed(clean, matrix).coefficients
    # Least squares takes a tenth of the six that eight of eighty lie off into the average case.
    moved = [float(np.mean(matrix @ (found - true))) for found in (near, plain)]
    assert moved[1] == pytest.approx(0.6)
    assert 0 < moved[0] < 0.2


@pytest.mark.parametrize("n_far", [0, 8])
def test_what_is_carried_gives_the_same_sum(n_far):
    y, matrix = made_up(n_far=n_far)
    pulled = pull_in(y, matrix)
    weights = np.random.default_rng(2).normal(0, 1, len(y))
    assert pulled.carried(weights) @ y == pytest.approx(weights @ pulled.values, abs=1e-8)


def test_ties_on_the_model_leave_the_root_mean_square_as_the_spread():
    y = np.zeros(20)
    y[:3] = [1.0, 1.0, 10.0]
    pulled = pull_in(y, np.ones((20, 1)))
    assert np.isfinite(pulled.values).all()
    assert pulled.values[2] < 10.0
    assert pulled.values[5] == pytest.approx(0.0)
    assert pull_in(np.ones(5), np.ones((5, 1))).values == pytest.approx(np.ones(5))


def test_it_equals_rlm_of_r():
    # MASS::rlm(y ~ group + age, k = 1.345): tests/cohort/reference/reference.R.
    folder = Path(__file__).parents[1] / "cohort" / "reference"
    with (folder / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "reference.csv").open() as file:
        r = {row["name"]: float(row["value"]) for row in csv.DictReader(file)}
    group = np.array([row["group"] for row in rows])
    age = np.array([float(row["age"]) for row in rows])
    matrix = np.column_stack([np.ones(90), group == "b", group == "c", age]).astype(float)
    pulled = pull_in(np.array([float(row["y"]) for row in rows]), matrix)
    found = fit_fixed(pulled.values, matrix).coefficients
    expected = [r[f"huber_{term}"] for term in ("(Intercept)", "groupb", "groupc", "age")]
    # R divides the median by 0.6745, not by 0.67449.
    assert found == pytest.approx(expected, abs=2e-5)
