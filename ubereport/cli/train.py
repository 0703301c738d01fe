"""`ubereport train`: the paper's recipe on a department's own recordings, step by step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from ubereport.cli import labels
from ubereport.cli.console import JsonOption, show_result
from ubereport.cli.guard import guarded
from ubereport.cli.training_progress import Count, Steps
from ubereport.language.speaking import N_, _

app = typer.Typer(help="Train a model on a department's own recordings.", no_args_is_help=True)
ConfigArgument = Annotated[Path, typer.Argument(help="TOML file with the training settings.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of runs; the run goes on there.")]


@app.command("frames")
@guarded
def frames(
    parts: Annotated[list[str], typer.Argument(help="The parts of one recording.")],
    group: Annotated[str, typer.Option(help="Pseudonym of the recording; names its stills.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of stills.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file.")] = None,
    json: JsonOption = False,
) -> None:
    """Extract stills of a recording: near-duplicates and lost views are left out.

    Example: ubereport train frames case.mp4 --group C007 --out stills
    """
    from ubereport.api.case import resolve_parts
    from ubereport.core.config import config_from_toml
    from ubereport.laboratory.training.frames import ExtractionConfig, extract_stills

    settings = (
        config_from_toml(config, ExtractionConfig) if config is not None else ExtractionConfig()
    )
    stills = extract_stills(settings, resolve_parts(parts), group, out, Count(N_("pictures")))
    result = {
        "n_stills": stills.n_written,
        "n_looked_at": stills.n_looked_at,
        "n_near_duplicates": stills.n_near_duplicates,
        "n_lost": {str(reason): n for reason, n in stills.left_out},
    }
    show_result(result, json)


@app.command("pretrain")
@guarded
def pretrain(
    config: ConfigArgument,
    stills: Annotated[Path, typer.Option(help="Folder of unlabelled stills.")],
    runs: RunsOption = Path("runs"),
    json: JsonOption = False,
) -> None:
    """Pretrain on HSV red masks of unlabelled stills.

    Example: ubereport train pretrain pretrain.toml --stills stills
    """
    from ubereport.core.config import config_from_toml
    from ubereport.laboratory.training.config import TrainConfig
    from ubereport.laboratory.training.hsv_targets import list_stills
    from ubereport.laboratory.training.hsv_targets import pretrain as run_pretraining

    settings = config_from_toml(config, TrainConfig)
    folder = runs / settings.name
    run_pretraining(settings, list_stills(stills), folder, Steps())
    show_result(_trained(folder, None), json)


@app.command("finetune")
@guarded
def finetune(
    config: ConfigArgument,
    manifest: Annotated[
        Path,
        typer.Option(
            help="CSV of labelled stills (name, image, group, kind), or TOML that lists sets."
        ),
    ],
    runs: RunsOption = Path("runs"),
    boxes: Annotated[
        Path | None,
        typer.Option(help="Stills with boxes (images/, boxes_multi.json, masks/ of the test)."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fine-tune on manual masks, zero masks and ignored pixels, split by group.

    Example: ubereport train finetune finetune.toml --manifest labelled/MANIFEST.csv
    """
    from ubereport.core.config import config_from_toml
    from ubereport.laboratory.training.capsule import boxed_stills
    from ubereport.laboratory.training.collections import read_collections
    from ubereport.laboratory.training.config import TrainConfig
    from ubereport.laboratory.training.finetune import check_given
    from ubereport.laboratory.training.finetune import finetune as run_finetuning

    settings = config_from_toml(config, TrainConfig)
    check_given(settings, boxes)
    folder, steps = runs / settings.name, Steps()
    boxed = () if boxes is None else boxed_stills(boxes)
    run_finetuning(settings, read_collections(manifest), folder, steps, boxed)
    held_out = None if steps.last is None else dataclasses.asdict(steps.last)
    show_result(_trained(folder, held_out), json)


@app.command("export")
@guarded
def export(
    spec: Annotated[Path, typer.Argument(help="TOML file: version, weights, what the card says.")],
    manifest: Annotated[
        Path, typer.Option(help="CSV or TOML of labelled stills, as for finetune.")
    ],
    models: Annotated[Path, typer.Option("--models", help="Folder that receives the bundle.")],
    runs: RunsOption = Path("runs"),
    json: JsonOption = False,
) -> None:
    """Calibrate on held-out groups, average weights, write a bundle and its card.

    Example: ubereport train export spec.toml --manifest labelled/MANIFEST.csv --models models
    """
    from ubereport.laboratory.training.specification import export_from_specification

    bundle = export_from_specification(spec, manifest, runs, models)
    if bundle.metadata.color_reference is None:
        words = _(
            "Fewer than five training groups: the bundle cannot tell when a recording is strange."
        )
        typer.echo(words, err=True)
    figures = {
        key: value
        for key, value in bundle.metadata.operating_characteristics
        if json or not key.endswith(("_low", "_high"))
    }
    result = {"bundle": str(bundle.folder), "sha256": bundle.sha256, "held_out": figures}
    show_result(result, json)


def _trained(folder: Path, held_out: dict[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {"weights": str(folder / "average.safetensors")}
    return result if held_out is None else {**result, "held_out": held_out}


app.command("propose")(labels.propose)
app.command("import")(labels.import_)
app.command("convert")(labels.convert)
