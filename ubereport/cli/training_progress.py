"""Progress of training commands on stderr."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from ubereport.cli.console import clock
from ubereport.language.speaking import _

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
        words = _("{done} of {total} {what}", done=done, total=total, what=_(self._what))
        if rate > 0 and done < total:
            words = ", ".join((words, _pace(rate), _left((total - done) / rate)))
        typer.echo(words, err=True)


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
            typer.echo(_("going on after step {step}", step=first), err=True)
        self._is_first = False
        rate = (step - first) / elapsed_s if elapsed_s > 0 else 0.0
        words = _(
            "step {step} of {total}: loss {loss}, {rate} steps/s",
            step=step,
            total=progress.n_steps,
            loss=f"{progress.loss:.4f}",
            rate=f"{rate:.2f}",
        )
        if rate > 0 and step < progress.n_steps:
            words += f", {_left((progress.n_steps - step) / rate)}"
        typer.echo(f"{words}{self._found(progress.validation)}", err=True)

    def _found(self, summary: Summary | None) -> str:
        if summary is None:
            return ""
        self.last = summary
        parts = [
            _(
                "held out ({positive} with blood, {negative} without)",
                positive=summary.n_positive,
                negative=summary.n_negative,
            ),
            _("Dice median {value}", value=_text(summary.dice_median)),
            _("sensitivity {value}", value=_text(summary.sensitivity)),
            _("specificity {value}", value=_text(summary.specificity)),
            _("painted on clean {value}", value=_text(summary.negative_area_mean_frac, 4)),
        ]
        return "; " + ", ".join(parts)


def _pace(rate: float) -> str:
    if rate >= 1:
        return _("{rate} a second", rate=f"{rate:.1f}")
    return _("{duration} s each", duration=f"{1 / rate:.1f}")


def _left(duration_s: float) -> str:
    return _("{time} left", time=clock(duration_s))


def _text(value: float | None, n_decimals: int = 2) -> str:
    return "–" if value is None else f"{value:.{n_decimals}f}"
