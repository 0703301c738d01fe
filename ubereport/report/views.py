"""What a case report says, ready to be laid out: every string formatted, no number left.

HTML and PDF are made from the same `CaseView`. Times that later interactivity needs (playing the
recording at a moment, correcting an event) are kept as plain seconds in `data_json`, under ids
that never change for the same record.
"""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.report.blocks import FigureBlock, Image, PageHead, Pair, TableBlock
from ubereport.report.extension import SectionView


@dataclass(frozen=True, slots=True)
class Headline:
    """The one number a reader takes away, its sentence and its range."""

    value: str
    is_available: bool
    sentence: str
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
    sentence: str
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
    """All events; `statement` says in words what the table holds, also where it is empty."""

    statement: str
    table: TableBlock | None
    row_ids: tuple[str, ...]
    row_seconds: tuple[str, ...]
    cards: tuple[EventCard, ...]
    cards_note: str


@dataclass(frozen=True, slots=True)
class SurvivalView:
    """Time to clear of all events: a figure, or the reason why there is none."""

    statement: str
    figure: FigureBlock | None


@dataclass(frozen=True, slots=True)
class ModelView:
    """The model card in short."""

    title: str
    pairs: tuple[Pair, ...]
    operating: TableBlock | None
    operating_note: str


@dataclass(frozen=True, slots=True)
class ProvenanceView:
    """What made the numbers."""

    pairs: tuple[Pair, ...]
    readers: TableBlock
    failures: tuple[str, ...]
    config_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """What people made of the case, beside what was measured."""

    statement: str
    is_complete: bool
    notes: tuple[str, ...]
    numbers: TableBlock
    events: TableBlock


@dataclass(frozen=True, slots=True)
class CaseView:
    """A whole case report."""

    page: PageHead
    recorded_line: str
    headline: Headline
    impairment: tuple[ImpairmentRow, ...]
    facts: tuple[Pair, ...]
    timeline: FigureBlock | None
    timeline_note: str
    timeline_words: str
    coverage: CoverageView
    caveats: tuple[str, ...]
    front_flags: tuple[FlagView, ...]
    front_flags_note: str
    review: ReviewView | None
    events: EventsView
    strip: FigureBlock | None
    survival: SurvivalView
    metrics: TableBlock
    flags: tuple[FlagView, ...]
    recording: TableBlock
    recording_notes: tuple[str, ...]
    methods: tuple[Pair, ...]
    model: ModelView
    provenance: ProvenanceView
    data_json: str
    sections: tuple[SectionView, ...] = ()
