"""Memory of a long recording: the whole process tree over the run, from its first to its last part.

    python -m tests.perf.long_recording --hours 2 --out /tmp/long

Makes a simulated 1080p recording whose pictures repeat (drawn and encoded once, kept in --out),
analyzes it and prints the proportional set size of `ubereport` and its children over time: the
peak, and the median of each quarter of the measuring stage.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.perf.bench.process import tree_mib
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.recording import simulate


def recording(hours: float, folder: Path) -> Path:
    target = folder / f"{hours:g}h"
    if not (target / "done").exists():
        config = SimulationConfig(
            width_px=1920, height_px=1080, loop_s=20, losses=(), preset="veryfast"
        )
        simulate(77, 60 * hours, target, config)
        (target / "done").touch()
    return next(target.glob("recording*.mp4"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only-make", action="store_true")
    parser.add_argument("options", nargs="*", default=["--sampling", "keyframes"])
    options = parser.parse_args()
    path = recording(options.hours, options.out)
    if options.only_make:
        return
    argv = [sys.executable, "-m", "ubereport", "analyze", str(path), "--out"]
    argv += [str(options.out / "cases"), "--force", *options.options]
    started = time.monotonic()
    running = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: list[tuple[float, float]] = []
    while running.poll() is None:
        seen.append((time.monotonic() - started, tree_mib(running.pid)))
        time.sleep(0.5)
    at_s, mib = np.array(seen).T
    quarters = np.array_split(mib, 4)
    print(f"{options.hours:g} h, {at_s[-1]:.0f} s wall, exit {running.returncode}")
    print(f"peak {mib.max():.0f} MiB at {at_s[mib.argmax()]:.0f} s")
    print("median of each quarter of the run:", *(f"{np.median(q):.0f}" for q in quarters), "MiB")


if __name__ == "__main__":
    main()
