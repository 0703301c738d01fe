"""Sentences that stand in every report, in one place so that they can be weighed as one text."""

from __future__ import annotations

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.report.blocks import Pair
from ubereport.report.text import clock, printable

__all__ = [
    "DISCLAIMER",
    "FIXED_CAVEATS",
    "OPERATING_WORDS",
    "band_of_peak",
    "methods",
    "seconds",
]


FIXED_CAVEATS = (
    "Irrigation pressure can hide a bleeder: a clear view, in the closing field too, is no proof "
    "of hemostasis.",
    "The area is visible blood, liquid or clotted. It does not tell an active bleeder from blood "
    "that was left, and it is no measure of blood loss.",
)

OPERATING_WORDS: dict[str, str] = {
    "presence_area_frac": "Area from which a picture counts as bloody",
    "presence_probability": "Probability from which a pixel counts for that",
    "n_positive": "Pictures with blood",
    "n_negative": "Pictures without blood",
    "sensitivity": "Sensitivity, picture by picture",
    "specificity": "Specificity, picture by picture",
    "accuracy": "Accuracy, picture by picture",
    "dice_median": "Median Dice where there is blood",
    "iou_median": "Median IoU where there is blood",
    "dice_mean": "Mean Dice where there is blood",
    "negative_painted_share": "Pictures without blood that get any",
    "negative_area_mean_frac": "Mean area painted on pictures without blood",
    "area_mae_frac": "Mean error of the area, either way",
    "area_bias_frac": "Mean error of the area, too much counted as plus",
}


def seconds(span_s: float) -> str:
    r"""Print a threshold in seconds without idle decimals.

    >>> seconds(3.0), seconds(1.5)
    ('3\xa0s', '1.5\xa0s')
    """
    return f"{span_s:g}\xa0s"


def band_of_peak(peak_frac: float, config: EventConfig) -> str:
    r"""Name the band of a peak area by its bounds; deliberately no word and no clinical grade.

    >>> band_of_peak(0.2, EventConfig())
    '20–50\xa0%'
    """
    moderate, major = (f"{100 * bound:g}" for bound in (config.moderate_frac, config.major_frac))
    if peak_frac >= config.major_frac:
        return f"≥\xa0{major}\xa0%"
    return (
        f"{moderate}–{major}\xa0%" if peak_frac >= config.moderate_frac else f"<\xa0{moderate}\xa0%"
    )


def _short_percent(fraction: float) -> str:
    return f"{100 * fraction:g}\xa0%"


def methods(events: EventConfig, metrics: MetricConfig, sampling: str) -> tuple[Pair, ...]:
    """Say in plain language how every number of the report came about, with its thresholds."""
    onset, offset = _short_percent(events.onset_frac), _short_percent(events.offset_frac)
    return (
        Pair(
            "View obscured by blood",
            "A segmentation model marks visible blood in single pictures of the recording "
            f"({printable(sampling)}). The area is the share of the round or rectangular field of "
            "view that is marked; the dark border around the view never counts. Red tissue without "
            "blood on it, char, shadow and the glow of the radiofrequency probe are not meant "
            "to count.",
        ),
        Pair(
            "Lost time",
            "Pictures that show no usable view (black, no signal, white-out, blurred or veiled by "
            "smoke, damaged, frozen, out of body) and gaps are lost time. Lost time is missing, "
            "not clear: it enters no share and no mean. Coverage is evaluable over recorded time. "
            "A view that is red all over is evaluable. Pauses between parts are not recorded time.",
        ),
        Pair(
            "Shares of time",
            "For each threshold (5, 20 and 50 % of the view) the evaluable time with at least "
            "that area, over all evaluable time. The headline uses 20 %, the rule of a published "
            "study of arthroscopic recordings (Tuijthof 2011).",
        ),
        Pair(
            "Ranges",
            "Each headline is computed again with the model's next lower and next higher "
            "probability threshold. The range shows how much the number depends on that choice; "
            "it is no confidence interval.",
        ),
        Pair(
            "Hemostasis events",
            f"The area is steadied by a running median of {seconds(events.smoothing_s)}. An event "
            f"opens when it reaches {onset} and stays for {seconds(events.min_duration_s)}; it "
            f"ends when it falls below {offset} and stays below for "
            f"{seconds(events.clear_hold_s)}, and that fall is the clearing. Time to clear runs "
            "from onset to clearing.",
        ),
        Pair(
            "Events not seen to the end",
            f"Where the view is lost for more than {seconds(events.max_gap_s)} or the recording "
            "ends first, the clearing was not seen (censored). Where the view was bleeding "
            "already when it appeared, the onset was not seen and the event has no time to "
            "clear. A re-bleed is an onset within "
            f"{seconds(events.rebleed_window_s)} of the clearing before it.",
        ),
        Pair(
            "Time to clear of all events",
            "The Kaplan–Meier curve uses events with a clearing that was not seen for as long as "
            "they were watched. It is drawn from "
            f"{metrics.kaplan_meier_min_events} events on. Events of one case are not "
            "independent of one another: read the curve as a picture of this case.",
        ),
        Pair(
            "Closing field",
            f"Mean area and share of time at ≥ 5 % over the last {clock(metrics.closing_window_s)} "
            "of evaluable time.",
        ),
    )
