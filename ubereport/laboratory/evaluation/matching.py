"""Optimal one-to-one matching of intervals by their temporal overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ubereport.core.intervals import Interval
from ubereport.statistics.pairing import best_pairs

IntervalPair = tuple[int, int, float]


def match_intervals(
    true: Sequence[Interval], detections: Sequence[Interval], min_iou: float
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
    overlap = np.array([[t.iou(f) for f in detections] for t in true], dtype=np.float64)
    # With no interval on one side NumPy would make a list of the wrong shape.
    overlap = overlap.reshape(len(true), len(detections))
    # Each allowed pair is worth more than all overlaps of any matching together, so that one more
    # pair always wins; a forbidden pair is worth nothing.
    worth = np.where(overlap >= min_iou, overlap + min(len(true), len(detections)) + 1.0, 0.0)
    return tuple(
        (row, column, float(overlap[row, column]))
        for row, column in best_pairs(worth)
        if overlap[row, column] >= min_iou
    )
