"""Tables that people hand over: CSV, XLSX, Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from ubereport.batch.manifest_cells import Cell
from ubereport.core.errors import DependencyError, ManifestError
from ubereport.files.records.tables import read_parquet_rows

MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Sheet:
    """Column names and the rows under them, as many cells a row as columns."""

    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def rows(self) -> Iterator[tuple[int, Mapping[str, Cell]]]:
        """Yield (row number as a spreadsheet shows it, column → cell), empty rows left out."""
        for number, cells in enumerate(self.cells, start=2):
            if any(cell is not None and str(cell).strip() for cell in cells):
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
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return _sheet([list(row) for row in rows])


def _read_xlsx(path: Path) -> Sheet:
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise DependencyError(
            "XLSX manifests need openpyxl. Run: pip install openpyxl, or save the manifest as CSV."
        ) from None
    try:
        # Values and not formulas, row by row: a sheet that was formatted to its last line is not
        # loaded as a million cells.
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ManifestError(
            "The manifest is no sound XLSX file "
            f"({type(error).__name__}). Save it again, or as CSV."
        ) from None
    try:
        return _sheet([list(row) for row in book.worksheets[0].iter_rows(values_only=True)])
    finally:
        book.close()


def _read_parquet(path: Path) -> Sheet:
    columns, rows = read_parquet_rows(path)
    return _sheet([list(columns), *rows])


def _sheet(rows: list[list[object]]) -> Sheet:
    if not rows:
        raise ManifestError("The manifest is empty. The first line names the columns.")
    if len(rows) > MAX_ROWS:
        raise ManifestError(f"The manifest has over {MAX_ROWS} rows. Split it.")
    columns = ["" if name is None else str(name).strip() for name in rows[0]]
    # Spreadsheets export empty columns to the right of what was typed.
    while columns and columns[-1] == "":
        columns.pop()
    n = len(columns)
    cells: list[tuple[Cell, ...]] = []
    for number, row in enumerate(rows[1:], start=2):
        extra = [cell for cell in row[n:] if cell is not None and str(cell).strip()]
        if extra:
            raise ManifestError(
                f"Row {number} of the manifest has more cells than columns. Put cells that hold "
                "the delimiter in quotes."
            )
        cells.append(tuple(_cell(cell) for cell in [*row[:n], *[None] * (n - len(row))]))
    return Sheet(tuple(columns), tuple(cells))


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool | dt.date):
        return value
    return str(value)
