"""Write recordings: simulated ones, examples, test recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import OutputError
from ubereport.video.pyav import Encoder, EncoderSpec, FfmpegError


@dataclass(frozen=True, slots=True)
class ColorTag:
    """How RGB becomes YUV, and whether the file says so.

    `matrix` is "bt709" or "bt601"; `color_range` is "limited" or "full".
    """

    matrix: str = "bt709"
    color_range: str = "limited"
    is_tagged: bool = True


class VideoWriter:
    """Write RGB pictures into one video file; a context manager.

    The container follows the suffix of `path`. Metadata are left out, one thread encodes: the
    same pictures give the same bytes on the same machine.

    Parameters
    ----------
    path
        File to write; replaced if it exists.
    width_px, height_px
        Size of every picture; both even unless `pixel_format` keeps full chroma.
    rate_hz
        Nominal frame rate.
    codec
        FFmpeg encoder, such as "libx264", "libx265", "mpeg2video", "mpeg4", "wmv2", "libsvtav1".
    pixel_format
        FFmpeg pixel format, such as "yuv420p", "yuv422p", "yuv420p10le".
    options
        Encoder options, such as ``{"crf": "20", "g": "30", "bf": "2"}``.
    container_options
        Muxer options, such as ``{"movflags": "faststart"}``.
    time_base_s
        Seconds of one PTS tick; one frame period unless given.
    color
        Matrix, range and tags.
    rotation_deg
        Counterclockwise rotation that a player must apply, written as a display matrix.
    n_threads
        Encoder threads.

    Raises
    ------
    OutputError
        If the file cannot be written, or the codec, container or an option is unknown.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> with VideoWriter(Path(folder.name) / "red.mp4", 64, 48, 25) as writer:
    ...     for _ in range(5):
    ...         writer.write(np.full((48, 64, 3), (200, 0, 0), dtype=np.uint8))
    >>> writer.n_frames
    5
    >>> folder.cleanup()
    """

    def __init__(  # noqa: PLR0913 -- a recording has this many independent properties
        self,
        path: Path,
        width_px: int,
        height_px: int,
        rate_hz: Fraction | int,
        codec: str = "libx264",
        *,
        pixel_format: str = "yuv420p",
        options: Mapping[str, str] | None = None,
        container_options: Mapping[str, str] | None = None,
        time_base_s: Fraction | None = None,
        color: ColorTag | None = None,
        rotation_deg: int = 0,
        sample_aspect_ratio: Fraction = Fraction(1),
        n_threads: int = 1,
    ) -> None:
        rate = Fraction(rate_hz)
        if rate <= 0:
            raise ValueError(f"frame rate of {rate_hz}; it must be positive")
        tag = ColorTag() if color is None else color
        self.n_frames = 0
        self._shape = (height_px, width_px, 3)
        self._last_pts: int | None = None
        self._spec = EncoderSpec(
            width_px=width_px,
            height_px=height_px,
            rate_hz=rate,
            time_base_s=1 / rate if time_base_s is None else time_base_s,
            codec=codec,
            pixel_format=pixel_format,
            color_matrix=tag.matrix,
            color_range=tag.color_range,
            is_color_tagged=tag.is_tagged,
            rotation_deg=rotation_deg,
            sample_aspect_ratio=sample_aspect_ratio,
            n_threads=n_threads,
            options={} if options is None else options,
            container_options={} if container_options is None else container_options,
        )
        try:
            self._encoder = Encoder(path, self._spec)
        except (OSError, ValueError, FfmpegError) as error:
            raise _output_error(error) from None

    def write(self, rgb: RgbArray, pts: int | None = None) -> None:
        """Append one picture.

        Parameters
        ----------
        rgb
            (height, width, 3) uint8, full-range RGB.
        pts
            Presentation time in ticks of `time_base_s`, greater than the one before; the next
            frame period unless given.

        Raises
        ------
        ValueError
            If the picture has another shape or type, or `pts` does not increase.
        OutputError
            If the file cannot be written.
        """
        if rgb.shape != self._shape or rgb.dtype != np.uint8:
            raise ValueError(
                f"picture of shape {rgb.shape} {rgb.dtype}; this writer takes {self._shape} uint8"
            )
        at = self._next_pts() if pts is None else pts
        if self._last_pts is not None and at <= self._last_pts:
            raise ValueError(f"pts {at} does not follow {self._last_pts}; it must increase")
        try:
            self._encoder.write(np.ascontiguousarray(rgb), at)
        except (OSError, ValueError, FfmpegError) as error:
            raise _output_error(error) from None
        self._last_pts = at
        self.n_frames += 1

    def _next_pts(self) -> int:
        if self._last_pts is None:
            return 0
        period = round(1 / (self._spec.rate_hz * self._spec.time_base_s))
        return self._last_pts + max(1, period)

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        try:
            self._encoder.close()
        except (OSError, ValueError, FfmpegError) as error:
            raise _output_error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._encoder.abort()


def _output_error(error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return OutputError(
        f"The recording cannot be written ({reason}). "
        "Check free space, the folder's permissions, the codec and its options."
    )
