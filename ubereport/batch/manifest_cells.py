"""One cell of a manifest: from what a person typed to a value of the column's kind."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable

from ubereport.core.clock_times import parse_times
from ubereport.core.covariates import ColumnKind, CovariateColumn, CovariateValue
from ubereport.core.errors import ManifestError

_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4})")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
# One comma or point before exactly three digits: it may part thousands or decimals. No group of
# thousands begins with a 0, so 0.125 is clear.
_THOUSANDS = re.compile(r"([+-]?(?!0)\d{1,3})[.,](\d{3})")


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
    # Where the two readings are one date, or one of them is none, there is nothing to ask.
    if separator == "." or day > 12 or day == month:
        return dt.date(in_year, month, day)
    if month > 12:
        return dt.date(in_year, day, month)
    raise AmbiguousDateError((dt.date(in_year, month, day), dt.date(in_year, day, month)))


Cell = str | int | float | bool | dt.date | None

_MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "–", "?", "unknown"})
_TRUE = frozenset({"1", "1.0", "y", "yes", "true", "t", "ja", "oui", "はい"})
_FALSE = frozenset({"0", "0.0", "n", "no", "false", "f", "nein", "non", "いいえ"})


def parse_cell(cell: Cell, column: CovariateColumn | None) -> CovariateValue:
    """Return the value of a cell; None where it is empty or says "not known".

    Columns that the program does not know keep numbers as numbers and the rest as text.

    Raises
    ------
    ManifestError
        As ``problem → fix``, if the cell is not of the kind that its column takes.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(cell).strip()
    if text.casefold() in _MISSING:
        return None
    if column is None:
        return _number_or_text(cell, text)
    if column.kind is ColumnKind.DATE:
        return _date(cell, text)
    if column.kind is ColumnKind.NUMBER:
        return _within(_number(cell, text), text, column)
    if column.kind is ColumnKind.RATING:
        return _within(_rating(cell, text), text, column)
    reader = _READERS.get(column.kind)
    return text if reader is None else reader(text)


def _number_or_text(cell: Cell, text: str) -> CovariateValue:
    if isinstance(cell, bool):
        return cell
    _refuse_ambiguous(cell, text)
    try:
        return _number(cell, text)
    except ManifestError:
        return text


def _number(cell: Cell, text: str) -> int | float:
    _refuse_ambiguous(cell, text)
    # A single comma is a decimal one, as spreadsheets in much of Europe write it; with a point
    # beside it, it is neither for certain.
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    # Python reads 1_000 as a number; who types it means something else.
    if not math.isfinite(value) or "_" in plain:
        raise ManifestError(f"{text!r} is no number → write digits with a point, no unit") from None
    # What was typed without a point is a count and stays one: 3.0 levels would look measured.
    return int(value) if value.is_integer() and "." not in plain and "e" not in plain else value


def _refuse_ambiguous(cell: Cell, text: str) -> None:
    """Refuse 1,200 and 1.200, which two continents read differently."""
    # A spreadsheet that holds a number says which; only what was typed as text leaves it open.
    match = _THOUSANDS.fullmatch(text) if isinstance(cell, str) else None
    if match is None:
        return
    before, after = match.groups()
    shortened = f"{before}.{after}".rstrip("0").removesuffix(".")
    # Three decimals would be asked about again.
    decimal = f"{shortened}0" if _THOUSANDS.fullmatch(shortened) else shortened
    whole = before + after
    raise ManifestError(f"{text!r} may be {whole} or {decimal} → write {whole} or {decimal}")


def _within(value: int | float, text: str, column: CovariateColumn) -> int | float:
    """Return the value if it is within the bounds of its column."""
    lowest, highest = column.lowest, column.highest
    if lowest is None or (value >= lowest and (highest is None or value <= highest)):
        return value
    if highest is None:
        raise ManifestError(
            f"{text!r} is below {lowest:g} → write {lowest:g} or more; leave the cell empty if it "
            "is not known"
        )
    raise ManifestError(
        f"{text!r} is not from {lowest:g} to {highest:g} → write a number from {lowest:g} to "
        f"{highest:g}; leave the cell empty if it is not known"
    )


def _rating(cell: Cell, text: str) -> int:
    value = _number(cell, text)
    if value != int(value):
        raise ManifestError(f"{text!r} is no whole number → write the grade as a whole number")
    return int(value)


def _times(text: str) -> str:
    """Return times on the case clock as seconds with semicolons between."""
    try:
        times = parse_times(text)
    except ValueError as error:
        raise ManifestError(
            f"{error} → write times on the case clock in order, as 12:30 or 750, several with ;"
        ) from None
    return ";".join(f"{time_s:g}" for time_s in times)


def _flag(text: str) -> bool:
    folded = text.casefold()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ManifestError(f"{text!r} is neither yes nor no → write yes or no")


_READERS: dict[ColumnKind, Callable[[str], CovariateValue]] = {
    ColumnKind.FLAG: _flag,
    ColumnKind.TIMES: _times,
}


def _date(cell: Cell, text: str) -> str:
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat()
    if isinstance(cell, dt.date):
        return cell.isoformat()
    try:
        return parse_date(text).isoformat()
    except AmbiguousDateError as error:
        one, other = error.readings
        raise ManifestError(
            f"{text!r} may be {one} or {other} → write it as year-month-day"
        ) from None
    except ValueError:
        raise ManifestError(f"{text!r} is no date → write it as 2026-03-14") from None
