"""`ubereport simulate`: a simulated recording with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ubereport.cli.console import JsonOption, print_json, say_rows
from ubereport.cli.guard import guarded
from ubereport.language.speaking import _


@guarded
def simulate(
    out: Annotated[Path, typer.Option(help="Folder that receives the recording and its truth.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same recording.")] = 1,
    minutes: Annotated[float, typer.Option(help="Length in minutes.")] = 3.0,
    json: JsonOption = False,
) -> None:
    """Simulate an irrigated endoscopy: recording.mp4 and truth/{area,events,validity}.csv.

    Example: ubereport simulate --seed 7 --minutes 2 --out simulated
    """
    from ubereport.laboratory.simulation.recording import simulate as simulate_recording

    recording = simulate_recording(seed=seed, minutes=minutes, out_dir=out)
    if json:
        print_json({"parts": [str(p) for p in recording.parts], "truth": str(recording.truth_dir)})
    else:
        parts = [(_("Recording"), part) for part in recording.parts]
        say_rows(*parts, (_("Truth"), recording.truth_dir))
