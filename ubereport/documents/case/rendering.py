"""The report of a case as HTML and PDF."""

from __future__ import annotations

from ubereport.core.choices import PdfChoice
from ubereport.documents.case.views import CaseView
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.pdf import PrintedReport, print_page
from ubereport.files.resources import templates_dir

_TEMPLATE = "case.html"


def render_html(view: CaseView) -> str:
    """Render a case report as one HTML page that needs no network and no other file.

    Its one script tells what the timeline shows at a moment; without scripts the page is whole.

    Parameters
    ----------
    view
        The case, as `build_view_model` formatted it.
    """
    script = (templates_dir() / "timeline_reader.js").read_text(encoding="utf-8")
    return render_page(_TEMPLATE, view.page, Medium.SCREEN, script, view=view)


def render_pdf(view: CaseView, choice: PdfChoice = PdfChoice.AUTO) -> PrintedReport:
    """Print a case report; the same view and printer give the same bytes.

    Parameters
    ----------
    view
        The case, as `build_view_model` formatted it.
    choice
        `PdfChoice.NEVER` prints nothing; the others print where this machine can.
    """
    return print_page(_TEMPLATE, view.page, choice, view=view)
