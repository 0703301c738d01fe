"""Make the committed example: three simulated minutes with known truth.

    python examples/make_simulated_case.py [FOLDER]

Writes recording.mp4 and truth/ into FOLDER (examples/simulated_case unless given). What happens is
written down below, so that every number in the example's report can be checked by eye.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.recording import simulate_scenario
from ubereport.laboratory.simulation.scenario import (
    Bleed,
    BleedKind,
    Loss,
    Scenario,
    Tool,
    ToolKind,
    Visit,
)
from ubereport.laboratory.simulation.site import Site

EXAMPLE = Scenario(
    seed=20260315,
    duration_s=180.0,
    config=SimulationConfig(
        width_px=640, height_px=360, rate_hz=25, crf=28, preset="medium", noise_level=1.0
    ),
    visits=(
        Visit(0.0, 44.0, Site.LAMINA, seed=3),
        Visit(44.0, 58.0, Site.MUSCLE, seed=4),  # red, and not blood
        Visit(58.0, 121.0, Site.DRILLING, seed=5),
        Visit(121.0, 180.0, Site.CANAL, seed=8),
    ),
    bleeds=(
        # kind, start, rise, plateau, wash, peak, source x, y, flow, clot, seed
        Bleed(BleedKind.OOZE, 17.0, 4.0, 8.0, 5.0, 0.16, -0.20, 0.05, 0.6, 0.008, 11),
        Bleed(BleedKind.POOL, 62.0, 5.0, 11.0, 6.0, 0.38, 0.05, 0.10, 1.2, 0.010, 12),
        Bleed(BleedKind.RIVULET, 97.0, 3.0, 6.0, 4.0, 0.20, 0.05, 0.10, 2.2, 0.010, 13),
        Bleed(BleedKind.RED_OUT, 124.0, 4.0, 9.0, 6.0, 0.90, -0.10, -0.10, 0.3, 0.006, 14),
        Bleed(BleedKind.PLUME, 149.0, 2.5, 5.0, 3.5, 0.14, 0.20, -0.15, 2.6, 0.004, 15),
    ),
    losses=(
        Loss(0.0, 5.0, LossReason.OUT_OF_BODY, seed=3),  # a drape
        Loss(40.0, 44.0, LossReason.OUT_OF_BODY, seed=1),  # gauze
        Loss(88.0, 92.0, LossReason.BLURRED, seed=1),
        Loss(117.0, 121.0, LossReason.BLACK, seed=1),
    ),
    tools=(
        Tool(ToolKind.SHAVER, 7.0, 14.0, (Interval(8.5, 12.5),), 0.15, 0.0, 0.4),
        Tool(ToolKind.RF_PROBE, 25.0, 36.0, (Interval(27.0, 34.0),), -0.15, 0.05, 0.2),
        Tool(ToolKind.RF_PROBE, 46.0, 56.0, (Interval(48.0, 54.0),), 0.10, 0.10, 0.7),
        Tool(ToolKind.RF_PROBE, 72.0, 86.0, (Interval(74.0, 84.0),), 0.10, 0.10, -0.3),
        Tool(ToolKind.RF_PROBE, 103.0, 112.0, (Interval(104.5, 110.0),), 0.10, 0.10, -0.2),
        Tool(ToolKind.RF_PROBE, 132.0, 144.0, (Interval(133.5, 142.0),), -0.05, -0.05, 0.5),
        Tool(ToolKind.RF_PROBE, 154.0, 162.0, (Interval(155.5, 160.0),), 0.20, -0.10, 0.1),
    ),
)


def main(folder: Path) -> None:
    recording = simulate_scenario(EXAMPLE, folder)
    size_mb = recording.parts[0].stat().st_size / 1e6
    print(f"{recording.parts[0]}: {recording.n_frames} pictures, {size_mb:.2f} MB")
    for event in recording.truth.events:
        clear = "not seen" if event.clear_s is None else f"{event.clear_s:.1f} s"
        print(f"onset {event.onset_s:.1f} s, clear {clear}, peak {event.peak_area_frac:.1%}")


if __name__ == "__main__":
    beside = Path(__file__).parent / "simulated_case"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else beside)
