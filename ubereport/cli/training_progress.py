"""Progress of training commands on stderr."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from ubereport.cli.console import clock

if TYPE_CHECKING:
    from ubereport.laboratory.training.loop import Progress
    from ubereport.laboratory.training.scoring import Summary


class Count:
    """A line every few seconds of how many things were looked at, how fast, and the time left.

    A run that goes on starts with what was done before; that part does not count for the rate.
    """

    every_s = 5.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._started_s: float | None = None
        self._first = 0
        self._next_s = self.every_s

    def __call__(self, done: int, total: int) -> None:
        """Tell, where it is time to, that `done` of `total` are done."""
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s, self._first = now_s, done
        elapsed_s = now_s - self._started_s
        if elapsed_s < self._next_s and done < total:
            return
        self._next_s = elapsed_s + self.every_s
        rate = (done - self._first) / elapsed_s if elapsed_s > 0 else 0.0
        pace = f", {_pace(rate)}, {clock((total - done) / rate)} left" if rate > 0 else ""
        typer.echo(f"{done} of {total} {self._what}{'' if done == total else pace}", err=True)


class Steps:
    """A line a look: loss, rate, time left, and what validation found."""

    def __init__(self) -> None:
        self.last: Summary | None = None
        self._is_first = True

    def __call__(self, progress: Progress) -> None:
        """Tell where a run stands."""
        step, elapsed_s = progress.step, progress.elapsed_s
        # Of a run that goes on, only the steps of this process count for the rate.
        first = progress.first_step
        if self._is_first and first > 0:
            typer.echo(f"going on after step {first}", err=True)
        self._is_first = False
        rate = (step - first) / elapsed_s if elapsed_s > 0 else 0.0
        left = f", {clock((progress.n_steps - step) / rate)} left" if rate > 0 else ""
        typer.echo(
            f"step {step} of {progress.n_steps}: loss {progress.loss:.4f}, {rate:.2f} steps/s"
            f"{left if step < progress.n_steps else ''}{self._found(progress.validation)}",
            err=True,
        )

    def _found(self, summary: Summary | None) -> str:
        if summary is None:
            return ""
        self.last = summary
        parts = [
            f"held out ({summary.n_positive} with blood, {summary.n_negative} without)",
            f"Dice median {_text(summary.dice_median)}",
            f"sensitivity {_text(summary.sensitivity)}",
            f"specificity {_text(summary.specificity)}",
            f"painted on clean {_text(summary.negative_area_mean_frac, 4)}",
        ]
        return "; " + ", ".join(parts)


def _pace(rate: float) -> str:
    return f"{rate:.1f} a second" if rate >= 1 else f"{1 / rate:.1f} s each"


def _text(value: float | None, n_decimals: int = 2) -> str:
    return "–" if value is None else f"{value:.{n_decimals}f}"
