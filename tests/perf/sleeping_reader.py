"""A reader that sleeps as long as decoding takes: as many cores as there are processes."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from ubereport.video.process_shares import groups_of
from ubereport.video.reader import Picture, ReadRequest

# Measured on 1080p30 H.264 at 10 Mb/s, see the README.
KEYFRAME_S, PICTURE_S, SCALING_S = 0.021, 0.0055, 0.0063
CODE_LEVELS = 250
_BLEED_EVERY_S, _BLEED_S = 120.0, 30.0


def area_at(time_s: float, is_restless: bool) -> float:
    """Return the area at a moment: quiet with a bleed every two minutes, or flickering at 5 %."""
    if is_restless:
        return 0.05 + 0.03 * np.sin(7.3 * time_s) * np.sin(1.7 * time_s)
    into_s = time_s % _BLEED_EVERY_S - 60.0
    bleed = 0.25 * np.sin(np.pi * into_s / _BLEED_S) if 0 <= into_s <= _BLEED_S else 0.0
    return 0.01 + bleed


def quiet(
    request: ReadRequest, take: Callable[[], int], beat: Callable[[], None]
) -> Iterator[Picture | None]:
    """Read a quiet operation."""
    return _pictures(request, beat, is_restless=False)


def restless(
    request: ReadRequest, take: Callable[[], int], beat: Callable[[], None]
) -> Iterator[Picture | None]:
    """Read a restless operation."""
    return _pictures(request, beat, is_restless=True)


def _pictures(
    request: ReadRequest, beat: Callable[[], None], is_restless: bool
) -> Iterator[Picture | None]:
    gray = np.random.default_rng(5).integers(
        90, 220, (request.height_px // 4 + 1, request.width_px // 4 + 1)
    )
    gray = np.kron(gray, np.ones((4, 4)))[: request.height_px, : request.width_px]
    texture = (gray[:, :, np.newaxis] * (0.95, 0.75, 0.7)).astype(np.uint8)
    keys = np.flatnonzero(request.is_key)
    group_before, at = -1, 0
    for frame in request.wanted.tolist():
        beat()
        group = int(groups_of(request.is_key, np.array([frame]))[0])
        if group != group_before:
            group_before, at = group, int(keys[group - 1])
            time.sleep(KEYFRAME_S)
        time.sleep((frame - at) * PICTURE_S + SCALING_S)
        at = frame
        rgb = np.roll(texture, frame, axis=1)
        time_s = float(request.pts[frame] * request.time_base_s)
        rgb[0, 0] = round(CODE_LEVELS * area_at(time_s, is_restless))
        yield Picture(rgb, is_corrupt=False)
