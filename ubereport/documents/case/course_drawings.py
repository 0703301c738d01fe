"""The course of a case: its blocks, and the time to clear of its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ubereport.documents.case.timeline_drawing import LEFT, RIGHT
from ubereport.documents.page.blocks import TableBlock, table_block
from ubereport.documents.page.drawing import WHITE_BOX, Drawing
from ubereport.documents.page.marks import (
    BLOOD_DARK,
    BLOOD_MIDDLE,
    EVENT_FILL,
    EVENT_SHADE,
    GRID,
    MUTED,
)
from ubereport.documents.page.plot import INK, Axes, FixedLocator
from ubereport.documents.page.plot import Figure as Canvas
from ubereport.documents.page.text import (
    clock,
    clock_range,
    label_percent,
    percent,
    sentence_of,
    span_text,
)
from ubereport.documents.page.timeline import tick_step_s
from ubereport.language.speaking import _, _n
from ubereport.metrics.strip import StripBlock
from ubereport.statistics.survival import KaplanMeierCurve

_MAX_LABELED_BLOCKS = 30
_MAX_CURVE_ROWS = 24


@dataclass(frozen=True, slots=True)
class StripDrawing(Drawing):
    """One bar a block: share of evaluable time at ≥ 20 %, with the mean area as a diamond."""

    max_rows: ClassVar[int] = 1000
    blocks: tuple[StripBlock, ...]

    def _height_mm(self) -> float:
        return 46.0

    def _draw(self, canvas: Canvas) -> None:
        blocks = self.blocks
        axes = canvas.add_axes((LEFT, 0.17, RIGHT - LEFT, 0.73))
        # Room for six blocks at least: the only block of a short case would else fill the page.
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

    def _numbers(self) -> TableBlock:
        return table_block(
            _("Blocks in numbers"),
            self.blocks,
            (_("Case time"), lambda block: clock_range(block.start_s, block.end_s)),
            ("#" + _("Evaluable"), lambda block: clock(block.evaluable_s)),
            ("#" + _("Coverage"), lambda block: _share_text(block.coverage_frac)),
            ("#" + _("Mean area"), lambda block: _share_text(block.area_mean_frac)),
            ("#" + _("Time ≥\u00a020\u00a0%"), lambda b: _share_text(b.impaired_share_20)),
        )


def _share_text(fraction: float | None) -> str:
    return _("not available") if fraction is None else percent(fraction)


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


@dataclass(frozen=True, slots=True)
class ClearingDrawing(Drawing):
    """The share of events cleared over time since onset, with limits and numbers at risk."""

    curve: KaplanMeierCurve

    def _height_mm(self) -> float:
        return 62.0

    def _draw(self, canvas: Canvas) -> None:
        followed_s = float(self.curve.duration_s[-1]) if self.curve.n_events else 0.0
        end_s = max(180.0, followed_s) * 1.03
        step_s = tick_step_s(end_s, 9)
        ticks_s = [k * step_s for k in range(int(end_s // step_s) + 1)]
        axes = canvas.add_axes((LEFT, 0.27, RIGHT - LEFT, 0.68))
        axes.set_xlim(0, end_s)
        axes.set_ylim(0, 1.02)
        _draw_curve(axes, self.curve)
        for mark_s in (60.0, 180.0):
            _mark_cleared(axes, self.curve, mark_s)
        axes.xaxis.set_major_locator(FixedLocator(ticks_s))
        axes.set_xticklabels([f"{tick_s // 60}:{tick_s % 60:02d}" for tick_s in ticks_s])
        axes.set_xlabel(_("Time since onset (min:s)"), labelpad=2)
        _set_percent_ticks(axes)
        _write_at_risk(axes, self.curve, ticks_s)

    def _numbers(self) -> TableBlock:
        curve = self.curve
        every = -(-len(curve.time_s) // _MAX_CURVE_ROWS)
        return table_block(
            _("Time to clear in numbers"),
            range(0, len(curve.time_s), every),
            (_("Since onset"), lambda i: clock(curve.time_s[i])),
            ("#" + _("Still watched"), lambda i: str(curve.n_at_risk[i])),
            ("#" + _("Cleared then"), lambda i: str(curve.n_cleared[i])),
            ("#" + _("Cleared so far"), lambda i: percent(1 - curve.survival_frac[i])),
            ("#" + _("95\u00a0% limits"), lambda i: _limits_text(curve, i)),
        )


def _limits_text(curve: KaplanMeierCurve, i: int) -> str:
    low, high = 1 - curve.high_frac[i], 1 - curve.low_frac[i]
    return _("not available") if low != low else span_text(percent(low), percent(high))


def _draw_curve(axes: Axes, curve: KaplanMeierCurve) -> None:
    followed_s = float(curve.duration_s[-1])
    # On to the end of follow-up: what the last clearing left holds for as long as anybody was
    # watched.
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
    # A curve holds when events cleared and how long each was watched, not which of them did.
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
        bbox=WHITE_BOX,
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


def has_too_few(curve: KaplanMeierCurve, min_events: int) -> bool:
    """Whether the events are too few for a curve; of none there is no curve, whatever is asked."""
    return curve.n_events < max(1, min_events)


def clearing_statement(curve: KaplanMeierCurve, min_events: int) -> str:
    """Say what the curve of time to clear says, or that events are too few for one."""
    if has_too_few(curve, min_events):
        if min_events <= 1:
            return _("The curve is not available: there is no event with a seen onset.")
        return _n(
            "The curve is not available: {n} event with a seen onset; at least {needed} are "
            "needed.",
            "The curve is not available: {n} events with a seen onset; at least {needed} are "
            "needed.",
            curve.n_events,
            needed=min_events,
        )
    median_s = curve.median_s
    middle = (
        _("Half of them were not seen to clear within the time they were watched")
        if median_s is None
        else _("Half of them were clear by {median}", median=clock(median_s))
    )
    words = [
        _n(
            "{n} event with a seen onset. {middle}",
            "{n} events with a seen onset. {middle}",
            curve.n_events,
            middle=middle,
        )
    ]
    if curve.n_censored:
        words.append(
            _n(
                "{n} was not seen to clear and counts for as long as watched",
                "{n} were not seen to clear and count for as long as watched",
                curve.n_censored,
            )
        )
    if curve.n_onset_unseen:
        words.append(
            _n(
                "{n} event with an unseen onset left out",
                "{n} events with an unseen onset left out",
                curve.n_onset_unseen,
            )
        )
    return sentence_of(words)
