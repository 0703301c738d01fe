"""One thing that a reviewer said about a case: a stroke, and how it is written down."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.core.validation import Sha256, validated

_REVIEWER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,11}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Action(StrEnum):
    """What a stroke does.

    The first seven speak of a hemostasis event, the next three of a stretch of time, `MASK` of
    one picture, `AREA` of one picture and of the event around it; `UNDO` takes an earlier stroke
    back, `FINISH` says that the whole case was seen.
    """

    CONFIRM = "confirm"
    STRIKE = "strike"
    SET_ONSET = "set_onset"
    SET_CLEAR = "set_clear"
    MERGE = "merge"
    SPLIT = "split"
    ADD = "add"
    NOT_BLOOD = "not_blood"
    BLOOD = "blood"
    VIEW_LOST = "view_lost"
    MASK = "mask"
    AREA = "area"
    UNDO = "undo"
    FINISH = "finish"


_ON_EVENT = frozenset(
    {Action.CONFIRM, Action.STRIKE, Action.MERGE, Action.SET_ONSET, Action.SET_CLEAR, Action.SPLIT}
)
_AT_TIME = frozenset({Action.SET_ONSET, Action.SET_CLEAR, Action.SPLIT, Action.MASK, Action.AREA})
_ON_STRETCH = frozenset({Action.ADD, Action.NOT_BLOOD, Action.BLOOD, Action.VIEW_LOST})
_WITH_AREA = frozenset({Action.BLOOD, Action.MASK, Action.AREA})


_PictureOfReview = Annotated[str, Field(pattern=r"^review/[a-z0-9_-]{1,60}\.png$")]


@validated("mask", error=ValueError, remedy="Draw the mask again.")
class MendedMask:
    """The mask that a reviewer drew for one picture, and the picture it was drawn on.

    `mask_path` and `picture_path` are PNG files relative to the case folder, `mask_sha256` and
    `picture_sha256` their digests.
    """

    mask_path: _PictureOfReview
    mask_sha256: Sha256
    picture_path: _PictureOfReview
    picture_sha256: Sha256


@dataclass(frozen=True, slots=True)
class Stroke:
    """One line of a review.

    Parameters
    ----------
    action
        What it does.
    reviewer
        Who said it, as initials or a pseudonym.
    at
        When, UTC, ISO 8601 to the second.
    series_sha256
        Of the measured series that it speaks of (`series_sha256`).
    event
        The event it speaks of, onset to end on the case clock, as it stood then.
    stretch
        The stretch of the case clock it speaks of; of `ADD`, the new event.
    time_s
        The new onset or clearing, where to split, or the picture that was drawn on or judged.
    area_frac
        The area of the view, 0..1, that a person saw (`BLOOD`, `AREA`) or drew (`MASK`).
    mask
        The drawn mask.
    undoes
        The number of the line that is taken back.
    after
        The events that came of it, onset to end each; empty where an event was struck.
    """

    action: Action
    reviewer: str
    at: str
    series_sha256: str
    event: Interval | None = None
    stretch: Interval | None = None
    time_s: float | None = None
    area_frac: float | None = None
    mask: MendedMask | None = None
    undoes: int | None = None
    after: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        check_reviewer(self.reviewer)
        if not _SHA256.fullmatch(self.series_sha256):
            raise ValueError(f"{self.series_sha256!r} is no sha256")
        has = {
            "event": (self.event is not None, self.action in _ON_EVENT),
            "stretch": (self.stretch is not None, self.action in _ON_STRETCH),
            "time_s": (self.time_s is not None, self.action in _AT_TIME),
            "area_frac": (self.area_frac is not None, self.action in _WITH_AREA),
            "mask": (self.mask is not None, self.action is Action.MASK),
            "undoes": (self.undoes is not None, self.action is Action.UNDO),
        }
        # What a stroke does not use is refused too: a value that nothing reads could never be
        # explained later.
        for name, (is_given, is_wanted) in has.items():
            if is_given != is_wanted:
                wanted = "needs" if is_wanted else "takes no"
                raise ValueError(f"{self.action.value} {wanted} {name}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        times_s = [self.time_s] if self.time_s is not None else []
        for interval in (self.event, self.stretch, *self.after):
            if interval is not None:
                times_s += [interval.start_s, interval.end_s]
        if not all(math.isfinite(time_s) and time_s >= 0 for time_s in times_s):
            raise ValueError("times of a stroke are finite seconds from the start of the case")
        if self.stretch is not None and self.stretch.duration_s <= 0:
            raise ValueError("a stretch is longer than nothing")
        if self.area_frac is not None and not 0 <= self.area_frac <= 1:
            raise ValueError(f"an area of {self.area_frac}; a fraction lies in 0..1")
        if self.undoes is not None and self.undoes < 1:
            raise ValueError("lines are numbered from 1")


def check_reviewer(reviewer: str) -> str:
    """Return `reviewer` if it can stand for a person in a review.

    Raises
    ------
    UsageError
        If it is not 1 to 12 letters, digits, dots or hyphens.
    """
    if not _REVIEWER.fullmatch(reviewer):
        raise UsageError(
            f"The reviewer is {len(reviewer)} characters that cannot stand for a person here. Give"
            " initials or a pseudonym: 1 to 12 letters, digits, dots or hyphens, such as KT."
        )
    return reviewer


def line_of_stroke(stroke: Stroke, number: int, previous_sha256: str) -> bytes:
    """Return the line of a journal that keeps `stroke`, without its line feed.

    Keys that a stroke has no value for are left out; numbers keep every digit.
    """
    row: dict[str, Any] = {
        "line": number,
        "previous": previous_sha256,
        "series": stroke.series_sha256,
        "at": stroke.at,
        "reviewer": stroke.reviewer,
        "action": stroke.action.value,
    }
    for name in ("event", "stretch"):
        interval = getattr(stroke, name)
        if interval is not None:
            row[name] = [interval.start_s, interval.end_s]
    for name in ("time_s", "area_frac", "undoes"):
        if getattr(stroke, name) is not None:
            row[name] = getattr(stroke, name)
    if stroke.mask is not None:
        row["mask"] = asdict(stroke.mask)
    row["after"] = [[interval.start_s, interval.end_s] for interval in stroke.after]
    # One way to write a line: the digest that the next line keeps is of these bytes.
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii")


def stroke_of_line(line: bytes) -> tuple[Stroke, int, str]:
    """Read a line of a journal; return the stroke, its number and the digest of the line before.

    Raises
    ------
    ValueError
        If the line is no stroke.
    """
    try:
        row = json.loads(line)
        mask = row.get("mask")
        stroke = Stroke(
            action=Action(row["action"]),
            reviewer=row["reviewer"],
            at=str(row["at"]),
            series_sha256=row["series"],
            event=_interval(row.get("event")),
            stretch=_interval(row.get("stretch")),
            time_s=_number(row.get("time_s")),
            area_frac=_number(row.get("area_frac")),
            mask=None if mask is None else MendedMask(**mask),
            undoes=row.get("undoes"),
            after=tuple(Interval(*map(float, pair)) for pair in row["after"]),
        )
        return stroke, int(row["line"]), str(row["previous"])
    except (KeyError, TypeError, AttributeError, UsageError, RecursionError) as error:
        raise ValueError(f"no stroke ({type(error).__name__})") from None


def _interval(pair: Any) -> Interval | None:  # noqa: ANN401 -- a JSON value
    return None if pair is None else Interval(*map(float, pair))


def _number(value: Any) -> float | None:  # noqa: ANN401 -- a JSON value
    return None if value is None else float(value)
