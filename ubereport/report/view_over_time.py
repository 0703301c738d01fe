"""The case in blocks, and the time to clear of its events, each as a figure with its numbers."""

from __future__ import annotations

from ubereport.core.case import CaseRecord
from ubereport.core.config import MetricConfig
from ubereport.language.speaking import _, _n
from ubereport.metrics.strip import StripBlock, strip_blocks
from ubereport.report.blocks import Column, FigureBlock, TableBlock
from ubereport.report.case_figures import clearing_svg, strip_svg
from ubereport.report.text import clock, clock_range, percent, sentence_of, short_number
from ubereport.report.views import SurvivalView
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier

_MAX_CURVE_ROWS = 24


def strip_figure(record: CaseRecord, config: MetricConfig) -> FigureBlock | None:
    """Draw the strip of blocks; None where nothing was sampled."""
    blocks = strip_blocks(record.series, config)
    if not blocks:
        return None
    return FigureBlock(
        figure_id="strip",
        title=_("The case in blocks"),
        caption=_(
            "Blocks of {minutes}\xa0min of case time, named by their start (h:mm). Bar "
            "and number: share of the block's evaluable time with at least 20\xa0% of the view "
            "obscured by blood. Diamond: mean area. Hatched: nothing evaluable.",
            minutes=short_number(config.strip_block_s / 60),
        ),
        svg=strip_svg(blocks),
        table=TableBlock(
            _("Blocks in numbers"),
            (
                Column(_("Case time")),
                Column(_("Evaluable"), is_number=True),
                Column(_("Coverage"), is_number=True),
                Column(_("Mean area"), is_number=True),
                Column(_("Time ≥\xa020\xa0%"), is_number=True),
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
    return _("not available") if fraction is None else percent(fraction)


def survival_view(record: CaseRecord, config: MetricConfig) -> SurvivalView:
    """Draw the Kaplan–Meier curve of time to clear, or say why there are too few events."""
    curve = kaplan_meier(record.events)
    if curve.n_events < config.kaplan_meier_min_events:
        return SurvivalView(
            _n(
                "The curve is not available: {n} event with a seen onset; at least {needed} are "
                "needed.",
                "The curve is not available: {n} events with a seen onset; at least {needed} are "
                "needed.",
                curve.n_events,
                needed=config.kaplan_meier_min_events,
            ),
            None,
        )
    return SurvivalView(_statement(curve), _survival_figure(curve))


def _statement(curve: KaplanMeierCurve) -> str:
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


def _survival_figure(curve: KaplanMeierCurve) -> FigureBlock:
    rows = []
    every = -(-len(curve.time_s) // _MAX_CURVE_ROWS)
    for i in range(0, len(curve.time_s), every):
        low, high = 1 - curve.high_frac[i], 1 - curve.low_frac[i]
        limits = (
            _("not available")
            if low != low
            else _("{low} to {high}", low=percent(low), high=percent(high))
        )
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
        title=_("Time to clear"),
        caption=_(
            "Share of events whose view was clear again, over time since onset (Kaplan–Meier). "
            "Shaded: 95\xa0% limits for independent events, which events of one case are not. "
            "Upright ticks: the clearing was not seen."
        ),
        svg=clearing_svg(curve),
        table=TableBlock(
            _("Time to clear in numbers"),
            (
                Column(_("Since onset")),
                Column(_("Still watched"), is_number=True),
                Column(_("Cleared then"), is_number=True),
                Column(_("Cleared so far"), is_number=True),
                Column(_("95\xa0% limits"), is_number=True),
            ),
            tuple(rows),
        ),
    )
