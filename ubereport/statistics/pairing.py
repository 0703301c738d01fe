"""Rows and columns paired one to one."""

from __future__ import annotations

from scipy import optimize

from ubereport.core.arrays import FloatArray


def best_pairs(worth: FloatArray) -> list[tuple[int, int]]:
    """Return (row, column) pairs of (n, m) worths, as many as can be, of the largest total."""
    rows, columns = optimize.linear_sum_assignment(worth, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
