"""Where a share of time may lie, by what the model erred on operations it had not seen."""

from __future__ import annotations

import numpy as np
import pytest

from ubereport.core.held_out import HeldOutOperation, share_band


def operations(pairs):
    return [
        HeldOutOperation(f"op{i}", 10, 5, 0.1, 0.1, painted, found, 0.0)
        for i, (painted, found) in enumerate(pairs)
    ]


def test_each_operation_says_what_a_true_area_would_measure_there():
    # Areas 0.005 … 0.995, a second each: an operation that finds 80 % measures 0.2 as 0.16, one
    # that also paints 10 % measures it as 0.1 + 0.7 · 0.2 = 0.24.
    areas, seconds = np.arange(100) / 100 + 0.005, np.ones(100)
    pairs = [(0.0, 0.8)] * 5 + [(0.0, 1.0)] * 10 + [(0.1, 0.8)] * 5
    found = share_band(areas, seconds, 0.2, operations(pairs))
    assert (found.low_frac, found.high_frac) == (pytest.approx(0.76), pytest.approx(0.84))
    assert (found.level, found.n_operations) == (0.8, 20)


def test_a_model_without_errors_gives_the_measured_share():
    areas, seconds = np.array([0.1, 0.3, 0.5]), np.array([10.0, 20.0, 30.0])
    found = share_band(areas, seconds, 0.2, operations([(0.0, 1.0)] * 12))
    assert found.low_frac == found.high_frac == pytest.approx(50 / 60)


@pytest.mark.parametrize("n", [0, 9])
def test_few_operations_and_no_time_give_no_band(n):
    areas, seconds = np.array([0.3]), np.array([1.0])
    assert share_band(areas, seconds, 0.2, operations([(0.0, 0.9)] * n)) is None
    assert share_band(areas[:0], seconds[:0], 0.2, operations([(0.0, 0.9)] * 12)) is None
