"""Many cases: each isolated, resumable, and listed with its reason where it failed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ubereport.batch.case import CaseRequest, run_case
from ubereport.batch.engine.job import Engine, Job, JobState, Outcome
from ubereport.batch.manifest import Manifest, ManifestCase
from ubereport.batch.pseudonyms import default_key_file, pseudonymized
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig
from ubereport.core.covariates import covariates_json
from ubereport.core.errors import OutputError
from ubereport.core.progress import Progress
from ubereport.documents.batch.results import BatchResult, CaseDone, CaseResult
from ubereport.files.names import folder_name
from ubereport.segmentation.shared_network import NetworkAddress

_PROGRESS_DIR = ".progress"


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """What a worker needs for one case; plain values, so that any engine can send it."""

    case: CaseRequest
    progress_path: Path


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The jobs of a batch and where they are written."""

    manifest: Manifest
    library: Path
    jobs: tuple[Job[WorkerRequest], ...]

    def progress_path(self, case_id: str) -> Path:
        """Return where a running case tells its progress."""
        return _progress_path(self.library, case_id)


def plan_batch(
    manifest: Manifest,
    library: Path,
    config: AnalysisConfig,
    n_jobs: int,
    network: NetworkAddress | None = None,
    pdf: PdfChoice = PdfChoice.AUTO,
    keys: Path | None = None,
) -> BatchPlan:
    """Turn a checked manifest into jobs; cores are shared out among the jobs that run at once.

    Surgeons get their pseudonyms here, so that no way to a library goes around it; `keys` is the
    key file that says who is who, None for the one beside the library.

    `network` is where a network that all cases share answers, from `shared_network`.

    Raises
    ------
    OutputError
        If the library is a file, or it or a new pseudonym cannot be written.
    ManifestError
        If the key file exists and cannot be read.
    """
    check_library(library)
    # Before all else, so that nothing below, no plan, job, log or record, ever holds a name.
    manifest = pseudonymized(manifest, default_key_file(library) if keys is None else keys)
    try:
        (library / _PROGRESS_DIR).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The library cannot be written ({os.strerror(error.errno or 0)}). "
            "Name a writable folder with --library."
        ) from None
    # Cores are shared out once, when the batch is planned: cases that took what is free would
    # fight, and the last ones would find nothing.
    n_threads = 0 if n_jobs == 1 else max(1, (os.cpu_count() or 1) // n_jobs)
    jobs = []
    for case in manifest.cases:
        request = CaseRequest(
            parts=case.parts,
            out_dir=library,
            case_id=case.case_id,
            config=_of_case(config, case),
            manifest_json=covariates_json(case.covariates),
            n_threads=n_threads,
            network=network,
            pdf=pdf,
        )
        progress_path = _progress_path(library, case.case_id)
        jobs.append(Job(case.case_id, WorkerRequest(request, progress_path)))
    return BatchPlan(manifest, library, tuple(jobs))


def check_library(library: Path) -> None:
    """Refuse a library that is a file.

    Raises
    ------
    OutputError
        If it is one.
    """
    # What may not be looked at is told by whoever writes there.
    with suppress(OSError):
        if library.exists() and not library.is_dir():
            raise OutputError(
                "The library is a file where a folder is needed. Name another folder with "
                "--library."
            )


def run_batch(
    plan: BatchPlan, engine: Engine, on_result: Callable[[CaseResult], None]
) -> BatchResult:
    """Run every case; one that fails or loses its worker never ends the others.

    A case whose recording, bundle and settings are unchanged is reused, an interrupted one goes
    on. `on_result` is called as cases end, in any order.
    """
    rows = {case.case_id: case.row for case in plan.manifest.cases}

    def told(outcome: Outcome[CaseDone]) -> None:
        on_result(_result(rows[outcome.key], outcome))

    outcomes = engine.run(run_one, plan.jobs, told)
    return BatchResult(tuple(_result(rows[o.key], o) for o in outcomes))


def run_one(request: WorkerRequest) -> CaseDone:
    """Run one case in a worker; its progress goes to a small file that a table may read."""
    teller = _ProgressFile(request.progress_path)
    try:
        published = run_case(request.case, teller)
    finally:
        # Also after a failure: a file left behind would show the case as running for good.
        # Windows refuses while the table reads it; that is no reason for a finished case to fail.
        with suppress(OSError):
            request.progress_path.unlink()
    record = published.record
    return CaseDone(
        folder_name=published.folder.name,
        is_reused=published.is_reused,
        recorded_s=record.series.recorded_s,
        coverage_frac=record.series.coverage_frac,
        impaired_share_20=record.metric("impaired_share_20").value,
        event_count=record.metric("event_count").value,
        n_warnings=sum(flag.level == "warning" for flag in record.flags),
        pdf_problem=published.pdf_problem,
    )


def _progress_path(library: Path, case_id: str) -> Path:
    return library / _PROGRESS_DIR / folder_name(case_id)


class _ProgressFile:
    """Writes stage, share done and rate at most once a second."""

    every_s = 1.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_s = 0.0
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage == self._stage and progress.elapsed_s < self._next_s:
            return
        self._stage, self._next_s = progress.stage, progress.elapsed_s + self.every_s
        share = progress.done_s / progress.total_s if progress.total_s > 0 else 0.0
        factor = progress.real_time_factor
        rate = "" if factor is None else f"{factor:.1f}"
        try:
            self._path.write_text(f"{progress.stage}\t{share:.4f}\t{rate}\n", encoding="utf-8")
        except OSError:
            return  # a table without a line; the case itself is not touched


def _of_case(config: AnalysisConfig, case: ManifestCase) -> AnalysisConfig:
    """Return the settings of a case: what its row says of its recording goes before the batch."""
    # Whether a recorder paused is a fact of one recording; a setting for all would be wrong for
    # some.
    is_continuous = case.covariates.get("continuous")
    if is_continuous is None:
        return config
    return replace(config, events=replace(config.events, is_continuous=bool(is_continuous)))


def _result(row: int, outcome: Outcome[CaseDone]) -> CaseResult:
    if outcome.state is JobState.DONE:
        return CaseResult(row, outcome.key, outcome.value, "", "", outcome.n_attempts)
    if outcome.failure is None:
        raise ValueError("a job that is not done has a failure")
    failure = outcome.failure
    return CaseResult(row, outcome.key, None, failure.kind, failure.message, outcome.n_attempts)
