"""Lists of stills, groups and truths as CSV: read with the columns that are needed, and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from ubereport.core.errors import AnnotationError


def read_rows(path: Path, *columns: str, may_be_empty: bool = False) -> list[dict[str, str]]:
    """Return the rows of a CSV file in UTF-8, each with all of `columns` and perhaps more.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or rows, a column or a cell are missing.
    """
    needs = f"It needs the columns {', '.join(columns)}, in every row, as UTF-8 text. Mend it."
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            names = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(
            f"{path.name} cannot be read ({type(error).__name__}). {needs}"
        ) from None
    lacking = [column for column in columns if column not in names]
    if not lacking and any(row[column] is None for row in rows for column in columns):
        lacking = ["cells in a row"]
    if not rows and not may_be_empty:
        lacking.append("rows")
    if lacking:
        raise AnnotationError(f"{path.name} lacks {', '.join(lacking)}. {needs}")
    return rows


def rows_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as CSV that `read_rows` gives back to the letter: cells are not made safe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
