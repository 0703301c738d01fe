"""Time to clear in a comparison: curves, numbers at risk, shares cleared by 60 and 180 s."""

from __future__ import annotations

import numpy as np

from ubereport.cohort.comparison_results import ClearCurve, TimeToClear
from ubereport.cohort.survival import BAND_TIMES_S
from ubereport.documents.cohort.number_words import (
    estimate_text,
    pair_text,
    reasons_once,
    share_text,
)
from ubereport.documents.page.blocks import TableBlock, table_block
from ubereport.documents.page.curve_drawings import AtRiskRow, Curve, CurveFigure
from ubereport.documents.page.document import Figure, Section
from ubereport.documents.page.drawing import Axis, Mark, Unit
from ubereport.language.speaking import _
from ubereport.statistics.estimates import Estimate

_LAST_TIME_S = 300.0


def clearing_section(clear: TimeToClear) -> Section:
    """Return Kaplan–Meier curves with numbers at risk, and what they say at 60 and 180 s."""
    heading = _("Time to clear, event by event")
    if clear.reason:
        return Section(heading, (_("Not compared: {reason}.", reason=clear.reason),))
    curves = [curve for curve in clear.curves if curve.n_events > 0]
    figure = Figure(
        "clearing",
        _("Share of events not yet cleared (Kaplan–Meier)"),
        _(
            "Each step down is an event that cleared; a lower curve clears faster. Every case "
            "counts alike. Shaded: 95 % intervals from whole cases or surgeons drawn again. "
            "Upright ticks: events lost from view. The numbers below say how many events are "
            "still open and observed."
        ),
        CurveFigure(
            tuple(_survival_curve(curve) for curve in curves),
            Axis(_("Time since onset of the event"), Unit.SECONDS, 0.0, _LAST_TIME_S),
            Axis(_("Events not yet cleared"), Unit.PERCENT, 0.0, 1.0),
            marks=(Mark(60.0, "60 s"), Mark(180.0, "180 s")),
            at_risk_x=tuple(at.time_s for at in curves[0].at_risk if at.time_s <= _LAST_TIME_S),
            at_risk=tuple(
                AtRiskRow(
                    curve.group,
                    tuple(at.n_at_risk for at in curve.at_risk if at.time_s <= _LAST_TIME_S),
                )
                for curve in curves
            ),
        ),
    )
    text = _(
        "Events are counted as clustered in cases and surgeons: {clustering} "
        "({n_bootstrap} draws). Events whose onset was not seen have no time to clear.",
        clustering=clear.clustering,
        n_bootstrap=clear.n_bootstrap,
    )
    return Section(
        heading,
        (_censoring_text(clear), text),
        (figure,),
        (_clear_table(clear), *_clear_differences(clear)),
    )


def _censoring_text(clear: TimeToClear) -> str:
    """Say how many events were lost from view in each group, and what that may hide."""
    lost = [
        _(
            "{group} {n_censored} of {n_events}",
            group=curve.group,
            n_censored=curve.n_censored,
            n_events=curve.n_events,
        )
        for curve in clear.curves
        if curve.n_events
    ]
    return _(
        "Lost from view before they cleared: {join}. The curve takes these events as "
        "clearing like those still watched; where heavy bleeding is what hides the view "
        "they clear later, and the curve is too good. The bounds say how far that can go.",
        join="; ".join(lost),
    )


def _survival_curve(curve: ClearCurve) -> Curve:
    """Cut a curve at the end of the axis, or carry it on for as long as an event was watched."""
    pairs = [
        (t, y) for t, y in zip(curve.time_s, curve.open_frac, strict=True) if t <= _LAST_TIME_S
    ]
    times, shares = [t for t, _ in pairs], [y for _, y in pairs]
    last_s = min(max(*curve.time_s, *curve.censored_s, 0.0), _LAST_TIME_S)
    if last_s > times[-1]:
        times.append(last_s)
        shares.append(shares[-1])
    if not curve.band_low_frac:
        return Curve(curve.group, tuple(times), tuple(shares), censored=_ticks(curve, times))
    # The band is known at its own times: the curve is given there too.
    x = np.unique(np.concatenate([times, BAND_TIMES_S[times[-1] >= BAND_TIMES_S]]))
    y = np.asarray(shares)[np.searchsorted(times, x, side="right") - 1]
    at = np.searchsorted(BAND_TIMES_S, x, side="right") - 1
    low = np.minimum(np.asarray(curve.band_low_frac)[at], y)
    high = np.maximum(np.asarray(curve.band_high_frac)[at], y)
    return Curve(
        curve.group, tuple(x.tolist()), tuple(y.tolist()), tuple(low.tolist()),
        tuple(high.tolist()), _ticks(curve, times),
    )  # fmt: skip


def _ticks(curve: ClearCurve, times: list[float]) -> tuple[float, ...]:
    return tuple(t for t in curve.censored_s if t <= times[-1])


def _clear_table(clear: TimeToClear) -> TableBlock:
    note = _(
        "In brackets 95 % intervals. Bounds: if no, and if every, censored event cleared "
        "in time, with chance. Censored: the view was lost or the recording ended before "
        "the view cleared. Mean to {horizon} s: mean time open, each event counted for "
        "that long at most.",
        horizon=f"{clear.horizon_s:.0f}",
    )
    numbers = [
        (c.median_s, c.cleared_60s_share, c.cleared_180s_share, c.mean_to_horizon_s)
        for c in clear.curves
    ]
    marked, note = reasons_once(numbers, note)
    return table_block(
        _("Clearing in each group"),
        zip(clear.curves, marked, strict=True),
        (_("Group"), lambda row: row[0].group),
        (_("#Cases"), lambda row: str(row[0].n_cases)),
        (_("#Events"), lambda row: str(row[0].n_events)),
        (_("#Censored"), lambda row: str(row[0].n_censored)),
        (_("#Median, s"), lambda row: _seconds_text(row[1][0])),
        (_("#Clear by 60 s"), lambda row: share_text(row[1][1])),
        (_("#Bounds"), lambda row: _bounds_text(row[0].limits_60s)),
        (_("#Clear by 180 s"), lambda row: share_text(row[1][2])),
        (_("#Bounds"), lambda row: _bounds_text(row[0].limits_180s)),
        (
            _("#Mean to {horizon} s, s", horizon=f"{clear.horizon_s:.0f}"),
            lambda row: _seconds_text(row[1][3]),
        ),
        note=note,
    )


def _bounds_text(bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return "–"
    low, high = (f"{100 * share:.0f}" for share in bounds)
    return _("{low} to {high} %", low=low, high=high)


def _seconds_text(estimate: Estimate) -> str:
    return estimate_text(estimate, n_decimals=0, is_signed=False)


def _clear_differences(clear: TimeToClear) -> tuple[TableBlock, ...]:
    if not clear.differences:
        return ()
    note = _(
        "Points are percentage points. Times as long: log-normal model of accelerated failure "
        "times with surgeons held equal; like the curves it takes lost events as clearing like "
        "those still watched. Not corrected for the number of comparisons."
    )
    numbers = [
        (d.cleared_60s_share, d.cleared_180s_share, d.mean_to_horizon_s, d.time_ratio)
        for d in clear.differences
    ]
    marked, note = reasons_once(numbers, note)
    table = table_block(
        _("Differences in clearing"),
        zip(clear.differences, marked, strict=True),
        (_("Group − other"), lambda row: pair_text(row[0].group, row[0].reference)),
        (
            _("#Clear by 60 s, points (95 % interval)"),
            lambda row: estimate_text(row[1][0], 100.0, is_signed=True),
        ),
        (
            _("#Clear by 180 s, points (95 % interval)"),
            lambda row: estimate_text(row[1][1], 100.0, is_signed=True),
        ),
        (
            _("#Mean to {horizon} s, s (95 % interval)", horizon=f"{clear.horizon_s:.0f}"),
            lambda row: estimate_text(row[1][2], is_signed=True),
        ),
        (
            _("#Times as long (95 % interval)"),
            lambda row: estimate_text(row[1][3], n_decimals=2, is_signed=False),
        ),
        note=note,
    )
    return (table,)
