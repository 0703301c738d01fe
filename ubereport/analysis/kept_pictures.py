"""Decode, segment and encode the stills that are kept with a case."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from ubereport.analysis.key_frames import (
    Moment,
    display_size,
    encode_jpeg,
    key_moments,
    overlay,
    to_model_size,
)
from ubereport.analysis.opened_case import OpenedCase
from ubereport.analysis.views import FieldStretch
from ubereport.core.case import KeyFrame
from ubereport.core.events import HemostasisEvent
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.core.series import AreaSeries
from ubereport.segmentation.predictor import Predictor
from ubereport.video.decode import decode_stills


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
    samples = np.searchsorted(candidates.time_s, [m.time_s for m in moments])
    height_px, width_px = display_size(
        field.crop.width_px, field.crop.height_px, opened.config.records.key_frame_width_px
    )
    batch = decode_stills(
        opened.index.parts[stretch.part_index],
        candidates.frame_index[samples],
        opened.running.decode,
        height_px=height_px,
        width_px=width_px,
        crop=field.crop,
        part_index=stretch.part_index,
        pool=opened.decoders,
    )
    seen = to_model_size(batch.rgb, predictor.input_height_px, predictor.input_width_px)
    masks = predictor.masks(seen) & field.mask
    for moment, rgb, mask, is_decoded in zip(
        moments, batch.rgb, masks, batch.is_decoded, strict=True
    ):
        if is_decoded:
            yield moment, encode_jpeg(rgb), encode_jpeg(overlay(rgb, mask))
