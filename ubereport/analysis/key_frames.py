"""Stills kept with a case: onset, peak and clearing of its largest events, raw and overlaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.case import PEAK_REACH_S, KeyFrame, KeyFrameKind
from ubereport.core.events import HemostasisEvent
from ubereport.core.series import AreaSeries

JPEG_QUALITY = 88
OUTLINE_RGB = (255, 255, 255)
OUTLINE_EDGE_RGB = (0, 0, 0)
HATCH_PERIOD_PX = 12


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of an event whose picture is kept; `row` is its row in the series."""

    event_index: int
    kind: KeyFrameKind
    time_s: float
    row: int

    @property
    def stem(self) -> str:
        """File stem inside the case's frames folder."""
        return f"event-{self.event_index + 1:03d}-{self.kind.value}"

    def key_frame(self, area_frac: float) -> KeyFrame:
        """Return the entry of the case record for this moment."""
        return KeyFrame(
            event_index=self.event_index,
            kind=self.kind,
            time_s=self.time_s,
            area_frac=area_frac,
            raw_path=f"frames/{self.stem}.jpg",
            overlay_path=f"frames/{self.stem}-overlay.jpg",
        )


def key_moments(
    events: Sequence[HemostasisEvent], series: AreaSeries, max_events: int
) -> tuple[Moment, ...]:
    """Choose the moments to keep: of the `max_events` events with the largest area-time.

    Each moment is the valid sample that stands for it, so that the picture kept is one that was
    measured.
    """
    largest = sorted(range(len(events)), key=lambda i: -events[i].area_time_frac_s)[:max_events]
    moments: list[Moment] = []
    for event_index in sorted(largest):
        event = events[event_index]
        wanted = [(KeyFrameKind.ONSET, event.onset_s), (KeyFrameKind.PEAK, event.peak_s)]
        if event.clear_s is not None:
            wanted.append((KeyFrameKind.CLEAR, event.clear_s))
        for kind, time_s in wanted:
            row = _valid_row_at(series, time_s)
            if kind is KeyFrameKind.PEAK:
                row = _typical_row_near(series, time_s, event.peak_area_frac)
            moments.append(Moment(event_index, kind, float(series.time_s[row]), row))
    return tuple(moments)


def _typical_row_near(series: AreaSeries, time_s: float, area_frac: float) -> int:
    """Return the valid row near a peak that shows its area best.

    The peak is one of the smoothed area: the sample at its very moment may be an odd one.
    """
    rows = np.flatnonzero(series.is_valid)
    distance_s = np.abs(series.time_s[rows] - time_s)
    rows = rows[distance_s <= PEAK_REACH_S]
    return int(rows[int(np.argmin(np.abs(series.area_frac[rows] - area_frac)))])


def _valid_row_at(series: AreaSeries, time_s: float) -> int:
    rows = np.flatnonzero(series.is_valid)
    distance_s = np.abs(series.time_s[rows] - time_s)
    return int(rows[int(np.argmin(distance_s))])


def overlay(rgb: RgbArray, mask: BoolArray) -> RgbArray:
    """Draw what was called blood: outlined and hatched, so that it also shows in gray print.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    mask
        (h, w) bool of any size over the same picture.
    """
    height, width = rgb.shape[:2]
    size = (width, height)
    blood = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    rows, columns = np.indices((height, width))
    is_hatch = ((rows + columns) % HATCH_PERIOD_PX == 0) & (blood > 0)
    drawn = rgb.copy()
    drawn[is_hatch] = OUTLINE_RGB
    contours, _ = cv2.findContours(blood, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, OUTLINE_EDGE_RGB, thickness=3)
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, thickness=1)
    return drawn


def encode_jpeg(rgb: RgbArray) -> bytes:
    """Encode a picture as JPEG without any metadata.

    Raises
    ------
    ValueError
        If OpenCV cannot encode it.
    """
    is_done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not is_done:
        raise ValueError(f"a picture of shape {rgb.shape} cannot be encoded as JPEG")
    return bytes(encoded)


def display_size(crop_width_px: int, crop_height_px: int, width_px: int) -> tuple[int, int]:
    """Return (height, width) in even pixels of a crop shown `width_px` wide at most."""
    scale = min(1.0, width_px / crop_width_px)
    return max(2, round(crop_height_px * scale / 2) * 2), max(
        2, round(crop_width_px * scale / 2) * 2
    )


def to_model_size(rgb: RgbArray, height_px: int, width_px: int) -> RgbArray:
    """Resize (n, H, W, 3) pictures to the size that the model sees."""
    resized = [
        cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA) for picture in rgb
    ]
    return np.stack(resized).astype(np.uint8)
