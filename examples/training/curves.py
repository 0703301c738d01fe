"""Draw what training told about itself: python curves.py RUNS OUT.svg NAME...

Reads ``RUNS/NAME/curve.csv`` as ``ablate.py`` keeps it: the loss of every tenth step and, where it
was looked at, the median Dice of held-out stills before any calibration.
"""

import csv
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#000000")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    runs, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    mpl.rcParams.update({"svg.hashsalt": "ubereport", "font.size": 9})
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, dices = figure.subplots(1, 2)
    for name, color in zip(names, COLORS, strict=False):
        rows = read(runs / name / "curve.csv")
        title = name.removeprefix("ablation-")
        losses.plot(
            [int(r["step"]) for r in rows], [float(r["loss"]) for r in rows], color=color, lw=1
        )
        seen = [r for r in rows if r["held_out_dice_median"]]
        dices.plot(
            [int(r["step"]) for r in seen],
            [float(r["held_out_dice_median"]) for r in seen],
            color=color,
            marker="o",
            markersize=3,
            label=title,
        )
    losses.set(xlabel="step", ylabel="training loss, mean of ten steps")
    dices.set(xlabel="step", ylabel="median Dice, held-out stills with blood", ylim=(0, None))
    dices.legend(frameon=False, fontsize=8)
    for axes in (losses, dices):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
