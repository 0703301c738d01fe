"""What every kind of drawing has: its numbers, how they look, and the table that says the same.

A kind is one class: frozen numbers, `_draw` and `_numbers`. Strings are drawn as they are given,
shortened to their room; the table has them whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import pairwise
from math import ceil, floor
from typing import ClassVar, TypeVar

import numpy as np

from ubereport.documents.page.blocks import FigureBlock, TableBlock, table_block
from ubereport.documents.page.marks import GRID
from ubereport.documents.page.plot import INK, Axes, FuncFormatter, draw_svg
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import (
    DASH,
    DIRECTION_MARKS,
    clock,
    decimal,
    number_word,
    percent,
    printable,
    short_number,
    shorten,
    span_text,
)
from ubereport.documents.page.timeline import tick_step_s
from ubereport.language.speaking import _

FULL_WIDTH_MM = 178.0
HALF_WIDTH_MM = 87.0
WHITE_BOX = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
T = TypeVar("T")


class Unit(StrEnum):
    """How the numbers of an axis are printed."""

    NUMBER = "number"
    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"

    def text(self, value: float | None) -> str:
        """Print a number as the axis does; a dash where there is none."""
        if value is None or value != value:
            return DASH
        if self is Unit.PERCENT:
            return percent(value)
        if self is Unit.SECONDS:
            return clock(value) if value >= 0 else f"−{clock(-value)}"
        if self is Unit.COUNT:
            return number_word(round(value))
        size = abs(value)
        return decimal(value, 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3)

    def range_text(self, low: float | None, high: float | None) -> str:
        """Print from where to where something reaches; a dash where that is not known."""
        if low is None or high is None:
            return DASH
        return span_text(self.text(low), self.text(high))


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows; fractions are printed as percent under `Unit.PERCENT`.

    `low` and `high` fix the ends; None leaves them to the data.
    """

    label: str
    unit: Unit = Unit.NUMBER
    low: float | None = None
    high: float | None = None

    def set_x(self, axes: Axes) -> None:
        """Set ends, ticks and words of the horizontal axis."""
        axes.set_xlim(self.low, self.high)
        axes.xaxis.set_major_formatter(FuncFormatter(partial(_tick_text, self.unit)))
        if self.unit is Unit.SECONDS:
            low, high = axes.get_xlim()
            step_s = tick_step_s(high - low, 8)
            steps = range(ceil(low / step_s), floor(high / step_s) + 1)
            axes.set_xticks([k * step_s for k in steps])
        axes.set_xlabel(self._words(), labelpad=2)

    def set_y(self, axes: Axes) -> None:
        """Set ends, ticks and words of the vertical axis."""
        axes.set_ylim(self.low, self.high)
        axes.yaxis.set_major_formatter(FuncFormatter(partial(_tick_text, self.unit)))
        # Above the plot and level: a long name fits, and nobody has to tilt the head.
        axes.set_title(self._words(), loc="left", fontsize=7.5, pad=5)
        axes.grid(axis="y", color=GRID, linewidth=0.5)

    def _words(self) -> str:
        suffix = {Unit.PERCENT: " (%)", Unit.SECONDS: f" ({_('min:s')})"}.get(self.unit, "")
        return label_text(self.label, 70) + suffix


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis worth naming, such as 60 s."""

    value: float
    text: str


class Drawing(ABC):
    """One kind of drawing: `svg` draws its numbers, `table` tells them who cannot see it."""

    __slots__ = ()
    max_rows: ClassVar[int] = 60

    def svg(self, figure_id: str, title: str, width_mm: float = FULL_WIDTH_MM) -> str:
        """Draw the numbers `width_mm` wide; the height follows from what there is to draw."""
        return draw_svg(figure_id, title, (width_mm, self._height_mm()), self._draw)

    def block(
        self, figure_id: str, title: str, caption: str, width_mm: float = FULL_WIDTH_MM
    ) -> FigureBlock:
        """Return the drawing with its caption and its table."""
        return FigureBlock(figure_id, caption, self.svg(figure_id, title, width_mm), self.table())

    def table(self) -> TableBlock:
        """Return the numbers; thinned evenly, and said so, beyond `max_rows` rows."""
        whole = self._numbers()
        # Rows from all over and not the first ones: the table must show the whole course.
        n_rows, every = len(whole.rows), max(1, -(-len(whole.rows) // self.max_rows))
        if every == 1:
            return whole
        note = _("Every {every}th of {rows} rows.", every=every, rows=n_rows)
        return replace(whole, rows=whole.rows[::every], note=note)

    @abstractmethod
    def _height_mm(self) -> float: ...

    @abstractmethod
    def _draw(self, canvas: Canvas) -> None: ...

    @abstractmethod
    def _numbers(self) -> TableBlock: ...


def numbers_table(items: Iterable[T], *cells: tuple[str, Callable[[T], str]]) -> TableBlock:
    """Return the table of a drawing that has no words of its own for it."""
    return table_block(_("The figure in numbers"), items, *cells)


def label_text(text: str, n_characters: int = 26) -> str:
    """Return a label that can be drawn, shortened."""
    return shorten(printable(text, DIRECTION_MARKS), n_characters)


def place_axes(
    canvas: Canvas, left_mm: float, bottom_mm: float, right_mm: float, top_mm: float = 7.0
) -> Axes:
    """Place axes with this much room around them."""
    width_mm, height_mm = (float(inches) * 25.4 for inches in canvas.get_size_inches())
    # A half-width figure keeps most of its width for the plot; its labels then come close.
    scale = min(1.0, 0.55 * width_mm / (left_mm + right_mm))
    left_mm, right_mm = scale * left_mm, scale * right_mm
    return canvas.add_axes(
        (
            left_mm / width_mm,
            bottom_mm / height_mm,
            1 - (left_mm + right_mm) / width_mm,
            1 - (bottom_mm + top_mm) / height_mm,
        )
    )


def mark_x(axes: Axes, marks: Sequence[Mark]) -> None:
    """Draw upright lines at places of the horizontal axis, named above the plot."""
    if marks:
        axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=7.5, pad=14)
    for mark in marks:
        axes.axvline(mark.value, color=INK, linewidth=0.6, linestyle="--", zorder=1)
        axes.text(
            mark.value, 1.0, label_text(mark.text), transform=axes.get_xaxis_transform(),
            ha="center", va="bottom", fontsize=6.5,
        )  # fmt: skip


def spread_heights(values: Sequence[float], least: float, top: float) -> list[float]:
    """Move label heights apart so that neighbors keep `least` and none stands above `top`."""
    # From below, each label is pushed up by the one under it; what then stands too high takes the
    # whole pile down with it, so that their order stays that of the values.
    order = np.argsort(values, kind="stable")
    heights = np.asarray(values, dtype=np.float64)
    for before, after in pairwise(order):
        heights[after] = max(heights[after], heights[before] + least)
    excess = max(0.0, float(heights.max(initial=top)) - top)
    return [float(height) - excess for height in heights]


def _tick_text(unit: Unit, value: float, _position: int = 0) -> str:
    if unit is Unit.PERCENT:
        return short_number(100 * value)
    if unit is Unit.SECONDS:
        sign = "−" if value < 0 else ""
        whole = round(abs(value))
        hours = f"{whole // 3600}:{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
        return f"{sign}{hours}:{whole % 60:02d}"
    return short_number(value)
