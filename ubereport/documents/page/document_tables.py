"""The numbers of every kind of drawing as a table, for readers who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from ubereport.documents.page.blocks import TableBlock, columns
from ubereport.documents.page.document_types import (
    BarFigure,
    ControlFigure,
    CurveFigure,
    CusumFigure,
    ForestFigure,
    FunnelFigure,
    GroupFigure,
    HistogramFigure,
    ScatterFigure,
    Unit,
)
from ubereport.documents.page.text import clock, decimal, number_word, percent, span_text
from ubereport.language.speaking import _, _p, told

MAX_ROWS = 60
_DASH = "–"


def value_text(value: float | None, unit: Unit) -> str:
    """Print a number as its axis does; a dash where there is none."""
    if value is None or value != value:
        return _DASH
    if unit is Unit.PERCENT:
        return percent(value)
    if unit is Unit.SECONDS:
        return clock(value) if value >= 0 else f"−{clock(-value)}"
    if unit is Unit.COUNT:
        return number_word(round(value))
    size = abs(value)
    return decimal(value, 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3)


def _range_text(low: float | None, high: float | None, unit: Unit) -> str:
    if low is None or high is None:
        return _DASH
    return span_text(value_text(low, unit), value_text(high, unit))


def _table(rows: Sequence[tuple[str, ...]], *heads: str) -> TableBlock:
    # Rows from all over and not the first ones: the table must show the whole course of the figure.
    every = max(1, -(-len(rows) // MAX_ROWS))
    note = _("Every {every}th of {rows} rows.", every=every, rows=len(rows)) if every > 1 else ""
    return TableBlock(_("The figure in numbers"), columns(*heads), tuple(rows[::every]), note)


@singledispatch
def numbers_table(drawing: object) -> TableBlock:
    """Return the numbers of a drawing; thinned evenly, and said so, beyond `MAX_ROWS` rows.

    Raises
    ------
    TypeError
        If `drawing` is none of the kinds in `document_types`.
    """
    raise TypeError(f"{type(drawing).__name__} is no drawing of a document")


@numbers_table.register
def _curves(drawing: CurveFigure) -> TableBlock:
    rows = [
        (
            curve.name,
            value_text(x, drawing.x.unit),
            value_text(y, drawing.y.unit),
            _range_text(curve.low[i], curve.high[i], drawing.y.unit) if curve.low else _DASH,
        )
        for curve in drawing.curves
        for i, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    labels = (f"#{drawing.x.label}", f"#{drawing.y.label}")
    return _table(rows, _("Curve"), *labels, "#" + _("Limits"))


@numbers_table.register
def _groups(drawing: GroupFigure) -> TableBlock:
    unit = drawing.axis.unit
    rows = [
        (
            group.name,
            number_word(len(group.values)),
            value_text(group.center, unit),
            _range_text(group.low, group.high, unit),
            _range_text(min(group.values), max(group.values), unit) if group.values else _DASH,
        )
        for group in drawing.groups
    ]
    names = (f"#{name.capitalize()}" for name in (_("median"), _("quartiles")))
    return _table(rows, _("Group"), "#n", *names, "#" + _("Smallest to largest"))


@numbers_table.register
def _control(drawing: ControlFigure) -> TableBlock:
    unit = drawing.y.unit
    rows = [
        (
            point.label,
            value_text(point.value, unit),
            _range_text(point.lower, point.upper, unit),
            told(point.signal) if point.signal else _p("signal of a point", "none"),
        )
        for point in drawing.points
    ]
    return _table(rows, _("Point"), "#" + _("Value"), "#" + _("Limits"), _("Signal"))


@numbers_table.register
def _funnel(drawing: FunnelFigure) -> TableBlock:
    rows = [
        (
            point.name,
            value_text(point.x, drawing.x.unit),
            value_text(point.y, drawing.y.unit),
            _("outside") if point.is_outside else _("inside"),
        )
        for point in drawing.points
    ]
    labels = (f"#{drawing.x.label}", f"#{drawing.y.label}")
    return _table(rows, _("Name"), *labels, _("Outer limits"))


@numbers_table.register
def _cusum(drawing: CusumFigure) -> TableBlock:
    unit = drawing.y.unit
    rows = [
        (drawing.labels[i] if drawing.labels else str(i + 1), value_text(value, unit))
        for i, value in enumerate(drawing.values)
    ]
    return _table(rows, _("Case"), "#" + _("Cumulative sum"))


@numbers_table.register
def _forest(drawing: ForestFigure) -> TableBlock:
    unit = drawing.axis.unit
    rows = [
        (row.label, value_text(row.value, unit), _range_text(row.low, row.high, unit), row.text)
        for row in drawing.rows
    ]
    return _table(rows, _("Row"), "#" + _("Estimate"), "#" + _("Interval"), _("In words"))


@numbers_table.register
def _bars(drawing: BarFigure) -> TableBlock:
    unit = drawing.axis.unit
    rows = [
        (bar.label, value_text(bar.value, unit), _range_text(bar.low, bar.high, unit))
        for bar in drawing.bars
    ]
    return _table(rows, _("Bar"), f"#{drawing.axis.label}", "#" + _("Interval"))


@numbers_table.register
def _scatter(drawing: ScatterFigure) -> TableBlock:
    rows = [
        (points.name, value_text(x, drawing.x.unit), value_text(y, drawing.y.unit))
        for points in drawing.sets
        for x, y in zip(points.x, points.y, strict=True)
    ]
    return _table(rows, _("Set"), f"#{drawing.x.label}", f"#{drawing.y.label}")


@numbers_table.register
def _histogram(drawing: HistogramFigure) -> TableBlock:
    rows = [
        (_range_text(low, high, drawing.x.unit), number_word(count))
        for low, high, count in zip(drawing.edges, drawing.edges[1:], drawing.counts, strict=False)
    ]
    return _table(rows, drawing.x.label, "#" + _("Count"))
