"""Figures of one case: the timeline, the strip of blocks and the time to clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.documents.page.marks import (
    BLOOD_DARK,
    BLOOD_LIGHT,
    BLOOD_MIDDLE,
    EVENT_FILL,
    EVENT_SHADE,
    GRID,
    HATCH,
    LOSS_MARKS,
    LOSS_WORDS,
    MUTED,
)
from ubereport.documents.page.plot import INK, Axes, Figure, FixedLocator, NullLocator, draw_svg
from ubereport.documents.page.text import label_percent
from ubereport.documents.page.timeline import (
    TimeColumns,
    equal_edges,
    lost_runs,
    tick_step_s,
    time_columns,
)
from ubereport.language.speaking import _, text_width
from ubereport.metrics.strip import StripBlock
from ubereport.statistics.survival import KaplanMeierCurve

N_COLUMNS = 720
_WIDTH_MM = 178.0
_HEIGHT_MM = 62.0
_LEFT = 13.0 / _WIDTH_MM
_RIGHT = 1 - 9.0 / _WIDTH_MM
TIMELINE_MARGINS = (_LEFT, 1 - _RIGHT)
"""Shares of the timeline's width that lie left and right of its first and last moment."""
_SHORT_S = 60
_WHITE_BOX = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
_MAX_LABELED_BLOCKS = 30


@dataclass(frozen=True, slots=True)
class PartSpan:
    """Where a part or the closing field lies on the case clock, and what stands beside it."""

    label: str
    interval: Interval


def timeline_svg(
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    parts: Sequence[PartSpan],
    closing: Interval | None,
) -> str:
    """Draw the area over the case clock with numbered events and hatched lost time.

    Raises
    ------
    ValueError
        If `series` is empty.
    """
    columns = time_columns(series, equal_edges(series, N_COLUMNS))

    def draw(figure: Figure) -> None:
        end_s = float(columns.edge_s[-1])
        lanes = [
            _lane(figure, bottom_mm, height_mm, end_s)
            for bottom_mm, height_mm in ((54.5, 6.5), (10.5, 43.0), (5.5, 4.0))
        ]
        _draw_event_lane(lanes[0], events, end_s)
        _draw_area(lanes[1], columns, events)
        _draw_part_lane(lanes[2], parts, closing, end_s)

    title = _("Share of the view obscured by blood over the case, with events and lost time")
    return draw_svg("timeline", title, (_WIDTH_MM, _HEIGHT_MM), draw)


def _lane(figure: Figure, bottom_mm: float, height_mm: float, end_s: float) -> Axes:
    bottom, height = bottom_mm / _HEIGHT_MM, height_mm / _HEIGHT_MM
    axes = figure.add_axes((_LEFT, bottom, _RIGHT - _LEFT, height))
    axes.set_xlim(0, end_s)
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _draw_event_lane(axes: Axes, events: Sequence[HemostasisEvent], end_s: float) -> None:
    axes.set_ylim(0, 1)
    _lane_name(axes, _("Events"))
    min_s = end_s / (_WIDTH_MM * (_RIGHT - _LEFT)) * 0.5
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
                fontsize=6.5, color=MUTED, bbox=_WHITE_BOX,
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
        bbox=_WHITE_BOX,
    )


def loss_swatch(reason: LossReason) -> str:
    """Draw the key of one reason for lost time, as small as a letter."""
    mark = LOSS_MARKS[reason]

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.04, 0.08, 0.92, 0.84))
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


def strip_svg(blocks: Sequence[StripBlock]) -> str:
    """Draw one bar a block: share of evaluable time at ≥ 20 %, with the mean area as a diamond.

    Raises
    ------
    ValueError
        If there is no block.
    """
    if not blocks:
        raise ValueError("a strip needs at least one block")

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((_LEFT, 0.17, _RIGHT - _LEFT, 0.73))
        axes.set_xlim(-0.6, max(len(blocks), 6) - 0.4)
        shares = [block.impaired_share_20 or 0.0 for block in blocks]
        means = [block.area_mean_frac or 0.0 for block in blocks]
        top = max(0.2, *(1.25 * value for value in (*shares, *means)))
        axes.set_ylim(0, min(top, 1.12))
        for at, block in enumerate(blocks):
            _draw_block(axes, at, block, len(blocks) <= _MAX_LABELED_BLOCKS)
        _set_percent_ticks(axes)
        every = -(-len(blocks) // 16)
        axes.xaxis.set_major_locator(FixedLocator(list(range(0, len(blocks), every))))
        axes.set_xticklabels([_hours_minutes(block.start_s) for block in blocks[::every]])
        axes.tick_params(axis="x", length=0)

    title = _("Blocks of the case: share of time with at least 20 % obscured, and mean area")
    return draw_svg("strip", title, (_WIDTH_MM, 46.0), draw)


def _draw_block(axes: Axes, at: int, block: StripBlock, is_labeled: bool) -> None:
    share, mean = block.impaired_share_20, block.area_mean_frac
    if share is None or mean is None:
        axes.axvspan(
            at - 0.36, at + 0.36, facecolor="none", edgecolor="#a8b2bb", hatch="////", lw=0
        )
        return
    axes.bar(at, share, width=0.72, facecolor=BLOOD_MIDDLE, edgecolor=BLOOD_DARK, linewidth=0.6)
    axes.plot(
        at, mean, marker="D", markersize=4, markerfacecolor="white", markeredgecolor=INK,
        markeredgewidth=0.9, clip_on=False, zorder=4,
    )  # fmt: skip
    if is_labeled:
        axes.annotate(
            label_percent(share),
            (at, max(share, mean)),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
        )


def _set_percent_ticks(axes: Axes) -> None:
    top = axes.get_ylim()[1]
    step = 0.05 if top <= 0.25 else 0.1 if top <= 0.5 else 0.2 if top < 0.9 else 0.25
    ticks = np.arange(0, min(top, 1.0) + 1e-9, step).tolist()
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_yticklabels([f"{100 * tick:.0f}" for tick in ticks])
    axes.set_ylabel("%", rotation=0, labelpad=6, va="center")
    axes.grid(axis="y", color=GRID, linewidth=0.5)


def _hours_minutes(at_s: float) -> str:
    return f"{int(at_s) // 3600}:{int(at_s) // 60 % 60:02d}"


def clearing_svg(curve: KaplanMeierCurve) -> str:
    """Draw the share of events cleared over time since onset, with limits and numbers at risk."""
    end_s = max(180.0, float(curve.duration_s[-1]) if curve.n_events else 0.0) * 1.03
    step_s = tick_step_s(end_s, 9)
    ticks_s = [k * step_s for k in range(int(end_s // step_s) + 1)]

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((_LEFT, 0.27, _RIGHT - _LEFT, 0.68))
        axes.set_xlim(0, end_s)
        axes.set_ylim(0, 1.02)
        _draw_curve(axes, curve)
        for mark_s in (60.0, 180.0):
            _mark_cleared(axes, curve, mark_s)
        axes.xaxis.set_major_locator(FixedLocator(ticks_s))
        axes.set_xticklabels([f"{tick_s // 60}:{tick_s % 60:02d}" for tick_s in ticks_s])
        axes.set_xlabel(_("Time since onset (min:s)"), labelpad=2)
        _set_percent_ticks(axes)
        _write_at_risk(axes, curve, ticks_s)

    title = _("Share of hemostasis events cleared over time since onset (Kaplan–Meier)")
    return draw_svg("time-to-clear", title, (_WIDTH_MM, 62.0), draw)


def _draw_curve(axes: Axes, curve: KaplanMeierCurve) -> None:
    followed_s = float(curve.duration_s[-1])
    at_s = np.append(curve.time_s, max(followed_s, float(curve.time_s[-1])))
    cleared = 1 - curve.survival_frac[[*range(len(curve.time_s)), -1]]
    low = 1 - curve.high_frac[[*range(len(curve.time_s)), -1]]
    high = 1 - curve.low_frac[[*range(len(curve.time_s)), -1]]
    has_limits = np.isfinite(low).tolist()
    axes.fill_between(
        at_s, low, high, step="post", facecolor=EVENT_SHADE, linewidth=0, where=has_limits
    )
    axes.step(at_s, cleared, where="post", color=EVENT_FILL, linewidth=1.6)
    for censored_s in _censored_s(curve):
        row = int(np.searchsorted(curve.time_s, censored_s, side="right")) - 1
        axes.plot(
            censored_s, 1 - curve.survival_frac[row], marker="|", markersize=7, color=INK,
            markeredgewidth=1.1, clip_on=False,
        )  # fmt: skip


def _censored_s(curve: KaplanMeierCurve) -> list[float]:
    """Return when events left unseen: all follow-up times less the clearings."""
    remaining: list[float] = curve.duration_s.tolist()
    for at_s, n in zip(curve.time_s.tolist(), curve.n_cleared.tolist(), strict=True):
        for _time in range(n):
            remaining.remove(at_s)
    return remaining


def _mark_cleared(axes: Axes, curve: KaplanMeierCurve, mark_s: float) -> None:
    share = curve.cleared_share_at(mark_s)
    if share is None or mark_s >= axes.get_xlim()[1]:
        return
    axes.plot([mark_s, mark_s], [0, share], color=INK, linewidth=0.6, linestyle="--")
    is_at_the_end = mark_s > 0.85 * axes.get_xlim()[1]
    axes.annotate(
        _("{share} by {mark} s", share=label_percent(share), mark=round(mark_s)),
        (mark_s, share / 2),
        xytext=(-4 if is_at_the_end else 4, 0),
        textcoords="offset points",
        ha="right" if is_at_the_end else "left",
        va="center",
        fontsize=7,
        bbox=_WHITE_BOX,
    )


def _write_at_risk(axes: Axes, curve: KaplanMeierCurve, ticks_s: Sequence[int]) -> None:
    place = axes.get_xaxis_transform()
    axes.text(
        -0.08, -0.225, _("Still watched"), transform=axes.transAxes, ha="left", va="center",
        fontsize=6.5, color=MUTED,
    )  # fmt: skip
    for tick_s in ticks_s:
        axes.text(
            tick_s,
            -0.31,
            str(curve.n_at_risk_at(tick_s)),
            transform=place,
            ha="center",
            va="center",
        )
