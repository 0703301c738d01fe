"""The only file that imports WeasyPrint: a page in, one tagged PDF out, offline."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import sys
import threading
from typing import Any, TextIO

from ubereport.core.errors import DependencyError
from ubereport.files.resources import templates_dir

DOCUMENT_END = "document-end"
"""The id that a template gives its last element, whose last sheet should not be nearly empty."""
_HALF = 0.5
NO_PANGO = "WeasyPrint's system libraries (Pango, HarfBuzz) are missing"


def print_with_weasyprint(html: str) -> tuple[bytes, str]:
    """Set a page as PDF/UA-1; return it and which printer made it. The same page, the same bytes.

    The file carries no time of day; its identifier is the digest of the page. A page with a
    `DOCUMENT_END` is set closer where its last sheet would else be nearly empty.

    Raises
    ------
    DependencyError
        If WeasyPrint, or a system library that it needs, cannot be loaded.
    """
    weasyprint = _loaded("weasyprint")
    page = weasyprint.HTML(string=html, url_fetcher=data_only_fetcher(), media_type="print")
    options = {
        "pdf_variant": "pdf/ua-1",
        "pdf_identifier": hashlib.sha256(html.encode()).digest()[:16],
    }
    fonts = _loaded("weasyprint.text.fonts").FontConfiguration()
    document = page.render(fonts, **options)
    if _last_sheet_filled(document) < _HALF:
        closer_css = weasyprint.CSS(filename=templates_dir() / "css" / "closer_set.css")
        closer = page.render(fonts, **options, stylesheets=[closer_css])
        # Set closer only where that saves the sheet; else it would be smaller print for nothing.
        if len(closer.pages) < len(document.pages):
            document = closer
    return bytes(document.write_pdf(**options)), f"WeasyPrint {weasyprint.__version__}"


def _last_sheet_filled(document: Any) -> float:  # noqa: ANN401 -- WeasyPrint is untyped
    """How far down its last sheet a page goes; 1 where it does not say where it ends."""
    sheet = document.pages[-1]
    end = sheet.anchors.get(DOCUMENT_END)
    return 1.0 if end is None or len(document.pages) == 1 else end[1] / sheet.height


def data_only_fetcher() -> Any:  # noqa: ANN401 -- WeasyPrint is untyped
    """Return a fetcher of ``data:`` URLs: everything a report shows is inside its page already.

    It raises ValueError for every other URL: files, networks and WeasyPrint's own schemes.
    """
    urls = _loaded("weasyprint.urls")

    class DataOnlyFetcher(urls.URLFetcher):  # type: ignore[misc,name-defined]
        def fetch(self, url: str, headers: dict[str, str] | None = None) -> Any:  # noqa: ANN401
            if not url.lower().startswith("data:"):
                raise ValueError("A report loads nothing: only data: URLs are answered.")
            return super().fetch(url, headers)

    return DataOnlyFetcher(allowed_protocols=("data",), allow_redirects=False)


def can_load() -> bool:
    """Whether WeasyPrint and the system libraries that it needs are here."""
    try:
        _loaded("weasyprint")
    except DependencyError:
        return False
    return True


class _SilentThread(io.TextIOBase):
    """Standard output that drops what this thread writes; others go on writing."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout, self._thread = stdout, threading.get_ident()

    def write(self, text: str) -> int:
        is_ours = threading.get_ident() == self._thread
        return len(text) if is_ours else self._stdout.write(text)


def _loaded(module: str) -> Any:  # noqa: ANN401 -- WeasyPrint is untyped
    """Load a module; where a library is missing WeasyPrint prints a page, which nobody asked for.

    Standard output holds the results of a command, perhaps as JSON.
    """
    try:
        with contextlib.redirect_stdout(_SilentThread(sys.stdout)):
            return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise DependencyError(NO_PANGO) from error
