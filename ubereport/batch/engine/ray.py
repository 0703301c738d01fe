"""Jobs on a Ray cluster, for departments that outgrew one machine; the only door to Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from ubereport.core.errors import DependencyError

T = TypeVar("T")
R = TypeVar("R")
LOOK_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Run one Ray task a job.

    Parameters
    ----------
    address
        Of a running cluster ("auto" finds the one this machine belongs to); None starts one on
        this machine, bound to loopback, without dashboard.
    n_workers
        Jobs at one time on a cluster started here.
    cpus_per_job, gpus_per_job
        What one job reserves; a fraction of a GPU lets cases share it.
    n_retries
        How often a job is started again after its worker or node died.
    """

    address: str | None = None
    n_workers: int = 1
    cpus_per_job: float = 1.0
    gpus_per_job: float = 0.0
    n_retries: int = 1

    def run(
        self,
        function: Callable[[T], R],
        jobs: Sequence[Job[T]],
        on_outcome: OutcomeHook[R],
    ) -> tuple[Outcome[R], ...]:
        """Run every job; see `Engine.run`.

        Raises
        ------
        DependencyError
            If Ray is not installed, or the cluster cannot be reached or has no node left.
        """
        check_unique(jobs)
        if not jobs:  # all was done before: no cluster is started for that
            return ()
        ray = self._connect()
        try:
            return self._run(ray, function, jobs, on_outcome)
        finally:
            ray.shutdown()

    def _connect(self) -> Any:  # noqa: ANN401 -- Ray publishes no types
        # Set before the import: Ray reads both when it is loaded.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise DependencyError(
                "Ray is not installed. Install the extra: pip install 'ubereport[ray]', or use "
                "--engine embedded."
            ) from None
        try:
            if self.address is None:
                ray.init(
                    num_cpus=max(1, round(self.n_workers * self.cpus_per_job)),
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    log_to_driver=False,
                    configure_logging=False,
                )
            else:
                ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        except Exception as error:  # noqa: BLE001 -- Ray raises plain ones while it starts
            raise DependencyError(
                f"The Ray cluster cannot be reached ({type(error).__name__}). Check that "
                "`ray status` answers on this machine, or use --engine embedded."
            ) from None
        return ray

    def _run(
        self,
        ray: Any,  # noqa: ANN401 -- Ray publishes no types
        function: Callable[[T], R],
        jobs: Sequence[Job[T]],
        on_outcome: OutcomeHook[R],
    ) -> tuple[Outcome[R], ...]:
        task = ray.remote(
            num_cpus=self.cpus_per_job,
            num_gpus=self.gpus_per_job,
            # Ray's own retries would not be counted or told; they are made below.
            max_retries=0,
            # A worker that lives on holds its memory on the GPU against the next case.
            max_calls=1 if self.gpus_per_job else JOBS_A_WORKER,
        )(attempted)
        running: dict[Any, tuple[Job[T], int]] = {
            task.remote(function, job.payload): (job, 1) for job in jobs
        }
        ended: dict[str, Outcome[R]] = {}
        while running:
            ready, _ = ray.wait(list(running), num_returns=1, timeout=LOOK_EVERY_S)
            if not ready:
                _check_alive(ray)
                continue
            (reference,) = ready
            job, attempt = running.pop(reference)
            try:
                state, content = ray.get(reference)
            except ray.exceptions.RayError as error:
                if attempt <= self.n_retries:
                    running[task.remote(function, job.payload)] = (job, attempt + 1)
                    continue
                state, content = JobState.LOST, _lost(error, attempt)
            outcome: Outcome[R] = Outcome.of(job.key, state, content, attempt)
            ended[job.key] = outcome
            on_outcome(outcome)
        return tuple(ended[job.key] for job in jobs)


def _check_alive(ray: Any) -> None:  # noqa: ANN401 -- Ray publishes no types
    """Raise where no node is left: Ray would wait for one for ever."""
    if not any(node["Alive"] for node in ray.nodes()):
        raise DependencyError(
            "The Ray cluster has no node left. Start it again, then run the same command: what is "
            "done is reused."
        )


def _lost(error: Exception, n_attempts: int) -> Failure:
    return Failure(
        "WorkerLost",
        f"The worker or node that worked on this case died {n_attempts} times "
        f"({type(error).__name__}). Look at the cluster's state, then run again.",
        4,
    )
