"""The only door to decord: pictures by frame index, where decord is exact.

decord hides what it cannot decode: it repeats the nearest good picture, or drops pictures of its
own count. Its count and times are therefore compared with our index before anything is read, it
may substitute nothing, and any complaint of its FFmpeg ends the reading, so that another reader
goes on from the last good picture.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from ubereport.core.errors import DecodeError, DependencyError
from ubereport.video.picture_scaling import fit_picture
from ubereport.video.reader import Picture, ReadRequest

# decord raises once it substituted more than this share of all pictures: none may be.
_SUBSTITUTED_FRAC = 1e-9


def read_pictures(
    request: ReadRequest,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture | None]:
    """Yield each picture wanted, in order.

    Raises
    ------
    DependencyError
        If decord is not installed.
    DecodeError
        If decord counts or times the pictures otherwise than the index, complains, or gives
        pictures of another size.
    """
    try:
        decord = importlib.import_module("decord")
    except ImportError:
        raise DependencyError("cannot import decord; use --reader pyav") from None
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.ERROR)
    video = decord.VideoReader(
        request.path,
        ctx=decord.cpu(0),
        num_threads=request.n_threads,
        fault_tol=_SUBSTITUTED_FRAC,
    )
    _compare(video, request)
    shape = (request.source_height_px, request.source_width_px, 3)
    for frame in request.wanted.tolist():
        rgb = video[frame].asnumpy()
        on_progress()
        if take_complaints():
            raise DecodeError("met damage")
        if rgb.shape != shape:
            raise DecodeError(f"gave a picture of {rgb.shape[1]} × {rgb.shape[0]} px")
        yield Picture(fit_picture(rgb, request), is_corrupt=False)


def _compare(video: Any, request: ReadRequest) -> None:  # noqa: ANN401 -- decord has no types
    """Refuse a recording that decord counts or times otherwise than our index."""
    n_frames = len(video)
    if n_frames != len(request.pts):
        raise DecodeError(f"counts {n_frames} pictures, the index {len(request.pts)}")
    theirs_s = np.asarray(video.get_frame_timestamp(np.arange(n_frames)))[:, 0].astype(np.float64)
    ours_s = (request.pts - request.pts[0]) * float(request.time_base_s)
    period_s = float(np.median(np.diff(ours_s)))
    off_s = float(np.max(np.abs((theirs_s - theirs_s[0]) - ours_s)))
    if off_s > period_s / 2:
        raise DecodeError(f"times a picture {off_s:.3g} s off the index")
