"""`ubereport evaluate`: models on stills and cases on recordings, against ground truth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ubereport.cli.console import (
    JsonOption,
    PdfOption,
    QuietOption,
    print_json,
    say,
    say_written,
    settle_pdf,
    written_files,
)
from ubereport.cli.guard import guarded
from ubereport.core.choices import PdfChoice
from ubereport.core.config import Device, SegmentationConfig
from ubereport.language.speaking import _, told

app = typer.Typer(help="Score models and cases against ground truth.", no_args_is_help=True)
_EVERY = 50


class ConsensusRule(StrEnum):
    """How several annotators become one reference, as the command line names it."""

    MAJORITY = "majority"
    STAPLE = "staple"


@app.command("stills")
@guarded
def stills(
    images: Annotated[Path, typer.Option(help="Folder of pictures.")],
    masks: Annotated[
        Path, typer.Option(help="Folder of masks of the same stems, or one such per annotator.")
    ],
    model: Annotated[
        list[str], typer.Option(help="Model bundle, a name or a folder; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder that receives the report.")],
    ignore: Annotated[
        Path | None, typer.Option(help="Folder of masks whose set pixels are undecided.")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            help="CSV with name and group (the recording) of each still, or a rule: folder, name "
            "(up to its last number), still. Default: MANIFEST.csv beside the masks, else folder, "
            "else name."
        ),
    ] = None,
    only: Annotated[
        Path | None,
        typer.Option(help="CSV with name and group: the stills to take, as held_out.csv of a run."),
    ] = None,
    by: Annotated[
        Path | None,
        typer.Option(
            help="CSV with name and group: which technique each still is of. Writes "
            "errors_by_group.json for ubereport compare --errors."
        ),
    ] = None,
    consensus: Annotated[
        ConsensusRule, typer.Option(help="How several annotators become one reference.")
    ] = ConsensusRule.MAJORITY,
    examples: Annotated[
        int, typer.Option(min=0, max=100, help="Stills drawn: so many best, middle, worst ones.")
    ] = 4,
    device: Annotated[Device | None, typer.Option(help="Where the network runs.")] = None,
    pdf: PdfOption = PdfChoice.AUTO,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Score models on stills with reference masks; several models stand side by side.

    Example: ubereport evaluate stills --images i --masks m --model ube-blood --out evaluation
    """
    from ubereport.laboratory.evaluation.config import Consensus, StillsConfig
    from ubereport.laboratory.evaluation.evaluate import StillsRequest, run_stills_evaluation

    segmentation = SegmentationConfig() if device is None else SegmentationConfig(device=device)
    config = StillsConfig(consensus=Consensus(consensus.value))
    request = StillsRequest(
        images,
        masks,
        ignore,
        groups,
        tuple(model),
        out,
        config,
        segmentation,
        only=only,
        pdf=pdf,
        techniques=by,
        n_examples=examples,
    )
    hooks = (_silent, None) if quiet else (_tell, _tell_groups)
    summary, written = run_stills_evaluation(request, *hooks)
    if json:
        print_json({**summary, **written_files(written)})
    else:
        for own in summary["models"]:
            _say_numbers(own)
        say_written(written)
    settle_pdf(pdf, written.pdf_problem, written.pdf_remark)


@app.command("recording")
@guarded
def recording(
    case: Annotated[list[Path], typer.Option(help="Case folder; may be repeated.")],
    truth: Annotated[
        list[Path], typer.Option(help="Folder with area.csv, events.csv, validity.csv; one a case.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder that receives the report; none without it.")
    ] = None,
    pdf: PdfOption = PdfChoice.AUTO,
    json: JsonOption = False,
) -> None:
    """Hold cases against the truth of their recordings: area, events, lost time.

    Example: ubereport evaluate recording --case results/demo --truth simulated/truth
    """
    from ubereport.files.records.store import require_case
    from ubereport.laboratory.evaluation.evaluate import RecordingRequest, run_recording_evaluation

    for folder in case:
        require_case(folder)
    request = RecordingRequest(tuple(case), tuple(truth), out, pdf)
    summary, written = run_recording_evaluation(request)
    if json:
        print_json({**summary, **({} if written is None else written_files(written))})
    else:
        _say_numbers(summary)
        if written is not None:
            say_written(written)
    if written is not None:
        settle_pdf(pdf, written.pdf_problem, written.pdf_remark)


def _silent(_model: str, _done: int, _n: int) -> None:
    """Tell nothing."""


def _tell(model: str, done: int, n: int) -> None:
    if done % _EVERY == 0 or done == n:
        typer.echo(
            _("{model}: {done} of {total} stills", model=model, done=done, total=n), err=True
        )


def _tell_groups(n: int, n_groups: int, grouping: str) -> None:
    words = _("{n} stills in {groups} groups ({how})", n=n, groups=n_groups, how=grouping)
    if n_groups < 3:
        words += _("; fewer than three give no intervals")
    typer.echo(words, err=True)


def _say_numbers(summary: dict[str, Any]) -> None:
    # Keys as JSON has them: whoever compares two runs may copy them either way.
    for key, value in summary.items():
        if isinstance(value, str):
            say(told(value))
        elif value is None:
            say(f"  {key}: {_('not available')}")
        elif isinstance(value, int | float):
            say(f"  {key}: {value:.4g}")
