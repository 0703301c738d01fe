"""CSV that spreadsheets read as text and numbers, never as formulas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_FORMULA_START = re.compile(r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def safe_cell(text: str) -> str:
    """Return `text` so that no spreadsheet runs it.

    Text that could start a formula (``= + - @``, their full-width twins, tab, carriage return or
    line feed) gets an apostrophe in front, as in the OWASP advice on CSV injection; plain numbers
    stay as they are.
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    return f"'{text}" if _FORMULA_START.search(text) else text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV table: UTF-8, comma, line feed, cells made safe; the same on every machine.

    Raises
    ------
    ValueError
        If a row has not as many cells as the header.
    """
    lines = [_line(header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells; the header has {len(header)}")
        lines.append(_line(row))
    return "".join(lines).encode("utf-8")


def _line(cells: Sequence[str]) -> str:
    # The csv module leaves a lone carriage return bare when lines end in a line feed.
    quoted = [_quoted(safe_cell(cell), is_alone=len(cells) == 1) for cell in cells]
    return ",".join(quoted) + "\n"


def _quoted(cell: str, *, is_alone: bool) -> str:
    if set(cell) & set(',"\r\n') or (is_alone and not cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell
