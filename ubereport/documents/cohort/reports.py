"""`ubereport compare` and `audit`: from a library to a report and tables, written in one step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.audit_results import Audit
from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.comparison_results import Comparison
from ubereport.cohort.sources import sources_of
from ubereport.cohort.table import read_cohort
from ubereport.cohort.writing import audit_files, comparison_files
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig, CompareConfig
from ubereport.core.covariates import require_column
from ubereport.core.errors import OutputError
from ubereport.core.series import AreaSeries
from ubereport.documents.cohort.audit_document import audit_document
from ubereport.documents.cohort.comparison_document import comparison_document
from ubereport.documents.page.document import (
    Document,
    DocumentView,
    build_document_view,
    render_document_html,
    render_document_pdf,
    told_document,
)
from ubereport.files.atomic import publish_folder
from ubereport.files.records.store import read_series
from ubereport.language.speaking import naming


@dataclass(frozen=True, slots=True)
class Written:
    """A folder of results that is complete; `files` are the names in it.

    `pdf` is None where nothing was printed; `pdf_problem` is then one sentence, or empty where
    nobody asked for it.
    """

    folder: Path
    html: Path
    pdf: Path | None
    json: Path
    files: tuple[str, ...]
    pdf_problem: str = ""
    pdf_remark: str = ""


def publish_document(
    out: Path,
    stem: str,
    document: Document,
    files: Mapping[str, bytes],
    paper: Document | None = None,
    pdf: PdfChoice = PdfChoice.AUTO,
) -> Written:
    """Write ``stem.html``, ``stem.pdf`` where it can be printed, and `files`, in one step.

    `paper` is printed in place of `document` where given.

    Raises
    ------
    OutputError
        If `out` cannot be written, or has files of others in it.
    """
    # Figures are drawn once, for the page and for paper.
    view = build_document_view(document)
    on_paper = view if paper is None else _same_drawings(view, paper)
    printed = render_document_pdf(on_paper, choice=pdf)
    content = {
        f"{stem}.html": render_document_html(view).encode(),
        **({} if printed.pdf is None else {f"{stem}.pdf": printed.pdf}),
        **files,
    }
    # An earlier PDF would show earlier numbers.
    publish_folder(out, content, gives_way=(f"{stem}.pdf",))
    return Written(
        out,
        out / f"{stem}.html",
        None if printed.pdf is None else out / f"{stem}.pdf",
        out / f"{stem}.json",
        tuple(content),
        printed.problem,
        printed.remark,
    )


def check_out(out: Path, library: Path) -> None:
    """Refuse, before any work is done, a folder that cannot take a report.

    Raises
    ------
    OutputError
        If `out` is the library or a file.
    """
    # Publishing replaces a folder as a whole.
    if out.resolve() == library.resolve():
        raise OutputError(
            "The output is the library itself, whose cases would be lost. Give another --out, such "
            "as a folder beside or inside the library."
        )
    if out.exists() and not out.is_dir():
        raise OutputError("The output is a file where a folder is needed. Give another --out.")


def _same_drawings(view: DocumentView, paper: Document) -> DocumentView:
    """Return `view` with the words and tables of `paper`: nothing is drawn twice."""
    paper = told_document(paper)
    sections = tuple(
        replace(whole, paragraphs=printed.paragraphs, tables=printed.tables, notes=printed.notes)
        for whole, printed in zip(view.document.sections, paper.sections, strict=True)
    )
    return replace(view, document=replace(view.document, sections=sections))


def report_links(library: Path, out: Path, folders: Sequence[str]) -> tuple[str, ...] | None:
    """Return the relative link from `out` to each case's report; "" where there is none.

    None where `out` lies neither inside the library nor beside it: a link would then carry the
    names of folders that are nobody's business.
    """
    here, there = out.resolve(), library.resolve()
    # Links are relative and go through the folder that holds both, so that a copied report with its
    # library still leads to the cases and names no other folder.
    if not here.is_relative_to(there.parent):
        return None
    steps = Path(os.path.relpath(there, here)).as_posix()
    return tuple(
        quote(f"{steps}/{folder}/report.html")
        if (library / folder / "report.html").is_file()
        else ""
        for folder in folders
    )


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Which library to compare, by which column of its manifest, and where the result goes.

    `covariates` None takes those that the program knows; `reference` None takes the largest group.
    `errors` is what ``evaluate stills --by`` wrote of labelled stills of each group.
    `is_measured` takes measured numbers also of cases that were reviewed.
    """

    library: Path
    out: Path
    by: str
    config: CompareConfig
    covariates: tuple[str, ...] | None = None
    reference: str | None = None
    pdf: PdfChoice = PdfChoice.AUTO
    errors: Path | None = None
    is_measured: bool = False


def run_comparison(
    request: CompareRequest, series_of_folder: Callable[[Path], AreaSeries] = read_series
) -> tuple[Comparison, Written]:
    """Compare; write ``comparison.html``, ``.pdf``, ``.json``, ``contrasts.csv``, ``points.csv``.

    `series_of_folder` reads the series that the numbers of a case rest on.

    Raises
    ------
    UsageError
        If the library has no readable case, or a column, metric or group does not exist.
    OutputError
        If `out` cannot be written.
    """
    check_out(request.out, request.library)
    table = read_cohort(request.library, is_measured=request.is_measured)
    require_column(request.config.primary, table.metric_keys, "metric")
    sources = sources_of(request.library, request.errors, series_of_folder)
    comparison = compare_cohort(
        table, request.by, request.config, request.covariates, request.reference, sources
    )
    with naming(table.names):
        document = comparison_document(comparison, request.config)
        written = publish_document(
            request.out, "comparison", document, comparison_files(comparison), pdf=request.pdf
        )
    return comparison, written


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """Which library to audit, and where the result goes.

    `is_measured` takes measured numbers also of cases that were reviewed.
    """

    library: Path
    out: Path
    config: AuditConfig
    pdf: PdfChoice = PdfChoice.AUTO
    is_measured: bool = False


def run_audit(request: AuditRequest) -> tuple[Audit, Written]:
    """Audit; write ``audit.html``, ``.pdf``, ``.json``, ``charts.csv``, ``cases.csv``.

    Raises
    ------
    UsageError
        If the library has no readable case, or the metric does not exist.
    OutputError
        If `out` cannot be written.
    """
    check_out(request.out, request.library)
    table = read_cohort(request.library, is_measured=request.is_measured)
    audit = audit_cohort(table, request.config)
    links = report_links(request.library, request.out, [case.folder for case in audit.cases])
    with naming(table.names):
        document = audit_document(audit, request.config, links)
        paper = audit_document(audit, request.config, None, is_paper=True)
        written = publish_document(
            request.out, "audit", document, audit_files(audit), paper, request.pdf
        )
    return audit, written
