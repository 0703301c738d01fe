"""Pictures on their way to a device: the next ones travel while the present ones are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ubereport.core.arrays import RgbArray

_N_BUFFERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Upload:
    """Pictures on the device, there for certain once `arrival` has happened (None: already)."""

    pixels: torch.Tensor
    arrival: torch.cuda.Event | None


class PictureUploads:
    """Two buffers in turn; on CUDA page-locked, and copied on a stream of their own.

    Pictures travel as uint8, a quarter of what the network sees, and are turned into numbers on
    the device. On the processor the buffer itself is handed over: the same path without a copy.

    Parameters
    ----------
    device
        Where the pictures go.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_cuda = device.type == "cuda"
        self._stream: torch.cuda.Stream | None = None
        if self._is_cuda:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers: list[torch.Tensor | None] = [None] * _N_BUFFERS
        self._arrivals: list[torch.cuda.Event | None] = [None] * _N_BUFFERS
        self._turn = 0

    def chunks(self, rgb: RgbArray, n_together: int) -> Iterator[torch.Tensor]:
        """Yield (m, H, W, 3) uint8 on the device, m up to `n_together`, in order.

        A chunk is good until the next one is asked for.

        Parameters
        ----------
        rgb
            (n, H, W, 3) uint8.
        n_together
            Pictures in a chunk.
        """
        ahead: _Upload | None = None
        for start in range(0, len(rgb), n_together):
            present, ahead = ahead, self._begin(rgb[start : start + n_together])
            if present is not None:
                yield self._arrived(present)
        if ahead is not None:
            yield self._arrived(ahead)

    def _begin(self, chunk: RgbArray) -> _Upload:
        self._turn = (self._turn + 1) % _N_BUFFERS
        staged = self._buffer(chunk)
        staged.numpy()[...] = chunk
        if self._stream is None:
            return _Upload(staged.to(self._device), None)
        arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            pixels = staged.to(self._device, non_blocking=True)
            arrival.record(self._stream)
        self._arrivals[self._turn] = arrival
        return _Upload(pixels, arrival)

    def _buffer(self, chunk: RgbArray) -> torch.Tensor:
        """Return the buffer whose turn it is, for as many pictures; its last copy is over."""
        arrival = self._arrivals[self._turn]
        if arrival is not None:
            arrival.synchronize()
        buffer = self._buffers[self._turn]
        if buffer is None or len(buffer) < len(chunk) or buffer.shape[1:] != chunk.shape[1:]:
            # Page-locked: only from such memory a device copies while the processor goes on.
            buffer = torch.empty(chunk.shape, dtype=torch.uint8, pin_memory=self._is_cuda)
            self._buffers[self._turn] = buffer
        return buffer[: len(chunk)]

    def _arrived(self, upload: _Upload) -> torch.Tensor:
        if upload.arrival is not None:
            present = torch.cuda.current_stream(self._device)
            present.wait_event(upload.arrival)
            # Made on the copying stream and read on this one: told so, the allocator hands the
            # memory out again only when this stream is done with it.
            upload.pixels.record_stream(present)
        return upload.pixels
