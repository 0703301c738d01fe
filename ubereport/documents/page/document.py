"""Reports that are no single case, as frozen parts; as HTML and PDF on the base of case reports.

Strings are shown as they are given, escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import TypeVar, cast

from ubereport.core.choices import PdfChoice
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.documents.page.blocks import FigureBlock, Image, PageHead, Pair, TableBlock
from ubereport.documents.page.drawing import FULL_WIDTH_MM, HALF_WIDTH_MM, Drawing
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.pdf import PrintedReport, print_page
from ubereport.documents.page.text import DIRECTION_MARKS, printable, shorten
from ubereport.language.speaking import N_, spoken, told

_TEMPLATE = "document.html"
_KEYS = frozenset({"figure_id", "uri", "row_links", "signal"})
"""Fields that name something for machines, or whose words choose a mark."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImageStrip:
    """Pictures beside each other, each with a line under it."""

    images: tuple[Image, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with what it shows and how to read it.

    `figure_id` is unique in its document: lower-case letters, digits and hyphens. Without `table`
    the numbers of the drawing become one. `is_half` puts two figures beside each other;
    forests and named curves need the full width.
    """

    figure_id: str
    title: str
    caption: str
    drawing: Drawing | ImageStrip
    table: TableBlock | None = None
    is_half: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, then paragraphs, figures, tables, terms and notes, in this order."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[TableBlock, ...] = ()
    terms: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report that is no single case.

    Parameters
    ----------
    title, subtitle
        What it is about, and in one line on what.
    sections
        In reading order; the first page starts with `lead`, `facts` and `caveats`.
    kicker
        Kind of report, such as "Technique comparison".
    software
        Program and model, for the masthead.
    lead
        The answer in plain sentences.
    facts
        A few large numbers with what they are.
    caveats
        How to read it with care; never empty for anything that compares people or techniques.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    kicker: str = N_("Report")
    software: str = "ubereport"
    lead: tuple[str, ...] = ()
    facts: tuple[Pair, ...] = ()
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document in the language of its reader with every figure drawn, for HTML and PDF alike.

    `drawn` has the figures of each section, in their order.
    """

    page: PageHead
    document: Document
    drawn: tuple[tuple[FigureBlock, ...], ...]


def build_document_view(document: Document) -> DocumentView:
    """Draw every figure of `document`.

    Raises
    ------
    ValueError
        If two figures have one id, or an id has characters that are not allowed.
    """
    document = told_document(document)
    # Ids of clip paths and marks inside a drawing begin with its own: two alike would borrow each
    # other's.
    ids = [figure.figure_id for section in document.sections for figure in section.figures]
    if len(ids) != len(set(ids)):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise ValueError(f"figure ids given twice: {', '.join(twice)}; each needs its own")
    title = printable(document.title, DIRECTION_MARKS)
    return DocumentView(
        page=PageHead(
            kicker=printable(document.kicker, DIRECTION_MARKS),
            title=title,
            running=shorten(title, 70),
            software=printable(document.software, DIRECTION_MARKS),
            disclaimer=told(DISCLAIMER),
            language=spoken().language.tag,
        ),
        document=document,
        drawn=tuple(tuple(map(_drawn, section.figures)) for section in document.sections),
    )


def told_document(document: Document) -> Document:
    """Tell what a document quotes of records and results: their sentences are English."""
    return document if spoken().language.is_english else _told_part(document)


def _told_part(part: T) -> T:
    """Tell every text in `part`, a frozen value of tuples, strings and other such values."""
    # Choices are for machines: their values decide marks and must not be translated.
    if isinstance(part, StrEnum):
        return part
    if isinstance(part, str):
        return cast(T, told(part))
    if isinstance(part, tuple):
        return cast(T, tuple(_told_part(item) for item in part))
    if is_dataclass(part) and not isinstance(part, type):
        values = {f.name: getattr(part, f.name) for f in fields(part) if f.name not in _KEYS}
        return replace(part, **{name: _told_part(value) for name, value in values.items()})
    return part


def _drawn(figure: Figure) -> FigureBlock:
    drawing = figure.drawing
    if isinstance(drawing, ImageStrip):
        return FigureBlock(figure.figure_id, figure.caption, "", figure.table)
    width_mm = HALF_WIDTH_MM if figure.is_half else FULL_WIDTH_MM
    block = drawing.block(figure.figure_id, figure.title, figure.caption, width_mm)
    return block if figure.table is None else replace(block, table=figure.table)


def render_document_html(document: Document | DocumentView) -> str:
    """Render a document as one HTML page that needs no network, no script and no other file."""
    view = build_document_view(document) if isinstance(document, Document) else document
    return render_page(_TEMPLATE, view.page, Medium.SCREEN, view=view)


def render_document_pdf(
    document: Document | DocumentView,
    choice: PdfChoice = PdfChoice.AUTO,
) -> PrintedReport:
    """Print a document; the same document and printer give the same bytes."""
    view = build_document_view(document) if isinstance(document, Document) else document
    return print_page(_TEMPLATE, view.page, choice, view=view)
