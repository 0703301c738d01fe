"""Sections of one's own in a case report: a small function each, registered by entry point.

A section sees the record that every report is made from and answers with plain text and a table;
the templates escape all of it. One that fails is named in the record and left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ubereport.core.case import CaseRecord, Flag
from ubereport.core.errors import UsageError
from ubereport.core.extensions import Extension, installed_extensions
from ubereport.core.validation import FROM_JSON, validated
from ubereport.documents.page.blocks import Column, TableBlock
from ubereport.documents.page.text import printable
from ubereport.metrics.flags import left_out_flag

GROUP = "ubereport.report_sections"
_Text = Annotated[str, Field(max_length=4000)]
_Cells = Annotated[tuple[_Text, ...], Field(max_length=24), FROM_JSON]


@validated("section", error=UsageError, remedy="Mend the extension.")
class Section:
    """What a function adds to a case report: a heading, paragraphs, and a table where it has one.

    Examples
    --------
    >>> Section("Our own numbers", ["Not part of the published method."], ["Key"], [["a"]]).rows
    (('a',),)
    """

    title: Annotated[str, Field(min_length=1, max_length=120)]
    paragraphs: Annotated[tuple[_Text, ...], Field(max_length=50), FROM_JSON] = ()
    head: _Cells = ()
    rows: Annotated[tuple[_Cells, ...], Field(max_length=500), FROM_JSON] = ()


@dataclass(frozen=True, slots=True)
class SectionView:
    """A section of an extension, ready to be laid out; `origin` is its package."""

    title: str
    origin: str
    paragraphs: tuple[str, ...]
    table: TableBlock | None


def added_sections(record: CaseRecord) -> tuple[tuple[SectionView, ...], tuple[Flag, ...]]:
    """Return the sections that installed packages add to this case, and flags for those left out.

    A function may answer None where it has nothing to say.
    """
    views, flags = [], []
    for extension in installed_extensions(GROUP):
        problem = extension.problem
        if not problem:
            try:
                views += _view(extension, record)
            # SystemExit as well: whatever somebody else's code calls, one section must not end a
            # report.
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- somebody else's code
                problem = f"it failed on this case ({type(error).__name__})"
        if problem:
            flags.append(left_out_flag(extension.told, problem))
    return tuple(views), tuple(flags)


def _view(extension: Extension, record: CaseRecord) -> list[SectionView]:
    section: Callable[[CaseRecord], Any] = extension.value  # type: ignore[assignment]
    answer = section(record)
    if answer is None:
        return []
    if not isinstance(answer, Section):
        raise TypeError(f"{extension.name} answered no Section")
    columns = tuple(Column(printable(title)) for title in answer.head)
    rows = tuple(tuple(printable(cell) for cell in row) for row in answer.rows)
    table = TableBlock(printable(answer.title), columns, rows) if columns or rows else None
    paragraphs = tuple(printable(text) for text in answer.paragraphs)
    return [SectionView(printable(answer.title), extension.origin, paragraphs, table)]
