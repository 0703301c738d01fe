"""Sentences that stand in every report, in one place so that they can be weighed as one text."""

from __future__ import annotations

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.language.speaking import N_, _, told
from ubereport.report.blocks import Pair
from ubereport.report.text import clock, printable, short_number, short_percent

__all__ = [
    "DISCLAIMER",
    "FIXED_CAVEATS",
    "OPERATING_WORDS",
    "band_of_peak",
    "methods",
    "seconds",
]


FIXED_CAVEATS = (
    N_(
        "Irrigation pressure can hide a bleeder: a clear view, in the closing field too, is no "
        "proof of hemostasis."
    ),
    N_(
        "The area is visible blood, liquid or clotted. It does not tell an active bleeder from "
        "blood that was left, and it is no measure of blood loss."
    ),
)

OPERATING_WORDS: dict[str, str] = {
    "presence_area_frac": N_("Area from which a picture counts as bloody"),
    "presence_probability": N_("Probability from which a pixel counts for that"),
    "n_positive": N_("Pictures with blood"),
    "n_negative": N_("Pictures without blood"),
    "sensitivity": N_("Sensitivity, picture by picture"),
    "specificity": N_("Specificity, picture by picture"),
    "accuracy": N_("Accuracy, picture by picture"),
    "dice_median": N_("Median Dice where there is blood"),
    "iou_median": N_("Median IoU where there is blood"),
    "dice_mean": N_("Mean Dice where there is blood"),
    "negative_painted_share": N_("Pictures without blood that get any"),
    "negative_area_mean_frac": N_("Mean area painted on pictures without blood"),
    "area_mae_frac": N_("Mean error of the area, either way"),
    "area_bias_frac": N_("Mean error of the area, too much counted as plus"),
}


def seconds(span_s: float) -> str:
    r"""Print a threshold in seconds without idle decimals.

    >>> seconds(3.0), seconds(1.5)
    ('3\xa0s', '1.5\xa0s')
    """
    return f"{short_number(span_s)}\xa0s"


def band_of_peak(peak_frac: float, config: EventConfig) -> str:
    r"""Name the band of a peak area by its bounds; deliberately no word and no clinical grade.

    >>> band_of_peak(0.2, EventConfig())
    '20–50\xa0%'
    """
    major = short_percent(config.major_frac)
    if peak_frac >= config.major_frac:
        return f"≥\xa0{major}"
    if peak_frac < config.moderate_frac:
        return f"<\xa0{short_percent(config.moderate_frac)}"
    return f"{short_number(100 * config.moderate_frac)}–{major}"


def methods(events: EventConfig, metrics: MetricConfig, sampling: str) -> tuple[Pair, ...]:
    """Say in plain language how every number of the report came about, with its thresholds."""
    return (
        Pair(
            _("View obscured by blood"),
            _(
                "A segmentation model marks visible blood in single pictures of the recording "
                "({sampling}). The area is the share of the round or rectangular field of view "
                "that is marked; the dark border around the view never counts. Red tissue without "
                "blood on it, char, shadow and the glow of the radiofrequency probe are not meant "
                "to count.",
                sampling=told(printable(sampling)),
            ),
        ),
        Pair(
            _("Lost time"),
            _(
                "Pictures that show no usable view (black, no signal, white-out, blurred or "
                "veiled by smoke, damaged, frozen, out of body) and gaps are lost time. Lost time "
                "is missing, not clear: it enters no share and no mean. Coverage is evaluable "
                "over recorded time. A view that is red all over is evaluable. Pauses between "
                "parts are not recorded time."
            ),
        ),
        Pair(
            _("Shares of time"),
            _(
                "For each threshold (5, 20 and 50 % of the view) the evaluable time with at least "
                "that area, over all evaluable time. The headline uses 20 %, the rule of a "
                "published study of arthroscopic recordings (Tuijthof 2011)."
            ),
        ),
        Pair(
            _("Ranges"),
            _(
                "Each headline is computed again with the model's next lower and next higher "
                "probability threshold. The range shows how much the number depends on that "
                "choice; it is no confidence interval."
            ),
        ),
        *_event_methods(events, metrics),
    )


def _event_methods(events: EventConfig, metrics: MetricConfig) -> tuple[Pair, ...]:
    onset, offset = short_percent(events.onset_frac), short_percent(events.offset_frac)
    return (
        Pair(
            _("Hemostasis events"),
            _(
                "The area is steadied by a running median of {smoothing}. An event opens when it "
                "reaches {onset} and stays for {min_duration}; it ends when it falls below "
                "{offset} and stays below for {clear_hold}, and that fall is the clearing. Time to "
                "clear runs from onset to clearing.",
                smoothing=seconds(events.smoothing_s),
                onset=onset,
                min_duration=seconds(events.min_duration_s),
                offset=offset,
                clear_hold=seconds(events.clear_hold_s),
            ),
        ),
        Pair(
            _("Events not seen to the end"),
            _(
                "Where the view is lost for more than {max_gap} or the recording ends first, the "
                "clearing was not seen (censored). Where the view was bleeding already when it "
                "appeared, the onset was not seen and the event has no time to clear. A re-bleed "
                "is an onset within {rebleed_window} of the clearing before it.",
                max_gap=seconds(events.max_gap_s),
                rebleed_window=seconds(events.rebleed_window_s),
            ),
        ),
        Pair(
            _("Time to clear of all events"),
            _(
                "The Kaplan–Meier curve uses events with a clearing that was not seen for as long "
                "as they were watched. It is drawn from {min_events} events on. "
                "Events of one case are not independent of one another: read the curve as a "
                "picture of this case.",
                min_events=metrics.kaplan_meier_min_events,
            ),
        ),
        Pair(
            _("Closing field"),
            _(
                "Mean area and share of time at ≥ 5 % over the last {closing_window} of evaluable "
                "time.",
                closing_window=clock(metrics.closing_window_s),
            ),
        ),
    )
