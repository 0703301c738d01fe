"""The only door to torchcodec: pictures by frame index, decoded by the system's FFmpeg or by NVDEC.

torchcodec is told our index instead of scanning the file again, and the time of every picture it
gives is compared with that index. It silences FFmpeg unless told otherwise; with FFmpeg heard, any
complaint ends the reading, so that another reader goes on from the last good picture. NVDEC does
not complain: on a GPU bit errors inside pictures go unnoticed, which is why that is a choice of
its own. It was written without a GPU at hand and has not run on one.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from ubereport.core.arrays import FloatArray, IntArray
from ubereport.errors import DecodeError, DependencyError
from ubereport.video.fit import fit_picture
from ubereport.video.reader import Picture, ReadRequest

__all__ = ["calls", "library_version", "read_pictures", "read_pictures_on_cuda"]

_ABSENT = (
    "cannot load torchcodec; install it with pip install 'ubereport[torchcodec]', "
    "or use --reader pyav"
)
_FFMPEG_ABSENT = (
    "cannot decode with torchcodec, which finds no shared libraries of FFmpeg 4 or newer; "
    "install them (apt-get install ffmpeg), or use --reader pyav"
)
_CUDA_ABSENT = (
    "cannot decode with torchcodec-cuda, since torch finds no CUDA device; "
    "use --reader torchcodec or pyav"
)
_MAX_PICTURES = 16
_MAX_BYTES = 256 * 2**20
_MAX_DECODED = 256


def read_pictures(
    request: ReadRequest,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture | None]:
    """Load torchcodec and return each picture wanted, in order, decoded on the processor.

    Raises
    ------
    DependencyError
        If torchcodec or FFmpeg's shared libraries are not installed.
    DecodeError
        While iterating: if FFmpeg complains, or a picture has another time or size than it should.
    """
    return _read(_load(), request, "cpu", take_complaints, on_progress)


def read_pictures_on_cuda(
    request: ReadRequest,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture | None]:
    """As `read_pictures`, decoded by NVDEC where it can decode the recording.

    The CUDA context is made before this returns.

    Raises
    ------
    DependencyError
        If torchcodec or FFmpeg's shared libraries are not installed, or torch finds no GPU.
    DecodeError
        As `read_pictures`.
    """
    library = _load()
    import torch

    if not torch.cuda.is_available():
        raise DependencyError(_CUDA_ABSENT)
    torch.zeros(1, device="cuda")
    return _read(library, request, "cuda", take_complaints, on_progress)


def library_version() -> str:
    """Load torchcodec and return its version and that of the FFmpeg it found.

    Raises
    ------
    DependencyError
        If torchcodec or FFmpeg's shared libraries are not installed.
    """
    library = _load()
    return f"{library.__version__} with FFmpeg {library.ffmpeg_major_version}"


def _load() -> Any:  # noqa: ANN401 -- torchcodec may be absent
    os.environ["TORCHCODEC_FFMPEG_LOG_LEVEL"] = "ERROR"  # silent by default: damage would be hidden
    try:
        library = importlib.import_module("torchcodec")
    except (ImportError, OSError, RuntimeError):  # RuntimeError: built for another torch
        raise DependencyError(_ABSENT) from None
    if library.ffmpeg_major_version is None:
        raise DependencyError(_FFMPEG_ABSENT)
    return library


def _read(
    library: Any,  # noqa: ANN401 -- torchcodec may be absent
    request: ReadRequest,
    device: str,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture | None]:
    cv2.setNumThreads(1)
    take_complaints()  # about what was loaded
    video = _open(library, request, device)
    upright = dataclasses.replace(request, rotation_deg=0)  # torchcodec turns pictures itself
    shape = (request.source_height_px, request.source_width_px, 3)
    for frames in calls(request):
        batch = _call(video, frames)
        on_progress()
        if take_complaints():
            raise DecodeError("met damage")
        _check_times(batch.pts_seconds.cpu().numpy(), frames, request)
        for rgb in batch.data.cpu().numpy():
            if rgb.shape != shape:
                raise DecodeError(f"gave a picture of {rgb.shape[1]} × {rgb.shape[0]} px")
            yield Picture(fit_picture(rgb, upright), is_corrupt=False)


def _open(library: Any, request: ReadRequest, device: str) -> Any:  # noqa: ANN401 -- as above
    period = np.diff(request.pts)
    durations = [*period.tolist(), int(np.median(period))]
    frames = [
        {"pts": pts, "duration": duration, "key_frame": int(is_key)}
        for pts, duration, is_key in zip(
            request.pts.tolist(), durations, request.is_key.tolist(), strict=True
        )
    ]
    return library.decoders.VideoDecoder(
        request.path,
        stream_index=request.stream_index,
        dimension_order="NHWC",
        num_ffmpeg_threads=request.n_threads,
        device=device,
        custom_frame_mappings=json.dumps({"frames": frames}),
    )


def _call(video: Any, frames: IntArray) -> Any:  # noqa: ANN401 -- as above
    try:
        return video.get_frames_at(frames.tolist())
    except RuntimeError as error:
        words = str(error).rsplit(", ", 1)[-1]  # before them: a function and a line of C++
        raise DecodeError(f"gave up: {words}") from None


def calls(request: ReadRequest) -> Iterator[IntArray]:
    """Cut what is wanted into calls of the library; yield the frame indices of each.

    A call hands over at most 16 pictures and 256 MiB, and decodes at most 256 pictures on the way,
    since it gives no sign of life meanwhile. A picture that takes more alone has its own call.
    """
    n_bytes = 3 * request.source_width_px * request.source_height_px
    n_most = max(1, min(_MAX_PICTURES, _MAX_BYTES // n_bytes))
    wanted = request.wanted
    starts = np.union1d([0], np.flatnonzero(request.is_key))
    owner = starts[np.searchsorted(starts, wanted, side="right") - 1]
    before = np.concatenate([[-1], wanted[:-1]])
    n_decoded = wanted - np.maximum(owner - 1, before)
    first, n_so_far = 0, 0
    for row, n in enumerate(n_decoded.tolist()):
        if row > first and (row - first == n_most or n_so_far + n > _MAX_DECODED):
            yield wanted[first:row]
            first, n_so_far = row, 0
        n_so_far += n
    if first < len(wanted):
        yield wanted[first:]


def _check_times(theirs_s: FloatArray, frames: IntArray, request: ReadRequest) -> None:
    """Refuse pictures that are not the ones asked for."""
    tick_s = float(request.time_base_s)
    off_s = float(np.max(np.abs(theirs_s - request.pts[frames] * tick_s)))
    if off_s > tick_s / 2:
        raise DecodeError(f"gave a picture {off_s:.3g} s off the one asked for")
