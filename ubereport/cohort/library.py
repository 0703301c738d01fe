"""A department's cases taken out of their library: one by its id, all of them as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ubereport.cohort.caveats import unread_caveat
from ubereport.cohort.comparison_results import UnreadCase
from ubereport.cohort.table import cohort_table, read_cohort
from ubereport.cohort.writing import table_files, workbook_bytes
from ubereport.core.case import CaseRecord
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.atomic import write_file
from ubereport.files.names import folder_name
from ubereport.files.records.fhir import diagnostic_report
from ubereport.files.records.listing import REVIEWED, ListedCase, list_cases
from ubereport.files.records.store import read_case

_FHIR_FOLDER = "fhir"


def find_case(library: Path, case_id: str) -> tuple[Path, CaseRecord]:
    """Return the folder and record of a case by its id, else by its folder's name.

    Raises
    ------
    UsageError
        If the library has no such case.
    CaseRecordError
        If it has, but the record cannot be read.
    """
    rows = list_cases(library)
    named = [case_id, folder_name(case_id)]
    # A folder may have been renamed: the id that its record states comes first, and of several of
    # one id the folder that is named so.
    ids = sorted((r.folder for r in rows if r.case_id == case_id), key=lambda f: f not in named)
    folders = {row.folder for row in rows}
    for name in (*ids, *named):
        if name in folders:
            return library / name, read_case(library / name)
    raise UsageError(
        "The library has no case of that id. `ubereport library list` shows those it has."
    )


@dataclass(frozen=True, slots=True)
class Export:
    """What was written of a library, and what was not.

    Parameters
    ----------
    files
        What was written.
    unread
        Case folders that could not be read and are left out.
    without_fhir
        Cases of which no FHIR report could be written; they stand in the tables all the same.
    n_fhir
        FHIR reports that were written.
    """

    files: tuple[Path, ...]
    unread: tuple[UnreadCase, ...] = ()
    without_fhir: tuple[UnreadCase, ...] = ()
    n_fhir: int = 0

    @property
    def remark(self) -> str:
        """How many case folders are left out, as comparisons and audits say it; empty for none."""
        return "".join(unread_caveat(len(self.unread)))


def export_cases(library: Path, out: Path, forms: set[str], *, is_measured: bool = False) -> Export:
    """Write the cases of a library as "csv", "parquet", "xlsx" and "fhir" files into `out`.

    Cases that were reviewed whole come with their reviewed numbers, unless `is_measured`; every
    file says which of the two a case has. A case that cannot be read, or that has no FHIR report,
    is named in what is returned and keeps no other from being written.

    Raises
    ------
    UsageError
        If the library does not exist or holds no readable case.
    OutputError
        If `out` cannot be written.
    """
    files: dict[str, bytes] = {}
    unread: dict[str, UnreadCase] = {}
    tabled: set[str] = set()
    without_fhir: tuple[UnreadCase, ...] = ()
    reports: dict[str, bytes] = {}
    if forms & {"csv", "parquet", "xlsx"}:
        table = read_cohort(library, is_measured=is_measured)
        unread |= {case.folder: case for case in table.unread}
        tabled = set(table.cases["folder"])
        tables = table_files(table)
        files |= {n: c for n, c in tables.items() if n.rpartition(".")[2] in forms}
        if "xlsx" in forms:
            files["library.xlsx"] = workbook_bytes(table)
    if "fhir" in forms:
        rows = list_cases(library, is_measured=is_measured)
        # A folder that the tables leave out, too, keeps the reason that they gave; one that they
        # hold, since they need no series, is not left out.
        problems = {r.folder: UnreadCase(r.folder, r.problem) for r in rows if r.problem}
        unread = {name: case for name, case in problems.items() if name not in tabled} | unread
        readable = [row for row in rows if row.folder in tabled or not row.problem]
        if not readable and not tabled:
            cohort_table((), unread.values())  # says that there is no readable case
        reports, without_fhir = _fhir_files(library, readable)
    files |= reports
    for name, content in files.items():
        write_file(out / name, content)
    written = tuple(out / name for name in files)
    return Export(written, tuple(unread.values()), without_fhir, len(reports))


def _fhir_files(
    library: Path, rows: Iterable[ListedCase]
) -> tuple[dict[str, bytes], tuple[UnreadCase, ...]]:
    files: dict[str, bytes] = {}
    without: list[UnreadCase] = []
    for row in rows:
        if row.problem:
            without.append(UnreadCase(row.folder, row.problem))
            continue
        try:
            files[f"{_FHIR_FOLDER}/{row.folder}.json"] = _fhir_report(library / row.folder, row)
        except CaseRecordError as error:
            without.append(UnreadCase(row.folder, str(error)))
    return files, tuple(without)


def _fhir_report(folder: Path, row: ListedCase) -> bytes:
    try:
        pdf = (folder / "report.pdf").read_bytes()
    except OSError:
        raise CaseRecordError(
            f"The case in {row.folder} has no report.pdf. "
            "Run `ubereport report --pdf always` on it."
        ) from None
    resource = diagnostic_report(read_case(folder), pdf, is_reviewed=row.numbers == REVIEWED)
    text = json.dumps(resource, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
