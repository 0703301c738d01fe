"""The later pages of a case report: events, metrics, recording, model and provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ubereport.core.case import (
    CaseRecord,
    KeyFrame,
    KeyFrameKind,
    ModelSummary,
    PartSummary,
    part_at,
)
from ubereport.core.config import EventConfig
from ubereport.core.events import HemostasisEvent
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.documents.case.case_text import CaseMetrics
from ubereport.documents.case.data_block import event_id, stills_id
from ubereport.documents.case.stills import load_still
from ubereport.documents.case.views import EventCard, EventsView, StillPair
from ubereport.documents.page.marks import CENSOR_WORDS
from ubereport.documents.page.text import (
    clock,
    clock_range,
    decimal,
    number_word,
    percent,
    pixels,
    printable,
    span_text,
    within,
)
from ubereport.documents.page.wording import OPERATING_WORDS, band_of_peak
from ubereport.language.speaking import N_, _, paragraph, told

_MOMENTS = {
    KeyFrameKind.ONSET: N_("Onset"),
    KeyFrameKind.PEAK: N_("Peak"),
    KeyFrameKind.CLEAR: N_("Clear"),
}
_DIRECTIONS = {
    Direction.LOWER_IS_BETTER: N_("Lower is better."),
    Direction.HIGHER_IS_BETTER: N_("Higher is better."),
    Direction.NEUTRAL: "",
}


def events_view(
    record: CaseRecord, cards: tuple[EventCard, ...], config: EventConfig
) -> EventsView:
    """Lay out all events as the rows of a table; those with stills lead to them."""
    pictured = {card.event_id for card in cards}
    stills = [stills_id(k) for k in range(len(record.events))]
    return EventsView(
        rows=tuple(_event_row(record, k, config) for k in range(len(record.events))),
        row_ids=tuple(event_id(k) for k in range(len(record.events))),
        row_seconds=tuple(f"{event.onset_s:.3f}" for event in record.events),
        row_links=tuple(f"#{one}" if one in pictured else "" for one in stills),
    )


def _event_row(record: CaseRecord, index: int, config: EventConfig) -> tuple[str, ...]:
    event = record.events[index]
    return (
        str(index + 1),
        clock(event.onset_s)
        if event.is_onset_observed
        else _("before {onset}", onset=clock(event.onset_s)),
        clock(event.clear_s)
        if event.clear_s is not None
        else _("after {end}", end=clock(event.end_s)),
        _time_to_clear(event),
        percent(event.peak_area_frac),
        percent(event.mean_area_frac),
        band_of_peak(event.peak_area_frac, config),
        _remarks(event),
    )


def _time_to_clear(event: HemostasisEvent) -> str:
    if event.time_to_clear_s is not None:
        return clock(event.time_to_clear_s)
    # Unseen to clear, it lasted at least that long: neither a time to clear nor nothing.
    return f"> {clock(event.duration_s)}"


def _remarks(event: HemostasisEvent) -> str:
    remarks = []
    if not event.is_onset_observed:
        remarks.append(_("onset not seen: bleeding when the view appeared"))
    if event.is_censored:
        remarks.append(_(CENSOR_WORDS[event.censor_reason]))
    if event.is_rebleed:
        remarks.append(_("re-bleed"))
    return "; ".join(remarks)


def event_cards(record: CaseRecord, frames_dir: Path | None) -> tuple[EventCard, ...]:
    """Put the key frames of each event that has any onto a card; none without their folder."""
    if frames_dir is None:
        return ()
    per_event: dict[int, list[KeyFrame]] = {}
    for frame in record.key_frames:
        # A key frame of an event that is no longer there (other thresholds) has nothing to show.
        if 0 <= frame.event_index < len(record.events):
            per_event.setdefault(frame.event_index, []).append(frame)
    return tuple(_card(record, k, frames, frames_dir) for k, frames in sorted(per_event.items()))


def _card(record: CaseRecord, index: int, frames: list[KeyFrame], frames_dir: Path) -> EventCard:
    event = record.events[index]
    line = _(
        "onset {onset} · time to clear {time_to_clear}",
        onset=clock(event.onset_s),
        time_to_clear=_time_to_clear(event),
    )
    notes = [note for note in (_remarks(event), _place(record, event.onset_s)) if note]
    return EventCard(
        event_id=stills_id(index),
        number=str(index + 1),
        line=" · ".join([line, *notes]),
        at_s=f"{event.onset_s:.3f}",
        stills=tuple(_still_pair(index, frame, frames_dir) for frame in frames),
    )


def _place(record: CaseRecord, at_s: float) -> str:
    """Say in which part of several a moment lies, on that part's own clock."""
    index = part_at(record.parts, at_s)
    # Whoever looks a moment up opens one file, whose player knows that file's clock alone.
    if index is None or len(record.parts) < 2:
        return ""
    at = clock(max(0.0, at_s - record.parts[index].start_s))
    return _("part {number} at {at}", number=index + 1, at=at)


def _still_pair(index: int, frame: KeyFrame, frames_dir: Path) -> StillPair:
    moment, at, area = _(_MOMENTS[frame.kind]), clock(frame.time_s), percent(frame.area_frac)
    alt = _("Event {number}, {moment} at {at}", number=index + 1, moment=within(moment), at=at)
    return StillPair(
        moment=moment,
        time=at,
        area=area,
        raw=load_still(frames_dir, frame.raw_path, _("{alt}: the picture as recorded", alt=alt)),
        overlay=load_still(
            frames_dir,
            frame.overlay_path,
            _("{alt}: blood outlined, {area} of the view", alt=alt, area=area),
        ),
    )


def metric_rows(
    record: CaseRecord, metrics: CaseMetrics, specs: Mapping[str, MetricSpec]
) -> tuple[tuple[str, ...], ...]:
    """Lay out every metric of the record with its range, ground and definition."""
    rows = []
    for value in record.metrics:
        spec = specs[value.key]
        coverage = "–" if value.coverage_frac is None else percent(value.coverage_frac)
        direction = _(_DIRECTIONS[spec.direction]) if _DIRECTIONS[spec.direction] else ""
        definition = paragraph(told(spec.definition), direction)
        text, band = metrics.text(value.key), metrics.band(value.key) or "–"
        rows.append((told(spec.title), text, band, number_word(value.n), coverage, definition))
    return tuple(rows)


def part_rows(record: CaseRecord) -> tuple[tuple[str, ...], ...]:
    """Lay out the parts of the recording, one row each."""
    return tuple(_part_row(k, part) for k, part in enumerate(record.parts, start=1))


def _part_row(number: int, part: PartSummary) -> tuple[str, ...]:
    declared_s = part.declared_duration_s
    field = part.field_of_view
    return (
        str(number),
        clock_range(part.start_s, part.start_s + part.duration_s),
        clock(part.found_duration_s),
        _("not declared") if declared_s is None else clock(max(declared_s, 0.0)),
        _picture(part),
        number_word(part.n_samples),
        number_word(part.n_corrupt + part.n_undecoded),
        _(
            "{shape}, {size}, confidence {confidence}",
            shape=told(printable(field.shape)),
            size=pixels(field.right_px - field.left_px, field.bottom_px - field.top_px),
            confidence=decimal(field.confidence, 2),
        ),
    )


def _picture(part: PartSummary) -> str:
    words = [
        pixels(part.width_px, part.height_px),
        printable(part.codec),
        printable(part.pixel_format),
    ]
    if part.average_rate_hz is not None:
        words.append(f"{decimal(part.average_rate_hz, 2)}\u00a0Hz")
    if part.rotation_deg:
        words.append(_("rotated {angle}°", angle=part.rotation_deg))
    if part.is_interlaced:
        words.append(_("interlaced"))
    return ", ".join(words)


def operating_rows(model: ModelSummary) -> tuple[tuple[str, ...], ...]:
    """Put the limits of a rate into its row; a limit without its rate keeps a row of its own."""
    rates = dict(model.operating_characteristics)
    rows = []
    for name, value in rates.items():
        base = name.removesuffix("_low").removesuffix("_high")
        # Limits stand beside their rate and not in rows of their own.
        if base != name and base in rates:
            continue
        low, high = rates.get(f"{name}_low"), rates.get(f"{name}_high")
        interval = (
            "–"
            if low is None or high is None
            else span_text(_operating_value(name, low), _operating_value(name, high))
        )
        rows.append((_operating_name(name), _operating_value(name, value), interval))
    return tuple(rows)


def _operating_name(name: str) -> str:
    words = OPERATING_WORDS.get(name)
    return printable(name.replace("_", " ")).capitalize() if words is None else _(words)


def _operating_value(name: str, value: float) -> str:
    if name.startswith("n_"):
        return number_word(round(value))
    if any(word in name for word in ("dice", "iou", "probability")) or not -1.0 <= value <= 1.0:
        return decimal(value, 2)
    return percent(value)


def libraries_text(record: CaseRecord) -> str:
    """Name the libraries that made the numbers, with their versions."""
    versions = record.provenance.library_versions
    return ", ".join(f"{printable(name)} {printable(version)}" for name, version in versions)


def reader_rows(record: CaseRecord) -> tuple[tuple[str, ...], ...]:
    """Lay out which reader decoded what, and why."""
    return tuple(
        (
            str(use.part_index + 1),
            printable(use.reader),
            clock_range(max(use.start_s, 0.0), max(use.end_s, 0.0)),
            told(printable(use.why)),
        )
        for use in record.provenance.readers
    )
