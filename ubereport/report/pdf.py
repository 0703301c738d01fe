"""The only file that imports WeasyPrint: the same views in, one tagged PDF out, offline."""

from __future__ import annotations

import hashlib

from weasyprint import HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher, URLFetcherResponse

from ubereport.report.blocks import PageHead
from ubereport.report.html import Medium, Paper, render_page
from ubereport.report.views import CaseView

__all__ = ["DataOnlyFetcher", "render_pdf", "write_page_pdf"]


class DataOnlyFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint is untyped
    """Answers ``data:`` alone: everything a report shows is inside its page already."""

    def __init__(self) -> None:
        super().__init__(allowed_protocols=("data",), allow_redirects=False)

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> URLFetcherResponse:
        """Return the content of a ``data:`` URL.

        Raises
        ------
        ValueError
            For every other URL: files, networks and WeasyPrint's own schemes.
        """
        if not url.lower().startswith("data:"):
            raise ValueError("A report loads nothing: only data: URLs are answered.")
        return super().fetch(url, headers)


def render_pdf(view: CaseView, paper: Paper = Paper.A4) -> bytes:
    """Render a case report as a tagged PDF; the same view gives the same bytes.

    Parameters
    ----------
    view
        The case, as `build_view_model` formatted it.
    paper
        Page size.
    """
    return write_page_pdf("case.html", view.page, paper, view=view)


def write_page_pdf(template: str, page: PageHead, paper: Paper, **context: object) -> bytes:
    """Set one of the templates that extend ``base.html`` as PDF/UA-1.

    The file carries no time of day; its identifier is the digest of the page.
    """
    html = render_page(template, page, Medium.PAPER, paper, **context)
    document = HTML(string=html, url_fetcher=DataOnlyFetcher(), media_type="print")
    content = document.write_pdf(
        pdf_variant="pdf/ua-1",
        pdf_identifier=hashlib.sha256(html.encode()).digest()[:16],
        font_config=FontConfiguration(),
    )
    return bytes(content)
