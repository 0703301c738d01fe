"""A department's cases taken out of their library: one by its id, all of them as tables."""

from __future__ import annotations

import json
from pathlib import Path

from ubereport.cohort.table import read_cohort
from ubereport.cohort.writing import table_files, workbook_bytes
from ubereport.core.case import CaseRecord
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.atomic import write_file
from ubereport.files.names import folder_name
from ubereport.files.records.fhir import diagnostic_report
from ubereport.files.records.listing import REVIEWED, list_cases
from ubereport.files.records.store import read_case


def find_case(library: Path, case_id: str) -> tuple[Path, CaseRecord]:
    """Return the folder and record of a case by its id or folder name.

    Raises
    ------
    UsageError
        If the library has no such case.
    CaseRecordError
        If it has, but the record cannot be read.
    """
    names = {row.folder for row in list_cases(library)}
    for name in (case_id, folder_name(case_id)):
        if name in names:
            return library / name, read_case(library / name)
    raise UsageError(
        "The library has no case of that id. `ubereport library list` shows those it has."
    )


def export_cases(
    library: Path, out: Path, forms: set[str], *, is_measured: bool = False
) -> tuple[Path, ...]:
    """Write the cases of a library as "csv", "parquet", "xlsx" and "fhir" files into `out`.

    Cases that were reviewed whole come with their reviewed numbers, unless `is_measured`; every
    file says which of the two a case has.

    Raises
    ------
    UsageError
        If the library does not exist or holds no readable case.
    OutputError
        If `out` cannot be written.
    """
    files: dict[str, bytes] = {}
    if forms & {"csv", "parquet", "xlsx"}:
        table = read_cohort(library, is_measured=is_measured)
        tables = table_files(table)
        files |= {n: c for n, c in tables.items() if n.rpartition(".")[2] in forms}
        if "xlsx" in forms:
            files["library.xlsx"] = workbook_bytes(table)
    if "fhir" in forms:
        files |= _fhir_files(library, is_measured)
    for name, content in files.items():
        write_file(out / name, content)
    return tuple(out / name for name in files)


def _fhir_files(library: Path, is_measured: bool) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for row in list_cases(library, is_measured=is_measured):
        if row.problem:
            continue
        folder = library / row.folder
        try:
            pdf = (folder / "report.pdf").read_bytes()
        except OSError:
            raise CaseRecordError(
                f"The case in {row.folder} has no report.pdf. "
                "Run `ubereport report --pdf always` on it."
            ) from None
        resource = diagnostic_report(read_case(folder), pdf, is_reviewed=row.numbers == REVIEWED)
        text = json.dumps(resource, indent=1, ensure_ascii=False, allow_nan=False)
        files[f"fhir/{row.folder}.json"] = f"{text}\n".encode()
    return files
