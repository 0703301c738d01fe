"""Colors, hatches and words of the figures: told apart in gray print and by color-blind readers."""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.core.events import CensorReason
from ubereport.core.series import LossReason
from ubereport.language.speaking import N_

BLOOD_DARK = "#7f1517"
BLOOD_MIDDLE = "#c4554d"
BLOOD_LIGHT = "#edbfb4"
EVENT_FILL = "#2f4b66"
EVENT_SHADE = "#dbe5ee"
GRID = "#dfe4e8"
MUTED = "#55636f"
HATCH = "#6d7a86"
BAR_FILL = "#9fb4c8"


@dataclass(frozen=True, slots=True)
class LossMark:
    """How lost time is drawn: a fill, and a hatch over it."""

    fill: str
    hatch: str


LOSS_MARKS: dict[LossReason, LossMark] = {
    LossReason.BLACK: LossMark("#3b444c", ""),
    LossReason.NO_SIGNAL: LossMark("#ffffff", "xxxx"),
    LossReason.WHITE_OUT: LossMark("#ffffff", ""),
    LossReason.BLURRED: LossMark("#eef1f3", "////"),
    LossReason.CORRUPT: LossMark("#eef1f3", "++++"),
    LossReason.FROZEN: LossMark("#eef1f3", "||||"),
    LossReason.OUT_OF_BODY: LossMark("#eef1f3", "\\\\\\\\"),
    LossReason.GAP: LossMark("#ffffff", "----"),
    LossReason.PAUSE: LossMark("#d5dbe0", ""),
    LossReason.JUDGED: LossMark("#ffffff", "...."),
}

LOSS_WORDS: dict[LossReason, str] = {
    LossReason.BLACK: N_("black picture"),
    LossReason.NO_SIGNAL: N_("no signal"),
    LossReason.WHITE_OUT: N_("white-out"),
    LossReason.BLURRED: N_("blurred or smoke"),
    LossReason.CORRUPT: N_("damaged picture"),
    LossReason.FROZEN: N_("frozen picture"),
    LossReason.OUT_OF_BODY: N_("out of body"),
    LossReason.GAP: N_("gap in the recording"),
    LossReason.PAUSE: N_("pause between parts"),
    LossReason.JUDGED: N_("lost in a reviewer's judgment"),
}

CENSOR_WORDS: dict[CensorReason, str] = {
    CensorReason.NONE: "",
    CensorReason.VIEW_LOST: N_("clearing not seen: view lost"),
    CensorReason.PART_ENDED: N_("clearing not seen: part ended"),
    CensorReason.RECORDING_ENDED: N_("clearing not seen: recording ended"),
}


@dataclass(frozen=True, slots=True)
class GroupStyle:
    """How one group of a comparison is drawn; no two share a color, a line or a marker."""

    color: str
    line: tuple[int, tuple[float, ...]] | str
    marker: str


# Okabe and Ito's colors, ordered so that neighbors also differ in gray.
GROUP_STYLES: tuple[GroupStyle, ...] = (
    GroupStyle("#00507a", "-", "o"),
    GroupStyle("#d55e00", (0, (5, 2)), "s"),
    GroupStyle("#1d7a5f", (0, (1, 1.5)), "^"),
    GroupStyle("#8f4d73", (0, (6, 2, 1, 2)), "D"),
    GroupStyle("#000000", (0, (3, 1, 1, 1, 1, 1)), "v"),
    GroupStyle("#8c6d00", (0, (8, 3)), "P"),
    GroupStyle("#4a9ccf", (0, (2, 3)), "X"),
    GroupStyle("#7a7a7a", (0, (10, 2, 2, 2)), "<"),
)


def group_style(number: int) -> GroupStyle:
    """Return the style of the group with this 0-based number; from the ninth on they repeat."""
    return GROUP_STYLES[number % len(GROUP_STYLES)]
