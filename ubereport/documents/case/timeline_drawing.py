"""The timeline of a case: area over the case clock, events above it, parts below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.case import CaseRecord
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.documents.page.blocks import TableBlock, table_block
from ubereport.documents.page.drawing import FULL_WIDTH_MM, WHITE_BOX, Drawing
from ubereport.documents.page.marks import (
    BLOOD_DARK,
    BLOOD_LIGHT,
    EVENT_FILL,
    EVENT_SHADE,
    HATCH,
    LOSS_MARKS,
    LOSS_WORDS,
    MUTED,
)
from ubereport.documents.page.plot import INK, Axes, FixedLocator, NullLocator, draw_svg
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import clock, clock_range, label_percent, percent
from ubereport.documents.page.timeline import (
    TimeColumns,
    closing_interval,
    equal_edges,
    lost_runs,
    round_edges,
    tick_step_s,
    time_columns,
)
from ubereport.language.speaking import _, _p, text_width

N_COLUMNS = 720
LEFT = 13.0 / FULL_WIDTH_MM
RIGHT = 1 - 9.0 / FULL_WIDTH_MM
"""Shares of the width of a case's figures at which their plots begin and end."""
_HEIGHT_MM = 62.0
_MAX_TABLE_COLUMNS = 24
_SHORT_S = 60


@dataclass(frozen=True, slots=True)
class PartSpan:
    """Where a part or the closing field lies on the case clock, and what stands beside it."""

    label: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class TimelineDrawing(Drawing):
    """The area over the case clock with numbered events and hatched lost time.

    A series without any row cannot be drawn: ValueError.
    """

    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    parts: tuple[PartSpan, ...]
    closing: Interval | None

    @classmethod
    def of(cls, record: CaseRecord, closing_window_s: float) -> TimelineDrawing:
        """Return the timeline of a case, its closing field as long as `closing_window_s`."""
        parts = tuple(
            PartSpan(
                _("Part {number}", number=k), Interval(part.start_s, part.start_s + part.duration_s)
            )
            for k, part in enumerate(record.parts, start=1)
        )
        closing = closing_interval(record.series, closing_window_s)
        return cls(record.series, record.events, parts, closing)

    def _height_mm(self) -> float:
        return _HEIGHT_MM

    def _draw(self, canvas: Canvas) -> None:
        columns = time_columns(self.series, equal_edges(self.series, N_COLUMNS))
        end_s = float(columns.edge_s[-1])
        lanes = [
            _lane(canvas, bottom_mm, height_mm, end_s)
            for bottom_mm, height_mm in ((54.5, 6.5), (10.5, 43.0), (5.5, 4.0))
        ]
        _draw_event_lane(lanes[0], self.events, end_s)
        _draw_area(lanes[1], columns, self.events)
        _draw_part_lane(lanes[2], self.parts, self.closing, end_s)

    def _numbers(self) -> TableBlock:
        # In steps that a person would choose, such as whole minutes: a drawing's own columns would
        # give rows of 13.7 s.
        columns = time_columns(self.series, round_edges(self.series, _MAX_TABLE_COLUMNS))
        return table_block(
            _("The timeline as a table"),
            range(len(columns.reason)),
            (_("Case time"), lambda i: clock_range(columns.edge_s[i], columns.edge_s[i + 1])),
            ("#" + _("Evaluable"), lambda i: clock(columns.evaluable_s[i])),
            ("#" + _("Mean area"), lambda i: _area_text(columns.mean_frac[i])),
            ("#" + _("Largest area"), lambda i: _area_text(columns.peak_frac[i])),
            (_("Lost"), lambda i: _lost_text(columns.lost_s[i], columns.reason[i])),
        )


def _area_text(area_frac: float) -> str:
    return _("not available") if area_frac != area_frac else percent(area_frac)


def _lost_text(lost_s: float, reason: LossReason) -> str:
    if not reason:
        return _p("lost time", "none")
    return _("{lost}, mostly {reason}", lost=clock(lost_s), reason=_(LOSS_WORDS[reason]))


def _lane(canvas: Canvas, bottom_mm: float, height_mm: float, end_s: float) -> Axes:
    bottom, height = bottom_mm / _HEIGHT_MM, height_mm / _HEIGHT_MM
    axes = canvas.add_axes((LEFT, bottom, RIGHT - LEFT, height))
    axes.set_xlim(0, end_s)
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _draw_event_lane(axes: Axes, events: Sequence[HemostasisEvent], end_s: float) -> None:
    axes.set_ylim(0, 1)
    _lane_name(axes, _("Events"))
    # Half a millimeter at least: to scale, an event of seconds in a case of hours would be thinner
    # than a hair.
    min_s = end_s / (FULL_WIDTH_MM * (RIGHT - LEFT)) * 0.5
    gap_s = end_s * 0.018
    label_end_s = -gap_s
    for number, event in enumerate(events, start=1):
        width_s = max(event.duration_s, min_s)
        axes.broken_barh(
            [(event.onset_s, width_s)],
            (0.08, 0.34),
            facecolor="white" if event.is_censored else EVENT_FILL,
            edgecolor=EVENT_FILL,
            linewidth=0.7,
        )
        center_s = min(event.onset_s + width_s / 2, end_s - gap_s / 2)
        # A number that would touch the one before is left out, never its event.
        if center_s - label_end_s >= gap_s:
            axes.text(center_s, 0.55, str(number), ha="center", va="bottom", fontsize=6.5)
            label_end_s = center_s


def _lane_name(axes: Axes, name: str) -> None:
    axes.text(
        -0.008, 0.3, name, transform=axes.transAxes, ha="right", va="center",
        fontsize=6.5 if text_width(name) <= 8 else 5.5, color=MUTED,
    )  # fmt: skip


def _draw_area(axes: Axes, columns: TimeColumns, events: Sequence[HemostasisEvent]) -> None:
    end_s = float(columns.edge_s[-1])
    top = _axis_top(columns)
    axes.set_ylim(0, top)
    for event in events:
        axes.axvspan(event.onset_s, event.end_s, facecolor=EVENT_SHADE, linewidth=0, zorder=0.5)
    _draw_lost(axes, columns)
    _fill(axes, columns, columns.peak_frac, BLOOD_LIGHT)
    _fill(axes, columns, columns.mean_frac, BLOOD_DARK)
    _draw_thresholds(axes, top)
    ticks = np.arange(0, top + 1e-9, 0.2).tolist()
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_yticklabels([f"{100 * tick:.0f}" for tick in ticks])
    axes.set_ylabel(_("% of the view"), labelpad=3)
    _set_time_ticks(axes, end_s)
    axes.tick_params(axis="x", pad=14, length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(True)


def _axis_top(columns: TimeColumns) -> float:
    peak = columns.peak_frac[columns.is_shown]
    largest = float(peak.max()) if len(peak) else 0.0
    return 0.6 if largest <= 0.58 else 1.0


def _fill(axes: Axes, columns: TimeColumns, area_frac: FloatArray, color: str) -> None:
    # Each twice, as steps: a column's mean holds for all of it, and a slope from one to the next
    # would draw areas that nobody measured.
    height = np.repeat(np.where(columns.is_shown, area_frac, np.nan), 2)
    at_s = np.repeat(columns.edge_s, 2)[1:-1]
    axes.fill_between(
        at_s, 0, height, where=np.isfinite(height).tolist(), facecolor=color, linewidth=0, zorder=2
    )


def _draw_lost(axes: Axes, columns: TimeColumns) -> None:
    end_s = float(columns.edge_s[-1])
    for reason, span in lost_runs(columns):
        mark = LOSS_MARKS[reason]
        axes.axvspan(
            span.start_s,
            span.end_s,
            facecolor=mark.fill,
            edgecolor=HATCH,
            hatch=mark.hatch or None,
            linewidth=0.3,
            zorder=1,
        )
        if span.duration_s >= 0.022 * end_s:
            _label_lost(axes, reason, span)


def _label_lost(axes: Axes, reason: LossReason, span: Interval) -> None:
    axes.text(
        (span.start_s + span.end_s) / 2,
        0.5,
        _(LOSS_WORDS[reason]),
        transform=axes.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="center",
        fontsize=6.5,
        zorder=4,
        bbox={"boxstyle": "square,pad=0.22", "facecolor": "white", "edgecolor": "none"},
    )


def _draw_thresholds(axes: Axes, top: float) -> None:
    for threshold, line in ((0.05, ":"), (0.20, "--"), (0.50, "-.")):
        if threshold >= top:
            continue
        # A white line below keeps the threshold visible where the view is full of blood.
        axes.axhline(threshold, color="white", linewidth=1.0, zorder=2.9)
        axes.axhline(threshold, color=INK, linewidth=0.6, linestyle=line, zorder=3)
        axes.text(
            1.006,
            threshold,
            label_percent(threshold),
            transform=axes.get_yaxis_transform(),
            ha="left",
            va="center",
            fontsize=6.5,
        )


def _set_time_ticks(axes: Axes, end_s: float) -> None:
    step_s = tick_step_s(end_s)
    ticks_s = [k * step_s for k in range(int(end_s // step_s) + 1)]
    axes.xaxis.set_major_locator(FixedLocator(ticks_s))
    axes.set_xticklabels([_tick_label(tick_s, step_s) for tick_s in ticks_s])


def _tick_label(tick_s: int, step_s: int) -> str:
    hours_minutes = f"{tick_s // 3600}:{tick_s // 60 % 60:02d}"
    return hours_minutes if step_s >= _SHORT_S else f"{hours_minutes}:{tick_s % 60:02d}"


def _draw_part_lane(
    axes: Axes, parts: Sequence[PartSpan], closing: Interval | None, end_s: float
) -> None:
    axes.set_ylim(0, 1)
    for part in parts:
        span = part.interval
        axes.plot(
            [span.start_s, span.end_s], [0.62, 0.62], color=MUTED, linewidth=0.7, marker="|",
            markersize=4, markeredgewidth=0.7, clip_on=False,
        )  # fmt: skip
        if span.duration_s >= 0.06 * end_s:
            axes.text(
                span.start_s + 0.006 * end_s, 0.62, part.label, ha="left", va="center",
                fontsize=6.5, color=MUTED, bbox=WHITE_BOX,
            )  # fmt: skip
    if closing is not None:
        axes.broken_barh(
            [(closing.start_s, closing.duration_s)], (0.44, 0.36), facecolor=INK, linewidth=0
        )
        _label_closing(axes, parts, closing, end_s)


def _label_closing(axes: Axes, parts: Sequence[PartSpan], closing: Interval, end_s: float) -> None:
    # Left of the bar, unless a part starts there with a label of its own.
    label_span = Interval(closing.start_s - 0.2 * end_s, closing.start_s + 0.02 * end_s)
    has_room = not any(label_span.contains(part.interval.start_s) for part in parts)
    axes.text(
        closing.start_s - 0.006 * end_s if has_room else (closing.start_s + closing.end_s) / 2,
        0.62,
        _("closing field"),
        ha="right" if has_room else "center",
        va="center",
        fontsize=6.5,
        bbox=WHITE_BOX,
    )


def loss_swatch(reason: LossReason) -> str:
    """Draw the key of one reason for lost time, as small as a letter."""
    mark = LOSS_MARKS[reason]

    def draw(canvas: Canvas) -> None:
        axes = canvas.add_axes((0.04, 0.08, 0.92, 0.84))
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.axvspan(
            0, 1, facecolor=mark.fill, edgecolor=HATCH, hatch=mark.hatch or None, linewidth=0.6
        )

    name = str(reason).replace("_", "-")
    return draw_svg(
        f"key-{name}", _("Key: {reason}", reason=_(LOSS_WORDS[reason])), (5.0, 3.2), draw
    )
