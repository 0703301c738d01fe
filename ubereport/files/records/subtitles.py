"""SRT subtitles: any video player shows the events and the live area over the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ubereport.core.case import PartSummary
from ubereport.core.events import CensorReason, HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason

_CELL_S = 1.0
_ROUNDING_S = 1e-6
_UNSEEN = {
    CensorReason.VIEW_LOST: "clearing not seen: view lost",
    CensorReason.PART_ENDED: "clearing not seen: part ended",
    CensorReason.RECORDING_ENDED: "clearing not seen: recording ended",
}


@dataclass(frozen=True, slots=True)
class Cue:
    """A text shown over ``[start_s, end_s)``."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class _Cell:
    start_s: float
    end_s: float
    part_index: int
    reason: LossReason
    evaluable_s: float
    area_time_frac_s: float


def event_cues(events: Sequence[HemostasisEvent]) -> list[Cue]:
    """Return a cue for each event, from onset to clearing, on the case clock."""
    return [
        Cue(event.onset_s, event.end_s, _event_text(number, event))
        for number, event in enumerate(events, start=1)
    ]


def area_cues(series: AreaSeries) -> list[Cue]:
    """Return the area in whole percent, second by second, and why the view is lost; case clock.

    Samples closer than a second are averaged, and a text that stays is one cue.
    """
    cues: list[Cue] = []
    for cell in _cells(series):
        text = _cell_text(cell)
        # One cue for a text that stays: players may blink between two.
        if cues and cues[-1].text == text and cell.start_s - cues[-1].end_s <= _ROUNDING_S:
            cues[-1] = Cue(cues[-1].start_s, cell.end_s, text)
        else:
            cues.append(Cue(cell.start_s, cell.end_s, text))
    return cues


def subtitle_files(
    series: AreaSeries, events: Sequence[HemostasisEvent], parts: Sequence[PartSummary]
) -> dict[str, bytes]:
    """Return all subtitles of a case by file name.

    ``events.srt`` and ``area.srt`` are on the case clock. A case of several parts has also
    ``events.part1.srt``, ``area.part1.srt`` and so on, on the clock of each part, for a player
    that shows one part.
    """
    tracks = {"events": event_cues(events), "area": area_cues(series)}
    files = {f"{name}.srt": srt_bytes(cues) for name, cues in tracks.items()}
    if len(parts) > 1:
        for number, part in enumerate(parts, start=1):
            within = Interval(part.start_s, part.start_s + part.duration_s)
            for name, cues in tracks.items():
                files[f"{name}.part{number}.srt"] = srt_bytes(_clipped(cues, within))
    return files


def srt_bytes(cues: Iterable[Cue]) -> bytes:
    """Return cues as SRT: numbered, ``HH:MM:SS,mmm``, UTF-8; cues without length are left out."""
    timed = [(_milliseconds(cue.start_s), _milliseconds(cue.end_s), cue.text) for cue in cues]
    visible = [(start, end, text) for start, end, text in timed if end > start >= 0]
    blocks = (
        f"{number}\n{_srt_time(start)} --> {_srt_time(end)}\n{text}\n"
        for number, (start, end, text) in enumerate(visible, start=1)
    )
    return "\n".join(blocks).encode("utf-8")


def _clipped(cues: Iterable[Cue], within: Interval) -> Iterator[Cue]:
    for cue in cues:
        start_s, end_s = max(cue.start_s, within.start_s), min(cue.end_s, within.end_s)
        if end_s > start_s:
            # A player that shows one part knows that part's clock alone.
            yield Cue(start_s - within.start_s, end_s - within.start_s, cue.text)


def _cells(series: AreaSeries) -> Iterator[_Cell]:
    """Gather touching rows of one part and one reason into cells of about a second."""
    cell: _Cell | None = None
    for row in range(len(series)):
        start_s, duration_s = float(series.time_s[row]), float(series.duration_s[row])
        reason, part_index = series.reason[row], int(series.part_index[row])
        is_valid = bool(series.is_valid[row])
        area_s = float(series.area_frac[row]) * duration_s if is_valid else 0.0
        evaluable_s = duration_s if is_valid else 0.0
        if cell is not None and _takes(cell, start_s, reason, part_index):
            evaluable_s += cell.evaluable_s
            area_s += cell.area_time_frac_s
            cell = _Cell(
                cell.start_s, start_s + duration_s, part_index, reason, evaluable_s, area_s
            )
            continue
        if cell is not None:
            yield cell
        cell = _Cell(start_s, start_s + duration_s, part_index, reason, evaluable_s, area_s)
    if cell is not None:
        yield cell


def _takes(cell: _Cell, start_s: float, reason: LossReason, part_index: int) -> bool:
    return (
        start_s < cell.start_s + _CELL_S - _ROUNDING_S
        and start_s - cell.end_s <= _ROUNDING_S
        and reason is cell.reason
        and part_index == cell.part_index
    )


def _cell_text(cell: _Cell) -> str:
    if cell.reason is LossReason.PAUSE:
        return "Recording paused"
    if cell.reason is not LossReason.NONE:
        return f"View not evaluable: {cell.reason.value.replace('_', ' ')}"
    return f"Blood in view {100 * (cell.area_time_frac_s / cell.evaluable_s):.0f} %"


def _event_text(number: int, event: HemostasisEvent) -> str:
    title = f"{'Re-bleed' if event.is_rebleed else 'Event'} {number}"
    onset = "" if event.is_onset_observed else ", onset not seen"
    if event.clear_s is None:
        end = _UNSEEN[event.censor_reason]
    else:
        end = f"clear after {event.duration_s:.0f} s"
    return f"{title}: peak {100 * event.peak_area_frac:.0f} % of the view{onset}\n{end}"


def _milliseconds(time_s: float) -> int:
    # Whole milliseconds first and parts of them after: 59.9996 s would otherwise be written as
    # second 60.
    return round(time_s * 1000)


def _srt_time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d},{rest:03d}"
