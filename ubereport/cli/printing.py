"""What the commands that render say about the PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ubereport.cli.console import say, warn
from ubereport.core.choices import PdfChoice
from ubereport.core.errors import DependencyError
from ubereport.language.speaking import told

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


def say_pdf(label: str, path: Path | None) -> None:
    """Print where the PDF is, if there is one; `label` is as wide as the command's others."""
    if path is not None:
        say(f"{label}{path}")


def settle_pdf(choice: PdfChoice, problem: str, remark: str = "") -> None:
    """Tell why there is no PDF, or what it lacks, once everything else is written and said.

    Raises
    ------
    DependencyError
        If a PDF was asked for by `PdfChoice.ALWAYS`.
    """
    if remark:
        warn(remark)
    if not problem:
        return
    if choice is PdfChoice.ALWAYS:
        raise DependencyError(problem)
    warn(told(problem))
