"""Many cases: a manifest in, a library of case folders and its summary out."""

from __future__ import annotations

import html
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ubereport.api.bundles import check_bundle
from ubereport.api.settings import Options, pdf_choice, settings_of
from ubereport.api.tables import html_table
from ubereport.batch.engine.job import Engine
from ubereport.batch.estimate import BatchEstimate as BatchEstimate
from ubereport.batch.estimate import estimate_batch as _estimate_batch
from ubereport.batch.manifest import Manifest
from ubereport.batch.manifest import read_manifest as read_manifest
from ubereport.batch.run import BatchPlan as BatchPlan
from ubereport.batch.run import check_library, plan_batch
from ubereport.batch.run import run_batch as run_plan
from ubereport.core.choices import Device, EngineChoice, PdfChoice
from ubereport.core.config import AnalysisConfig
from ubereport.core.errors import UsageError
from ubereport.core.validation import FROM_JSON, validated
from ubereport.documents.batch.results import BatchResult as BatchResult
from ubereport.documents.batch.results import CaseResult as CaseResult
from ubereport.documents.batch.summary import write_summary
from ubereport.segmentation.shared_network import shared_network

if TYPE_CHECKING:
    import pandas as pd

Watch = Callable[[BatchPlan], AbstractContextManager[Callable[[CaseResult], None]]]
"""From the plan to what is told as cases end, for as long as the batch runs."""


@validated(error=UsageError)
class BatchRequest:
    """Which cases, under which settings, run where; `keys` None lies beside the library.

    `share_network` None shares one where it helps; under Ray a case reserves `gpus_per_case`.
    """

    manifest: Manifest
    library: Path
    settings: AnalysisConfig
    engine: Annotated[EngineChoice, FROM_JSON] = EngineChoice.EMBEDDED
    jobs: Annotated[int, Field(ge=1, le=256)] = 1
    address: str | None = None
    gpus_per_case: Annotated[float, Field(ge=0, le=64)] = 0.0
    share_network: bool | None = None
    pdf: PdfChoice = PdfChoice.AUTO
    keys: Path | None = None


@dataclass(eq=False, repr=False)
class Batch:
    """What became of every case, in the order of the manifest.

    Attributes
    ----------
    library, report_html
        The folder of the cases, and the summary to open in a browser.
    result
        One row a case: done, or failed with its reason.

    Examples
    --------
    >>> import ubereport
    >>> batch = ubereport.run_batch("cases.csv", "library", pdf="never")  # doctest: +SKIP
    >>> batch.n_done, batch.n_failed  # doctest: +SKIP
    """

    result: BatchResult
    library: Path
    report_html: Path

    @property
    def n_done(self) -> int:
        """Cases that are complete."""
        return self.result.n_done

    @property
    def n_failed(self) -> int:
        """Cases that are not."""
        return self.result.n_failed

    def __repr__(self) -> str:
        """Return one line: how many are done and how many failed."""
        return f"<Batch: {self.n_done} done, {self.n_failed} failed>"

    def _repr_html_(self) -> str:
        rows = [(c.row, c.case_id, "done" if c.is_done else c.reason) for c in self.result.cases]
        return f"<p>{html.escape(repr(self))}</p>{html_table(('row', 'case', 'state'), rows)}"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a case: its state, folder and first figures, or kind and reason.

        Examples
        --------
        >>> batch = ubereport.run_batch("cases.csv", "library", pdf="never")  # doctest: +SKIP
        >>> batch.to_pandas().query("not is_done")[["case_id", "reason"]]  # doctest: +SKIP
        """
        import pandas as pd

        rows = []
        for case in self.result.cases:
            done = {} if case.done is None else asdict(case.done)
            failure = {"kind": case.kind or None, "reason": case.reason or None}
            rows.append({"row": case.row, "case_id": case.case_id, "is_done": case.is_done}
                        | failure | done)  # fmt: skip
        return pd.DataFrame(rows)


def run_batch(
    manifest: str | Path,
    library: str | Path,
    *,
    engine: EngineChoice | str = EngineChoice.EMBEDDED,
    jobs: int = 1,
    model: str | None = None,
    device: Device | str | None = None,
    pdf: PdfChoice | str = PdfChoice.AUTO,
    config: AnalysisConfig | str | Path | None = None,
    keys: str | Path | None = None,
    on_result: Callable[[CaseResult], None] | None = None,
) -> Batch:
    """Analyze every case of a manifest into a library; run it again to go on.

    A case that fails is listed with its reason and ends no other; surgeons get pseudonyms, and
    who is who lies in `keys`, by default beside the library.

    Parameters
    ----------
    manifest
        CSV, XLSX or Parquet, one row a case.
    library
        Folder of case folders.
    engine, jobs, model, device, pdf, config, keys
        As on the command line.
    on_result
        Called as cases end, in any order.

    Raises
    ------
    ManifestError
        With every problem of the manifest, before any work.
    UbereportError
        As said in `ubereport.core.errors`, where no case can be run at all.

    Examples
    --------
    >>> import ubereport
    >>> batch = ubereport.run_batch("cases.csv", "library", jobs=2)  # doctest: +SKIP
    >>> batch.to_pandas()  # doctest: +SKIP
    """
    request = BatchRequest(
        read_manifest(Path(manifest)),
        Path(library),
        settings_of(config, Options(model=model, device=device)),
        engine=engine,  # type: ignore[arg-type]  # a name stands for a choice
        jobs=jobs,
        pdf=pdf_choice(pdf),
        keys=None if keys is None else Path(keys),
    )
    hook = on_result or (lambda _: None)
    return run_request(request, lambda _: nullcontext(hook))


def estimate_batch(
    manifest: Manifest, library: Path, config: AnalysisConfig, n_jobs: int
) -> BatchEstimate:
    """Say what a batch would do and how long it may take; nothing is decoded or written.

    Raises
    ------
    BundleError
        If the model bundle is missing or altered.
    OutputError
        If the library is a file.
    """
    check_bundle(config.segmentation)
    check_library(library)
    return _estimate_batch(manifest, library, config, n_jobs)


def run_request(request: BatchRequest, watch: Watch) -> Batch:
    """Run a batch whole: pseudonyms, a shared network where it helps, cases, summary."""
    # Before any work: a bundle that is not there would fail every case, one after the other.
    check_bundle(request.settings.segmentation)
    # Jobs of a Ray cluster may run on other machines; a network is shared on this one alone.
    is_shared = request.share_network if request.engine is EngineChoice.EMBEDDED else False
    with shared_network(request.settings.segmentation, request.jobs, is_shared) as network:
        plan = plan_batch(
            request.manifest,
            request.library,
            request.settings,
            request.jobs,
            network,
            request.pdf,
            request.keys,
        )
        with watch(plan) as on_result:
            result = run_plan(plan, _engine(request), on_result)
    return Batch(result, request.library, write_summary(result, request.library))


def _engine(request: BatchRequest) -> Engine:
    if request.engine is EngineChoice.RAY:
        # Ray is an extra and takes seconds to load.
        from ubereport.batch.engine.ray import RayEngine

        return RayEngine(
            address=request.address, n_workers=request.jobs, gpus_per_job=request.gpus_per_case
        )
    from ubereport.batch.engine.embedded import EmbeddedEngine

    return EmbeddedEngine(n_workers=request.jobs)
