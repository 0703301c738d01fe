"""Independent jobs and what became of them; every engine speaks in these."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

JOBS_A_WORKER = 16
"""A worker makes room for a new one after so many: libraries keep a few MiB of each case (OpenVINO
about three, printing two), which would add up over a night."""


class JobState(StrEnum):
    """What became of a job."""

    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One call of the engine's function; `key` is unique and safe to print."""

    key: str
    payload: T


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job did not end well: the error's type, its one sentence, and its exit code."""

    kind: str
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """The end of one job: a value where done, a failure elsewhere.

    `n_attempts` counts starts; more than one means that a worker died under the job.
    """

    key: str
    state: JobState
    value: R | None
    failure: Failure | None
    n_attempts: int

    def __post_init__(self) -> None:
        if (self.failure is None) != (self.state is JobState.DONE):
            raise ValueError("an outcome has a failure exactly where it is not done")

    @classmethod
    def of(cls, key: str, state: str, content: Any, n_attempts: int) -> Self:  # noqa: ANN401
        """Return the outcome of what `attempted` gave, or of a failure of its worker."""
        is_done = state == JobState.DONE
        value, failure = (content, None) if is_done else (None, content)
        return cls(key, JobState(state), value, failure, n_attempts)


OutcomeHook = Callable[[Outcome[R]], None]


class Engine(Protocol):
    """Runs one function over many payloads, each isolated from the others."""

    def run(
        self,
        function: Callable[[T], R],
        jobs: Sequence[Job[T]],
        on_outcome: OutcomeHook[R],
    ) -> tuple[Outcome[R], ...]:
        """Run every job; return outcomes in the order of `jobs`.

        `function` must be importable by name in another process. `on_outcome` is called in this
        process as jobs end, in any order. A job that raises is FAILED; one whose worker died more
        often than the engine retries is LOST; neither ends the run.

        Raises
        ------
        ValueError
            If two jobs share a key.
        """
        ...


def attempted(function: Callable[[T], object], payload: T) -> tuple[str, object]:
    """Call a function in a worker; return the state and the value or failure, plain to send."""
    try:
        return JobState.DONE.value, function(payload)
    except Exception as error:  # noqa: BLE001 -- one bad case never ends a batch
        return JobState.FAILED.value, failure_of(error)


def failure_of(error: BaseException) -> Failure:
    """Describe an exception; only messages raised on purpose are kept, others may hold names."""
    from ubereport.core.errors import UbereportError
    from ubereport.files.atomic import TAKES_NO_MORE, output_error

    if isinstance(error, UbereportError):
        return Failure(type(error).__name__, str(error), error.exit_code)
    # Met where nobody made it an error of ours: no bug, and whoever reads it can mend it.
    if isinstance(error, OSError) and error.errno in TAKES_NO_MORE:
        plain = OSError(error.errno, os.strerror(error.errno or 0))
        return failure_of(output_error(plain, None, None))
    return Failure(
        type(error).__name__,
        f"This is a bug in ubereport ({type(error).__name__}). Run the case alone with "
        "UBEREPORT_DEBUG=1 for details.",
        1,
    )


def check_unique(jobs: Sequence[Job[T]]) -> None:
    """Raise ValueError if two jobs share a key."""
    keys = [job.key for job in jobs]
    if len(set(keys)) != len(keys):
        raise ValueError("two jobs share a key")
