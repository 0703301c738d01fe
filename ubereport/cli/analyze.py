"""`ubereport analyze`, `report` and `demo`: one case, one report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import (
    JsonOption,
    PdfOption,
    QuietOption,
    case_progress,
    path_or_none,
    print_json,
    say,
    say_rows,
    settle_pdf,
    warn,
)
from ubereport.cli.guard import guarded
from ubereport.core.choices import DecodeDevice, PdfChoice
from ubereport.core.config import AnalysisConfig, Device, EventConfig, ReaderChoice, SamplingMode
from ubereport.language.speaking import _, spoken, told, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.case import PublishedCase

OutOption = Annotated[
    Path, typer.Option("--out", help="Folder that receives the case folder.", show_default=False)
]
ContinuousOption = Annotated[
    bool | None,
    typer.Option(
        "--continuous/--paused",
        help="Parts follow each other without a pause, so that events cross from one into the next,"
        " or do not; if neither is said, lengths, sizes and pictures decide.",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings; options override it.")
]


@guarded
def analyze(
    parts: Annotated[
        list[str],
        typer.Argument(help="Files in order, a folder, or a glob: the parts of one case."),
    ],
    out: OutOption,
    case_id: Annotated[
        str | None,
        typer.Option(help="Pseudonymous id of the case; made from the recording if not given."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model bundle: a name or a folder.")] = None,
    rate: Annotated[float | None, typer.Option(help="Sampling rate in Hz.")] = None,
    sampling: Annotated[SamplingMode | None, typer.Option(help="How frames are chosen.")] = None,
    reader: Annotated[ReaderChoice | None, typer.Option(help="Which library decodes.")] = None,
    device: Annotated[Device | None, typer.Option(help="Where the network runs.")] = None,
    decode: Annotated[DecodeDevice | None, typer.Option(help="What decodes.")] = None,
    continuous: ContinuousOption = None,
    no_frames: Annotated[bool, typer.Option("--no-frames", help="Keep no key frames.")] = False,
    pdf: PdfOption = PdfChoice.AUTO,
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again from the start.")] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Analyze one case and write its folder with report.html and, if it can print, report.pdf.

    Example: ubereport analyze case.mp4 --out results
    """
    from ubereport.api.case import analyze_with, doubts_about_parts, resolve_parts
    from ubereport.api.settings import Options, settings_of

    options = Options(model, rate, sampling, reader, device, decode, continuous, no_frames)
    settings = settings_of(config, options)
    paths = resolve_parts(parts)
    # Told and not refused: names sort badly in many ways, and only a person knows the order.
    for doubt in doubts_about_parts(paths):
        warn(told_as_typed(doubt))
    with case_progress(is_shown=not quiet) as hook:
        case = analyze_with(
            paths, out, case_id, settings, is_forced=force, pdf=pdf, on_progress=hook
        )
    _print_case(case, is_json=json)
    settle_pdf(pdf, case.pdf_problem, case.pdf_remark)


@guarded
def report(
    case_folder: Annotated[Path, typer.Argument(help="A case folder written by analyze.")],
    onset_frac: Annotated[float | None, typer.Option(help="Area that opens an event.")] = None,
    offset_frac: Annotated[float | None, typer.Option(help="Area that ends an event.")] = None,
    min_duration_s: Annotated[float | None, typer.Option(help="Seconds above onset.")] = None,
    clear_hold_s: Annotated[float | None, typer.Option(help="Seconds below offset.")] = None,
    max_gap_s: Annotated[float | None, typer.Option(help="Longest loss inside an event.")] = None,
    rebleed_window_s: Annotated[float | None, typer.Option(help="Window of a re-bleed.")] = None,
    smoothing_s: Annotated[float | None, typer.Option(help="Width of the smoothing.")] = None,
    continuous: ContinuousOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the new case folder; default: update it in place."),
    ] = None,
    pdf: PdfOption = PdfChoice.AUTO,
    json: JsonOption = False,
) -> None:
    """Render a case again, also with other event thresholds; the recording is not needed.

    Example: ubereport report results/case-3f9a2c --onset-frac 0.1 --out stricter
    """
    from ubereport.api.case import require_case, rerender_case

    require_case(case_folder)
    # By the names of the settings that they change.
    options = {
        "onset_frac": onset_frac,
        "offset_frac": offset_frac,
        "min_duration_s": min_duration_s,
        "clear_hold_s": clear_hold_s,
        "max_gap_s": max_gap_s,
        "rebleed_window_s": rebleed_window_s,
        "smoothing_s": smoothing_s,
    }
    # What is not given stays as the case was measured, and not as the defaults are today.
    changes = {name: value for name, value in options.items() if value is not None}

    def change(events: EventConfig) -> EventConfig:
        # Neither said nor denied leaves to the case what its pictures told.
        joined = events.is_continuous if continuous is None else continuous
        return replace(events, is_continuous=joined, **changes)

    published = rerender_case(case_folder, change, out, pdf, spoken().language.tag)
    _print_case(published, is_json=json)
    settle_pdf(pdf, published.pdf_problem, published.pdf_remark)


@guarded
def demo(
    out: OutOption = Path("out/demo"),
    pdf: PdfOption = PdfChoice.AUTO,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Analyze the simulated example recording and say where the report is."""
    from ubereport.api.case import analyze_with
    from ubereport.laboratory.simulation.recording import demo_recording

    with demo_recording() as recording, case_progress(is_shown=not quiet) as hook:
        settings = AnalysisConfig()
        published = analyze_with((recording,), out, "demo", settings, pdf=pdf, on_progress=hook)
    _print_case(published, is_json=json)
    settle_pdf(pdf, published.pdf_problem, published.pdf_remark)


def _print_case(published: PublishedCase, is_json: bool) -> None:
    from ubereport.files.records.listing import MEASURED
    from ubereport.files.records.store import standing_review

    record = published.record
    review = standing_review(record, published.folder)
    if is_json:
        print_json(
            {
                "case_folder": str(published.folder),
                "report_html": str(published.report_html),
                "report_pdf": path_or_none(published.report_pdf),
                "pdf_problem": published.pdf_problem or None,
                "is_reused": published.is_reused,
                "flags": [
                    {"key": f.key, "level": str(f.level), "message": f.message}
                    for f in record.flags
                ],
                "numbers": MEASURED,
                "metrics": {m.key: m.value for m in record.metrics},
                "reviewed_metrics": None
                if review is None
                else {m.key: m.value for m in review.metrics},
            }
        )
        return
    for flag in record.flags:
        if flag.level != "info":
            say(f"{told(flag.level)}: {told(flag.message)}")
    if published.is_reused:
        say(_("This recording was analyzed before with the same settings; nothing was done again."))
    say_rows(
        (_("Case"), published.folder),
        (_("Report"), published.report_html),
        ("", published.report_pdf),
        width=8,
    )
    if review is not None:
        say(_("Numbers reviewed by {who} stand beside the measured ones.", who=review.standing))
