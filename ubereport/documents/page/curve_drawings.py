"""Drawings over two number axes: curves with who is at risk, points, counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.documents.page.blocks import TableBlock
from ubereport.documents.page.drawing import (
    Axis,
    Drawing,
    Mark,
    Unit,
    label_text,
    mark_x,
    numbers_table,
    place_axes,
    spread_heights,
)
from ubereport.documents.page.marks import BAR_FILL, EVENT_FILL, MUTED, group_style
from ubereport.documents.page.plot import INK, Axes, MaxNLocator
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import DASH, number_word
from ubereport.language.speaking import _


@dataclass(frozen=True, slots=True)
class Curve:
    """One named line; `low` and `high` shade around it, `censored` are x with upright ticks."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    censored: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class AtRiskRow:
    """How many are still observed at each `at_risk_x` of a `CurveFigure`."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CurveFigure(Drawing):
    """Lines or steps, such as Kaplan–Meier curves with the numbers at risk below."""

    curves: tuple[Curve, ...]
    x: Axis
    y: Axis
    is_step: bool = True
    marks: tuple[Mark, ...] = ()
    at_risk_x: tuple[float, ...] = ()
    at_risk: tuple[AtRiskRow, ...] = ()

    def _height_mm(self) -> float:
        return 62.0 + 4.0 * len(self.at_risk)

    def _draw(self, canvas: Canvas) -> None:
        left_mm, bottom_mm = 12.0, 10.0
        if self.at_risk:
            left_mm, bottom_mm = 36.0, 14.0 + 4.0 * len(self.at_risk)
        axes = place_axes(canvas, left_mm, bottom_mm, 40.0, 11.0)
        for number, curve in enumerate(self.curves):
            _draw_curve(axes, curve, number, self.is_step)
        self.x.set_x(axes)
        self.y.set_y(axes)
        mark_x(axes, self.marks)
        _name_curves(axes, self.curves)
        for row, at_risk in enumerate(self.at_risk):
            _write_at_risk(axes, self.at_risk_x, at_risk, row)

    def _numbers(self) -> TableBlock:
        x, y = self.x.unit, self.y.unit
        places = [(curve, i) for curve in self.curves for i in range(len(curve.x))]
        return numbers_table(
            places,
            (_("Curve"), lambda at: at[0].name),
            (f"#{self.x.label}", lambda at: x.text(at[0].x[at[1]])),
            (f"#{self.y.label}", lambda at: y.text(at[0].y[at[1]])),
            ("#" + _("Limits"), lambda at: _limits_text(*at, y)),
        )


def _limits_text(curve: Curve, i: int, unit: Unit) -> str:
    return unit.range_text(curve.low[i], curve.high[i]) if curve.low else DASH


def _draw_curve(axes: Axes, curve: Curve, number: int, is_step: bool) -> None:
    style = group_style(number)
    if curve.low and curve.high:
        axes.fill_between(
            curve.x, curve.low, curve.high, step="post" if is_step else None,
            facecolor=style.color, alpha=0.13, linewidth=0,
        )  # fmt: skip
    axes.plot(
        curve.x, curve.y, color=style.color, linestyle=style.line, linewidth=1.5,
        drawstyle="steps-post" if is_step else "default",
    )  # fmt: skip
    if curve.censored:
        rows = np.searchsorted(curve.x, curve.censored, side="right") - 1
        heights = [curve.y[max(int(row), 0)] for row in rows]
        axes.plot(
            curve.censored, heights, linestyle="none", marker="|", markersize=6, color=style.color
        )


def _name_curves(axes: Axes, curves: Sequence[Curve]) -> None:
    # Named where they end, a piece of the line before each name: names that were moved apart still
    # say whose they are, also in gray print.
    ends = [curve.y[-1] if curve.y else 0.0 for curve in curves]
    low, high = axes.get_ylim()
    place = axes.get_yaxis_transform()
    for number, height in enumerate(spread_heights(ends, 0.085 * (high - low), high)):
        style = group_style(number)
        axes.plot(
            [1.012, 1.045], [height, height], transform=place, clip_on=False,
            color=style.color, linestyle=style.line, linewidth=1.5,
        )  # fmt: skip
        axes.text(
            1.055, height, label_text(curves[number].name), transform=place, ha="left",
            va="center", fontsize=7,
        )  # fmt: skip


def _write_at_risk(axes: Axes, at: Sequence[float], at_risk: AtRiskRow, row: int) -> None:
    offset_pt = -30.0 - 11.0 * row
    place = axes.get_xaxis_transform()
    axes.annotate(
        label_text(at_risk.name), (0, 0), xytext=(-22, offset_pt), xycoords="axes fraction",
        textcoords="offset points", ha="right", va="center", fontsize=6.5, color=MUTED,
    )  # fmt: skip
    for x, count in zip(at, at_risk.counts, strict=True):
        axes.annotate(
            str(count), (x, 0), xytext=(0, offset_pt), xycoords=place,
            textcoords="offset points", ha="center", va="center", fontsize=7,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointSet:
    """Points of one kind in a scatter plot."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScatterFigure(Drawing):
    """Points of one or several kinds, with lines such as equality or limits of agreement."""

    sets: tuple[PointSet, ...]
    x: Axis
    y: Axis
    lines: tuple[Curve, ...] = ()

    def _height_mm(self) -> float:
        return 72.0

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 36.0)
        for number, points in enumerate(self.sets):
            style = group_style(number)
            axes.plot(
                points.x, points.y, linestyle="none", marker=style.marker, markersize=3.6,
                markerfacecolor="none", markeredgecolor=style.color, markeredgewidth=0.8,
                label=label_text(points.name, 22),
            )  # fmt: skip
        for number, line in enumerate(self.lines):
            pattern = ("-", "--", ":", "-.")[number % 4]
            axes.plot(line.x, line.y, color=INK, linewidth=0.8, linestyle=pattern,
                      label=label_text(line.name, 22))  # fmt: skip
        self.x.set_x(axes)
        self.y.set_y(axes)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=7, borderaxespad=0
        )

    def _numbers(self) -> TableBlock:
        points = [(s.name, *xy) for s in self.sets for xy in zip(s.x, s.y, strict=True)]
        return numbers_table(
            points,
            (_("Set"), lambda point: point[0]),
            (f"#{self.x.label}", lambda point: self.x.unit.text(point[1])),
            (f"#{self.y.label}", lambda point: self.y.unit.text(point[2])),
        )


@dataclass(frozen=True, slots=True)
class HistogramFigure(Drawing):
    """Counts between edges; there is one edge more than there are counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    x: Axis
    marks: tuple[Mark, ...] = ()

    def _height_mm(self) -> float:
        return 52.0

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 5.0, 11.0)
        axes.bar(
            self.edges[:-1], self.counts, width=np.diff(self.edges), align="edge",
            facecolor=BAR_FILL, edgecolor=EVENT_FILL, linewidth=0.6,
        )  # fmt: skip
        self.x.set_x(axes)
        Axis(_("Count"), Unit.COUNT, low=0.0).set_y(axes)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        mark_x(axes, self.marks)

    def _numbers(self) -> TableBlock:
        bins = zip(self.edges, self.edges[1:], self.counts, strict=False)
        return numbers_table(
            bins,
            (self.x.label, lambda b: self.x.unit.range_text(b[0], b[1])),
            ("#" + _("Count"), lambda b: number_word(b[2])),
        )
