"""The summary of a batch: what was done, and every failed case with its reason."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ubereport.core.version import __version__
from ubereport.documents.batch.results import BatchResult, CaseResult, result_table
from ubereport.documents.page.blocks import TableBlock, columns
from ubereport.documents.page.document import Document, Section, render_document_html
from ubereport.files.atomic import write_file
from ubereport.files.spreadsheet import csv_bytes
from ubereport.language.speaking import _, naming, paragraph


def write_summary(result: BatchResult, library: Path) -> Path:
    """Write ``batch.html``, ``batch.json`` and ``batch.csv`` into the library; return the page.

    The bytes follow from the outcomes alone: how often a case was started is left out.

    Raises
    ------
    OutputError
        If the library cannot be written.
    """
    cases = [_plain(case) for case in result.cases]
    content = {"n_done": result.n_done, "n_failed": result.n_failed, "cases": cases}
    write_file(library / "batch.json", f"{json.dumps(content, indent=1)}\n".encode("ascii"))
    write_file(library / "batch.csv", csv_bytes(*result_table(result.cases)))
    page = library / "batch.html"
    with naming(case.case_id for case in result.cases):
        write_file(page, render_document_html(_document(result)).encode())
    return page


def _plain(case: CaseResult) -> dict[str, object]:
    plain = asdict(case)
    del plain["n_attempts"]
    if plain["done"] is not None:
        # A batch that is run again has the same outcomes, and must give the same bytes.
        del plain["done"]["is_reused"]
    return plain


def _document(result: BatchResult) -> Document:
    failed = [case for case in result.cases if not case.is_done]
    n_cases = len(result.cases)
    lead = _("{n_done} of {n_cases} cases are complete.", n_done=result.n_done, n_cases=n_cases)
    if failed:
        reasons = _("{failed} failed; each is listed with its reason.", failed=len(failed))
        lead = paragraph(lead, reasons)
    return Document(
        title=_("Batch summary"),
        subtitle=_("{n_cases} cases of one manifest", n_cases=n_cases),
        kicker=_("Batch"),
        software=_("ubereport {version__}", version__=__version__),
        lead=(lead,),
        sections=(_failed_section(failed), _done_section(result)),
    )


def _failed_section(failed: list[CaseResult]) -> Section:
    if not failed:
        return Section(_("Failed cases"), paragraphs=(_("None."),))
    rows = tuple((str(case.row), case.case_id, case.reason) for case in failed)
    heads = columns("#" + _("Row"), _("Case"), "*" + _("Reason"))
    return Section(
        _("Failed cases"),
        paragraphs=(_("Mend them and run the same command again: what is done is reused."),),
        tables=(TableBlock(_("Failed cases and why"), heads, rows),),
    )


def _done_section(result: BatchResult) -> Section:
    rows = tuple(
        (
            case.case_id,
            _("{recorded} min", recorded=f"{case.done.recorded_s / 60:.1f}"),
            _percent(case.done.coverage_frac),
            _percent(case.done.impaired_share_20),
            "–" if case.done.event_count is None else f"{case.done.event_count:.0f}",
            str(case.done.n_warnings),
        )
        for case in result.cases
        if case.done is not None
    )
    if not rows:
        return Section(_("Complete cases"), paragraphs=(_("None."),))
    heads = columns(
        "*" + _("Case"),
        *("#" + _("Recorded"), "#" + _("Coverage"), "#" + _("View obscured ≥ 20 %")),
        *("#" + _("Events"), "#" + _("Warnings")),
    )
    table = TableBlock(_("Cases with a report"), heads, rows)
    text = _("Numbers as measured. What a review changed stands in the case's report.")
    return Section(_("Complete cases"), paragraphs=(text,), tables=(table,))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
