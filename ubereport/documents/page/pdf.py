"""The printed report: by WeasyPrint, else by a browser, else not at all, and then it says so."""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.core.choices import PdfChoice
from ubereport.core.errors import DependencyError
from ubereport.documents.page.blocks import PageHead
from ubereport.documents.page.chromium import NO_BROWSER, find_chromium, print_with_chromium
from ubereport.documents.page.fonts import without_font
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.plot import system_fonts
from ubereport.documents.page.weasyprint import NO_PANGO, can_load, print_with_weasyprint

HOW_TO_PRINT = (
    "install Pango (Debian, Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 "
    "libharfbuzz-subset0; Fedora: dnf install pango; macOS: brew install pango; Windows: install "
    "MSYS2 and run pacman -S mingw-w64-x86_64-pango in it) or Chromium, Chrome or Edge"
)


@dataclass(frozen=True, slots=True)
class PrintedReport:
    """A report on paper, or why there is none.

    `pdf` and `printer` are None where nothing was printed; `problem` is then one sentence that
    says what is missing and how to get it, and empty where nobody asked for a PDF. `remark` tells
    of characters that no font here can show.
    """

    pdf: bytes | None
    printer: str | None
    problem: str
    remark: str = ""

    @property
    def run_facts(self) -> dict[str, str | None]:
        """What ``run.json`` keeps of the printing."""
        facts = {"printer": self.printer, "problem": self.problem or None}
        return {**facts, "remark": self.remark} if self.remark else facts


@dataclass(frozen=True, slots=True)
class PrinterTrial:
    """Whether one kind of printer works here: its name and version, or why it does not."""

    what: str
    printer: str | None
    problem: str


def print_page(
    template: str, page: PageHead, choice: PdfChoice, **context: object
) -> PrintedReport:
    """Print one of the templates that extend ``base.html``.

    WeasyPrint comes first: its PDF is PDF/UA. A browser sets the same pages.
    """
    if choice is PdfChoice.NEVER:
        return PrintedReport(None, None, "")
    reasons = []
    for medium, print_html in (
        (Medium.PAPER, print_with_weasyprint),
        (Medium.BROWSER_PAPER, print_with_chromium),
    ):
        html = render_page(template, page, medium, script="", **context)
        try:
            pdf, printer = print_html(html)
        except DependencyError as error:
            reasons.append(str(error).removesuffix("."))
        else:
            return PrintedReport(pdf, printer, "", without_font(html, system_fonts()))
    return PrintedReport(None, None, _problem(*reasons))


def missing_printer() -> str:
    """Return one sentence where this machine has no printer at all, else an empty text."""
    return "" if can_load() or find_chromium() is not None else _problem(NO_PANGO, NO_BROWSER)


def try_printers() -> tuple[PrinterTrial, ...]:
    """Print a page of one word with each printer, as `ubereport doctor` does."""
    page = '<!DOCTYPE html><html lang="en"><title>Trial</title><body>Trial</body></html>'
    trials = []
    for what, print_html in (
        ("WeasyPrint", print_with_weasyprint),
        ("printing browser", print_with_chromium),
    ):
        try:
            trials.append(PrinterTrial(what, print_html(page)[1], ""))
        except DependencyError as error:
            trials.append(PrinterTrial(what, None, str(error)))
    return tuple(trials)


def _problem(*reasons: str) -> str:
    why = ", and ".join(reasons)
    return f"No PDF was printed: {why}; {HOW_TO_PRINT}."
