"""Drawings of cases in order and of people side by side: control charts, funnels, running sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from ubereport.documents.page.blocks import TableBlock
from ubereport.documents.page.drawing import (
    WHITE_BOX,
    Axis,
    Drawing,
    label_text,
    numbers_table,
    place_axes,
    spread_heights,
)
from ubereport.documents.page.marks import BLOOD_DARK, EVENT_FILL, MUTED, group_style
from ubereport.documents.page.plot import INK, Axes, MaxNLocator, MplPath, PathPatch
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.language.speaking import N_, _, _p, localized, told

_MAX_MARKS = 150
_SIGNAL_ORDER = {"outside a limit": 0, "run on one side": 1, "trend": 2, "2 of 3 near a limit": 3}


@dataclass(frozen=True, slots=True)
class ControlMark:
    """One point of a control chart; `signal` names why it stands out, empty where it does not.

    `at` places it on a real axis, such as days; None for its number in order.
    """

    label: str
    value: float
    lower: float | None = None
    upper: float | None = None
    signal: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ControlFigure(Drawing):
    """Points in order with center and limits; trial limits are drawn fainter and named so."""

    points: tuple[ControlMark, ...]
    center: float | None
    y: Axis
    order_name: str = N_("cases in order of operation")
    is_trial: bool = False

    def _height_mm(self) -> float:
        return 64.0

    def _draw(self, canvas: Canvas) -> None:
        at = self._places()
        axes = place_axes(canvas, 12.0, 10.0, 22.0)
        levels = self._draw_limits(axes, at)
        if self.center is not None:
            axes.axhline(self.center, color=INK, linewidth=0.9)
            levels.append((self.center, _("center")))
        values = [point.value for point in self.points]
        axes.plot(at, values, color=MUTED, linewidth=0.8)
        _draw_dots(axes, at, values, 2.6, MUTED)
        self._draw_signals(axes, at)
        margin = 0.5 if len(at) < 2 else max(0.5, 0.012 * (at[-1] - at[0]))
        axes.set_xlim(at[0] - margin if at else 0.5, at[-1] + margin if at else 1.5)
        self.y.set_y(axes)
        _name_right(axes, levels)
        _label_order(axes, at, [point.label for point in self.points])
        axes.set_xlabel(label_text(_(self.order_name), 60), labelpad=2)

    def _draw_limits(self, axes: Axes, at: Sequence[float]) -> list[tuple[float, str]]:
        """Draw both limits and return the height of each at its end, with its name."""
        levels = []
        names = (_("lower limit"), _("upper limit"))
        if self.is_trial:
            names = (_("lower limit (trial)"), _("upper limit (trial)"))
        sides = zip(*((p.lower, p.upper) for p in self.points), strict=True)
        for limits, name in zip(sides, names, strict=False):
            line = [np.nan if limit is None else limit for limit in limits]
            style = ":" if self.is_trial else "--"
            axes.step(at, line, where="mid", color=INK, linewidth=0.8, linestyle=style)
            if np.isfinite(line[-1]):
                levels.append((line[-1], name))
        return levels

    def _places(self) -> list[float]:
        """Where the points stand: their own places where all have one, else their order.

        Points of one place (cases of one day) are set side by side.
        """
        own = [point.at for point in self.points]
        if any(place is None for place in own):
            return [float(number) for number in range(1, len(own) + 1)]
        n_same: dict[float, int] = {}
        places = []
        for place in (float(place or 0.0) for place in own):
            places.append(place + 0.25 * n_same.get(place, 0))
            n_same[place] = n_same.get(place, 0) + 1
        return places

    def _draw_signals(self, axes: Axes, at: Sequence[float]) -> None:
        # A mark means the same on every chart of a page, whatever else stands out there.
        kinds = sorted({point.signal for point in self.points if point.signal})
        for kind in kinds:
            style = group_style(1 + _SIGNAL_ORDER.get(kind, len(_SIGNAL_ORDER)) % 4)
            marks = [(x, p.value) for x, p in zip(at, self.points, strict=True) if p.signal == kind]
            axes.plot(
                *zip(*marks, strict=True), linestyle="none", marker=style.marker, markersize=6.5,
                markerfacecolor="none", markeredgewidth=1.4, markeredgecolor=style.color,
                label=label_text(told(kind), 40), zorder=4,
            )  # fmt: skip
        if kinds:
            axes.legend(
                loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=4, frameon=False, fontsize=6.5,
                handletextpad=0.2, columnspacing=1.2, borderaxespad=0,
            )  # fmt: skip

    def _numbers(self) -> TableBlock:
        unit = self.y.unit
        none = _p("signal of a point", "none")
        return numbers_table(
            self.points,
            (_("Point"), lambda point: point.label),
            ("#" + _("Value"), lambda point: unit.text(point.value)),
            ("#" + _("Limits"), lambda point: unit.range_text(point.lower, point.upper)),
            (_("Signal"), lambda point: told(point.signal) if point.signal else none),
        )


def _draw_dots(
    axes: Axes, x: Sequence[float], y: Sequence[float], size_pt: float, color: str
) -> None:
    """Draw a dot at each point; very many as one path, which prints and opens far faster."""
    if len(x) <= _MAX_MARKS:
        axes.plot(x, y, linestyle="none", color=color, marker="o", markersize=size_pt)
        return
    # A stroke of no length with round ends is a dot.
    ends = np.repeat(np.column_stack([x, y]), 2, axis=0)
    path = MplPath(ends, [MplPath.MOVETO, MplPath.LINETO] * len(x))
    axes.add_patch(
        PathPatch(path, facecolor="none", edgecolor=color, linewidth=size_pt, capstyle="round")
    )


def _name_right(axes: Axes, levels: Sequence[tuple[float, str]]) -> None:
    """Name levels right of a plot whose heights are set; names of near levels stand apart."""
    low, high = axes.get_ylim()
    heights = spread_heights([height for height, _name in levels], 0.055 * (high - low), high)
    for height, (_level, name) in zip(heights, levels, strict=True):
        axes.text(
            1.01, height, fill(name, 20), transform=axes.get_yaxis_transform(), ha="left",
            va="center", fontsize=6.5, linespacing=1.0,
        )  # fmt: skip


def _label_order(axes: Axes, at: Sequence[float], labels: Sequence[str]) -> None:
    """Label the points that stand about evenly over the axis, eight at most, none touching."""
    if not at:
        return
    # Cases cluster in time: labels of every so-manyth case would lie on one another. Of the cases
    # nearest to even places those are labelled that leave a ninth of the axis free.
    even_places = np.linspace(at[0], at[-1], min(8, len(at)))
    nearest = sorted({int(np.argmin(np.abs(np.asarray(at) - place))) for place in even_places})
    least = (at[-1] - at[0]) / 8.5
    rows: list[int] = []
    for row in nearest:
        if not rows or at[row] - at[rows[-1]] >= least:
            rows.append(row)
    axes.set_xticks([at[row] for row in rows])
    axes.set_xticklabels([label_text(labels[row], 12) for row in rows])


@dataclass(frozen=True, slots=True)
class FunnelMark:
    """One point of a funnel, named by pseudonym."""

    name: str
    x: float
    y: float
    is_outside: bool = False


@dataclass(frozen=True, slots=True)
class FunnelFigure(Drawing):
    """Points against their precision with inner (95 %) and outer (99.8 %) limits around a target.

    `limit_x` and the four limits have one length.
    """

    points: tuple[FunnelMark, ...]
    target: float | None
    limit_x: tuple[float, ...]
    inner_low: tuple[float, ...]
    inner_high: tuple[float, ...]
    outer_low: tuple[float, ...]
    outer_high: tuple[float, ...]
    x: Axis
    y: Axis

    def _height_mm(self) -> float:
        return 70.0

    def _draw(self, canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 22.0)
        levels = []
        for limits, line, name in (
            (self.inner_high, "--", "95 %"),
            (self.inner_low, "--", "95 %"),
            (self.outer_high, "-.", localized("99.8 %")),
            (self.outer_low, "-.", localized("99.8 %")),
        ):
            axes.plot(self.limit_x, limits, color=INK, linewidth=0.8, linestyle=line)
            if limits:
                levels.append((limits[-1], name))
        if self.target is not None:
            axes.axhline(self.target, color=INK, linewidth=0.9)
            levels.append((self.target, _("target")))
        for point in self.points:
            axes.plot(
                point.x, point.y, marker="s" if point.is_outside else "o", markersize=5,
                markerfacecolor=BLOOD_DARK if point.is_outside else "white",
                markeredgecolor=BLOOD_DARK if point.is_outside else EVENT_FILL, zorder=4,
            )  # fmt: skip
            axes.annotate(
                label_text(point.name, 14), (point.x, point.y), xytext=(4, 3),
                textcoords="offset points", fontsize=6.5, bbox=WHITE_BOX,
            )  # fmt: skip
        self.x.set_x(axes)
        self.y.set_y(axes)
        _name_right(axes, levels)
        if self.limit_x:
            axes.set_xlim(self.x.low, self.x.high or self.limit_x[-1])

    def _numbers(self) -> TableBlock:
        return numbers_table(
            self.points,
            (_("Name"), lambda point: point.name),
            (f"#{self.x.label}", lambda point: self.x.unit.text(point.x)),
            (f"#{self.y.label}", lambda point: self.y.unit.text(point.y)),
            (_("Outer limits"), lambda point: _("outside") if point.is_outside else _("inside")),
        )


@dataclass(frozen=True, slots=True)
class CusumFigure(Drawing):
    """A cumulative sum over cases.

    `turning_index` is the 0-based case farthest from zero, None where none is named. `labels`
    name the cases, empty for their numbers.
    """

    values: tuple[float, ...]
    y: Axis
    fitted: tuple[float, ...] = ()
    turning_index: int | None = None
    labels: tuple[str, ...] = ()

    def _height_mm(self) -> float:
        return 58.0

    def _draw(self, canvas: Canvas) -> None:
        at = list(range(1, len(self.values) + 1))
        axes = place_axes(canvas, 12.0, 9.5, 5.0)
        axes.axhline(0.0, color=INK, linewidth=0.6)
        axes.plot(at, self.values, color=EVENT_FILL, linewidth=1.3)
        _draw_dots(axes, at, self.values, 2.4, EVENT_FILL)
        if self.fitted:
            axes.plot(at, self.fitted, color=BLOOD_DARK, linewidth=1.0, linestyle="--")
        if self.turning_index is not None:
            x, y = at[self.turning_index], self.values[self.turning_index]
            axes.plot(x, y, marker="D", markersize=6, markerfacecolor="white", color=INK)
            axes.annotate(
                _("case {x}", x=x), (x, y), xytext=(0, 7), textcoords="offset points", ha="center",
                fontsize=7, bbox=WHITE_BOX,
            )  # fmt: skip
        axes.margins(y=0.14)  # room for the name of the turning point under the title
        self.y.set_y(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(_("case"), labelpad=2)

    def _numbers(self) -> TableBlock:
        labels = self.labels or tuple(str(number) for number in range(1, len(self.values) + 1))
        return numbers_table(
            zip(labels, self.values, strict=True),
            (_("Case"), lambda case: case[0]),
            ("#" + _("Cumulative sum"), lambda case: self.y.unit.text(case[1])),
        )
