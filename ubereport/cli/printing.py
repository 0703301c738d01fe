"""What the commands that render say about the PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import say_rows, warn
from ubereport.core.choices import PdfChoice
from ubereport.core.errors import DependencyError
from ubereport.language.speaking import _, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.library import Written

PdfOption = Annotated[
    PdfChoice,
    typer.Option(
        "--pdf",
        help="Print the report, too: always (exit code 4 where this machine cannot), auto (where "
        "it can), never.",
    ),
]


def path_or_none(path: Path | None) -> str | None:
    """Return a path as JSON holds it."""
    return None if path is None else str(path)


def say_written(written: Written) -> None:
    """Print where a document and its tables are."""
    say_rows((_("Report"), written.html), (_("Print"), written.pdf), (_("Tables"), written.folder))


def settle_pdf(choice: PdfChoice, problem: str, remark: str = "") -> None:
    """Tell why there is no PDF, or what it lacks, once everything else is written and said.

    Raises
    ------
    DependencyError
        If a PDF was asked for by `PdfChoice.ALWAYS`.
    """
    if remark:
        warn(told_as_typed(remark))
    if not problem:
        return
    if choice is PdfChoice.ALWAYS:
        raise DependencyError(problem)
    warn(told_as_typed(problem))
