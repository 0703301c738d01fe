"""The only door to PyAV: packets, pictures by presentation time stamp, and encoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import Flags as CodecFlags
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream

from ubereport.core.arrays import RgbArray

__all__ = ["Encoder", "EncoderSpec", "FfmpegError"]

FfmpegError = av.FFmpegError

_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# ISO/IEC 23091-2 code points by the names used in `VideoFormat.color_matrix`.
_MATRIX_CODES = {"bt709": 1, "bt601": 6, "bt2020": 9, "unspecified": 2}
_SWS_MATRICES = {
    "bt709": Colorspace.ITU709,
    "bt601": Colorspace.ITU601,
    "bt2020": Colorspace.BT2020,
}
_RANGES = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How pictures are stored; `time_base_s` is one PTS tick, the rest as FFmpeg names it.

    `color_matrix` ("bt709", "bt601") and `color_range` ("limited", "full") say how RGB becomes
    YUV; `is_color_tagged` whether the file says so.
    """

    width_px: int
    height_px: int
    rate_hz: Fraction
    time_base_s: Fraction
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    color_matrix: str = "bt709"
    color_range: str = "limited"
    is_color_tagged: bool = True
    rotation_deg: int = 0
    sample_aspect_ratio: Fraction = Fraction(1)
    n_threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)


class Encoder:
    """One video stream into one file, without metadata, the same bytes for the same pictures.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the codec or the container is unknown.
    FfmpegError
        If the encoder refuses the size, the pixel format or an option.
    """

    def __init__(self, path: Path, spec: EncoderSpec) -> None:
        self._spec = spec
        path.open("wb").close()  # FFmpeg would report an unwritable place only at the first packet
        self._container = av.open(
            str(path), mode="w", container_options={"fflags": "+bitexact", **spec.container_options}
        )
        try:
            stream = self._container.add_stream(
                spec.codec, rate=spec.rate_hz, options=dict(spec.options)
            )
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{spec.codec} encodes no pictures")
            self._stream = stream
            self._configure()
        except BaseException:
            self._container.close()
            raise

    def _configure(self) -> None:
        spec, context = self._spec, self._stream.codec_context
        context.width, context.height = spec.width_px, spec.height_px
        context.pix_fmt = spec.pixel_format
        context.time_base = spec.time_base_s
        context.sample_aspect_ratio = spec.sample_aspect_ratio
        context.thread_count = spec.n_threads
        context.flags |= CodecFlags.bitexact.value
        self._stream.time_base = spec.time_base_s
        if spec.is_color_tagged:
            code = _MATRIX_CODES[spec.color_matrix]
            context.colorspace = context.color_primaries = context.color_trc = code
            context.color_range = _RANGES[spec.color_range]
        if spec.rotation_deg:
            self._stream.set_display_rotation(spec.rotation_deg)

    def write(self, rgb: RgbArray, pts: int) -> None:
        """Encode one (H, W, 3) uint8 full-range RGB picture shown at tick `pts`."""
        spec = self._spec
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format=spec.pixel_format,
            dst_colorspace=_SWS_MATRICES[spec.color_matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=_RANGES[spec.color_range],
            interpolation=_EXACT,
            threads=1,
        )
        frame.pts, frame.time_base = pts, spec.time_base_s
        frame.pict_type = 0
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is still held back and the end of the file."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def abort(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()
