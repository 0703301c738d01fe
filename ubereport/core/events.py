"""Hemostasis events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, computed_field

from ubereport.core.validation import Frac


class CensorReason(StrEnum):
    """Why the end of an event was not seen; `NONE` where it was.

    `PART_ENDED`: another part follows, after a pause that nobody measured.
    """

    NONE = ""
    VIEW_LOST = "view_lost"
    PART_ENDED = "part_ended"
    RECORDING_ENDED = "recording_ended"


class Severity(StrEnum):
    """Band of an event by its peak area; no clinical grade."""

    MINOR = "minor"
    MODERATE = "moderate"
    MAJOR = "major"


@dataclass(frozen=True, slots=True)
class HemostasisEvent:
    """From the moment blood reaches the onset threshold until the view is clear again.

    Parameters
    ----------
    onset_s
        Case time at which the smoothed area reached the onset threshold.
    is_onset_observed
        False where the view was already bleeding when it (re)appeared, so that the true onset
        lies earlier; such an event has no time to clear.
    peak_s, peak_area_frac
        Time and value of the largest area.
    end_s
        Clearing, or the last moment observed if censored.
    clear_s
        Start of the stretch that stayed below the offset threshold; None if censored.
    censor_reason
        Why no clearing was seen.
    mean_area_frac
        Time-weighted mean area over the valid time of the event.
    area_time_frac_s
        Integral of the area over the valid time of the event, in seconds.
    is_rebleed
        Whether the onset lies within the re-bleed window of the clearing before it.
    severity
        Band by peak area.
    """

    onset_s: float
    is_onset_observed: bool
    peak_s: float
    peak_area_frac: Frac
    end_s: float
    clear_s: float | None
    censor_reason: CensorReason
    mean_area_frac: Frac
    area_time_frac_s: Annotated[float, Field(ge=0)]
    is_rebleed: bool
    severity: Severity

    def __post_init__(self) -> None:
        if not self.onset_s <= self.peak_s <= self.end_s:
            raise ValueError(f"need onset ≤ peak ≤ end, got {self}")
        if (self.clear_s is None) != self.is_censored:
            raise ValueError(
                "an event is censored, with a reason, exactly where it has no clearing"
            )
        if self.clear_s is not None and self.clear_s != self.end_s:
            raise ValueError("a cleared event ends at its clearing")

    @computed_field  # type: ignore[prop-decorator]  # derived, and written for other readers
    @property
    def is_censored(self) -> bool:
        """Whether the clearing was not seen."""
        return self.censor_reason is not CensorReason.NONE

    @property
    def duration_s(self) -> float:
        """Onset to clearing, or to the last moment observed."""
        return self.end_s - self.onset_s

    @computed_field  # type: ignore[prop-decorator]
    @property
    def time_to_clear_s(self) -> float | None:
        """Onset to clearing; None if either of them was not seen."""
        # An onset that nobody saw lies earlier by an unknown time: its time to clear would be too
        # short in every case.
        if self.clear_s is None or not self.is_onset_observed:
            return None
        return self.clear_s - self.onset_s
