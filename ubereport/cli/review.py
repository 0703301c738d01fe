"""`ubereport review`: see each event where it happened, and say what is wrong."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ubereport.cli.console import say
from ubereport.cli.guard import guarded
from ubereport.core.clock_times import parse_times
from ubereport.core.errors import UsageError
from ubereport.language.speaking import _, spoken


@guarded
def review(
    folder: Annotated[
        Path, typer.Argument(metavar="CASE_OR_LIBRARY", help="A case folder, or a library.")
    ],
    recording: Annotated[
        list[Path] | None,
        typer.Option(help="Part of the recording, or a folder that holds recordings; repeatable."),
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of model bundles.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Open at this time on the case clock, as in reports."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
) -> None:
    """Walk through a case in a browser page on this machine; confirm, strike or mend events.

    Example: ubereport review results/case-3f9a2c --recording case.mp4 --at 0:12:34
    """
    from ubereport.api.review import review_cases

    place = "" if at is None else f"#at-{_seconds(at):g}"

    def opened(bare_address: str) -> None:
        address = bare_address + place
        say(address)
        if not no_browser and not webbrowser.open(address):
            say(_("No browser could be opened. Open the address above in one on this machine."))

    review_cases(folder, recording or [], models, port, opened, spoken().language.tag)


def _seconds(at: str) -> float:
    try:
        (seconds,) = parse_times(at)
    except ValueError as error:
        raise UsageError(
            f"--at {at} is no time on the case clock. Give one as a report does, such as 0:12:34."
        ) from error
    return seconds
