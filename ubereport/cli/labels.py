"""`ubereport train propose|import|convert`: masks from people and their tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ubereport.cli.console import JsonOption, show_result, warn
from ubereport.cli.guard import guarded
from ubereport.cli.training_progress import Count
from ubereport.core.choices import LabelFormat
from ubereport.core.errors import SomeCasesFailedError, UsageError
from ubereport.language.speaking import N_, _

StillsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the annotated stills; may hold folders. Cases need none."),
]
RecordingsOption = Annotated[
    list[Path] | None,
    typer.Option(help="Cases: part of a recording, or a folder of recordings; repeatable."),
]
ModelsOption = Annotated[
    Path | None, typer.Option(help="Cases: folder of the bundles that measured them.")
]
LicenceOption = Annotated[
    str, typer.Option(help="Cases: terms of use of the labels; no bundle is exported without.")
]
GroupsOption = Annotated[
    Path | None, typer.Option(help="CSV with name and group (the recording) of every still.")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option(help="Annotator to take; may be repeated. Default: all.")
]
WithoutOption = Annotated[
    list[str] | None, typer.Option(help="Annotator to leave out; may be repeated.")
]


@guarded
def propose(
    stills: Annotated[Path, typer.Argument(help="Folder of unlabelled stills.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for masks and the sheet.")],
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")] = "ube-blood",
    n: Annotated[int, typer.Option("--n", min=1, max=5000, help="How many stills.")] = 350,
    reviewed: Annotated[
        Path | None,
        typer.Option(
            help="Labels of `train import`: ask first for what the model gets wrong there."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Choose the stills worth labelling and write one offline sheet to judge them on.

    Example: ubereport train propose stills --out to-label --n 350
    """
    from ubereport.laboratory.training.collections import read_collections
    from ubereport.laboratory.training.hsv_targets import list_stills
    from ubereport.laboratory.training.propose import propose as write_proposal
    from ubereport.laboratory.training.propose import proposer_of

    labels = () if reviewed is None else read_collections(reviewed)
    count = Count(N_("stills"))
    proposal = write_proposal(list_stills(stills), proposer_of(model), n, out, count, labels)
    show_result({"sheet": str(proposal.sheet), "n": len(proposal.candidates)}, json)


@guarded
def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Reviewed cases and libraries; or answers of a sheet, or annotations of any tool."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Labelled folder to be made.")],
    stills: StillsOption = None,
    recording: RecordingsOption = None,
    models: ModelsOption = None,
    licence: LicenceOption = "",
    format: Annotated[LabelFormat, typer.Option(help="Format.")] = LabelFormat.AUTO,  # noqa: A002
    proposal: Annotated[
        Path | None, typer.Option(help="Folder of `train propose` that answers belong to.")
    ] = None,
    annotator: Annotated[
        str, typer.Option(help="Pseudonym of who drew what the files give no name for.")
    ] = "unknown",
    only: OnlyOption = None,
    without: WithoutOption = None,
    groups: GroupsOption = None,
    labels: Annotated[
        str, typer.Option(help="The tool's labels for blood and for undecided regions.")
    ] = "blood,bleeding;ignore,undecided",
    rejected_to: Annotated[
        LabelFormat | None, typer.Option(help="Write rejected candidates for drawing by hand.")
    ] = None,
    skip_missing: Annotated[
        bool, typer.Option(help="Pass over annotations whose still is not there.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a labelled folder of reviewed cases, of answers or of annotations drawn in any tool.

    Example: ubereport train import department --recording recordings --out labelled
    """
    from ubereport.files.records.store import case_folders

    if any(case_folders(source) for source in sources):
        _import_reviews(sources, out, recording or [], models, licence, json)
        return
    if stills is None or recording or models or licence:
        raise UsageError(
            "Annotations of a tool and answers of a sheet need --stills, and take no --recording,"
            " --models or --licence: those are for reviewed cases, and no source given is a case"
            " folder or a library. Check the sources."
        )
    from ubereport.laboratory.annotation.types import label_names
    from ubereport.laboratory.training.labelled import LabelSources, import_labels

    origin = LabelSources(
        sources=tuple(sources),
        stills=stills,
        kind=None if format is LabelFormat.AUTO else format,
        annotator=annotator,
        only=tuple(only or ()),
        without=tuple(without or ()),
        groups=groups,
        proposal=proposal,
        labels=label_names(labels),
        is_missing_allowed=skip_missing,
        rejected_as=rejected_to,
    )
    imported = import_labels(origin, out)
    result = {
        "manifest": str(imported.manifest),
        "n_blood": imported.n_blood,
        "n_zero": imported.n_zero,
        "n_undecided": imported.n_undecided,
        "n_groups": imported.n_groups,
        "groups_found": imported.grouping,
        "annotators": list(imported.annotators),
        "n_missing": len(imported.missing),
        "n_unanswered": imported.n_unanswered,
        "rejected": list(imported.rejected),
        "to_draw": None if imported.to_draw is None else str(imported.to_draw),
    }
    show_result(result, json)


def _import_reviews(
    sources: list[Path],
    out: Path,
    recordings: list[Path],
    models: Path | None,
    licence: str,
    is_json: bool,
) -> None:
    from ubereport.files.records.store import case_folders
    from ubereport.files.resources import models_dir
    from ubereport.laboratory.training.reviewed_stills import ReviewSources, import_reviews

    # Each kind states its licence and its groups in a way of its own.
    if not all(case_folders(source) for source in sources):
        raise UsageError(
            "Some sources are reviewed cases and others are not. Import each kind into a folder of"
            " its own; training takes several (see `train finetune --manifest`)."
        )
    origin = ReviewSources(tuple(sources), tuple(recordings), models or models_dir(), licence)
    labels = import_reviews(origin, out, Count(N_("cases")))
    result = {
        "manifest": str(labels.manifest),
        "sets": str(labels.sets),
        "n_cases": labels.n_cases,
        **{f"n_{said.value}": n for said, n in labels.n_stills},
        "n_groups": labels.n_groups,
        "n_to_draw": labels.n_to_draw,
        "n_unreviewed": labels.n_unreviewed,
        "failed": [f"{who}: {why}" for who, why in labels.failed],
    }
    show_result(result, is_json)
    if not licence:
        warn(
            _(
                "No licence is stated. Before a bundle is exported, fill it in in {file}.",
                file=labels.sets.name,
            )
        )
    if labels.failed:
        # The exit code of a batch that succeeded in part: the folder is there and usable.
        raise SomeCasesFailedError(
            f"{len({who for who, _ in labels.failed})} case(s) gave less than their review says;"
            " what they gave is kept, and why stands in the result."
        )


@guarded
def convert(
    source: Annotated[Path, typer.Argument(help="Labelled folder, or annotations of any tool.")],
    to: Annotated[LabelFormat, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option("--out", help="File or folder to be made.")],
    polygons: Annotated[
        bool, typer.Option(help="Polygons that can be dragged: labelme, cvat, label-studio.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write annotations for the tool of your choice; `train import` reads them back.

    Example: ubereport train convert labelled --to cvat --out masks.xml
    """
    from ubereport.laboratory.training.labelled import convert_labels

    n = convert_labels(source, to, out, is_polygon=polygons)
    show_result({"out": str(out), "n_annotations": n}, json)
