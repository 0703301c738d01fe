"""The tables of a case folder: the series as Parquet, the events as CSV. The door of pyarrow."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ubereport.core.errors import CaseRecordError, ManifestError
from ubereport.core.events import HemostasisEvent
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.spreadsheet import csv_bytes

EVENT_COLUMNS = (
    "onset_s",
    "peak_s",
    "clear_s",
    "is_censored",
    "censor_reason",
    "peak_area_frac",
    "mean_area_frac",
    "area_time_frac_s",
    "time_to_clear_s",
    "is_rebleed",
)

_AREAS = ("area_frac", "area_frac_lenient", "area_frac_strict")
_SCHEMA = pa.schema(
    [
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("part_index", pa.int64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in _AREAS),
        pa.field("is_valid", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
_TISSUE = "area_frac_of_tissue"
_SCHEMA_WITH_TISSUE = _SCHEMA.append(pa.field(_TISSUE, pa.float64()))
# Over a hundred days at two pictures a second: more is no case, and a hostile file must not fill
# the memory.
_MAX_ROWS = 20_000_000
_MAX_MANIFEST_ROWS = 1_000_000


def series_parquet(series: AreaSeries) -> bytes:
    """Return the series as Parquet; areas not measured are null, everything else is exact.

    The column over visible tissue is there where instruments were marked. The same series gives
    the same bytes with the same version of pyarrow.
    """
    n, valid = len(series), np.packbits(series.is_valid, bitorder="little")
    columns = {
        "time_s": _column(pa.float64(), n, series.time_s),
        "duration_s": _column(pa.float64(), n, series.duration_s),
        "part_index": _column(pa.int64(), n, series.part_index),
        **{name: _column(pa.float64(), n, getattr(series, name), valid) for name in _AREAS},
        "is_valid": _column(pa.bool_(), n, valid),
        "reason": _words(tuple(reason.value for reason in series.reason)),
    }
    schema = _SCHEMA
    if series.area_frac_of_tissue is not None:
        area = series.area_frac_of_tissue
        tissue_bits = np.packbits(~np.isnan(area), bitorder="little")
        columns[_TISSUE] = _column(pa.float64(), n, area, tissue_bits)
        schema = _SCHEMA_WITH_TISSUE
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=schema),
        buffer,
        # Words repeat and numbers do not, hence one dictionary; Arrow's own schema would only say
        # again what the columns say.
        compression="zstd",
        use_dictionary=["reason"],
        version="2.6",
        store_schema=False,
    )
    return buffer.getvalue()


def series_from_parquet(content: bytes) -> AreaSeries:
    """Read what `series_parquet` wrote; columns added by others are left aside.

    Raises
    ------
    CaseRecordError
        If it is no Parquet, lacks a column, or its rows are no series.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > _MAX_ROWS:
            raise CaseRecordError(
                f"series.parquet has {file.metadata.num_rows} rows; allowed: {_MAX_ROWS}."
                " Analyze the recording again."
            )
        schema = _SCHEMA_WITH_TISSUE if _TISSUE in file.schema_arrow.names else _SCHEMA
        table = file.read(columns=schema.names, use_threads=False)
        # Others may add columns and reorder them; read by name and cast, they change nothing.
        table = table.select(schema.names).cast(schema)
        columns = {name: table.column(name) for name in schema.names}
        numbers: dict[str, Any] = {
            name: _numbers(columns[name]) for name in schema.names if name != "reason"
        }
        return AreaSeries(
            **numbers,
            reason=tuple(LossReason(reason) for reason in columns["reason"].to_pylist()),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise CaseRecordError(
            f"series.parquet cannot be read ({str(error).splitlines()[0]}). Analyze the recording"
            " again or bring the file back from a backup."
        ) from error


def _column(
    kind: pa.DataType, n: int, content: NDArray[Any], known_bits: NDArray[np.uint8] | None = None
) -> pa.Array:
    """Return n values as a column, null where not known; PyArrow's own way loads pandas for it."""
    bitmap = None if known_bits is None else pa.py_buffer(known_bits)
    return pa.Array.from_buffers(kind, n, [bitmap, pa.py_buffer(np.ascontiguousarray(content))])


def _words(values: Sequence[str]) -> pa.Array:
    words = [value.encode() for value in values]
    ends = np.cumsum([0, *(len(word) for word in words)], dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(words), pa.py_buffer(ends), pa.py_buffer(b"".join(words))
    )


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column as an array, nulls as NaN; PyArrow's own way loads pandas for it."""
    # Nulls are lost rows, whose area is not known; as zero they would count as a clear view.
    values = column.to_pylist()
    if column.null_count:
        if not pa.types.is_floating(column.type):
            raise ValueError("empty cells where none may be")
        values = [math.nan if value is None else value for value in values]
    return np.array(values, dtype=column.type.to_pandas_dtype())


def read_parquet_rows(path: Path) -> tuple[tuple[str, ...], list[list[object]]]:
    """Return column names and rows of a manifest kept as Parquet; nulls are None.

    Raises
    ------
    ManifestError
        If it cannot be read, is no Parquet, or has over a million rows.
    """
    try:
        with path.open("rb") as source:
            file = pq.ParquetFile(source)
            n_rows = file.metadata.num_rows
            if n_rows > _MAX_MANIFEST_ROWS:
                raise ManifestError(
                    f"The manifest has {n_rows} rows; allowed: {_MAX_MANIFEST_ROWS}. Split it."
                )
            table = file.read(use_threads=False)
            columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ManifestError(
            f"The manifest cannot be read as Parquet ({type(error).__name__}). Give a Parquet, CSV"
            " or XLSX file."
        ) from error
    return tuple(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def series_sha256(series: AreaSeries) -> str:
    """Return a hex digest of the content of the series, whatever file it lies in."""
    digest = hashlib.sha256(f"{len(series)}\n".encode("ascii"))
    tissue = () if series.area_frac_of_tissue is None else (_TISSUE,)
    for name in ("time_s", "duration_s", *_AREAS, *tissue):
        # One order of bytes, or machines would disagree on the digest of one series.
        column = getattr(series, name).astype("<f8")
        # There are many NaN; one is enough for a digest.
        digest.update(np.where(np.isnan(column), np.nan, column).astype("<f8").tobytes())
    digest.update(series.part_index.astype("<i8").tobytes())
    digest.update(series.is_valid.astype("u1").tobytes())
    digest.update("\n".join(reason.value for reason in series.reason).encode("ascii"))
    return digest.hexdigest()


def events_csv(events: Sequence[HemostasisEvent]) -> bytes:
    """Return the events as CSV: seconds with three decimals, fractions with six, empty if unknown.

    The decimal sign is a point wherever it is written; `case.json` has the exact numbers.
    """
    return csv_bytes(EVENT_COLUMNS, (_event_row(event) for event in events))


def _event_row(event: HemostasisEvent) -> list[str]:
    return [
        _seconds(event.onset_s),
        _seconds(event.peak_s),
        _seconds(event.clear_s),
        _truth(event.is_censored),
        event.censor_reason.value,
        f"{event.peak_area_frac:.6f}",
        f"{event.mean_area_frac:.6f}",
        f"{event.area_time_frac_s:.6f}",
        _seconds(event.time_to_clear_s),
        _truth(event.is_rebleed),
    ]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _truth(value: bool) -> str:
    return "true" if value else "false"
