"""Draw what training told about itself: python curves.py RUNS OUT.svg NAME...

Reads what every run keeps in its checkpoint: the loss of every tenth step and, where it was looked
at, the median Dice of held-out stills before any calibration.
"""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ubereport.laboratory.training.weights import read_checkpoint

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#000000")


def main() -> None:
    runs, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    mpl.rcParams.update({"svg.hashsalt": "ubereport", "font.size": 9})
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, dices = figure.subplots(1, 2)
    for name, color in zip(names, COLORS, strict=False):
        state = read_checkpoint(runs / name / "checkpoint")
        if state is None:
            sys.exit(f"{name} was not trained in {runs}.")
        rows = state.history
        losses.plot([r["step"] for r in rows], [r["loss"] for r in rows], color=color, lw=1)
        seen = [r for r in rows if r["validation"]]
        dices.plot(
            [r["step"] for r in seen],
            [r["validation"]["dice_median"] for r in seen],
            color=color,
            marker="o",
            markersize=3,
            label=name.removeprefix("ablation-"),
        )
    losses.set(xlabel="step", ylabel="training loss, mean of ten steps")
    dices.set(xlabel="step", ylabel="median Dice, held-out stills with blood", ylim=(0, None))
    dices.legend(frameon=False, fontsize=8)
    for axes in (losses, dices):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
