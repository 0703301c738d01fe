from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from ubereport.core.series import AreaSeries, LossReason

Piece = tuple[float | LossReason, float]


@pytest.fixture(scope="session")
def series_of() -> Callable[..., AreaSeries]:
    """Build a series from (area or loss reason, seconds), one row each; areas may be triples."""

    def build(pieces: Iterable[tuple]) -> AreaSeries:
        pieces = list(pieces)
        contents = [content for content, _ in pieces]
        duration_s = np.array([seconds for _, seconds in pieces], dtype=float)
        lost = [isinstance(content, LossReason) for content in contents]
        triples = [
            (np.nan,) * 3 if is_lost else content if isinstance(content, tuple) else (content,) * 3
            for content, is_lost in zip(contents, lost, strict=True)
        ]
        lenient, central, strict = np.array(triples, dtype=float).reshape(-1, 3).T
        return AreaSeries(
            time_s=np.cumsum(duration_s) - duration_s,
            duration_s=duration_s,
            part_index=[-1 if c is LossReason.PAUSE else 0 for c in contents],
            area_frac=central,
            area_frac_lenient=lenient,
            area_frac_strict=strict,
            is_valid=[not is_lost for is_lost in lost],
            reason=tuple(
                c if is_lost else LossReason.NONE for c, is_lost in zip(contents, lost, strict=True)
            ),
        )

    return build
