"""One case at hand: what a reviewer sees of it, and what becomes of what they say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from ubereport.core.case import CaseRecord
from ubereport.core.config import AnalysisConfig, config_from_toml
from ubereport.core.errors import ReviewError, UsageError
from ubereport.core.intervals import Interval
from ubereport.core.validation import FROM_JSON, validated
from ubereport.files.records.store import read_case
from ubereport.files.records.tables import series_sha256
from ubereport.review.desk.recordings import (
    FoundPart,
    PartState,
    check_in_background,
    find_parts,
)
from ubereport.review.journal import Journal, append_stroke, read_journal
from ubereport.review.reviewed_case import ReviewedCase, replayed, reviewed_by
from ubereport.review.reviewed_series import row_at
from ubereport.review.spans import EventSpan, stroke_spans
from ubereport.review.strokes import Action, MendedMask, Stroke, check_reviewer

_ADDED_S = 10.0
"""A missed event lasts this long until its clearing is set."""
_SHOWN_STATES = (PartState.CHECKING, PartState.SAME)


_Times = Annotated[tuple[float, float], FROM_JSON]


@validated(error=UsageError, remedy="Load the page again.", is_open=True)
class Saying:
    """What a reviewer says, before it is checked against the case and written down.

    `event` and `stretch` are (start, end) in seconds on the case clock.
    """

    action: Annotated[Action, FROM_JSON]
    reviewer: str
    event: _Times | None = None
    stretch: _Times | None = None
    time_s: float | None = None
    area_frac: float | None = None
    mask: MendedMask | None = None

    def __post_init__(self) -> None:
        for start_s, end_s in filter(None, (self.event, self.stretch)):
            if start_s > end_s:
                raise ValueError(f"from {start_s} to {end_s} s is no stretch of time")


class CaseDesk:
    """A case folder opened for review; safe to use from several threads.

    Parameters
    ----------
    folder
        The case folder.
    files
        Files among which the parts of the recording are looked for; may be none.
    clock
        Tells the time of a stroke.

    Raises
    ------
    CaseRecordError
        If the folder holds no readable case.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder = folder
        self.record: CaseRecord = read_case(folder)
        self.config: AnalysisConfig = config_from_toml(
            self.record.provenance.config_toml, AnalysisConfig
        )
        self._clock = clock
        self._series_sha256 = series_sha256(self.record.series)
        self._parts = {part.part_index: part for part in find_parts(self.record.parts, files)}
        self._noting = threading.Lock()
        self._checking = check_in_background(
            self.record.parts, tuple(self._parts.values()), self._checked
        )

    def _checked(self, part: FoundPart) -> None:
        with self._noting:
            self._parts[part.part_index] = part

    @property
    def parts(self) -> tuple[FoundPart, ...]:
        """The files of the parts, as far as they are known to be the measured ones."""
        with self._noting:
            return tuple(self._parts[index] for index in sorted(self._parts))

    def checked_parts(self) -> tuple[FoundPart, ...]:
        """Return `parts` once every file was read whole and held against its hash."""
        self._checking.join()
        return self.parts

    def is_shown(self, part_index: int) -> bool:
        """Whether pictures of a part may be shown from its file."""
        return self.parts[part_index].state in _SHOWN_STATES

    def journal(self) -> Journal:
        """Read the journal as it stands now; see `read_journal` for what it raises."""
        return read_journal(self.folder, self.record.case_id)

    def reviewed(self, journal: Journal, reviewer: str) -> ReviewedCase:
        """Return the case as `reviewer` left it."""
        return reviewed_by(
            check_reviewer(reviewer),
            journal,
            self.record.series,
            self.record.events,
            self.config.events,
            self.config.metrics,
        )

    def say(self, saying: Saying) -> Journal:
        """Write down what a reviewer says, if it can be; return the journal with it.

        Raises
        ------
        ReviewError
            If it speaks of an event that no longer stands, or would put one over another.
        UsageError
            If a time lies outside of the case, or there is nothing to take back.
        OutputError
            If the disk is full or the case is being analyzed.
        """
        # The stroke is made inside, from the journal as it is under the lock: a second tab may have
        # written meanwhile.
        journal, _ = append_stroke(
            self.folder, self.record.case_id, lambda journal: self._stroke(saying, journal)
        )
        return journal

    def _stroke(self, saying: Saying, journal: Journal) -> Stroke:
        check_reviewer(saying.reviewer)
        self._check_times(saying)
        record = self.record
        spans = replayed(saying.reviewer, journal, record.series, record.events).spans
        draft = self._draft(saying, journal, spans)
        # Replayed before it is written: a stroke that the case cannot take never enters the
        # journal, which keeps every line for good.
        outcome = tuple(
            span.interval
            for span in stroke_spans(spans, draft)
            if span.is_standing and span not in spans
        )
        return replace(draft, after=outcome)

    def _draft(self, saying: Saying, journal: Journal, spans: Sequence[EventSpan]) -> Stroke:
        stretch = None if saying.stretch is None else Interval(*saying.stretch)
        time_s = saying.time_s
        if saying.action is Action.ADD and time_s is not None:
            stretch, time_s = self._missed(time_s, spans), None
        undoes = self._undone(saying, journal)
        try:
            return Stroke(
                action=saying.action,
                reviewer=saying.reviewer,
                at=self._clock().isoformat(timespec="seconds").replace("+00:00", "Z"),
                series_sha256=self._series_sha256,
                event=None if saying.event is None else Interval(*saying.event),
                stretch=stretch,
                time_s=time_s,
                area_frac=saying.area_frac,
                mask=saying.mask,
                undoes=undoes,
            )
        except ValueError as error:
            raise UsageError(f"The stroke cannot be kept: {error}. Make it again.") from None

    def _undone(self, saying: Saying, journal: Journal) -> int | None:
        if saying.action is not Action.UNDO:
            return None
        standing = journal.standing(saying.reviewer)
        if not standing:
            raise UsageError(
                "There is nothing to take back: nothing was said of this case by"
                f" {saying.reviewer} that still stands."
            )
        return standing[-1][0]

    def _missed(self, time_s: float, spans: Sequence[EventSpan]) -> Interval:
        """Return where a missed event lies that begins at `time_s`: until the next, or 10 s."""
        end_s = self.end_s
        following = [s.onset_s for s in spans if s.is_standing and s.onset_s > time_s]
        latest_s = min([end_s, time_s + _ADDED_S, *following])
        if latest_s <= time_s:
            raise UsageError(
                f"A missed event cannot begin at {time_s:.1f} s, where the case ends. Go back in"
                " time and add it there."
            )
        return Interval(time_s, latest_s)

    @property
    def end_s(self) -> float:
        """Where the case ends on its clock."""
        series = self.record.series
        return float(series.end_time_s[-1]) if len(series) else 0.0

    def _check_times(self, saying: Saying) -> None:
        times_s = [saying.time_s, *(saying.event or ()), *(saying.stretch or ())]
        for time_s in times_s:
            if time_s is not None and not 0 <= time_s <= self.end_s + 1e-6:
                raise UsageError(
                    f"The time {time_s:.1f} s lies outside of the case, which lasts from 0 to"
                    f" {self.end_s:.1f} s. Choose a moment inside it."
                )
        # Where the view is lost no area counts, so that a drawn one would be kept and change
        # nothing.
        if saying.action in (Action.MASK, Action.AREA) and saying.time_s is not None:
            self.check_measured(saying.time_s)

    def check_measured(self, time_s: float) -> None:
        """Refuse a moment whose picture has no measured area.

        Raises
        ------
        ReviewError
            If the view is lost there.
        """
        row = row_at(self.record.series, time_s)
        if row is None or not self.record.series.is_valid[row]:
            raise ReviewError(
                "The picture shown was not measured (its view is lost), so that a mask or an area"
                " would change no number. Choose a picture with a measured area."
            )
