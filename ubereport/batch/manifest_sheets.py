"""Tables that people hand over: CSV, XLSX, Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zipfile import BadZipFile

from ubereport.batch.manifest_cells import Cell
from ubereport.core.errors import DependencyError, ManifestError
from ubereport.files.records.tables import read_parquet_rows

MAX_ROWS = 100_000
# What zipfile, the parsers of XML and openpyxl let through when bytes of a file are wrong: a parser
# raises a SyntaxError, an encrypted or unknown archive a RuntimeError.
_DAMAGE = (
    BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Column names and the rows under them, as many cells a row as columns."""

    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def rows(self) -> Iterator[tuple[int, Mapping[str, Cell]]]:
        """Yield (row number as a spreadsheet shows it, column → cell), empty rows left out."""
        for number, cells in enumerate(self.cells, start=2):
            if not all(_is_empty(cell) for cell in cells):
                yield number, dict(zip(self.columns, cells, strict=True))


def read_sheet(path: Path) -> Sheet:
    """Read a table by the ending of its name.

    Raises
    ------
    ManifestError
        If the file cannot be read, has another ending, or has rows longer than its first line.
    DependencyError
        If XLSX is given and openpyxl is not installed.
    """
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".xlsx": _read_xlsx, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ManifestError(
            f"A manifest ending in {path.suffix or 'nothing'!r} cannot be read; allowed: "
            f"{', '.join(readers)}. Save it as CSV."
        )
    try:
        return reader(path)
    except OSError as error:
        raise ManifestError(
            f"The manifest cannot be opened ({error.strerror}). Name a readable file."
        ) from None


def _read_csv(path: Path) -> Sheet:
    try:
        # Spreadsheets write a byte-order mark before the first column's name, which would then be
        # another name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ManifestError("The manifest is not UTF-8 text. Save it as CSV UTF-8.") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    # `;` also separates files within a cell, so it is the delimiter only where it beats the comma.
    rows: list[list[object]] = []
    # A quotation mark that is never closed swallows the cases below it, and this row with them.
    end = ["end", "end"]
    lines = itertools.chain(io.StringIO(text, newline=""), [delimiter.join(end)])
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            rows.append(list(row))  # noqa: PERF401 -- those read before an error say where it is
        if rows.pop() != end:
            raise csv.Error
    except csv.Error:
        raise ManifestError(
            f"Row {len(rows) + 1} of the manifest is no sound CSV: a quotation mark may be opened "
            "and never closed. Close it, or save the table as CSV again."
        ) from None
    return _sheet(rows)


def _read_xlsx(path: Path) -> Sheet:
    try:
        import openpyxl
    except ImportError:
        raise DependencyError(
            "XLSX manifests need openpyxl. Run: pip install openpyxl, or save the manifest as CSV."
        ) from None
    with path.open("rb") as source:
        try:
            # Values and not formulas, row by row: a sheet that was formatted to its last line is
            # not loaded as a million cells.
            with closing(openpyxl.load_workbook(source, read_only=True, data_only=True)) as book:
                sheet = book.worksheets[0]
                # Writers that stream, and tools that edit, leave a size in the file that is not
                # the sheet's: rows and columns beyond it would be lost without a word.
                sheet.reset_dimensions()
                rows = _filled(sheet.iter_rows(values_only=True))
        except _DAMAGE as error:
            raise ManifestError(
                "The manifest is no sound XLSX file "
                f"({type(error).__name__}). Save it again, or as CSV."
            ) from None
    return _sheet(rows)


def _filled(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Return the rows without what is empty to the right of them and below the last."""
    kept: list[list[object]] = []
    n_empty = 0
    for row in rows:
        n = len(row)
        while n and _is_empty(row[n - 1]):
            n -= 1
        if n == 0:
            n_empty += 1
            continue
        # Before the empty rows in between are made: there may be a million.
        _refuse_too_many(len(kept) + n_empty + 1)
        kept += [[] for _ in range(n_empty)]
        kept.append(list(row[:n]))
        n_empty = 0
    return kept


def _read_parquet(path: Path) -> Sheet:
    columns, rows = read_parquet_rows(path)
    return _sheet([list(columns), *rows])


def _sheet(rows: list[list[object]]) -> Sheet:
    if not rows:
        raise ManifestError("The manifest is empty. The first line names the columns.")
    _refuse_too_many(len(rows))
    columns = ["" if name is None else str(name).strip() for name in rows[0]]
    # Spreadsheets export empty columns to the right of what was typed.
    while columns and columns[-1] == "":
        columns.pop()
    n = len(columns)
    cells: list[tuple[Cell, ...]] = []
    for number, row in enumerate(rows[1:], start=2):
        if not all(_is_empty(cell) for cell in row[n:]):
            raise ManifestError(
                f"Row {number} of the manifest has more cells than columns. Put cells that hold "
                "the delimiter in quotes."
            )
        cells.append(tuple(_cell(cell) for cell in [*row[:n], *[None] * (n - len(row))]))
    return Sheet(tuple(columns), tuple(cells))


def _refuse_too_many(n_rows: int) -> None:
    if n_rows > MAX_ROWS:
        raise ManifestError(f"The manifest has over {MAX_ROWS} rows. Split it.")


def _is_empty(cell: object) -> bool:
    return cell is None or not str(cell).strip()


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool | dt.date):
        return value
    if isinstance(value, Decimal):
        # As text 1.200 would be asked about, which a column of decimals leaves no doubt of.
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    return str(value)
