"""Every kind of page for tests of languages: case, comparison, audit, evaluation, all figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from documents import sample_document, sample_record
from laboratory.evaluation.test_evaluation_report import request_of
from made_up_library import make_library

from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import CohortTable, read_cohort
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig, CompareConfig, EventConfig, MetricConfig
from ubereport.documents.case.rendering import render_html
from ubereport.documents.case.view_model import build_view_model
from ubereport.documents.cohort.audit_document import audit_document
from ubereport.documents.cohort.comparison_document import comparison_document
from ubereport.documents.page.document import render_document_html
from ubereport.laboratory.evaluation.evaluate import run_stills_evaluation

_QUICK = CompareConfig(n_bootstrap=100, n_permutations=100)


@dataclass(frozen=True)
class AllPages:
    """Renders each kind of page in the language spoken; numbers are made once."""

    root: Path
    table: CohortTable

    @property
    def kinds(self) -> dict[str, Callable[[], str]]:
        comparison = compare_cohort(self.table, "technique", _QUICK)
        audit = audit_cohort(self.table, AuditConfig())
        record = sample_record.case_record()
        return {
            "every figure": lambda: render_document_html(sample_document.document()),
            "case": lambda: render_html(
                build_view_model(record, None, EventConfig(), MetricConfig())
            ),
            "comparison": lambda: render_document_html(comparison_document(comparison, _QUICK)),
            "audit": lambda: render_document_html(audit_document(audit, AuditConfig(), None)),
            "evaluation": self._evaluation,
        }

    def _evaluation(self) -> str:
        number = len(list(self.root.glob("stills-*")))
        request = request_of(
            self.root / f"stills-{number}", annotators=("a", "b", "c"), pdf=PdfChoice.NEVER
        )
        _, written = run_stills_evaluation(request, lambda *_: None)
        return written.html.read_text(encoding="utf-8")


def all_pages(root: Path) -> AllPages:
    """Make up a library of 32 cases in `root`."""
    rng = np.random.default_rng(1)
    make_library(
        root / "library",
        {
            "Bone wax": rng.beta(2, 20, 16).tolist(),
            "RF coagulation": rng.beta(3, 14, 16).tolist(),
        },
    )
    return AllPages(root, read_cohort(root / "library"))
