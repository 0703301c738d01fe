"""The example recording: the one of the checkout, or one simulated afresh where there is none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ubereport
from ubereport.laboratory.simulation.recording import simulate

EXAMPLE = Path("examples") / "simulated_case" / "recording.mp4"
DEMO_SEED = 7
DEMO_MINUTES = 1.0


@contextmanager
def demo_recording() -> Iterator[Path]:
    """Give the path of the example recording; an installed wheel simulates a short one."""
    committed = Path(ubereport.__file__).resolve().parents[1] / EXAMPLE
    if committed.is_file():
        yield committed
        return
    with tempfile.TemporaryDirectory(prefix="ubereport-demo-") as scratch:
        yield simulate(seed=DEMO_SEED, minutes=DEMO_MINUTES, out_dir=Path(scratch)).parts[0]
