"""What a case report says, ready to be laid out.

HTML and PDF are made from the same `CaseView`. Words that are the same in every report stand in
the templates. Times that later interactivity needs (playing the
recording at a moment, correcting an event) are kept as plain seconds in `data_json`, under ids
that never change for the same record.
"""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.core.case import CaseRecord
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.documents.case.case_text import CaseMetrics
from ubereport.documents.case.extension import SectionView
from ubereport.documents.page.blocks import FigureBlock, Image, PageHead


@dataclass(frozen=True, slots=True)
class Headline:
    """The one number a reader takes away, and its range."""

    value: str
    is_available: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImpairmentRow:
    """Share of evaluable time at one threshold; `css_*` place the bar and its range."""

    threshold: str
    share: str
    duration: str
    band: str
    is_headline: bool
    css_width: str
    css_band_left: str
    css_band_width: str


@dataclass(frozen=True, slots=True)
class LossRow:
    """Time lost to one reason, with the key of its hatch in the timeline."""

    swatch_svg: str
    words: str
    duration: str
    share: str


@dataclass(frozen=True, slots=True)
class CoverageView:
    """How much of the recording could be looked at, and what is damaged."""

    share: str
    losses: tuple[LossRow, ...]
    damage: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlagView:
    """A quality flag; `level` is info, caution or warning, `word` is how it is printed."""

    level: str
    word: str
    message: str


@dataclass(frozen=True, slots=True)
class StillPair:
    """One moment of an event: raw and overlaid."""

    moment: str
    time: str
    area: str
    raw: Image
    overlay: Image


@dataclass(frozen=True, slots=True)
class EventCard:
    """The key frames of one event under a line of its numbers."""

    event_id: str
    number: str
    line: str
    at_s: str
    stills: tuple[StillPair, ...]


@dataclass(frozen=True, slots=True)
class EventsView:
    """The rows of all events: what each says, its id, its seconds, its link to the stills."""

    rows: tuple[tuple[str, ...], ...]
    row_ids: tuple[str, ...]
    row_seconds: tuple[str, ...]
    row_links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """What people made of the case, beside what was measured."""

    statement: str
    notes: tuple[str, ...]
    number_rows: tuple[tuple[str, ...], ...]
    event_rows: tuple[tuple[str, ...], ...]
    n_more_events: int


@dataclass(frozen=True, slots=True)
class CaseView:
    """A whole case report: the record, and what the templates cannot say of it by themselves."""

    page: PageHead
    record: CaseRecord
    event_config: EventConfig
    metric_config: MetricConfig
    headline: Headline
    impairment: tuple[ImpairmentRow, ...]
    values: CaseMetrics
    timeline: FigureBlock | None
    timeline_words: str
    coverage: CoverageView
    caveats: tuple[str, ...]
    front_flags: tuple[FlagView, ...]
    review: ReviewView | None
    events: EventsView
    cards: tuple[EventCard, ...]
    strip: FigureBlock | None
    clearing: FigureBlock | None
    clearing_statement: str
    metric_rows: tuple[tuple[str, ...], ...]
    flags: tuple[FlagView, ...]
    part_rows: tuple[tuple[str, ...], ...]
    recording_notes: tuple[str, ...]
    operating_rows: tuple[tuple[str, ...], ...]
    libraries: str
    reader_rows: tuple[tuple[str, ...], ...]
    data_json: str
    sections: tuple[SectionView, ...] = ()
