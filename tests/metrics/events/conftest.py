from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from ubereport.core.series import AreaSeries, LossReason

Piece = tuple[float | LossReason, float]


@pytest.fixture(scope="session")
def series_of() -> Callable[..., AreaSeries]:
    """Build a series from (area or loss reason, seconds), sampled every `step_s`."""

    def build(pieces: Iterable[Piece], step_s: float = 0.5) -> AreaSeries:
        rows: list[tuple[float, float, float, LossReason]] = []
        start_s = 0.0
        for content, seconds in pieces:
            lost = isinstance(content, LossReason)
            n = 1 if lost else round(seconds / step_s)
            area = np.nan if lost else content
            reason = content if lost else LossReason.NONE
            rows += [(start_s + k * seconds / n, seconds / n, area, reason) for k in range(n)]
            start_s += seconds
        time_s, duration_s, areas, reasons = (list(column) for column in zip(*rows, strict=True))
        return AreaSeries(
            time_s=time_s,
            duration_s=duration_s,
            part_index=[-1 if r is LossReason.PAUSE else 0 for r in reasons],
            area_frac=areas,
            area_frac_lenient=areas,
            area_frac_strict=areas,
            is_valid=[r is LossReason.NONE for r in reasons],
            reason=tuple(reasons),
        )

    return build
