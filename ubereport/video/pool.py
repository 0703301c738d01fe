"""Decoding processes that are kept from one request of a case to the next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ubereport.core.closing import ClosedOnExit
from ubereport.video.devices import CaseDevices
from ubereport.video.guarded_child import ChildFailure, GuardedChild
from ubereport.video.reader import ReadRequest
from ubereport.video.shared_pictures import PictureRing

# Readers whose libraries leave nothing behind that the next recording could meet.
_KEPT_READERS = frozenset({"pyav"})


class Decoder:
    """A decoding process and the pictures that it shares with this one.

    Parameters
    ----------
    entry_point
        ``module:function`` of the reader, which is loaded at once.
    stall_timeout_s
        How long the process may stay silent while it is waited for.
    """

    def __init__(self, entry_point: str, stall_timeout_s: float) -> None:
        self.entry_point = entry_point
        self.ring = PictureRing()
        # Loading is a task of its own that sends no answer. None is needed: tasks are queued in the
        # process, and a reader that cannot be loaded is told as the answer to the first request.
        self.child = GuardedChild(
            {"task": "load", "reader": entry_point},
            stall_timeout_s=stall_timeout_s,
            pass_fds=self.ring.inherited,
        )

    def read(self, request: ReadRequest, n_slots: int, memory_mib: int) -> None:
        """Begin to read; pictures follow as messages and in the ring."""
        # The ring is shaped before the task is sent: the process maps it when it starts to read.
        self.ring.shape(n_slots, request.height_px, request.width_px)
        plain, arrays = request.to_message()
        task: dict[str, Any] = {
            "task": "read",
            "reader": self.entry_point,
            "request": plain,
            "memory_mib": memory_mib,
            "ring": self.ring.address,
            "n_slots": n_slots,
        }
        self.child.give(task, arrays)

    def close(self) -> None:
        """End the process and give its memory back."""
        self.child.close()
        self.ring.close()


class DecoderPool(ClosedOnExit):
    """Starts decoding processes and keeps those that are idle; a context manager.

    A process takes a third of a second to start. One that failed, or whose reader could hand
    something on from one recording to the next, is ended instead of kept. `devices` remembers what
    graphics devices are good for in this case.

    Parameters
    ----------
    stall_timeout_s
        How long a process may stay silent while it is waited for.
    """

    def __init__(self, stall_timeout_s: float) -> None:
        self.devices = CaseDevices(_devices_offered)
        self._stall_timeout_s = stall_timeout_s
        self._idle: list[Decoder] = []

    def begin(
        self, entry_point: str, request: ReadRequest, n_slots: int, memory_mib: int
    ) -> Decoder:
        """Let an idle process, or a new one, read; the caller closes it or gives it back."""
        decoder = self._idle_one(entry_point) or Decoder(entry_point, self._stall_timeout_s)
        decoder.read(request, n_slots, memory_mib)
        return decoder

    def _idle_one(self, entry_point: str) -> Decoder | None:
        # An idle process may have been killed meanwhile, by the system when memory runs short; it
        # is replaced and nobody hears of it.
        for decoder in [d for d in self._idle if d.entry_point == entry_point]:
            self._idle.remove(decoder)
            if decoder.child.is_running:
                return decoder
            decoder.close()
        return None

    def give_back(self, decoder: Decoder, name: str, n_threads: int) -> None:
        """Take a process that has given all its pictures: keep it if it ends its task well.

        FFmpeg's frame threads can deadlock while they are torn down, so that a process with
        threads of its own is not waited for.
        """
        if name in _KEPT_READERS and n_threads == 1:
            with suppress(ChildFailure):
                decoder.child.receive()
                self._idle.append(decoder)
                return
        decoder.close()

    def close(self) -> None:
        """End all idle processes."""
        while self._idle:
            self._idle.pop().close()


def _devices_offered() -> tuple[str, ...]:
    """Ask PyAV, which is not loaded where no device is asked for."""
    from ubereport.video.pyav import devices_offered

    return devices_offered()
