"""Run decoding tasks in a process of their own: bounded, watched, never left behind."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ubereport.core.closing import ClosedOnExit
from ubereport.video.process_messages import Header, MessageReader, pack

_PIECE = 1 << 16


class ChildFailure(Exception):  # noqa: N818 -- an outcome that the caller mends, not an error
    """The decoding process stalled, died or gave up.

    Parameters
    ----------
    kind
        "stall", "memory", "died", "error", "dependency", "disk", or "format" for a file that is no
        recording.
    text
        What happened, as the end of a sentence; names no path.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class GuardedChild(ClosedOnExit):
    """A Python process that runs tasks of `ubereport.video.child` in turn; a context manager.

    Leaving the context kills and reaps the process whatever happened. The process ends by itself
    when this one dies, since its standard input then closes, and after a task that failed.

    Parameters
    ----------
    task
        The first task, see `ubereport.video.child`.
    stall_timeout_s
        How long the process may stay silent while it is waited for.
    pass_fds
        Open files that the process inherits.
    """

    def __init__(
        self,
        task: Mapping[str, Any],
        *,
        stall_timeout_s: float,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._messages = MessageReader()
        self._process = subprocess.Popen(
            # A fresh interpreter and no fork: a forked child would inherit the locks of threads
            # (network, uvicorn) that do not exist in it.
            [sys.executable, "-P", "-m", "ubereport.video.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            pass_fds=tuple(pass_fds),
            # An interrupt from the keyboard is for the parent to handle.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("no pipes to the decoding process")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        # A thread waits for the pipe, since Windows cannot wait for one with a limit of time.
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.give(task)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def give(
        self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Send a task; the one before must be over."""
        self._send(pack(header, arrays))

    def receive(self) -> tuple[Header, dict[str, NDArray[Any]]]:
        """Wait for the next message that is more than a sign of life.

        Raises
        ------
        ChildFailure
            If the process stays silent too long, dies, or reports an error.
        """
        deadline = time.monotonic() + self._stall_timeout_s
        while True:
            message = self._messages.next()
            if message is None:
                self._fill(deadline)
                continue
            deadline = time.monotonic() + self._stall_timeout_s
            if "error" in message[0]:
                raise ChildFailure(message[0]["error"], message[0]["text"])
            # A sign of life only moves the deadline.
            if "beat" not in message[0]:
                return message

    def _fill(self, deadline: float) -> None:
        try:
            piece = self._pieces.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self.close()
            stall = f"gave no sign of life for {self._stall_timeout_s:g} s"
            raise ChildFailure("stall", stall) from None
        if not piece:
            self._pieces.put(b"")  # who asks again is told again
            raise ChildFailure("died", self._last_words())
        self._messages.feed(piece)

    def _listen(self) -> None:
        piece = b"-"
        while piece:
            piece = os.read(self._stdout.fileno(), _PIECE)
            self._pieces.put(piece)

    def _last_words(self) -> str:
        code = self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended early with code {code}"

    def acknowledge(self, n_slots: int) -> None:
        """Tell the process that `n_slots` more pictures may be handed over."""
        self._send(pack({"free": n_slots}))

    def _send(self, message: bytes) -> None:
        view = memoryview(message)
        try:
            while view:
                view = view[self._stdin.write(view) or 0 :]
        except OSError:  # a broken pipe, or what Windows calls it
            return  # the next `receive` says why it is gone

    def close(self) -> None:
        """Kill the process if it still runs, and reap it."""
        # Killed and not asked: a decoder that hangs in a library does not answer, and there is
        # nothing of it to save.
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._stdin.close()
        self._stdout.close()


def _environment() -> dict[str, str]:
    """Return the environment of the process: same import path, no thread pools of its own."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        # Each process decodes on one core; thread pools of its libraries would fight over the cores
        # of the others.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
