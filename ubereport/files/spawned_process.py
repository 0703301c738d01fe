"""A process of this program with a pipe to it: started, waited for, ended and reaped in one way."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from typing import Any

from ubereport.core.closing import ClosedOnExit

_PATIENCE_S = 5.0


class SpawnedProcess(ClosedOnExit):
    """Runs a function in a fresh Python, on every system; a context manager.

    Parameters
    ----------
    target
        Called with the other end of `pipe` and `arguments`; all of them can be pickled.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        # Forked processes inherit locks that threads of this one hold at that moment, and hang on
        # them.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments))
        self._process.start()
        theirs.close()  # or nobody would notice that the process is gone

    @property
    def process_id(self) -> int | None:
        """Of the process, as the system knows it."""
        return self._process.pid

    def wait(self) -> None:
        """Wait until the process has ended, by itself or by whatever hand."""
        self._process.join()

    def close(self) -> None:
        """End the process if it still runs: asked first, killed if it does not follow."""
        self.pipe.close()
        self._process.terminate()
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def end_with_parent() -> None:
    """Let this process end at once when the one that started it does, however that ends.

    What it left undone would otherwise go on, and hold its outputs or its device against the next
    run.
    """

    def wait_and_end() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            # Not sys.exit, which would end this thread alone.
            os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True).start()
