"""Where a share of time may lie, by what the model erred on operations it had not seen."""

from __future__ import annotations

import numpy as np
import pytest

from ubereport.core.held_out import HeldOutOperation, share_band


def operations(measured):
    """Operations in which a true area of 20 % measures so much."""
    return [
        HeldOutOperation(f"op{i}", 10, 5, 0.2, area, 0.0, 0.8, area - 0.2)
        for i, area in enumerate(measured)
    ]


def test_each_operation_says_what_a_true_area_would_measure_there():
    # Areas 0.005 … 0.995, a second each.
    areas, seconds = np.arange(100) / 100 + 0.005, np.ones(100)
    measured = [0.16] * 5 + [0.2] * 10 + [0.24] * 5
    found = share_band(areas, seconds, 0.2, operations(measured))
    assert (found.low_frac, found.high_frac) == (pytest.approx(0.76), pytest.approx(0.84))
    assert (found.level, found.n_operations) == (0.8, 20)


def test_a_model_without_errors_gives_the_measured_share():
    areas, seconds = np.array([0.1, 0.3, 0.5]), np.array([10.0, 20.0, 30.0])
    found = share_band(areas, seconds, 0.2, operations([0.2] * 12))
    assert found.low_frac == found.high_frac == pytest.approx(50 / 60)


@pytest.mark.parametrize("n", [0, 9])
def test_few_operations_and_no_time_give_no_band(n):
    areas, seconds = np.array([0.3]), np.array([1.0])
    assert share_band(areas, seconds, 0.2, operations([0.18] * n)) is None
    assert share_band(areas[:0], seconds[:0], 0.2, operations([0.18] * 12)) is None


def test_a_model_that_hardly_finds_any_does_not_make_every_moment_bloody():
    areas, seconds = np.array([0.0, 0.005, 0.3]), np.ones(3)
    found = share_band(areas, seconds, 0.2, operations([0.0] * 12))
    assert found.low_frac == found.high_frac == pytest.approx(1 / 3)
