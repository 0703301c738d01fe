"""What a report says under the table of parts: cuts of a recorder, pauses, gaps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ubereport.core.case import CaseRecord, CutEvidence, EndPictures, PartJoin
from ubereport.core.config import EventConfig
from ubereport.documents.page.text import clock, clock_range
from ubereport.language.speaking import N_, _, _n

_EVIDENCE = {
    CutEvidence.EQUAL_LENGTHS: N_("equal lengths"),
    CutEvidence.EQUAL_SIZES: N_("equal file sizes"),
    CutEvidence.USUAL_LENGTH: N_("a length at which recorders cut"),
    CutEvidence.USUAL_SIZE: N_("a file size at which recorders cut"),
}


def recording_notes(record: CaseRecord, config: EventConfig) -> tuple[str, ...]:
    """Say which parts join, which stretches were paused, and which are gaps inside a part."""
    return (*_join_notes(record, config.is_continuous), *_pause_notes(record), *_gap_notes(record))


def _join_notes(record: CaseRecord, is_continuous: bool | None) -> Iterator[str]:
    if len(record.parts) < 2:
        return
    if is_continuous is not None:
        yield (
            _("Events cross from one part into the next: the settings say that nothing was paused.")
            if is_continuous
            else _("No event crosses from one part into the next: so the settings say.")
        )
        return
    yield from _found_notes(record.joins)
    for join in record.joins:
        if join.pictures is not EndPictures.JOIN:
            yield _no_join_note(join)
    if len(record.joins) + len(record.pauses) < len(record.parts) - 1:
        yield _(
            "Where nothing tells that parts follow each other without a pause, no event crosses "
            "from one into the next; --continuous says that they do."
        )


def _found_notes(joins: tuple[PartJoin, ...]) -> Iterator[str]:
    """Name each run of parts that join for one reason as a whole."""
    cuts = [join for join in joins if join.pictures is EndPictures.JOIN]
    # Index less place is the same along a run without gaps, so that it groups what follows one
    # another.
    runs = groupby(enumerate(cuts), key=lambda at: (at[1].part_index - at[0], at[1].evidence))
    for (_offset, evidence), run in runs:
        numbers = [join.part_index + 1 for _at, join in run]
        yield _(
            "Parts {first} to {last} were recorded without a pause (found by {evidence} and "
            "joining pictures): events cross from one into the next.",
            first=numbers[0],
            last=numbers[-1] + 1,
            evidence=_(_EVIDENCE[evidence]),
        )


def _no_join_note(join: PartJoin) -> str:
    places = {
        "first": join.part_index + 1,
        "last": join.part_index + 2,
        "evidence": _(_EVIDENCE[join.evidence]),
    }
    if join.pictures is EndPictures.UNTOLD:
        return _(
            "Whether the recording was paused between parts {first} and {last} cannot be told: "
            "the recorder seems to have cut there ({evidence}), but the pictures are black, still "
            "or damaged. No event crosses.",
            **places,
        )
    return _(
        "Between parts {first} and {last} no event crosses: the recorder seems to have cut there "
        "({evidence}), but the pictures do not join.",
        **places,
    )


def _pause_notes(record: CaseRecord) -> Iterator[str]:
    for pause in record.pauses:
        yield _(
            "Pause between parts: {clock_range}, {duration} long.",
            clock_range=clock_range(pause.start_s, pause.end_s),
            duration=clock(pause.duration_s),
        )


def _gap_notes(record: CaseRecord) -> Iterator[str]:
    for number, part in enumerate(record.parts, start=1):
        if part.gaps:
            yield _n(
                "Part {number}: {n} gap without pictures, {gap} in all.",
                "Part {number}: {n} gaps without pictures, {gap} in all.",
                len(part.gaps),
                number=number,
                gap=clock(sum(gap.duration_s for gap in part.gaps)),
            )
