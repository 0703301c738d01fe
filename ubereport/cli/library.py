"""`ubereport library`: the cases of a department, listed, shown, exported."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import JsonOption, MeasuredOption, print_json, say, say_table
from ubereport.cli.guard import guarded
from ubereport.core.errors import SomeCasesFailedError, UbereportError
from ubereport.core.metrics import MetricValue
from ubereport.language.speaking import _, localized, told, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.library import Export

app = typer.Typer(help="List, show and export the cases of a library.", no_args_is_help=True)
LibraryArgument = Annotated[Path, typer.Argument(help="Folder of case folders.")]


class ExportFormat(StrEnum):
    """What a library is exported as."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"
    FHIR = "fhir"


@app.command("list")
@guarded
def list_library(
    library: LibraryArgument, measured: MeasuredOption = False, json: JsonOption = False
) -> None:
    """List the cases. Example: ubereport library list department."""
    from ubereport.files.records.listing import list_cases

    _print_rows(list_cases(library, is_measured=measured), json)


@app.command("show")
@guarded
def show_case(
    library: LibraryArgument,
    case_id: Annotated[str, typer.Argument(help="Case id or folder name.")],
    measured: MeasuredOption = False,
    json: JsonOption = False,
) -> None:
    """Show the numbers of one case. Example: ubereport library show department C007."""
    from ubereport.api.library import find_case
    from ubereport.files.records.listing import numbers_word
    from ubereport.files.records.store import standing_review

    folder, record = find_case(library, case_id)
    review = None if measured else standing_review(record, folder)
    metrics = record.metrics if review is None else review.metrics
    numbers = numbers_word(is_reviewed=review is not None)
    if json:
        print_json(
            {
                "case_folder": str(folder),
                "case_id": record.case_id,
                "numbers": numbers,
                "reviewer": None if review is None else review.standing,
                "flags": [{"key": f.key, "message": f.message} for f in record.flags],
                "metrics": {m.key: m.value for m in metrics},
            }
        )
        return
    say(_("Case {case} in {folder}", case=record.case_id, folder=folder))
    if review is None:
        say(_("Numbers as measured."))
    else:
        say(_("Numbers reviewed by {who}.", who=review.standing))
    say_table((_("Metric"), _("Value"), _("Range")), [_metric_row(metric) for metric in metrics])
    for flag in record.flags:
        say(f"{told(flag.level)}: {told(flag.message)}")


def _metric_row(metric: MetricValue) -> tuple[str, str, str]:
    """Say a metric as the report does: title, value, and its range or why there is no value."""
    from ubereport.api.library import format_band, format_metric, metric_spec

    spec = metric_spec(metric.key, metric.unit)
    if metric.value is None:
        return told(spec.title), "–", told(metric.reason)
    return told(spec.title), format_metric(metric.value, spec), format_band(metric, spec)


@app.command("export")
@guarded
def export_library(
    library: LibraryArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder that receives the files.")],
    form: Annotated[
        list[ExportFormat], typer.Option("--as", help="Formats; may be given several times.")
    ] = [ExportFormat.CSV],  # noqa: B006 -- typer copies it
    measured: MeasuredOption = False,
    json: JsonOption = False,
) -> None:
    """Export tidy tables of cases and events, or FHIR reports with the PDF attached.

    Example: ubereport library export department --as parquet --as xlsx --out tables
    """
    from ubereport.api.library import export_cases

    export = export_cases(library, out, {f.value for f in form}, is_measured=measured)
    # Printed before the exit code is decided: what was written is written.
    _print_export(export, json)
    _end_export(export)


def _print_export(export: Export, is_json: bool) -> None:
    left_out = (*export.unread, *export.without_fhir)
    if is_json:
        print_json(
            {
                "files": [str(path) for path in export.files],
                "n_unread": len(export.unread),
                "unread": [asdict(case) for case in export.unread],
                "n_without_fhir": len(export.without_fhir),
                "without_fhir": [asdict(case) for case in export.without_fhir],
            }
        )
        return
    for path in export.files:
        say(str(path))
    if export.remark:
        say(told(export.remark))
    for case in left_out:
        say(f"{case.folder}: {told_as_typed(case.reason)}")


def _end_export(export: Export) -> None:
    n_without = len(export.without_fhir)
    if n_without and not export.files:
        raise UbereportError("No FHIR report could be written; the reasons are listed.")
    if n_without:
        raise SomeCasesFailedError(
            f"{n_without} of {n_without + export.n_fhir} FHIR reports could not be written; the "
            "reasons are listed. Mend these cases and export again."
        )


def _print_rows(rows: tuple[object, ...], is_json: bool) -> None:
    from ubereport.files.records.listing import ListedCase

    cases = [row for row in rows if isinstance(row, ListedCase)]
    if is_json:
        print_json({"cases": [{name: getattr(r, name) for name in r.__slots__} for r in cases]})
        return
    heads = (_("Case"), "≥ 20 %", _("Coverage"), _("Numbers"), _("Model"), _("Folder"))
    listed = [
        (
            row.case_id,
            _share(row.impaired_share_20),
            _share(row.coverage_frac),
            told(row.numbers),
            row.model,
            row.folder,
        )
        for row in cases
        if not row.problem
    ]
    if listed:
        say_table(heads, listed)
    for row in cases:
        if row.problem:
            say(f"{row.folder}: {told_as_typed(row.problem)}")


def _share(value: float | None) -> str:
    return "–" if value is None else localized(f"{100 * value:.1f} %")
