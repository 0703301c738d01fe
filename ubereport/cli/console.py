"""Results to stdout, progress and what is missing to stderr; options that commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ubereport.core.choices import PdfChoice
from ubereport.core.errors import DependencyError
from ubereport.core.progress import Progress, ProgressHook, silent
from ubereport.language.speaking import _, text_width, told, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.library import Written

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
MeasuredOption = Annotated[
    bool,
    typer.Option("--measured", help="Take measured numbers also of cases that were reviewed."),
]
PdfOption = Annotated[
    PdfChoice,
    typer.Option(
        "--pdf",
        help="Print the report, too: always (exit code 4 where this machine cannot), auto (where "
        "it can), never.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def say(text: str) -> None:
    """Print a line of the result."""
    typer.echo(text)


def say_rows(*rows: tuple[str, object], width: int = 11) -> None:
    """Print what was made, a label and a path a line, the paths in one column.

    A row without a path is left out; `width` is that of the labels in English.
    """
    lines = [(label, path) for label, path in rows if path is not None]
    width = max(width, *(text_width(label) + 1 for label, _path in lines))
    for label, path in lines:
        say(f"{label}{' ' * (width - text_width(label))}{path}")


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows beneath their heads, each column as wide as its widest cell."""
    widths = [max(map(text_width, cells)) for cells in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (
            f"{cell}{' ' * (w - text_width(cell))}" for cell, w in zip(row, widths, strict=True)
        )
        say("  ".join(cells).rstrip())


def warn(text: str) -> None:
    """Print a line that is no result on stderr."""
    typer.echo(f"{_('warning')}: {text}", err=True)


def print_json(result: dict[str, Any]) -> None:
    """Print the one JSON object of a command that was asked for JSON."""
    # NaN is no JSON: better an error here than a result that other programs cannot read.
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


def show_result(result: dict[str, Any], is_json: bool) -> None:
    """Print a result as one JSON object or one line a value; empty ones are left out of lines."""
    if is_json:
        print_json(result)
        return
    for key, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_short(n)}" for name, n in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        if value not in ("", None):
            say(f"{key}: {value}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def path_or_none(path: Path | None) -> str | None:
    """Return a path as JSON holds it."""
    return None if path is None else str(path)


def written_files(written: Written) -> dict[str, str | None]:
    """Return where a document is, as JSON holds it."""
    return {
        "report_html": str(written.html),
        "report_pdf": path_or_none(written.pdf),
        "pdf_problem": written.pdf_problem or None,
    }


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


@contextmanager
def case_progress(is_shown: bool) -> Iterator[ProgressHook]:
    """Show one case's progress on stderr: stage, rates and time left.

    On a terminal a live bar; elsewhere one line a stage, so that a log stays readable.
    """
    if not is_shown:
        yield silent
    elif sys.stderr.isatty():
        with _live_bar() as hook:
            yield hook
    else:
        yield _StageLines()


class _StageLines:
    """A line when a stage begins and every `every_s` seconds of wall time within it."""

    every_s = 15.0

    def __init__(self) -> None:
        self._stage = ""
        self._next_s = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage, self._next_s = progress.stage, 0.0
        # A stage that just began is told at once, so that a log shows where a crash was.
        if progress.elapsed_s < self._next_s:
            return
        self._next_s = progress.elapsed_s + self.every_s
        typer.echo(f"{told(progress.stage)}{_rates(progress)}", err=True)


@contextmanager
def _live_bar() -> Iterator[ProgressHook]:
    # Loaded here: most commands draw no bar and should not wait for it.
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rates]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(_("starting"), total=1.0, rates="")

        def hook(progress: Progress) -> None:
            bar.update(
                task,
                description=told(progress.stage),
                completed=progress.done_s,
                total=max(progress.total_s, 1e-9),
                rates=_rates(progress),
            )

        yield hook


def _rates(progress: Progress) -> str:
    parts = []
    if progress.frames_per_s is not None:
        parts.append(_("{rate} frames/s", rate=f"{progress.frames_per_s:.1f}"))
    if progress.real_time_factor is not None:
        parts.append(_("{factor} × real time", factor=f"{progress.real_time_factor:.1f}"))
    if progress.remaining_s is not None:
        parts.append(_("{time} left", time=clock(progress.remaining_s)))
    return ": " + ", ".join(parts) if parts else ""


def clock(seconds: float) -> str:
    """Return a length of time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
