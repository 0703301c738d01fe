"""A catalog of the cases of a library: a cache in one SQLite file, rebuilt from the folders.

The folders are the truth. The catalog may be deleted, damaged, locked or on a drive that cannot be
written; then the folders are read instead. Rollback journal and no shared memory, so that it also
works on a network drive.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ubereport.core.case import CaseRecord, FlagLevel
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.records.store import is_case_folder, read_case

__all__ = ["CATALOG_NAME", "CatalogRow", "list_cases", "rebuild_catalog"]

CATALOG_NAME = "catalog.sqlite"
CATALOG_VERSION = 1
BUSY_TIMEOUT_S = 5.0
# Another run has the catalog, or the drive takes no writing: it is left alone.
_LEFT_ALONE = ("BUSY", "LOCKED", "READONLY", "CANTOPEN", "PERM", "IOERR", "FULL")
_CREATE = """
CREATE TABLE IF NOT EXISTS cases (
    folder TEXT PRIMARY KEY,
    stamp TEXT NOT NULL,
    row TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One case as a list shows it; `problem` says why a folder cannot be read, else empty."""

    folder: str
    case_id: str
    model: str
    recorded_s: float | None
    coverage_frac: float | None
    impaired_share_20: float | None
    event_count: float | None
    n_warnings: int
    problem: str


def list_cases(library: Path) -> tuple[CatalogRow, ...]:
    """Return the cases of a library by folder name; only changed folders are read again.

    Raises
    ------
    UsageError
        If the library does not exist.
    """
    folders = dict(_stamped(library))
    known = _read_catalog(library)
    rows: dict[str, tuple[str, CatalogRow]] = {}
    for name, stamp in folders.items():
        if name in known and known[name][0] == stamp:
            rows[name] = known[name]
        else:
            rows[name] = (stamp, _read_row(library / name))
    if rows != known:
        _write_catalog(library, rows)
    return tuple(row for _, row in rows.values())


def rebuild_catalog(library: Path) -> tuple[CatalogRow, ...]:
    """Throw the catalog away and read every case folder; raise UsageError as `list_cases` does."""
    rows = {name: (stamp, _read_row(library / name)) for name, stamp in _stamped(library)}
    _write_catalog(library, rows)
    return tuple(row for _, row in rows.values())


def _stamped(library: Path) -> Iterator[tuple[str, str]]:
    if not library.is_dir():
        raise UsageError("The library folder does not exist. Name the folder given to --library.")
    for folder in sorted(library.iterdir()):
        is_hidden = folder.name.startswith(".")
        if is_hidden or folder.is_symlink() or not folder.is_dir():
            continue
        record = folder / "case.json"
        if record.is_file():
            status = record.stat()
            yield folder.name, f"{CATALOG_VERSION}:{status.st_mtime_ns}:{status.st_size}"
        elif (folder / "series.parquet").exists() or (folder / "events.csv").exists():
            yield folder.name, f"{CATALOG_VERSION}:half"


def _read_row(folder: Path) -> CatalogRow:
    try:
        if not is_case_folder(folder):
            raise CaseRecordError("The folder is half-written. Run the batch again.")
        record = read_case(folder)
    except CaseRecordError as error:
        return CatalogRow(folder.name, "", "", None, None, None, None, 0, str(error))
    model = record.provenance.model
    return CatalogRow(
        folder=folder.name,
        case_id=record.case_id,
        model=f"{model.name} {model.version}",
        recorded_s=record.series.recorded_s,
        coverage_frac=record.series.coverage_frac,
        impaired_share_20=_value(record, "impaired_share_20"),
        event_count=_value(record, "event_count"),
        n_warnings=sum(flag.level is FlagLevel.WARNING for flag in record.flags),
        problem="",
    )


def _value(record: CaseRecord, key: str) -> float | None:
    """Return a metric; None also where another version of the program did not know it."""
    return next((metric.value for metric in record.metrics if metric.key == key), None)


def _read_catalog(library: Path) -> dict[str, tuple[str, CatalogRow]]:
    path = library / CATALOG_NAME
    if not path.is_file():
        return {}
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as catalog:
            stored = catalog.execute("SELECT folder, stamp, row FROM cases").fetchall()
        return {folder: (stamp, CatalogRow(**json.loads(row))) for folder, stamp, row in stored}
    except (sqlite3.Error, ValueError, TypeError):
        return {}


def _write_catalog(library: Path, rows: dict[str, tuple[str, CatalogRow]]) -> None:
    """Keep the catalog where that is possible; a library that cannot be written has none."""
    path = library / CATALOG_NAME
    try:
        _fill(path, rows)
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if any(kind in name for kind in _LEFT_ALONE):
            return
        try:
            path.unlink(missing_ok=True)
            _fill(path, rows)
        except (sqlite3.Error, OSError):
            return


def _fill(path: Path, rows: dict[str, tuple[str, CatalogRow]]) -> None:
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as catalog, catalog:
        catalog.execute("PRAGMA journal_mode=DELETE")
        catalog.execute(_CREATE)
        catalog.execute("DELETE FROM cases")
        catalog.executemany(
            "INSERT INTO cases VALUES (?, ?, ?)",
            [
                (name, stamp, json.dumps({f: getattr(row, f) for f in row.__slots__}))
                for name, (stamp, row) in rows.items()
            ],
        )
