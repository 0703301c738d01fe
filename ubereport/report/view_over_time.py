"""The case in blocks, and the time to clear of its events, each as a figure with its numbers."""

from __future__ import annotations

from ubereport.core.case import CaseRecord
from ubereport.core.config import MetricConfig
from ubereport.metrics.strip import StripBlock, strip_blocks
from ubereport.report.blocks import Column, FigureBlock, TableBlock
from ubereport.report.case_figures import clearing_svg, strip_svg
from ubereport.report.text import clock, clock_range, percent, plural
from ubereport.report.views import SurvivalView
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier

_MISSING = "not available"
_MAX_CURVE_ROWS = 24


def strip_figure(record: CaseRecord, config: MetricConfig) -> FigureBlock | None:
    """Draw the strip of blocks; None where nothing was sampled."""
    blocks = strip_blocks(record.series, config)
    if not blocks:
        return None
    return FigureBlock(
        figure_id="strip",
        title="The case in blocks",
        caption=(
            f"Blocks of {config.strip_block_s / 60:g}\xa0min of case time, named by their start "
            "(h:mm). Bar and number: share of the block's evaluable time with at least 20\xa0% "
            "of the view obscured by blood. Diamond: mean area. Hatched: nothing evaluable."
        ),
        svg=strip_svg(blocks),
        table=TableBlock(
            "Blocks in numbers",
            (
                Column("Case time"),
                Column("Evaluable", is_number=True),
                Column("Coverage", is_number=True),
                Column("Mean area", is_number=True),
                Column("Time ≥\xa020\xa0%", is_number=True),
            ),
            tuple(_block_row(block) for block in blocks),
        ),
    )


def _block_row(block: StripBlock) -> tuple[str, ...]:
    return (
        clock_range(block.start_s, block.end_s),
        clock(block.evaluable_s),
        _share(block.coverage_frac),
        _share(block.area_mean_frac),
        _share(block.impaired_share_20),
    )


def _share(fraction: float | None) -> str:
    return _MISSING if fraction is None else percent(fraction)


def survival_view(record: CaseRecord, config: MetricConfig) -> SurvivalView:
    """Draw the Kaplan–Meier curve of time to clear, or say why there are too few events."""
    curve = kaplan_meier(record.events)
    if curve.n_events < config.kaplan_meier_min_events:
        return SurvivalView(
            f"The curve is not available: {plural(curve.n_events, 'event')} with a seen onset; "
            f"at least {config.kaplan_meier_min_events} are needed.",
            None,
        )
    return SurvivalView(_statement(curve), _survival_figure(curve))


def _statement(curve: KaplanMeierCurve) -> str:
    median_s = curve.median_s
    middle = (
        "Half of them were not seen to clear within the time they were watched"
        if median_s is None
        else f"Half of them were clear by {clock(median_s)}"
    )
    words = f"{plural(curve.n_events, 'event')} with a seen onset. {middle}"
    if curve.n_censored:
        verbs = ("was", "counts") if curve.n_censored == 1 else ("were", "count")
        words += f"; {curve.n_censored} {verbs[0]} not seen to clear and {verbs[1]} for as long as"
        words += " watched"
    if curve.n_onset_unseen:
        words += f"; {plural(curve.n_onset_unseen, 'event')} with an unseen onset left out"
    return words + "."


def _survival_figure(curve: KaplanMeierCurve) -> FigureBlock:
    rows = []
    every = -(-len(curve.time_s) // _MAX_CURVE_ROWS)
    for i in range(0, len(curve.time_s), every):
        low, high = 1 - curve.high_frac[i], 1 - curve.low_frac[i]
        limits = _MISSING if low != low else f"{percent(low)} to {percent(high)}"
        rows.append(
            (
                clock(curve.time_s[i]),
                str(curve.n_at_risk[i]),
                str(curve.n_cleared[i]),
                percent(1 - curve.survival_frac[i]),
                limits,
            )
        )
    return FigureBlock(
        figure_id="time-to-clear",
        title="Time to clear",
        caption=(
            "Share of events whose view was clear again, over time since onset (Kaplan–Meier). "
            "Shaded: 95\xa0% limits for independent events, which events of one case are not. "
            "Upright ticks: the clearing was not seen."
        ),
        svg=clearing_svg(curve),
        table=TableBlock(
            "Time to clear in numbers",
            (
                Column("Since onset"),
                Column("Still watched", is_number=True),
                Column("Cleared then", is_number=True),
                Column("Cleared so far", is_number=True),
                Column("95\xa0% limits", is_number=True),
            ),
            tuple(rows),
        ),
    )
