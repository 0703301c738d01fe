"""The `ubereport` program: every command is parsed here and handed to one library call."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import typer

from ubereport.cli import (
    analyze,
    batch,
    bundles,
    cohort,
    doctor,
    evaluate,
    library,
    review,
    simulate,
    train,
)
from ubereport.cli.refusals import SpokenGroup
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.version import __version__

app = typer.Typer(
    name="ubereport",
    cls=SpokenGroup,
    help="Report how much of the endoscopic view was obscured by blood.",
    epilog=DISCLAIMER,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"ubereport {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Report how much of the endoscopic view was obscured by blood."""


app.command("analyze")(analyze.analyze)
app.command("report")(analyze.report)
app.command("demo")(analyze.demo)
app.command("simulate")(simulate.simulate)
app.command("doctor")(doctor.doctor)
app.command("review")(review.review)
app.command("batch")(batch.batch)
app.command("compare")(cohort.compare)
app.command("audit")(cohort.audit)
app.command("plan")(cohort.plan)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(library.app, name="library")
app.add_typer(bundles.app, name="models")
app.add_typer(train.app, name="train")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program with `argv` (default: the process's arguments) and exit."""
    for stream in (sys.stdout, sys.stderr):
        # Windows' older code pages lack signs such as ≥; a result is never lost for one.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(args=None if argv is None else list(argv), prog_name="ubereport")
