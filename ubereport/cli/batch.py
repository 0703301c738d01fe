"""`ubereport batch`: a department's cases, unattended and resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import (
    JsonOption,
    PdfOption,
    QuietOption,
    print_json,
    say,
    say_rows,
    settle_pdf,
)
from ubereport.cli.guard import guarded
from ubereport.core.choices import DecodeDevice, Device, EngineChoice, PdfChoice
from ubereport.core.errors import SomeCasesFailedError, UbereportError, UsageError
from ubereport.language.speaking import _, _n, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.batch import BatchEstimate, BatchPlan, BatchResult, CaseResult


@guarded
def batch(
    manifest: Annotated[Path, typer.Argument(help="CSV, XLSX or Parquet, one row a case.")],
    library: Annotated[
        Path | None,
        typer.Option("--library", help="Folder of case folders; needed but for --check."),
    ] = None,
    engine: Annotated[EngineChoice, typer.Option(help="Where cases run.")] = EngineChoice.EMBEDDED,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Cases at one time.")] = 1,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join; default: one on this machine.")
    ] = None,
    gpus_per_case: Annotated[
        float, typer.Option(min=0.0, max=64.0, help="Share of a GPU that a Ray case reserves.")
    ] = 0.0,
    share_network: Annotated[
        bool | None,
        typer.Option(
            "--share-network/--no-share-network",
            help="One network for all cases at a time; default: where it runs on a GPU.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model bundle: a name or a folder.")] = None,
    device: Annotated[Device | None, typer.Option(help="Where the network runs.")] = None,
    decode: Annotated[DecodeDevice | None, typer.Option(help="What decodes.")] = None,
    pdf: PdfOption = PdfChoice.AUTO,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Key file of pseudonyms; default: beside the library."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the manifest.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where a case has a warning, too.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Analyze every case of a manifest; run it again to go on.

    Example: ubereport batch cases.csv --library department --jobs 2
    """
    from ubereport.api.batch import BatchRequest, estimate_batch, read_manifest, run_request
    from ubereport.api.settings import Options, settings_of

    read = read_manifest(manifest)
    if check:
        _print_check(len(read.cases), read.remarks, is_json=json)
        return
    # Checked here and not by typer: with --check no library is needed.
    if library is None:
        raise UsageError("No library is named. Add --library DIR, the folder of the cases.")
    settings = settings_of(config, Options(model=model, device=device, decode=decode))
    if dry_run:
        _print_estimate(estimate_batch(read, library, settings, jobs), is_json=json)
        return
    request = BatchRequest(
        read,
        library,
        settings,
        engine=engine,
        jobs=jobs,
        address=address,
        gpus_per_case=gpus_per_case,
        share_network=share_network,
        pdf=pdf,
        keys=keys,
    )
    ended = run_request(request, lambda plan: _table(plan, is_shown=not quiet))
    result, report = ended.result, ended.report_html
    # Printed before the exit code is decided: a batch that fails in part still says what it did.
    _print_result(result, report, is_json=json)
    _end(result, strict)
    settle_pdf(pdf, result.pdf_problem)


def _print_check(n_cases: int, remarks: tuple[str, ...], is_json: bool) -> None:
    if is_json:
        print_json({"is_good": True, "n_cases": n_cases, "remarks": list(remarks)})
        return
    for remark in remarks:
        say(told_as_typed(remark))
    say(_n("The manifest is good: {n} case.", "The manifest is good: {n} cases.", n_cases))


def _print_estimate(estimate: BatchEstimate, is_json: bool) -> None:
    if is_json:
        print_json(asdict(estimate))
        return
    for line in estimate.lines():
        say(told_as_typed(line))


def _print_result(result: BatchResult, report: Path, is_json: bool) -> None:
    if is_json:
        print_json(
            {
                "n_done": result.n_done,
                "n_failed": result.n_failed,
                "pdf_problem": result.pdf_problem or None,
                "report_html": str(report),
                "cases": [asdict(case) for case in result.cases],
            }
        )
        return
    for case in result.cases:
        if not case.is_done:
            say(
                _(
                    "failed  {case} (row {row}): {reason}",
                    case=case.case_id,
                    row=case.row,
                    reason=told_as_typed(case.reason),
                )
            )
    n_reused = sum(case.done is not None and case.done.is_reused for case in result.cases)
    say(
        _(
            "{done} done ({reused} from earlier runs), {failed} failed.",
            done=result.n_done,
            reused=n_reused,
            failed=result.n_failed,
        )
    )
    say_rows((_("Summary"), report), width=9)


def _end(result: BatchResult, is_strict: bool) -> None:
    n_warned = sum(c.done is not None and c.done.n_warnings > 0 for c in result.cases)
    if result.n_done == 0:
        raise UbereportError("No case of the batch could be analyzed; the reasons are listed.")
    if result.n_failed:
        raise SomeCasesFailedError(
            f"{result.n_failed} of {len(result.cases)} cases failed; the reasons are listed. "
            "Mend them and run the same command again: what is done is reused."
        )
    if is_strict and n_warned:
        raise SomeCasesFailedError(
            f"{n_warned} of {len(result.cases)} cases carry a warning (--strict). Look at their "
            "reports."
        )


@contextmanager
def _table(plan: BatchPlan, is_shown: bool) -> Iterator[Callable[[CaseResult], None]]:
    import sys

    # A live table for whoever looks on; a log, which nobody can redraw, gets a line a case.
    if not is_shown:
        yield _ignore
    elif sys.stderr.isatty():
        from ubereport.cli.live import live_table

        with live_table(plan) as hook:
            yield hook
    else:
        yield _Lines(len(plan.jobs))


def _ignore(result: CaseResult) -> None:
    """Show nothing."""


class _Lines:
    """One line a case as it ends."""

    def __init__(self, n_cases: int) -> None:
        self._n_cases = n_cases
        self._n_ended = 0

    def __call__(self, result: CaseResult) -> None:
        self._n_ended += 1
        state = _("done") if result.is_done else _("failed ({kind})", kind=result.kind)
        typer.echo(f"{self._n_ended}/{self._n_cases} {result.case_id}: {state}", err=True)
