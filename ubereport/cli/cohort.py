"""`ubereport compare` and `audit`: a department's cases, as groups and over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import (
    JsonOption,
    MeasuredOption,
    PdfOption,
    print_json,
    say,
    say_rows,
    say_written,
    settle_pdf,
    written_files,
)
from ubereport.cli.guard import guarded
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AuditConfig, CompareConfig
from ubereport.language.speaking import _, _n, told

if TYPE_CHECKING:
    from ubereport.api.library import Lead

LibraryArgument = Annotated[Path, typer.Argument(help="Folder of case folders.")]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder that receives the report.", show_default=False)
]


@guarded
def compare(
    library: LibraryArgument,
    by: Annotated[str, typer.Option(help="Manifest column whose values are the groups.")],
    out: OutOption,
    primary: Annotated[
        str, typer.Option(help="The one metric declared before looking.")
    ] = CompareConfig().primary,
    reference: Annotated[
        str | None, typer.Option(help="Group to compare with; default: the largest.")
    ] = None,
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="Column held equal; may be given several times. Default: the known."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Groups that differ by less are called alike; unit of the metric."),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(help="What labelled stills say of the model in each group (evaluate stills)."),
    ] = None,
    measured: MeasuredOption = False,
    pdf: PdfOption = PdfChoice.AUTO,
    json: JsonOption = False,
) -> None:
    """Compare groups of cases, such as hemostatic techniques; the case is the unit.

    Example: ubereport compare department --by technique --out comparison
    """
    from ubereport.api.library import CompareRequest, run_comparison, spoken_caveats, spoken_reading

    config = CompareConfig(primary=primary, margin=margin)
    covariates = tuple(covariate) if covariate else None
    request = CompareRequest(library, out, by, config, covariates, reference, pdf, errors, measured)
    comparison, written = run_comparison(request)
    if not json:
        # Said anew in the language of whoever asks: the stored reading is English, as records are.
        for paragraph in (*spoken_reading(comparison, config), *spoken_caveats(comparison)):
            say(paragraph)
        say_written(written)
        settle_pdf(pdf, written.pdf_problem, written.pdf_remark)
        return
    contrasts = [
        {
            "group": c.group,
            "reference": c.reference,
            "shift": c.shift.value,
            "shift_low": c.shift.low,
            "shift_high": c.shift.high,
            "cliff_delta": c.cliff_delta.value,
            "p_value": c.test.p_value,
            "p_holm": c.test.p_holm,
            "reason": c.test.reason or c.shift.reason,
        }
        for c in comparison.primary.contrasts
    ]
    print_json(
        {
            **written_files(written),
            "report_json": str(written.json),
            "by": comparison.by,
            "primary": comparison.primary.metric_key,
            "n_cases": comparison.n_cases,
            "n_left_out": sum(drop.n_cases for drop in comparison.dropped),
            "n_unread": len(comparison.unread),
            "groups": [
                {"group": g.group, "n_cases": g.n_cases, "median": g.median}
                for g in comparison.primary.groups
            ],
            "contrasts": contrasts,
            "plan": str(comparison.plan.status),
            "leads": [_lead(lead) for lead in comparison.leads],
            "headline": list(comparison.headline),
            "reading": list(comparison.reading),
        }
    )
    settle_pdf(pdf, written.pdf_problem, written.pdf_remark)


def _lead(lead: Lead) -> dict[str, object]:
    return {
        "group": lead.group,
        "reference": lead.reference,
        "verdict": str(lead.verdict),
        "barriers": list(lead.barriers),
        "difference": lead.with_error.value,
        "low": lead.with_error.low,
        "high": lead.with_error.high,
    }


@guarded
def plan(
    library: LibraryArgument,
    by: Annotated[str, typer.Option(help="Manifest column whose values are the groups.")],
    primary: Annotated[str, typer.Option(help="The one primary metric.")] = CompareConfig().primary,
    reference: Annotated[str | None, typer.Option(help="Group to compare with.")] = None,
    covariate: Annotated[
        list[str] | None, typer.Option(help="Column held equal; may be given several times.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Margin of equivalence, in the unit of the metric.")
    ] = None,
    amend: Annotated[
        bool, typer.Option("--amend", help="Replace the plan; comparisons will say so.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Declare a comparison before its cases are measured: plan.json in the library, sealed.

    Example: ubereport plan department --by technique --primary impaired_share_20 --margin 0.05
    """
    from ubereport.api.library import is_new_library, write_plan

    covariates = tuple(covariate) if covariate else None
    config = CompareConfig(primary=primary, margin=margin)
    is_new = is_new_library(library)
    written = write_plan(library, by, config, reference, covariates, is_amended=amend)
    if json:
        print_json(
            {
                "plan": str(library / "plan.json"),
                "sha256": written.sha256,
                "written_at": written.written_at,
                "n_measured": len(written.measured),
                "is_new_library": is_new,
            }
        )
        return
    say_rows((_("Plan"), library / "plan.json"), (_("Seal"), written.sha256))
    say(_("Keep the seal where others can see it, such as in the protocol."))
    # Told and not refused: a plan belongs before the first case, but a name may be mistyped.
    if is_new:
        say(_("The library is new and empty: its folder was made for this plan. Check its name."))
    if not written.measured:
        say(
            _(
                "No case is there yet to check the plan by: the manifest must have the column "
                "{column}.",
                column=by,
            )
        )
    # Told and not refused: the plan still holds for the cases that come.
    if written.measured:
        say(
            _n(
                "{n} case had been measured already; what is said of them stays a description.",
                "{n} cases had been measured already; what is said of them stays a description.",
                len(written.measured),
            )
        )


@guarded
def audit(
    library: LibraryArgument,
    out: OutOption,
    metric: Annotated[str, typer.Option(help="Metric on the charts.")] = AuditConfig().metric,
    measured: MeasuredOption = False,
    pdf: PdfOption = PdfChoice.AUTO,
    json: JsonOption = False,
) -> None:
    """Audit a department's cases: control charts, funnel, learning curves, quality over time.

    Example: ubereport audit department --out audit
    """
    from ubereport.api.library import AuditRequest, run_audit, spoken_caveats

    request = AuditRequest(library, out, AuditConfig(metric=metric), pdf, measured)
    result, written = run_audit(request)
    if not json:
        for paragraph in (*map(told, result.reading), *spoken_caveats(result)):
            say(paragraph)
        say_written(written)
        settle_pdf(pdf, written.pdf_problem, written.pdf_remark)
        return
    print_json(
        {
            **written_files(written),
            "report_json": str(written.json),
            "metric": result.metric_key,
            "n_cases": result.n_cases,
            "n_unread": len(result.unread),
            "is_mixed": len(result.models) > 1,
            "signals": [
                {
                    "kind": chart.kind,
                    "procedure": chart.procedure,
                    "metric": chart.metric_key,
                    "case_id": point.case_id,
                    "signals": [str(signal) for signal in point.signals],
                }
                for chart in result.charts
                for point in chart.points
                if point.signals
            ],
            "reading": list(result.reading),
        }
    )
    settle_pdf(pdf, written.pdf_problem, written.pdf_remark)
