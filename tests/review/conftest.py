from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
from files.records.conftest import make_record  # noqa: F401 -- a fixture

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records.tables import series_sha256
from ubereport.metrics.event_detection import detect_events
from ubereport.review.journal import Journal
from ubereport.review.reviewed_case import ReviewedCase, reviewed_by
from ubereport.review.strokes import Action, Stroke

EVENTS = EventConfig()
METRICS = MetricConfig()
CASE_ID = "C001"


@pytest.fixture(scope="session")
def series_of() -> Callable[..., AreaSeries]:
    """Build a series of one part from (area or loss reason, seconds), sampled every half second."""

    def build(pieces: Iterable[tuple[float | LossReason, float]]) -> AreaSeries:
        area: list[float] = []
        reasons: list[LossReason] = []
        for content, seconds in pieces:
            is_lost = isinstance(content, LossReason)
            area += [np.nan if is_lost else content] * round(2 * seconds)
            reasons += [content if is_lost else LossReason.NONE] * round(2 * seconds)
        n = len(area)
        return AreaSeries(
            time_s=np.arange(n) / 2,
            duration_s=np.full(n, 0.5),
            part_index=np.zeros(n, dtype=np.int64),
            area_frac=np.array(area),
            area_frac_lenient=np.minimum(1, 1.2 * np.array(area)),
            area_frac_strict=0.8 * np.array(area),
            is_valid=[reason is LossReason.NONE for reason in reasons],
            reason=tuple(reasons),
        )

    return build


@pytest.fixture(scope="session")
def two_events(series_of: Callable[..., AreaSeries]) -> AreaSeries:
    """Five minutes with an event of 30 % from 60 to 90 s and one of 10 % from 150 to 180 s."""
    return series_of([(0.01, 60), (0.3, 30), (0.01, 60), (0.1, 30), (0.01, 120)])


@pytest.fixture(scope="session")
def stroke_of(two_events: AreaSeries) -> Callable[..., Stroke]:
    def build(action: Action, *, reviewer: str = "KT", **content: object) -> Stroke:
        for name in ("event", "stretch"):
            if isinstance(content.get(name), tuple):
                content[name] = Interval(*content[name])  # type: ignore[misc]
        return Stroke(
            action=action,
            reviewer=reviewer,
            at="2026-11-28T09:00:00Z",
            series_sha256=series_sha256(two_events),
            **content,  # type: ignore[arg-type]
        )

    return build


@pytest.fixture(scope="session")
def review_of() -> Callable[..., ReviewedCase]:
    """Replay strokes on a series whose events are measured anew."""

    def replay(series: AreaSeries, strokes: Sequence[Stroke], reviewer: str = "KT") -> ReviewedCase:
        journal = Journal(CASE_ID, tuple(strokes), "0" * 64, 0)
        events = detect_events(series, EVENTS)
        return reviewed_by(reviewer, journal, series, events, EVENTS, METRICS)

    return replay
