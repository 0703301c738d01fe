"""Write recordings: simulated ones, examples, test recordings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import OutputError
from ubereport.video.pyav import Encoder, EncoderSpec, FfmpegError


class VideoWriter:
    """Write RGB pictures into one video file; a context manager.

    The container follows the suffix of `path`. Metadata are left out, one thread encodes: the
    same pictures give the same bytes on the same machine.

    Parameters
    ----------
    path
        File to write; replaced if it exists.
    spec
        How pictures are stored.

    Raises
    ------
    OutputError
        If the file cannot be written, or the codec, container or an option is unknown.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> spec = EncoderSpec(width_px=64, height_px=48, rate_hz=25)
    >>> with VideoWriter(Path(folder.name) / "red.mp4", spec) as writer:
    ...     for _ in range(5):
    ...         writer.write(np.full((48, 64, 3), (200, 0, 0), dtype=np.uint8))
    >>> writer.n_frames
    5
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, spec: EncoderSpec) -> None:
        self.n_frames = 0
        self._spec = spec
        self._shape = (spec.height_px, spec.width_px, 3)
        self._last_pts: int | None = None
        with _told():
            self._encoder = Encoder(path, spec)

    def write(self, rgb: RgbArray, pts: int | None = None) -> None:
        """Append one picture.

        Parameters
        ----------
        rgb
            (height, width, 3) uint8, full-range RGB.
        pts
            Presentation time in ticks of the time base, greater than the one before; the next
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
        with _told():
            self._encoder.write(np.ascontiguousarray(rgb), at)
        self._last_pts = at
        self.n_frames += 1

    def _next_pts(self) -> int:
        if self._last_pts is None:
            return 0
        period = round(1 / (Fraction(self._spec.rate_hz) * self._spec.tick_s))
        return self._last_pts + max(1, period)

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        with _told():
            self._encoder.close()

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


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, FfmpegError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise OutputError(
            f"The recording cannot be written ({reason}). "
            "Check free space, the folder's permissions, the codec and its options."
        ) from None
