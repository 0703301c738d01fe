"""Drawings with a named row each: raw values of groups, estimates with intervals, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ubereport.documents.page.blocks import TableBlock
from ubereport.documents.page.drawing import Axis, Drawing, label_text, numbers_table, place_axes
from ubereport.documents.page.marks import BAR_FILL, EVENT_FILL, GRID, MUTED, group_style
from ubereport.documents.page.plot import INK, Axes
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import DASH, number_word
from ubereport.language.speaking import _

_GOLDEN = 0.6180339887498949


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)


@dataclass(frozen=True, slots=True)
class Group:
    """Raw values of one group with its center and interval; None where there is none."""

    name: str
    values: tuple[float, ...]
    center: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class GroupFigure(Drawing):
    """Groups beside each other: every raw point, median and quartiles over them."""

    groups: tuple[Group, ...]
    axis: Axis

    def _height_mm(self) -> float:
        return 16.0 + 15.0 * max(len(self.groups), 1)

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 42.0, 9.5, 5.0, 5.0)
        for row, group in enumerate(self.groups):
            _draw_group(axes, group, row)
        _name_rows(axes, [f"{label_text(g.name, 24)}\n(n = {len(g.values)})" for g in self.groups])
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        self.axis.set_x(axes)
        words = _(
            "Diamond: {center_name}. Bar: {interval_name}.",
            center_name=_("median"),
            interval_name=_("quartiles"),
        )
        axes.set_title(words, loc="right", fontsize=6.5, color=MUTED, pad=3)

    def _numbers(self) -> TableBlock:
        unit = self.axis.unit

        def extremes_text(values: Sequence[float]) -> str:
            return unit.range_text(min(values), max(values)) if values else DASH

        return numbers_table(
            self.groups,
            (_("Group"), lambda group: group.name),
            ("#n", lambda group: number_word(len(group.values))),
            (f"#{_('median').capitalize()}", lambda group: unit.text(group.center)),
            (f"#{_('quartiles').capitalize()}", lambda g: unit.range_text(g.low, g.high)),
            ("#" + _("Smallest to largest"), lambda group: extremes_text(group.values)),
        )


def _draw_group(axes: Axes, group: Group, row: int) -> None:
    style = group_style(row)
    # An even, repeatable scatter; equal values never hide one another.
    offsets = [((k * _GOLDEN) % 1 - 0.5) * 0.44 for k in range(len(group.values))]
    axes.plot(
        sorted(group.values), [row + 0.14 + offset for offset in offsets],
        linestyle="none", marker=style.marker, markersize=3, markerfacecolor="none",
        markeredgecolor=style.color, markeredgewidth=0.7,
    )  # fmt: skip
    at = row - 0.27
    if group.low is not None and group.high is not None:
        axes.plot(
            [group.low, group.high], [at, at], color=INK, linewidth=1.4, solid_capstyle="butt"
        )
    if group.center is not None:
        axes.plot([group.center], [at], marker="D", markersize=5, color=INK)


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One estimate with its interval; None draws nothing and prints `text` alone."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True, slots=True)
class ForestFigure(Drawing):
    """Estimates below each other around a reference (0 for differences, 1 for ratios).

    `sides` say what lies left and right of it.
    """

    rows: tuple[ForestRow, ...]
    axis: Axis
    reference: float = 0.0
    sides: tuple[str, str] = ("", "")

    def _height_mm(self) -> float:
        row_mm = 7.0 if len(self.rows) <= 12 else 5.0
        return 20.0 + row_mm * max(len(self.rows), 1)

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 62.0, 9.5, 46.0, 6.0 if any(self.sides) else 2.0)
        axes.axvline(self.reference, color=INK, linewidth=0.8)
        self._name_sides(axes)
        for row, line in enumerate(self.rows):
            if line.low is not None and line.high is not None:
                axes.plot([line.low, line.high], [row, row], color=EVENT_FILL, linewidth=1.6)
            if line.value is not None:
                # Whole also where it stands on the edge, such as a difference of 0.
                axes.plot(
                    [line.value], [row], marker="s", markersize=5, color=EVENT_FILL, clip_on=False
                )
            axes.text(
                1.02, row, label_text(line.text, 33), transform=axes.get_yaxis_transform(),
                ha="left", va="center", fontsize=7,
            )  # fmt: skip
        _name_rows(axes, [label_text(line.label, 44) for line in self.rows])
        axes.spines["left"].set_visible(False)
        self.axis.set_x(axes)

    def _name_sides(self, axes: Axes) -> None:
        """Write above the plot what lies on either side of the reference."""
        for words, shift_pt, align, arrow in zip(
            self.sides, (-4, 4), ("right", "left"), ("← {}", "{} →"), strict=True
        ):
            if words:
                axes.annotate(
                    arrow.format(label_text(words, 30)), (self.reference, 1.0),
                    xycoords=axes.get_xaxis_transform(), xytext=(shift_pt, 3),
                    textcoords="offset points", ha=align, va="bottom", fontsize=6.5, color=MUTED,
                )  # fmt: skip

    def _numbers(self) -> TableBlock:
        unit = self.axis.unit
        return numbers_table(
            self.rows,
            (_("Row"), lambda row: row.label),
            ("#" + _("Estimate"), lambda row: unit.text(row.value)),
            ("#" + _("Interval"), lambda row: unit.range_text(row.low, row.high)),
            (_("In words"), lambda row: row.text),
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, with an interval where `low` and `high` are given."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarFigure(Drawing):
    """Named bars below each other."""

    bars: tuple[Bar, ...]
    axis: Axis

    def _height_mm(self) -> float:
        return 16.0 + 6.5 * max(len(self.bars), 1)

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 46.0, 9.5, 8.0, 2.0)
        for row, bar in enumerate(self.bars):
            if bar.value is None:
                axes.text(0.0, row, f" {_('not available')}", va="center", fontsize=7, color=MUTED)
                continue
            axes.barh(row, bar.value, height=0.62, facecolor=BAR_FILL, edgecolor=EVENT_FILL, lw=0.7)
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=INK, linewidth=1.3)
        _name_rows(axes, [label_text(bar.label, 34) for bar in self.bars])
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        self.axis.set_x(axes)

    def _numbers(self) -> TableBlock:
        unit = self.axis.unit
        return numbers_table(
            self.bars,
            (_("Bar"), lambda bar: bar.label),
            (f"#{self.axis.label}", lambda bar: unit.text(bar.value)),
            ("#" + _("Interval"), lambda bar: unit.range_text(bar.low, bar.high)),
        )
