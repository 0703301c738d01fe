"""Log-normal accelerated failure times against R's survreg; see tests/cohort/reference."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ubereport.statistics.accelerated import fit_log_normal_times

REFERENCE = Path(__file__).parents[1] / "cohort" / "reference"


def reference() -> dict[str, float]:
    with (REFERENCE / "reference.csv").open() as file:
        return {row["name"]: float(row["value"]) for row in csv.DictReader(file)}


def cases() -> dict[str, np.ndarray]:
    with (REFERENCE / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("is_weighted", [False, True])
def test_it_equals_survreg(is_weighted):
    known, r = cases(), reference()
    group = known["group"]
    matrix = np.column_stack([np.ones(90), group == "b", group == "c"]).astype(float)
    surgeon = np.unique(known["surgeon"], return_inverse=True)[1]
    weights = known["age"].astype(float) / 60 if is_weighted else np.ones(90)
    fit = fit_log_normal_times(
        known["duration_s"].astype(float), known["is_cleared"] == "1", matrix, weights, surgeon
    )
    for i, term in enumerate(("(Intercept)", "groupb", "groupc")):
        name = f"aft_weighted_{term}" if is_weighted else f"aft_{term}"
        assert fit.coefficients[i] == pytest.approx(r[name], abs=2e-6)
    if not is_weighted:
        n_clusters = len(set(surgeon))
        errors = np.sqrt(np.diag(fit.covariance) * (n_clusters - 1) / n_clusters)
        expected = [r[f"aft_se_{term}"] for term in ("(Intercept)", "groupb", "groupc")]
        assert errors == pytest.approx(expected, abs=2e-6)
        assert fit.log_sd == pytest.approx(r["aft_sd"], abs=2e-6)


def test_a_weight_of_two_is_the_event_twice():
    rng = np.random.default_rng(3)
    matrix = np.column_stack([np.ones(40), rng.random(40) < 0.5]).astype(float)
    times, seen, cluster = np.exp(rng.normal(3, 1, 40)), rng.random(40) < 0.7, np.arange(40) // 4
    weights = rng.integers(1, 4, 40)
    twice = np.repeat(np.arange(40), weights)
    once = fit_log_normal_times(times, seen, matrix, weights.astype(float), cluster)
    again = fit_log_normal_times(
        times[twice], seen[twice], matrix[twice], np.ones(len(twice)), cluster[twice]
    )
    assert once.coefficients == pytest.approx(again.coefficients, abs=1e-7)
    assert once.covariance == pytest.approx(again.covariance, abs=1e-7)


def test_without_censoring_it_is_least_squares_of_the_logs():
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(50), rng.random(50)])
    log_t = matrix @ [2.0, 1.0] + rng.normal(0, 0.5, 50)
    fit = fit_log_normal_times(np.exp(log_t), np.ones(50, bool), matrix, np.ones(50), np.arange(50))
    expected, squares = np.linalg.lstsq(matrix, log_t)[:2]
    assert fit.coefficients == pytest.approx(expected, abs=1e-6)
    assert fit.log_sd == pytest.approx(np.sqrt(squares[0] / 50), abs=1e-6)


def test_equal_times_have_no_top():
    # All at one time: the likelihood grows without end as the spread goes to 0.
    assert (
        fit_log_normal_times(
            np.full(8, 20.0), np.ones(8, bool), np.ones((8, 1)), np.ones(8), np.arange(8)
        )
        is None
    )
