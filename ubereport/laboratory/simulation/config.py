"""Options of a simulated recording."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from ubereport.core.errors import ConfigError
from ubereport.core.series import LossReason

__all__ = ["SIMULATED_LOSSES", "FieldOutline", "SimulationConfig"]

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


@dataclass(frozen=True, slots=True)
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

    width_px: int = 640
    height_px: int = 360
    rate_hz: Fraction | int = 25
    codec: str = "libx264"
    crf: int = 23
    preset: str = "veryfast"
    field: FieldOutline = FieldOutline.CIRCLE
    surround_level: int = 0
    render_height_px: int = 540
    noise_level: float = 2.0
    bleeds_per_10min: float = 10.0
    rebleed_share: float = 0.25
    losses: tuple[LossReason, ...] = SIMULATED_LOSSES
    is_bleeding_at_end: bool = False
    gap_s: float = 0.0
    n_parts: int = 1
    loop_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("width_px", "height_px"):
            size = getattr(self, name)
            _check(64 <= size <= 4096 and size % 2 == 0, name, size, "even numbers from 64 to 4096")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            _check(low <= value <= high, name, value, f"{low} to {high}")
        _check(self.loop_s == 0 or self.loop_s >= 1, "loop_s", self.loop_s, "0 or 1 and more")
        _check(
            self.loop_s == 0 or self.is_repeatable,
            "loop_s",
            self.loop_s,
            "0, or one part, no gap and the codec libx264",
        )
        _check(self.field in list(FieldOutline), "field", self.field, ", ".join(FieldOutline))
        unknown = [str(loss) for loss in self.losses if loss not in SIMULATED_LOSSES]
        _check(not unknown, "losses", unknown, ", ".join(SIMULATED_LOSSES))

    @property
    def is_repeatable(self) -> bool:
        """Whether a recording can be lengthened by repeating it."""
        return self.n_parts == 1 and self.gap_s == 0 and self.codec == "libx264"


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("rate_hz", 1, 120),
    ("crf", 0, 51),
    ("surround_level", 0, 60),
    ("render_height_px", 48, 2160),
    ("noise_level", 0, 20),
    ("bleeds_per_10min", 0, 60),
    ("rebleed_share", 0, 1),
    ("gap_s", 0, 3600),
    ("n_parts", 1, 20),
    ("loop_s", 0, 36000),
)


def _check(condition: bool, key: str, given: object, allowed: str) -> None:
    if not condition:
        raise ConfigError(
            f"simulation.{key} = {given!r} cannot be used; allowed: {allowed}. Change {key}."
        )
