"""The manifest of a batch: one row a case, every problem told at once, before any work.

Columns
-------
case_id
    Pseudonymous and unique, needed.
files
    The parts of the case in order, separated by ``;``; each a file, a folder or a glob, relative
    to the manifest; needed.
others
    Those of `ubereport.core.covariates.KNOWN_COLUMNS` and any more that a department wants to
    compare by. Empty cells mean "not known".
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ubereport.batch.manifest_cells import Cell, parse_cell
from ubereport.batch.manifest_patients import may_name_a_patient
from ubereport.batch.manifest_sheets import Sheet, read_sheet
from ubereport.batch.parts import resolve_parts
from ubereport.core.covariates import KNOWN_COLUMNS, CovariateValue, known_column
from ubereport.core.errors import ManifestError, UbereportError
from ubereport.files.names import folder_name

TECHNIQUES = (
    "RF coagulation",
    "bone wax",
    "gelatin-thrombin matrix",
    "gelatin sponge",
    "tranexamic acid",
    "epinephrine irrigation",
    "irrigation pressure",
    "hypotensive anesthesia",
    "drain",
)
NEEDED = ("case_id", "files")
MAX_PROBLEMS_TOLD = 100


@dataclass(frozen=True, slots=True)
class ManifestCase:
    """One row: the case, its parts in order, and what the manifest says about it."""

    row: int
    case_id: str
    parts: tuple[Path, ...]
    covariates: Mapping[str, CovariateValue]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The cases of a batch in the order of their rows, and remarks that stop nothing."""

    cases: tuple[ManifestCase, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one cell and what to do; row 1 is the line of column names."""

    row: int
    column: str
    text: str
    fix: str

    def told(self, file: str) -> str:
        """Return ``file:row:column: problem → fix``."""
        return f"{file}:{self.row}:{self.column}: {self.text} → {self.fix}"


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest (CSV, XLSX or Parquet) as a whole.

    Raises
    ------
    ManifestError
        With every problem, one a line, as ``file:row:column: problem → fix``.
    """
    sheet = read_sheet(path)
    # Columns first: under a wrong one every row would have a problem, and the one that matters
    # would drown.
    problems = list(_column_problems(sheet))
    if problems:
        raise _refusal(path, problems)
    cases: list[ManifestCase] = []
    for row, cells in sheet.rows():
        case, row_problems = _read_row(row, cells, path.parent)
        problems += row_problems
        if case is not None:
            cases.append(case)
    problems += _twin_problems(cases)
    cases, spelling, remarks = _with_known_techniques(cases)
    problems += spelling
    if not cases and not problems:
        problems.append(Problem(2, "case_id", "no case", "add one row a case"))
    if problems:
        raise _refusal(path, problems)
    return Manifest(tuple(cases), tuple(remarks))


def _refusal(path: Path, problems: Sequence[Problem]) -> ManifestError:
    lines = [p.told(path.name) for p in sorted(problems, key=lambda p: (p.row, p.column))]
    more = len(lines) - MAX_PROBLEMS_TOLD
    if more > 0:
        lines = [*lines[:MAX_PROBLEMS_TOLD], f"… and {more} more"]
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return ManifestError(
        f"The manifest has {count}; nothing was started. Mend and run again.\n" + "\n".join(lines)
    )


def _column_problems(sheet: Sheet) -> Iterator[Problem]:
    names = [*NEEDED, *(c.name for c in KNOWN_COLUMNS)]
    for name, times in Counter(sheet.columns).items():
        if times > 1:
            yield Problem(1, name, "the column appears twice", "keep one of them")
        # Refused before anything is copied: a manifest row is kept with its case.
        if may_name_a_patient(name):
            yield Problem(1, name, "the column may name a patient", "remove it; case_id is enough")
        elif name not in names and (near := difflib.get_close_matches(name, names, 1, 0.8)):
            yield Problem(1, name, "unknown column", f"did you mean {near[0]}? Rename it")
    for name in NEEDED:
        if name not in sheet.columns:
            yield Problem(1, name, "the column is missing", f"add the column {name}")


def _read_row(
    row: int, cells: Mapping[str, Cell], folder: Path
) -> tuple[ManifestCase | None, list[Problem]]:
    problems: list[Problem] = []
    case_id = _text(cells["case_id"])
    if case_id == "":
        problems.append(Problem(row, "case_id", "the cell is empty", "give a pseudonymous id"))
    else:
        try:
            folder_name(case_id)
        except UbereportError as error:
            problems.append(Problem(row, "case_id", str(error), "choose another id"))
    parts: tuple[Path, ...] = ()
    try:
        named = [str(folder / n.strip()) for n in _text(cells["files"]).split(";") if n.strip()]
        parts = resolve_parts(named)
    except UbereportError as error:
        problems.append(
            Problem(row, "files", str(error), "name files that exist and that you may read")
        )
    covariates: dict[str, CovariateValue] = {}
    for name, cell in cells.items():
        if name in NEEDED:
            continue
        try:
            covariates[name] = parse_cell(cell, known_column(name))
        except ManifestError as error:
            text, _, fix = str(error).partition(" → ")
            problems.append(Problem(row, name, text, fix))
    case = ManifestCase(row, case_id, parts, covariates) if not problems else None
    return case, problems


def _text(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip()


def _twin_problems(cases: Sequence[ManifestCase]) -> Iterator[Problem]:
    by_id: dict[str, int] = {}
    by_files: dict[tuple[Path, ...], int] = {}
    for case in cases:
        # As file systems compare that know no capitals: C1 and c1 would be one folder there.
        first = by_id.setdefault(case.case_id.strip().casefold(), case.row)
        if first != case.row:
            yield Problem(
                case.row, "case_id", f"the same as in row {first}", "give each case its own"
            )
        # Resolved, so that a link or another spelling of a path hides no twin.
        first = by_files.setdefault(tuple(p.resolve() for p in case.parts), case.row)
        if first != case.row:
            yield Problem(
                case.row, "files", f"the same as in row {first}", "remove one of the rows"
            )


def _with_known_techniques(
    cases: Sequence[ManifestCase],
) -> tuple[list[ManifestCase], list[Problem], list[str]]:
    """Write techniques as the field writes them; refuse near misses, keep names of one's own."""
    counts = Counter(_normal(str(c.covariates["technique"])) for c in cases if _technique(c))
    vocabulary = {_normal(name): name for name in TECHNIQUES}
    problems: list[Problem] = []
    own: dict[str, str] = {}
    renamed: list[ManifestCase] = []
    for case in cases:
        entry = _technique(case)
        if not entry:
            renamed.append(case)
            continue
        key = _normal(entry)
        # A rare spelling close to a frequent one, or to the vocabulary, is a slip of the pen; a
        # name that is close to none is the department's own and is kept.
        frequent = [k for k, n in counts.items() if n > counts[key] and k != key]
        near = difflib.get_close_matches(key, [*vocabulary, *frequent], 1, 0.75)
        if key in vocabulary:
            name = vocabulary[key]
        elif near:
            meant = vocabulary.get(near[0], near[0])
            problems.append(
                Problem(
                    case.row,
                    "technique",
                    f"unknown spelling {entry!r}",
                    f"did you mean {meant}?",
                )
            )
            name = entry
        else:
            name = own.setdefault(key, entry)
        covariates = {**case.covariates, "technique": name}
        renamed.append(ManifestCase(case.row, case.case_id, case.parts, covariates))
    remarks = [
        f"Technique {name!r} is not in the list of known ones; kept as it is."
        for name in own.values()
    ]
    return renamed, problems, remarks


def _technique(case: ManifestCase) -> str:
    value = case.covariates.get("technique")
    return "" if value is None else str(value)


def _normal(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").replace("–", " ").replace("_", " ").split())
