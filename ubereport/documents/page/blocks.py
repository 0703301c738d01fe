"""What every report is laid out from: tables, figures, notes. Strings only, already formatted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """Head of one column; numbers stand right, words left, `is_wide` may take the spare width."""

    title: str
    is_number: bool = False
    is_wide: bool = False


def columns(*titles: str) -> tuple[Column, ...]:
    """Return columns; ``#`` before a title heads numbers, ``*`` lets it take the spare width.

    >>> [(c.title, c.is_number, c.is_wide) for c in columns("Case", "#Events", "*Remarks")]
    [('Case', False, False), ('Events', True, False), ('Remarks', False, True)]
    """
    return tuple(
        Column(title.removeprefix("#").removeprefix("*"), title[:1] == "#", title[:1] == "*")
        for title in titles
    )


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table with one caption; every row has one string per column.

    `row_links` gives rows, on screens, a link from their head to a file beside the page or a place
    in it; "" none.

    Raises
    ------
    ValueError
        If a row has another number of cells than there are columns, or a link is not relative.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    row_links: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.row_links and len(self.row_links) != len(self.rows):
            raise ValueError(f"{len(self.row_links)} links for {len(self.rows)} rows")
        for link in self.row_links:
            # Links are made of names of folders: with a scheme one could run a script, with a root
            # it would name places of a machine.
            if ":" in link or link.startswith(("/", "\\")):
                raise ValueError(f"{link!r} is no relative link; give a path from the page")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.caption!r}: a row of {len(row)} cells for {len(self.columns)} columns"
                )


def table_block(
    caption: str, items: Iterable[T], *cells: tuple[str, Callable[[T], str]], note: str = ""
) -> TableBlock:
    """Return a table with a row an item; each column is its head, as in `columns`, and its cell.

    >>> table_block("Squares", [2, 3], ("Number", str), ("#Square", lambda n: str(n * n))).rows
    (('2', '4'), ('3', '9'))
    """
    rows = tuple(tuple(cell(item) for _head, cell in cells) for item in items)
    return TableBlock(caption, columns(*(head for head, _cell in cells)), rows, note)


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """A drawing as inline SVG, the sentence that says how to read it, and its numbers.

    `svg` is the only string of a report that templates print unescaped; it comes from
    `ubereport.documents.page.plot` alone, which escapes every label.
    """

    figure_id: str
    caption: str
    svg: str
    table: TableBlock | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A still as a ``data:`` URI with its alternative text; `uri` is empty where there is none."""

    uri: str
    alt: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class PageHead:
    """What every page of a report says about itself; `running` is short enough for a margin."""

    kicker: str
    title: str
    running: str
    software: str
    disclaimer: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Pair:
    """A term and what it says; `note` is the small print under it."""

    term: str
    value: str
    note: str = ""
    lines: tuple[str, ...] = field(default=())
