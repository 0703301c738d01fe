from __future__ import annotations

import math

import numpy as np
import pytest

from ubereport.cohort.balance import balance_table
from ubereport.cohort.design import Covariate
from ubereport.statistics.power import detectable_delta, detectable_shift
from ubereport.statistics.ranks import mann_whitney


def test_numbers_are_compared_by_mean_over_pooled_sd():
    ages = Covariate("age", (50.0, 60.0, 70.0, 55.0, 75.0, None))
    (row,) = balance_table([ages], ["a", "a", "a", "b", "b", "b"], ["a", "b"])
    assert [(cell.n_known, cell.n_missing) for cell in row.cells] == [(3, 0), (2, 1)]
    # Means 60 and 65, variances 100 and 200: 5 / sqrt(150).
    assert row.standardized_difference == pytest.approx(5 / math.sqrt(150))
    assert row.is_unbalanced


def test_levels_are_compared_by_their_shares():
    sex = Covariate("sex", ("f", "f", "m", "m", "f", "m", "m", "m"))
    rows = balance_table([sex], ["a"] * 4 + ["b"] * 4, ["a", "b"])
    assert [row.level for row in rows] == ["m", "f"]
    # Shares of m: 1/2 and 3/4; (1/4) / sqrt((1/4 + 3/16) / 2).
    expected = 0.25 / math.sqrt((0.25 + 0.1875) / 2)
    assert rows[0].standardized_difference == pytest.approx(expected)
    assert rows[0].standardized_difference == pytest.approx(rows[1].standardized_difference)


def test_of_three_groups_the_largest_pair_counts():
    levels = Covariate("levels", (1.0, 3.0, 1.0, 3.0, 5.0, 7.0))
    (row,) = balance_table([levels], list("aabbcc"), ["a", "b", "c"])
    assert row.standardized_difference == pytest.approx(4 / math.sqrt(2))


def test_alike_and_unknown_groups():
    same, none = Covariate("x", (1, 1, 1, 1)), Covariate("y", (None, None, 2, 3))
    alike, unknown = balance_table([same, none], list("aabb"), ["a", "b"])
    assert (alike.standardized_difference, alike.is_unbalanced) == (0.0, False)
    assert (unknown.standardized_difference, unknown.is_unbalanced) == (None, False)
    assert unknown.cells[0].mean is None
    apart = Covariate("z", (1, 1, 2, 2))
    (row,) = balance_table([apart], list("aabb"), ["a", "b"])
    assert row.standardized_difference is None  # no spread to measure the difference by
    assert not row.is_unbalanced  # two against two: that happens by chance


@pytest.mark.parametrize(
    ("values", "n_rows"),
    [
        (("cut",) * 6 + ("burr",) * 6, 2),  # 0 % against 100 %: pooled SD 0
        ((True,) * 6 + (False,) * 6, 2),
        ((1, 2, 1, 2, 1, 2, 4, 5, 4, 5, 4, 5), 1),  # ranges that do not touch
        (("x", "y") * 3 + ("z", "w") * 3, 4),  # two levels each, none in common
        ((3,) * 6 + (4,) * 6, 1),
    ],
)
def test_groups_that_a_covariate_alone_tells_apart_are_totally_unbalanced(values, n_rows):
    rows = balance_table([Covariate("x", values)], ["a"] * 6 + ["b"] * 6, ["a", "b"])
    assert len(rows) == n_rows
    for row in rows:
        assert row.is_unbalanced
        assert row.is_total
        assert row.apart == (("a", "b"),)


def test_one_level_in_common_is_no_total_imbalance():
    rows = balance_table(
        [Covariate("x", ("p",) * 6 + ("p",) * 5 + ("q",))], list("aaaaaabbbbbb"), ["a", "b"]
    )
    assert not any(row.is_total for row in rows)


def test_of_three_groups_only_the_pair_apart_is_named():
    values = (0,) * 6 + (1,) * 6 + (0, 1) * 3
    rows = balance_table([Covariate("x", values)], list("aaaaaabbbbbbcccccc"), ["a", "b", "c"])
    assert [row.apart for row in rows] == [(("a", "b"),)]


def test_detectable_delta_solves_noethers_formula():
    # Noether (1987): N = (z_a + z_b)² / (12 c (1 − c) (p − 1/2)²).
    delta = detectable_delta(30, 20, power=0.8, alpha=0.05)
    p = (delta + 1) / 2
    total = (1.959964 + 0.841621) ** 2 / (12 * 0.6 * 0.4 * (p - 0.5) ** 2)
    assert total == pytest.approx(50, abs=1e-4)
    assert detectable_delta(4, 3, power=0.8, alpha=0.05) is None


def test_detectable_shift_gives_its_delta():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=60), rng.normal(size=50) + 3
    shift = detectable_shift(x, y, 0.4)
    moved = (x - np.median(x))[:, None] + shift - (y - np.median(y))[None, :]
    assert np.mean(np.sign(moved)) == pytest.approx(0.4, abs=0.01)
    # Normal groups of SD 1: P(X > Y) = Φ(shift / √2) = 0.7 at shift 0.742.
    assert shift == pytest.approx(0.742, abs=0.25)


def test_detectable_shift_of_constant_cases_is_not_known():
    assert detectable_shift(np.ones(8), np.ones(9), 0.5) is None


def test_the_noted_shift_is_shown_four_times_out_of_five():
    rng = np.random.default_rng(8)
    delta = detectable_delta(30, 30, power=0.8, alpha=0.05)
    shift = detectable_shift(rng.normal(size=1000), rng.normal(size=1000), delta)
    found = [
        mann_whitney(rng.normal(size=30) + shift, rng.normal(size=30)).p_value < 0.05
        for _ in range(300)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)  # three standard errors of 300 trials
