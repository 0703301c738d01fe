"""The case in blocks, and the time to clear of its events, each as a figure with its numbers."""

from __future__ import annotations

from ubereport.core.case import CaseRecord
from ubereport.core.config import MetricConfig
from ubereport.documents.case.case_figures import clearing_svg, strip_svg
from ubereport.documents.case.views import Drawn
from ubereport.documents.page.text import clock, clock_range, percent, sentence_of, span_text
from ubereport.language.speaking import _, _n
from ubereport.metrics.strip import StripBlock, strip_blocks
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier

_MAX_CURVE_ROWS = 24


def strip_drawn(record: CaseRecord, config: MetricConfig) -> Drawn | None:
    """Draw the strip of blocks; None where nothing was sampled."""
    blocks = strip_blocks(record.series, config)
    return Drawn(strip_svg(blocks), tuple(map(_block_row, blocks))) if blocks else None


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


def clearing_drawn(record: CaseRecord, config: MetricConfig) -> tuple[str, Drawn | None]:
    """Say what the Kaplan–Meier curve of time to clear says and draw it, unless events are few."""
    curve = kaplan_meier(record.events)
    if curve.n_events >= config.kaplan_meier_min_events:
        return _statement(curve), Drawn(clearing_svg(curve), _clearing_rows(curve))
    text = _n(
        "The curve is not available: {n} event with a seen onset; at least {needed} are needed.",
        "The curve is not available: {n} events with a seen onset; at least {needed} are needed.",
        curve.n_events,
        needed=config.kaplan_meier_min_events,
    )
    return text, None


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


def _clearing_rows(curve: KaplanMeierCurve) -> tuple[tuple[str, ...], ...]:
    rows = []
    every = -(-len(curve.time_s) // _MAX_CURVE_ROWS)
    for i in range(0, len(curve.time_s), every):
        low, high = 1 - curve.high_frac[i], 1 - curve.low_frac[i]
        limits = _("not available") if low != low else span_text(percent(low), percent(high))
        rows.append(
            (
                clock(curve.time_s[i]),
                str(curve.n_at_risk[i]),
                str(curve.n_cleared[i]),
                percent(1 - curve.survival_frac[i]),
                limits,
            )
        )
    return tuple(rows)
