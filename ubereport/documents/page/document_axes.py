"""Axes of a document's figures: room, ticks and words for each unit."""

from __future__ import annotations

from functools import partial
from math import ceil, floor

from ubereport.documents.page.document_types import Axis, Unit
from ubereport.documents.page.marks import GRID
from ubereport.documents.page.plot import Axes, FuncFormatter
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import DIRECTION_MARKS, printable, short_number, shorten
from ubereport.documents.page.timeline import tick_step_s
from ubereport.language.speaking import _


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


def _tick_text(unit: Unit, value: float, _position: int = 0) -> str:
    if unit is Unit.PERCENT:
        return short_number(100 * value)
    if unit is Unit.SECONDS:
        sign = "−" if value < 0 else ""
        whole = round(abs(value))
        hours = f"{whole // 3600}:{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
        return f"{sign}{hours}:{whole % 60:02d}"
    return short_number(value)


def _axis_words(axis: Axis) -> str:
    suffix = {Unit.PERCENT: " (%)", Unit.SECONDS: f" ({_('min:s')})"}.get(axis.unit, "")
    return label_text(axis.label, 70) + suffix


def set_x_axis(axes: Axes, axis: Axis) -> None:
    """Set ends, ticks and words of the horizontal axis."""
    axes.set_xlim(axis.low, axis.high)
    axes.xaxis.set_major_formatter(FuncFormatter(partial(_tick_text, axis.unit)))
    if axis.unit is Unit.SECONDS:
        low, high = axes.get_xlim()
        step_s = tick_step_s(high - low, 8)
        axes.set_xticks([k * step_s for k in range(ceil(low / step_s), floor(high / step_s) + 1)])
    axes.set_xlabel(_axis_words(axis), labelpad=2)


def set_y_axis(axes: Axes, axis: Axis) -> None:
    """Set ends, ticks and words of the vertical axis."""
    axes.set_ylim(axis.low, axis.high)
    axes.yaxis.set_major_formatter(FuncFormatter(partial(_tick_text, axis.unit)))
    # Above the plot and level: a long name fits, and nobody has to tilt the head.
    axes.set_title(_axis_words(axis), loc="left", fontsize=7.5, pad=5)
    axes.grid(axis="y", color=GRID, linewidth=0.5)
