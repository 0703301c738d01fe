"""Optimal one-to-one matching of intervals by their temporal overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.intervals import Interval

IntervalPair = tuple[int, int, float]


def match_intervals(
    true: Sequence[Interval], found: Sequence[Interval], min_iou: float
) -> tuple[IntervalPair, ...]:
    """Return (true, found, IoU) index pairs: as many as possible, then of largest total IoU.

    Every interval is used once at most, and only pairs of at least `min_iou` exist.

    Raises
    ------
    ValueError
        If `min_iou` is not above 0 and at most 1.
    """
    if not 0 < min_iou <= 1:
        raise ValueError(f"temporal IoU of {min_iou}; allowed: above 0 to 1")
    overlap = np.array([[t.iou(f) for f in found] for t in true], dtype=np.float64)
    overlap = overlap.reshape(len(true), len(found))
    # Each allowed pair is worth more than all overlaps of any matching together, so that one more
    # pair always wins; a forbidden pair is worth nothing.
    worth = np.where(overlap >= min_iou, overlap + min(len(true), len(found)) + 1.0, 0.0)
    columns = assign(-worth)
    return tuple(
        (row, int(column), float(overlap[row, column]))
        for row, column in enumerate(columns)
        if column >= 0 and overlap[row, column] >= min_iou
    )


def assign(cost: FloatArray) -> IntArray:
    """Solve the assignment problem: the column of each row, -1 where a row gets none.

    Rows and columns are used once at most; as many rows get a column as there can be, at the
    smallest total cost. Shortest augmenting paths (Jonker and Volgenant 1987), O(n² m).

    Parameters
    ----------
    cost
        (n, m) finite costs, n and m of any size.
    """
    n_rows, n_columns = cost.shape
    if n_rows > n_columns:
        by_column = assign(np.ascontiguousarray(cost.T))
        columns = np.full(n_rows, -1, dtype=np.int64)
        columns[by_column] = np.arange(n_columns)
        return columns
    row_price, column_price = np.zeros(n_rows), np.zeros(n_columns)
    row_of = np.full(n_columns, -1, dtype=np.int64)
    for row in range(n_rows):
        _augment(row, cost, row_price, column_price, row_of)
    columns = np.full(n_rows, -1, dtype=np.int64)
    is_used = row_of >= 0
    columns[row_of[is_used]] = np.flatnonzero(is_used)
    return columns


def _augment(
    start: int, cost: FloatArray, row_price: FloatArray, column_price: FloatArray, row_of: IntArray
) -> None:
    """Give the row `start` a column, along the cheapest path of reassignments; changes in place."""
    n_columns = cost.shape[1]
    distance = np.full(n_columns, np.inf)
    came_from = np.full(n_columns, -1, dtype=np.int64)
    is_done = np.zeros(n_columns, dtype=np.bool_)
    row, column, reached = start, -1, 0.0
    while True:
        reduced = reached + cost[row] - row_price[row] - column_price
        is_shorter = ~is_done & (reduced < distance)
        distance[is_shorter] = reduced[is_shorter]
        came_from[is_shorter] = column
        open_distance = np.where(is_done, np.inf, distance)
        column = int(np.argmin(open_distance))
        reached = float(open_distance[column])
        is_done[column] = True
        if row_of[column] < 0:
            break
        row = int(row_of[column])
    row_price[start] += reached
    is_inner = is_done & (row_of >= 0)
    row_price[row_of[is_inner]] += reached - distance[is_inner]
    column_price[is_done] -= reached - distance[is_done]
    while column >= 0:
        before = int(came_from[column])
        row_of[column] = start if before < 0 else row_of[before]
        column = before
