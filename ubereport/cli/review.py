"""`ubereport review`: see each event where it happened, and say what is wrong."""

from __future__ import annotations

import importlib.util
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ubereport.cli.console import say
from ubereport.cli.guard import guarded
from ubereport.core.errors import DependencyError


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
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
) -> None:
    """Walk through a case in a browser page on this machine; confirm, strike or mend events.

    Example: ubereport review results/case-3f9a2c --recording case.mp4
    """
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise DependencyError(
            "The review page needs the extra `review`, which is not installed. Run: pip install"
            " 'ubereport[review]'"
        )
    from ubereport.batch.case import rerender_case
    from ubereport.files.resources import models_dir
    from ubereport.review.desk.serve import serve_review
    from ubereport.review.desk.shelf import Shelf

    shelf = Shelf(folder, recording or [], models or models_dir())

    def opened(address: str) -> None:
        say(address)
        if not no_browser and not webbrowser.open(address):
            say("No browser could be opened. Open the address above in one on this machine.")

    def rendered(case_folder: Path) -> None:
        rerender_case(case_folder, lambda events: events, None)

    serve_review(shelf, port, opened, rendered)
