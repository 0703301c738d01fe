"""`ubereport compare`: read a library, compare its groups, write report and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.comparison_results import Comparison
from ubereport.cohort.sources import sources_of
from ubereport.cohort.table import read_cohort
from ubereport.cohort.writing import comparison_files
from ubereport.core.choices import PdfChoice
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import require_column
from ubereport.documents.cohort.comparison_document import comparison_document
from ubereport.documents.cohort.document_parts import Written, check_out, publish_document
from ubereport.language.speaking import naming


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


def run_comparison(request: CompareRequest) -> tuple[Comparison, Written]:
    """Compare; write ``comparison.html``, ``.pdf``, ``.json``, ``contrasts.csv``, ``points.csv``.

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
    sources = sources_of(request.library, request.errors)
    comparison = compare_cohort(
        table, request.by, request.config, request.covariates, request.reference, sources
    )
    with naming(table.names):
        document = comparison_document(comparison, request.config)
        written = publish_document(
            request.out, "comparison", document, comparison_files(comparison), pdf=request.pdf
        )
    return comparison, written
