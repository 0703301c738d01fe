"""Jobs in processes on this machine: each slot has one worker, restarted when it dies."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ubereport.batch.engine.job import (
    JOBS_A_WORKER,
    Failure,
    Job,
    JobState,
    Outcome,
    OutcomeHook,
    attempted,
    check_unique,
)
from ubereport.files.spawned_process import SpawnedProcess, end_with_parent

T = TypeVar("T")
R = TypeVar("R")
_Work = tuple[Job[Any], int]
"""A job, and how often it was started."""


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """Run jobs in `n_workers` processes; one whose worker dies starts again, `n_retries` times.

    Workers are spawned, never forked: the parent may hold threads and decoders.
    """

    n_workers: int = 1
    n_retries: int = 1

    def __post_init__(self) -> None:
        if self.n_workers < 1 or self.n_retries < 0:
            raise ValueError("need at least one worker and no negative number of retries")

    def run(
        self,
        function: Callable[[T], R],
        jobs: Sequence[Job[T]],
        on_outcome: OutcomeHook[R],
    ) -> tuple[Outcome[R], ...]:
        """Run every job; see `Engine.run`."""
        check_unique(jobs)
        waiting = deque((job, 1) for job in jobs)
        slots = [_Slot(function) for _ in range(min(self.n_workers, len(jobs)))]
        ended: dict[str, Outcome[R]] = {}
        try:
            while len(ended) < len(jobs):
                for slot in slots:
                    if slot.work is None and waiting:
                        slot.send(waiting.popleft())
                for slot in _ready(slots):
                    outcome = self._collect(slot, waiting)
                    if outcome is not None:
                        ended[outcome.key] = outcome
                        on_outcome(outcome)
        finally:
            for slot in slots:
                slot.stop()
        return tuple(ended[job.key] for job in jobs)

    def _collect(self, slot: _Slot, waiting: deque[_Work]) -> Outcome[Any] | None:
        job, attempt = slot.take_work()
        try:
            state, content = slot.pipe.recv()
        # The worker is gone without a word: killed, out of memory, crashed in a library. Its slot
        # gets a new one and the case another try, at the head of the queue.
        except (EOFError, ConnectionError):
            slot.restart()
            if attempt <= self.n_retries:
                # At the head, so that a case whose worker died is tried while what it left (chunks,
                # caches) is fresh, and its fate is known early.
                waiting.appendleft((job, attempt + 1))
                return None
            state = JobState.LOST
            content = Failure(
                "WorkerLost",
                f"The process that worked on this case died {attempt} times (killed, out of "
                "memory, or crashed in a decoder). Free memory or run fewer jobs, then run again.",
                4,
            )
        return Outcome.of(job.key, state, content, attempt)


class _Slot:
    """One worker process and the pipe to it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.work: _Work | None = None
        self._start()

    def _start(self) -> None:
        self._n_sent = 0
        self._worker = SpawnedProcess(_serve, self._function)
        self.pipe = self._worker.pipe

    def send(self, work: _Work) -> None:
        # Before a job and not after one: no worker is started for a queue that is empty.
        if self._n_sent == JOBS_A_WORKER:
            self.restart()
        self.work = work
        self._n_sent += 1
        try:
            self.pipe.send(work[0].payload)
        except (BrokenPipeError, ConnectionError):
            return  # the dead worker is noticed, and the job retried, when it is read from

    def take_work(self) -> _Work:
        if self.work is None:
            raise RuntimeError("an idle worker has no work to take")
        work, self.work = self.work, None
        return work

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._worker.close()


def _ready(slots: Sequence[_Slot]) -> list[_Slot]:
    by_pipe = {slot.pipe: slot for slot in slots if slot.work is not None}
    return [by_pipe[pipe] for pipe in wait(list(by_pipe)) if pipe in by_pipe]


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    # Ctrl-C reaches the whole group: the parent decides what to do, workers end at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    while True:
        try:
            payload = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(attempted(function, payload))
