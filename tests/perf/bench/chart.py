"""Where the time goes, as a drawing: python -m tests.perf.bench.chart RESULTS.json OUT.svg."""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.perf.bench import table
from tests.perf.bench.rows import OURS, Row

# Colorblind-safe (Okabe and Ito), from the first stage to the last.
COLORS = ("#999999", "#56B4E9", "#F0E442", "#0072B2", "#009E73", "#CC79A7", "#D55E00", "#E69F00")


def draw(found: list[Row], minutes: float) -> Figure:
    """Stack the stages of our rows; marks show the floors of the same pictures."""
    ours = [row for row in found if row.name in OURS and row.stage_s]
    stages = list(dict.fromkeys(stage for row in ours for stage in row.stage_s))
    figure = Figure(figsize=(9, 1.6 + 0.55 * len(ours)), layout="constrained")
    axes = figure.subplots()
    names = [f"{row.recording}, {row.name}" for row in ours]
    left = [0.0] * len(ours)
    for stage, color in zip(stages, COLORS, strict=False):
        seconds = [row.stage_s.get(stage, 0.0) for row in ours]
        axes.barh(names, seconds, left=left, color=color, label=stage, height=0.6)
        left = [a + b for a, b in zip(left, seconds, strict=True)]
    for at, row in enumerate(ours):
        for floor in _floors(found, row):
            axes.plot([floor] * 2, [at - 0.38, at + 0.38], color="black", linewidth=1.5)
        axes.text(left[at], at, f"  {60 * minutes / row.wall_s:.0f} × real time", va="center")
    axes.set_xlim(0, 1.2 * max(left))
    axes.invert_yaxis()
    axes.set_xlabel(
        f"seconds for {minutes:g} minutes of recording; black: the same pictures only "
        "decoded, only through the network"
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.28), ncols=4, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _floors(found: list[Row], row: Row) -> list[float]:
    of_row = (r for r in found if r.recording == row.recording and r.name.startswith("floor"))
    return [r.wall_s for r in of_row if r.name.endswith(row.name)]


def main() -> None:
    results, out = Path(sys.argv[1]), Path(sys.argv[2])
    mpl.rcParams.update({"svg.hashsalt": "ubereport", "font.size": 9})
    figure = draw(table.load(results), table.minutes_of(results))
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
