"""Pictures kept with a case: onset, peak and clearing of its largest events, raw and overlaid."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.analysis.opened_case import OpenedCase
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.case import PEAK_REACH_S, KeyFrame, KeyFrameKind
from ubereport.core.events import HemostasisEvent
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.core.series import AreaSeries
from ubereport.segmentation.predictor import Predictor
from ubereport.video.picture_scaling import encode_jpeg

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
    # Area-time and not peak: what matters is the bleed that covered the view longest, not a splash
    # on the lens. Sorting is stable, so that equal events keep their order.
    largest = sorted(range(len(events)), key=lambda i: -events[i].area_time_frac_s)[:max_events]
    moments: list[Moment] = []
    for event_index in sorted(largest):
        event = events[event_index]
        wanted = [(KeyFrameKind.ONSET, event.onset_s), (KeyFrameKind.PEAK, event.peak_s)]
        if event.clear_s is not None:
            wanted.append((KeyFrameKind.CLEAR, event.clear_s))
        for kind, time_s in wanted:
            is_peak = kind is KeyFrameKind.PEAK
            row = _typical_row_at_peak(series, event) if is_peak else _valid_row_at(series, time_s)
            moments.append(Moment(event_index, kind, float(series.time_s[row]), row))
    return tuple(moments)


def _typical_row_at_peak(series: AreaSeries, event: HemostasisEvent) -> int:
    """Return the valid row of an event near its peak that shows the peak's area best.

    The peak is one of the smoothed area: the sample at its very moment may be an odd one.
    """
    # A part may end, and another begin, within reach of a peak: what is shown is of this event.
    is_inside = (series.time_s >= event.onset_s) & (series.time_s < event.end_s)
    is_near = np.abs(series.time_s - event.peak_s) <= PEAK_REACH_S
    rows = np.flatnonzero(series.is_valid & is_inside & is_near)
    return int(rows[int(np.argmin(np.abs(series.area_frac[rows] - event.peak_area_frac)))])


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
    # White on black: one of the two stands out on any tissue, and red on red would not.
    cv2.drawContours(drawn, contours, -1, OUTLINE_EDGE_RGB, thickness=3)
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, thickness=1)
    return drawn


def keep_key_frames(
    opened: OpenedCase,
    predictor: Predictor,
    stretches: Sequence[FieldStretch],
    series: AreaSeries,
    events: Sequence[HemostasisEvent],
    on_progress: ProgressHook,
) -> tuple[tuple[KeyFrame, ...], dict[str, bytes]]:
    """Return the key frames of a case and their JPEG files; none if they are not wanted.

    Raises
    ------
    DecodeError
        If the recording no longer decodes.
    """
    config = opened.config.records
    if not config.is_frames_kept:
        return (), {}
    started = time.perf_counter()
    moments = key_moments(events, series, config.max_key_frame_events)
    key_frames: list[KeyFrame] = []
    files: dict[str, bytes] = {}
    for stretch in stretches:
        inside = [m for m in moments if stretch.interval.contains(m.time_s)]
        for moment, raw, drawn in _pictures(opened, predictor, stretch, inside):
            key_frame = moment.key_frame(float(series.area_frac[moment.row]))
            key_frames.append(key_frame)
            files[key_frame.raw_path] = raw
            files[key_frame.overlay_path] = drawn
        on_progress(
            Progress(
                Stage.KEY_FRAMES,
                stretch.interval.end_s,
                opened.timeline.end_s,
                len(key_frames),
                time.perf_counter() - started,
            )
        )
    key_frames.sort(key=lambda k: (k.event_index, k.time_s))
    return tuple(key_frames), files


def _pictures(
    opened: OpenedCase, predictor: Predictor, stretch: FieldStretch, moments: Sequence[Moment]
) -> Iterator[tuple[Moment, bytes, bytes]]:
    if not moments:
        return
    candidates, field = opened.candidates, stretch.field
    frames = candidates.frame_index[np.searchsorted(candidates.time_s, [m.time_s for m in moments])]
    width_px = opened.config.records.key_frame_width_px
    batch = opened.small_pictures(stretch.part_index, frames, field.crop, width_px)
    # The mask is asked for once more, since a series keeps areas and no masks; and of the very
    # pixels that were measured: of the same picture scaled twice, a view on the edge of showing
    # blood would have all of its mask or none.
    size_px = (predictor.input_height_px, predictor.input_width_px)
    seen = opened.pictures_of_size(stretch.part_index, frames, field.crop, size_px)
    masks = predictor.masks(seen.rgb) & field.mask
    is_whole = batch.is_decoded & seen.is_decoded
    for moment, rgb, mask, is_decoded in zip(moments, batch.rgb, masks, is_whole, strict=True):
        if is_decoded:
            yield moment, encode_jpeg(rgb), encode_jpeg(overlay(rgb, mask))
