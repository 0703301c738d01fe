"""How the drawings of a document look: one function a kind, gray-proof, labels at the marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from itertools import pairwise
from textwrap import fill

import numpy as np

from ubereport.documents.page.document_axes import label_text, place_axes, set_x_axis, set_y_axis
from ubereport.documents.page.document_types import (
    Axis,
    BarFigure,
    ControlFigure,
    Curve,
    CurveFigure,
    CusumFigure,
    Drawing,
    ForestFigure,
    FunnelFigure,
    GroupFigure,
    HistogramFigure,
    Mark,
    ScatterFigure,
    Unit,
)
from ubereport.documents.page.marks import BLOOD_DARK, EVENT_FILL, GRID, GROUP_STYLES, MUTED
from ubereport.documents.page.plot import (
    INK,
    Axes,
    MaxNLocator,
    MplPath,
    PathPatch,
    draw_svg,
)
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.language.speaking import _, localized, told

FULL_WIDTH_MM = 178.0
HALF_WIDTH_MM = 87.0
_BOX = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
_GOLDEN = 0.6180339887498949
_MAX_MARKS = 150
_SIGNAL_ORDER = {"outside a limit": 0, "run on one side": 1, "trend": 2, "2 of 3 near a limit": 3}


def drawing_svg(figure_id: str, title: str, drawing: Drawing, width_mm: float) -> str:
    """Draw one figure of a document `width_mm` wide; its height follows from what it holds.

    Raises
    ------
    TypeError
        If `drawing` is none of the kinds in `document_types`.
    """
    height_mm, draw = _plan(drawing)
    return draw_svg(figure_id, title, (width_mm, height_mm), draw)


@singledispatch
def _plan(drawing: object) -> tuple[float, Callable[[Canvas], None]]:
    raise TypeError(f"{type(drawing).__name__} is no drawing of a document")


def _spread(values: Sequence[float], least: float, top: float) -> list[float]:
    """Move label heights apart so that neighbors keep `least` and none stands above `top`."""
    order = np.argsort(values, kind="stable")
    placed = np.asarray(values, dtype=np.float64)
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + least)
    excess = max(0.0, float(placed.max(initial=top)) - top)
    return [float(height) - excess for height in placed]


def _mark_x(axes: Axes, marks: Sequence[Mark]) -> None:
    if marks:
        axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=7.5, pad=14)
    for mark in marks:
        axes.axvline(mark.value, color=INK, linewidth=0.6, linestyle="--", zorder=1)
        axes.text(
            mark.value,
            1.0,
            label_text(mark.text),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=6.5,
        )


@_plan.register
def _curves(drawing: CurveFigure) -> tuple[float, Callable[[Canvas], None]]:
    risk_mm = 4.0 * len(drawing.at_risk)

    def draw(canvas: Canvas) -> None:
        bottom_mm = 10.0 + (risk_mm + 4.0 if risk_mm else 0.0)
        axes = place_axes(canvas, 36.0 if risk_mm else 12.0, bottom_mm, 40.0, 11.0)
        for number, curve in enumerate(drawing.curves):
            _draw_curve(axes, curve, number, drawing.is_step)
        set_x_axis(axes, drawing.x)
        set_y_axis(axes, drawing.y)
        _mark_x(axes, drawing.marks)
        _name_curves(axes, drawing.curves)
        for row, at_risk in enumerate(drawing.at_risk):
            _write_at_risk(axes, drawing.at_risk_x, at_risk.name, at_risk.counts, row)

    return 62.0 + risk_mm, draw


def _draw_curve(axes: Axes, curve: Curve, number: int, is_step: bool) -> None:
    style = GROUP_STYLES[number % len(GROUP_STYLES)]
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
    ends = [curve.y[-1] if curve.y else 0.0 for curve in curves]
    low, high = axes.get_ylim()
    for number, height in enumerate(_spread(ends, 0.085 * (high - low), high)):
        style = GROUP_STYLES[number % len(GROUP_STYLES)]
        axes.plot(
            [1.012, 1.045], [height, height], transform=axes.get_yaxis_transform(), clip_on=False,
            color=style.color, linestyle=style.line, linewidth=1.5,
        )  # fmt: skip
        axes.text(
            1.055, height, label_text(curves[number].name), transform=axes.get_yaxis_transform(),
            ha="left", va="center", fontsize=7,
        )  # fmt: skip


def _write_at_risk(
    axes: Axes, at: Sequence[float], name: str, counts: Sequence[int], row: int
) -> None:
    offset_pt = -30.0 - 11.0 * row
    place = axes.get_xaxis_transform()
    axes.annotate(
        label_text(name), (0, 0), xytext=(-22, offset_pt), xycoords="axes fraction",
        textcoords="offset points", ha="right", va="center", fontsize=6.5, color=MUTED,
    )  # fmt: skip
    for x, count in zip(at, counts, strict=True):
        axes.annotate(
            str(count), (x, 0), xytext=(0, offset_pt), xycoords=place,
            textcoords="offset points", ha="center", va="center", fontsize=7,
        )  # fmt: skip


@_plan.register
def _groups(drawing: GroupFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 42.0, 9.5, 5.0, 5.0)
        for row, group in enumerate(drawing.groups):
            style = GROUP_STYLES[row % len(GROUP_STYLES)]
            # An even, repeatable scatter; equal values never hide one another.
            offsets = [((k * _GOLDEN) % 1 - 0.5) * 0.44 for k in range(len(group.values))]
            axes.plot(
                sorted(group.values), [row + 0.14 + offset for offset in offsets],
                linestyle="none", marker=style.marker, markersize=3, markerfacecolor="none",
                markeredgecolor=style.color, markeredgewidth=0.7,
            )  # fmt: skip
            _draw_center(axes, group.center, group.low, group.high, row - 0.27)
        axes.set_yticks(range(len(drawing.groups)))
        names = [f"{label_text(g.name, 24)}\n(n = {len(g.values)})" for g in drawing.groups]
        axes.set_yticklabels(names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(drawing.groups) - 0.4, -0.6)
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        set_x_axis(axes, drawing.axis)
        words = _(
            "Diamond: {center_name}. Bar: {interval_name}.",
            center_name=_("median"),
            interval_name=_("quartiles"),
        )
        axes.set_title(words, loc="right", fontsize=6.5, color=MUTED, pad=3)

    return 16.0 + 15.0 * max(len(drawing.groups), 1), draw


def _draw_center(
    axes: Axes, center: float | None, low: float | None, high: float | None, at: float
) -> None:
    if low is not None and high is not None:
        axes.plot([low, high], [at, at], color=INK, linewidth=1.4, solid_capstyle="butt")
    if center is not None:
        axes.plot([center], [at], marker="D", markersize=5, color=INK)


@_plan.register
def _control(drawing: ControlFigure) -> tuple[float, Callable[[Canvas], None]]:
    at = _places(drawing)

    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 10.0, 22.0)
        values = [point.value for point in drawing.points]
        names = []
        for name in ("lower", "upper"):
            limits = [getattr(point, name) for point in drawing.points]
            line = [np.nan if limit is None else limit for limit in limits]
            axes.step(
                at, line, where="mid", color=INK, linewidth=0.8,
                linestyle=":" if drawing.is_trial else "--",
            )  # fmt: skip
            if line and np.isfinite(line[-1]):
                names.append((line[-1], _limit_name(name, is_trial=drawing.is_trial)))
        if drawing.center is not None:
            axes.axhline(drawing.center, color=INK, linewidth=0.9)
            names.append((drawing.center, _("center")))
        axes.plot(at, values, color=MUTED, linewidth=0.8)
        _draw_dots(axes, at, values, 2.6, MUTED)
        _draw_signals(axes, at, drawing)
        margin = 0.5 if len(at) < 2 else max(0.5, 0.012 * (at[-1] - at[0]))
        axes.set_xlim(at[0] - margin if at else 0.5, at[-1] + margin if at else 1.5)
        set_y_axis(axes, drawing.y)
        _name_right(axes, names)
        _label_order(axes, at, [point.label for point in drawing.points])
        axes.set_xlabel(label_text(_(drawing.order_name), 60), labelpad=2)

    return 64.0, draw


def _limit_name(side: str, *, is_trial: bool) -> str:
    if is_trial:
        return _("upper limit (trial)") if side == "upper" else _("lower limit (trial)")
    return _("upper limit") if side == "upper" else _("lower limit")


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


def _places(drawing: ControlFigure) -> list[float]:
    """Where the points stand: their own places where all have one, else their order.

    Points of one place (cases of one day) are set side by side.
    """
    own = [point.at for point in drawing.points]
    if any(place is None for place in own):
        return [float(number) for number in range(1, len(own) + 1)]
    places = [float(place or 0.0) for place in own]
    n_same: dict[float, int] = {}
    spread = []
    for place in places:
        spread.append(place + 0.25 * n_same.get(place, 0))
        n_same[place] = n_same.get(place, 0) + 1
    return spread


def _draw_signals(axes: Axes, at: Sequence[float], drawing: ControlFigure) -> None:
    # A mark means the same on every chart of a page, whatever else stands out there.
    kinds = sorted({point.signal for point in drawing.points if point.signal})
    for kind in kinds:
        style = GROUP_STYLES[1 + _SIGNAL_ORDER.get(kind, len(_SIGNAL_ORDER)) % 4]
        chosen = [(x, p.value) for x, p in zip(at, drawing.points, strict=True) if p.signal == kind]
        axes.plot(
            [x for x, _value in chosen], [y for _at, y in chosen], linestyle="none",
            marker=style.marker, markersize=6.5, markerfacecolor="none", markeredgewidth=1.4,
            markeredgecolor=style.color, label=label_text(told(kind), 40), zorder=4,
        )  # fmt: skip
    if kinds:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=4, frameon=False, fontsize=6.5,
            handletextpad=0.2, columnspacing=1.2, borderaxespad=0,
        )  # fmt: skip


def _name_right(axes: Axes, names: Sequence[tuple[float, str]]) -> None:
    """Name levels right of a plot whose heights are set; names of near levels stand apart."""
    low, high = axes.get_ylim()
    placed = _spread([height for height, _words in names], 0.055 * (high - low), high)
    for at, (_height, words) in zip(placed, names, strict=True):
        axes.text(
            1.01, at, fill(words, 20), transform=axes.get_yaxis_transform(), ha="left",
            va="center", fontsize=6.5, linespacing=1.0,
        )  # fmt: skip


def _label_order(axes: Axes, at: Sequence[float], labels: Sequence[str]) -> None:
    """Label the points that stand about evenly over the axis, eight at most, none touching."""
    if not at:
        return
    wanted = np.linspace(at[0], at[-1], min(8, len(at)))
    rows = sorted({int(np.argmin(np.abs(np.asarray(at) - place))) for place in wanted})
    least = (at[-1] - at[0]) / 8.5
    kept: list[int] = []
    for row in rows:
        if not kept or at[row] - at[kept[-1]] >= least:
            kept.append(row)
    axes.set_xticks([at[row] for row in kept])
    axes.set_xticklabels([label_text(labels[row], 12) for row in kept])


@_plan.register
def _funnel(drawing: FunnelFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 22.0)
        names = []
        for limits, line, name in (
            (drawing.inner_high, "--", "95 %"),
            (drawing.inner_low, "--", "95 %"),
            (drawing.outer_high, "-.", localized("99.8 %")),
            (drawing.outer_low, "-.", localized("99.8 %")),
        ):
            axes.plot(drawing.limit_x, limits, color=INK, linewidth=0.8, linestyle=line)
            if limits:
                names.append((limits[-1], name))
        if drawing.target is not None:
            axes.axhline(drawing.target, color=INK, linewidth=0.9)
            names.append((drawing.target, _("target")))
        for point in drawing.points:
            axes.plot(
                point.x, point.y, marker="s" if point.is_outside else "o", markersize=5,
                markerfacecolor=BLOOD_DARK if point.is_outside else "white",
                markeredgecolor=BLOOD_DARK if point.is_outside else EVENT_FILL, zorder=4,
            )  # fmt: skip
            axes.annotate(
                label_text(point.name, 14), (point.x, point.y), xytext=(4, 3),
                textcoords="offset points", fontsize=6.5, bbox=_BOX,
            )  # fmt: skip
        set_x_axis(axes, drawing.x)
        set_y_axis(axes, drawing.y)
        _name_right(axes, names)
        if drawing.limit_x:
            axes.set_xlim(drawing.x.low, drawing.x.high or drawing.limit_x[-1])

    return 70.0, draw


@_plan.register
def _cusum(drawing: CusumFigure) -> tuple[float, Callable[[Canvas], None]]:
    at = list(range(1, len(drawing.values) + 1))

    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 5.0)
        axes.axhline(0.0, color=INK, linewidth=0.6)
        axes.plot(at, drawing.values, color=EVENT_FILL, linewidth=1.3)
        _draw_dots(axes, at, drawing.values, 2.4, EVENT_FILL)
        if drawing.fitted:
            axes.plot(at, drawing.fitted, color=BLOOD_DARK, linewidth=1.0, linestyle="--")
        if drawing.turning_index is not None:
            x, y = at[drawing.turning_index], drawing.values[drawing.turning_index]
            axes.plot(x, y, marker="D", markersize=6, markerfacecolor="white", color=INK)
            axes.annotate(
                _("case {x}", x=x), (x, y), xytext=(0, 7), textcoords="offset points", ha="center",
                fontsize=7, bbox=_BOX,
            )  # fmt: skip
        axes.margins(y=0.14)  # room for the name of the turning point under the title
        set_y_axis(axes, drawing.y)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(_("case"), labelpad=2)

    return 58.0, draw


@_plan.register
def _forest(drawing: ForestFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 62.0, 9.5, 46.0, 6.0 if any(drawing.sides) else 2.0)
        axes.axvline(drawing.reference, color=INK, linewidth=0.8)
        _name_sides(axes, drawing)
        for row, line in enumerate(drawing.rows):
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
        axes.set_yticks(range(len(drawing.rows)))
        axes.set_yticklabels([label_text(line.label, 44) for line in drawing.rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(drawing.rows) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        set_x_axis(axes, drawing.axis)

    row_mm = 7.0 if len(drawing.rows) <= 12 else 5.0
    return 20.0 + row_mm * max(len(drawing.rows), 1), draw


def _name_sides(axes: Axes, drawing: ForestFigure) -> None:
    """Write above the plot what lies on either side of the reference."""
    for words, shift_pt, align, arrow in zip(
        drawing.sides, (-4, 4), ("right", "left"), ("← {}", "{} →"), strict=True
    ):
        if words:
            axes.annotate(
                arrow.format(label_text(words, 30)), (drawing.reference, 1.0),
                xycoords=axes.get_xaxis_transform(), xytext=(shift_pt, 3),
                textcoords="offset points", ha=align, va="bottom", fontsize=6.5, color=MUTED,
            )  # fmt: skip


@_plan.register
def _bars(drawing: BarFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 46.0, 9.5, 8.0, 2.0)
        for row, bar in enumerate(drawing.bars):
            if bar.value is None:
                axes.text(0.0, row, f" {_('not available')}", va="center", fontsize=7, color=MUTED)
                continue
            axes.barh(
                row, bar.value, height=0.62, facecolor="#9fb4c8", edgecolor=EVENT_FILL, lw=0.7
            )
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [row, row], color=INK, linewidth=1.3)
        axes.set_yticks(range(len(drawing.bars)))
        axes.set_yticklabels([label_text(bar.label, 34) for bar in drawing.bars])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(drawing.bars) - 0.4, -0.6)
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        set_x_axis(axes, drawing.axis)

    return 16.0 + 6.5 * max(len(drawing.bars), 1), draw


@_plan.register
def _scatter(drawing: ScatterFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 36.0)
        for number, points in enumerate(drawing.sets):
            style = GROUP_STYLES[number % len(GROUP_STYLES)]
            axes.plot(
                points.x, points.y, linestyle="none", marker=style.marker, markersize=3.6,
                markerfacecolor="none", markeredgecolor=style.color, markeredgewidth=0.8,
                label=label_text(points.name, 22),
            )  # fmt: skip
        for number, line in enumerate(drawing.lines):
            pattern = ("-", "--", ":", "-.")[number % 4]
            axes.plot(line.x, line.y, color=INK, linewidth=0.8, linestyle=pattern,
                      label=label_text(line.name, 22))  # fmt: skip
        set_x_axis(axes, drawing.x)
        set_y_axis(axes, drawing.y)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            fontsize=7,
            borderaxespad=0,
        )

    return 72.0, draw


@_plan.register
def _histogram(drawing: HistogramFigure) -> tuple[float, Callable[[Canvas], None]]:
    def draw(canvas: Canvas) -> None:
        axes = place_axes(canvas, 12.0, 9.5, 5.0, 11.0)
        axes.bar(
            drawing.edges[:-1], drawing.counts, width=np.diff(drawing.edges), align="edge",
            facecolor="#9fb4c8", edgecolor=EVENT_FILL, linewidth=0.6,
        )  # fmt: skip
        set_x_axis(axes, drawing.x)
        set_y_axis(axes, Axis(_("Count"), Unit.COUNT, low=0.0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        _mark_x(axes, drawing.marks)

    return 52.0, draw
