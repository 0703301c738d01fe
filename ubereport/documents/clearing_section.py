"""Time to clear in a comparison: curves, numbers at risk, shares cleared by 60 and 180 s."""

from __future__ import annotations

from ubereport.cohort.comparison_results import ClearCurve, TimeToClear
from ubereport.documents.document_parts import (
    columns,
    estimate_text,
    pair_text,
    share_text,
)
from ubereport.report.blocks import TableBlock
from ubereport.report.document_types import (
    AtRiskRow,
    Axis,
    Curve,
    CurveFigure,
    Figure,
    Mark,
    Section,
    Unit,
)
from ubereport.statistics.estimates import Estimate

__all__ = ["clearing_section"]

_LAST_TIME_S = 300.0


def clearing_section(clear: TimeToClear) -> Section:
    """Return Kaplan–Meier curves with numbers at risk, and what they say at 60 and 180 s."""
    heading = "Time to clear, event by event"
    if clear.reason:
        return Section(heading, (f"Not compared: {clear.reason}.",))
    drawn = [curve for curve in clear.curves if curve.n_events > 0]
    figure = Figure(
        "clearing",
        "Share of events not yet cleared (Kaplan–Meier)",
        "Each step down is an event that cleared; a lower curve clears faster. The numbers below "
        "say how many events are still open and observed. Where few are left, the curve is "
        "uncertain. Time counts from the onset of an event, not from the use of a technique.",
        CurveFigure(
            tuple(_survival_curve(curve) for curve in drawn),
            Axis("Time since onset of the event", Unit.SECONDS, 0.0, _LAST_TIME_S),
            Axis("Events not yet cleared", Unit.PERCENT, 0.0, 1.0),
            marks=(Mark(60.0, "60 s"), Mark(180.0, "180 s")),
            at_risk_x=tuple(at.time_s for at in drawn[0].at_risk if at.time_s <= _LAST_TIME_S),
            at_risk=tuple(
                AtRiskRow(
                    curve.group,
                    tuple(at.n_at_risk for at in curve.at_risk if at.time_s <= _LAST_TIME_S),
                )
                for curve in drawn
            ),
        ),
    )
    text = (
        "Events are counted as clustered in cases and surgeons: "
        f"{clear.clustering} ({clear.n_bootstrap} draws). Events whose onset was not seen have no "
        "time to clear."
    )
    return Section(heading, (text,), (figure,), (_clear_table(clear), *_clear_differences(clear)))


def _survival_curve(curve: ClearCurve) -> Curve:
    """Cut a curve at the end of the axis, and carry it on to there or to its last time."""
    pairs = [
        (t, y) for t, y in zip(curve.time_s, curve.open_frac, strict=True) if t <= _LAST_TIME_S
    ]
    times, shares = [t for t, _ in pairs], [y for _, y in pairs]
    if len(pairs) < len(curve.time_s):
        times.append(_LAST_TIME_S)
        shares.append(shares[-1])
    return Curve(curve.group, tuple(times), tuple(shares))


def _clear_table(clear: TimeToClear) -> TableBlock:
    rows = tuple(
        (
            curve.group,
            str(curve.n_cases),
            str(curve.n_events),
            str(curve.n_censored),
            str(curve.n_onset_unseen),
            _seconds_text(curve.median_s),
            share_text(curve.cleared_60s_share),
            share_text(curve.cleared_180s_share),
            _seconds_text(curve.mean_to_horizon_s),
        )
        for curve in clear.curves
    )
    heads = (
        "Group",
        "#Cases",
        "#Events",
        "#Censored",
        "#Onset unseen",
        "#Median, s",
        "#Clear by 60 s",
        "#Clear by 180 s",
        f"#Mean to {clear.horizon_s:.0f} s, s",
    )
    note = (
        "In brackets 95 % intervals. Censored: the view was lost or the recording ended before the "
        f"view cleared. Mean to {clear.horizon_s:.0f} s: mean time open, each event counted for "
        "that long at most."
    )
    return TableBlock("Clearing in each group", columns(*heads), rows, note)


def _seconds_text(estimate: Estimate) -> str:
    return estimate_text(estimate, n_decimals=0, is_signed=False)


def _clear_differences(clear: TimeToClear) -> tuple[TableBlock, ...]:
    if not clear.differences:
        return ()
    rows = tuple(
        (
            pair_text(d.group, d.reference),
            estimate_text(d.cleared_60s_share, 100.0, is_signed=True),
            estimate_text(d.cleared_180s_share, 100.0, is_signed=True),
            estimate_text(d.mean_to_horizon_s, is_signed=True),
        )
        for d in clear.differences
    )
    heads = (
        "Group − other",
        "#Clear by 60 s, points (95 % interval)",
        "#Clear by 180 s, points (95 % interval)",
        f"#Mean to {clear.horizon_s:.0f} s, s (95 % interval)",
    )
    note = "Points are percentage points. Not corrected for the number of comparisons."
    return (TableBlock("Differences in clearing", columns(*heads), rows, note),)
