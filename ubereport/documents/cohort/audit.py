"""`ubereport audit`: read a library, chart its cases over time, write report and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.audit_results import Audit
from ubereport.cohort.table import read_cohort
from ubereport.cohort.writing import audit_files
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig
from ubereport.documents.cohort.audit_document import audit_document
from ubereport.documents.cohort.document_parts import (
    Written,
    check_out,
    publish_document,
    report_links,
)
from ubereport.language.speaking import naming


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
