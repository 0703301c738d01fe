"""Sentences that stand in every report, in one place so that they can be weighed as one text."""

from __future__ import annotations

from ubereport.core.config import EventConfig
from ubereport.documents.page.text import short_number, short_percent
from ubereport.language.speaking import N_

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
