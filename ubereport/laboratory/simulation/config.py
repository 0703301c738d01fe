"""Options of a simulated recording."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from ubereport.core.series import LossReason
from ubereport.core.validation import FROM_JSON, check_setting, validated

SIMULATED_LOSSES = (
    LossReason.OUT_OF_BODY,
    LossReason.BLACK,
    LossReason.BLURRED,
    LossReason.WHITE_OUT,
    LossReason.FROZEN,
    LossReason.NO_SIGNAL,
)


class FieldOutline(StrEnum):
    """How the round picture of the endoscope lies in the recorded one."""

    CIRCLE = "circle"
    SQUASHED = "squashed"
    CUT = "cut"
    RECTANGLE = "rectangle"
    FULL = "full"


Even = Annotated[int, Field(ge=64, le=4096, multiple_of=2)]


@validated("simulation")
class SimulationConfig:
    """How a simulated recording looks and what happens in it.

    Parameters
    ----------
    width_px, height_px
        Size of the recorded picture; even.
    rate_hz
        Frame rate.
    codec, crf, preset
        FFmpeg encoder, its constant quality and its speed setting (`preset` only for the
        encoders that have one).
    field
        Outline of the field of view.
    surround_level
        Level (0..255) of the picture around the field of view.
    render_height_px
        Pictures are drawn with at most this many rows of field and then enlarged: what keeps
        large recordings affordable.
    noise_level
        Standard deviation of the camera's noise in levels of 0..255.
    bleeds_per_10min
        Bleeds planned for 10 minutes of recording.
    rebleed_share
        Chance that a bleed is followed by another one at the same place within a minute.
    losses
        Kinds of lost view to plan; empty for none.
    is_bleeding_at_end
        Whether the recording ends before the last bleed clears.
    gap_s
        Length of one stretch in the middle for which the file has no pictures; 0 for none.
    n_parts
        How many files the recording is cut into.
    loop_s
        Pictures repeat after this many seconds, so that a very long recording is drawn and
        encoded only once; 0 draws everything. Needs one part, no gap and the codec libx264.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    width_px: Even = 640
    height_px: Even = 360
    rate_hz: Annotated[Fraction | int, Field(ge=1, le=120)] = 25
    codec: str = "libx264"
    crf: Annotated[int, Field(ge=0, le=51)] = 23
    preset: str = "veryfast"
    field: Annotated[FieldOutline, FROM_JSON] = FieldOutline.CIRCLE
    surround_level: Annotated[int, Field(ge=0, le=60)] = 0
    render_height_px: Annotated[int, Field(ge=48, le=2160)] = 540
    noise_level: Annotated[float, Field(ge=0, le=20)] = 2.0
    bleeds_per_10min: Annotated[float, Field(ge=0, le=60)] = 10.0
    rebleed_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    losses: Annotated[tuple[LossReason, ...], FROM_JSON] = SIMULATED_LOSSES
    is_bleeding_at_end: bool = False
    gap_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    n_parts: Annotated[int, Field(ge=1, le=20)] = 1
    loop_s: Annotated[float, Field(ge=0, le=36_000)] = 0.0

    def __post_init__(self) -> None:
        check_setting(
            self.loop_s == 0 or self.loop_s >= 1,
            "simulation.loop_s",
            self.loop_s,
            "0 or 1 and more",
        )
        check_setting(
            self.loop_s == 0 or self.is_repeatable,
            "simulation.loop_s",
            self.loop_s,
            "0, or one part, no gap and the codec libx264",
        )
        unknown = [str(loss) for loss in self.losses if loss not in SIMULATED_LOSSES]
        check_setting(not unknown, "simulation.losses", unknown, ", ".join(SIMULATED_LOSSES))

    @property
    def is_repeatable(self) -> bool:
        """Whether a recording can be lengthened by repeating it."""
        return self.n_parts == 1 and self.gap_s == 0 and self.codec == "libx264"
