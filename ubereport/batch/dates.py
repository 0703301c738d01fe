"""Dates as departments write them; an ambiguous one is refused, never guessed."""

from __future__ import annotations

import datetime as dt
import re

_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4})")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")


class AmbiguousDateError(ValueError):
    """Day and month cannot be told apart; `readings` are the dates it could mean."""

    def __init__(self, readings: tuple[dt.date, dt.date]) -> None:
        super().__init__("day and month cannot be told apart")
        self.readings = readings


def parse_date(text: str) -> dt.date:
    """Read 2026-03-14, 2026/3/14, 20260314, 14.03.2026, 14/03/2026 or 03/14/2026.

    With dots the day comes first, as everywhere that writes dots. With slashes or dashes and the
    year last, the order is taken only where one of the numbers can be no month.

    Raises
    ------
    AmbiguousDateError
        For 03/04/2026, which two continents read differently.
    ValueError
        If it is no date.
    """
    text = text.strip()
    if match := _YEAR_FIRST.fullmatch(text) or _COMPACT.fullmatch(text):
        return dt.date(*(int(g) for g in match.groups()))
    match = _YEAR_LAST.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no date")
    first, separator, second, year = match.groups()
    day, month, in_year = (int(first), int(second), int(year))
    if separator == "." or day > 12 or day == month:
        return dt.date(in_year, month, day)
    if month > 12:
        return dt.date(in_year, day, month)
    raise AmbiguousDateError((dt.date(in_year, month, day), dt.date(in_year, day, month)))
