"""`ubereport train`: the paper's recipe on a department's own recordings, step by step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ubereport.cli.console import print_json, say
from ubereport.cli.guard import guarded

if TYPE_CHECKING:
    from ubereport.training.loop import Progress

__all__ = ["app"]

app = typer.Typer(help="Train a model on a department's own recordings.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
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
    from ubereport.batch.parts import resolve_parts
    from ubereport.config import config_from_toml
    from ubereport.training.frames import ExtractionConfig, extract_stills

    settings = (
        config_from_toml(config, ExtractionConfig) if config is not None else ExtractionConfig()
    )
    made = extract_stills(settings, resolve_parts(parts), group, out, _Count("pictures"))
    result = {
        "n_stills": made.n_written,
        "n_looked_at": made.n_looked_at,
        "n_near_duplicates": made.n_near_duplicates,
        "n_lost": {str(reason): n for reason, n in made.left_out},
    }
    _print(result, json)


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
    from ubereport.config import config_from_toml
    from ubereport.training.config import TrainConfig
    from ubereport.training.hsv_targets import list_stills
    from ubereport.training.hsv_targets import pretrain as run_pretraining

    settings = config_from_toml(config, TrainConfig)
    folder = runs / settings.name
    run_pretraining(settings, list_stills(stills), folder, _Steps())
    _print({"weights": str(folder / "average.safetensors")}, json)


@app.command("finetune")
@guarded
def finetune(
    config: ConfigArgument,
    manifest: Annotated[
        Path, typer.Option(help="CSV of labelled stills: name, image, group, kind.")
    ],
    runs: RunsOption = Path("runs"),
    json: JsonOption = False,
) -> None:
    """Fine-tune on manual masks, zero masks and ignored pixels, split by group.

    Example: ubereport train finetune finetune.toml --manifest labelled/MANIFEST.csv
    """
    from ubereport.config import config_from_toml
    from ubereport.training.config import TrainConfig
    from ubereport.training.finetune import finetune as run_finetuning
    from ubereport.training.stills import read_manifest

    settings = config_from_toml(config, TrainConfig)
    folder = runs / settings.name
    run_finetuning(settings, read_manifest(manifest), folder, _Steps())
    _print({"weights": str(folder / "average.safetensors")}, json)


@app.command("propose")
@guarded
def propose(
    stills: Annotated[Path, typer.Argument(help="Folder of unlabelled stills.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for masks and the sheet.")],
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")] = "ube-blood",
    n: Annotated[int, typer.Option("--n", min=1, max=5000, help="How many stills.")] = 350,
    json: JsonOption = False,
) -> None:
    """Choose the stills worth labelling and write one offline sheet to judge them on.

    Example: ubereport train propose stills/C007 --out to-label --n 350
    """
    from ubereport.config import SegmentationConfig
    from ubereport.resources import models_dir
    from ubereport.segmentation.bundle import find_bundle, load_bundle
    from ubereport.segmentation.predictor import open_predictor
    from ubereport.training.hsv_targets import list_stills
    from ubereport.training.propose import propose as write_proposal

    bundle = load_bundle(find_bundle(model, models_dir()))
    predictor = open_predictor(bundle, SegmentationConfig(model=model))
    proposal = write_proposal(
        list_stills(stills),
        predictor.probabilities,
        predictor.input_height_px,
        predictor.thresholds[1],
        n,
        out,
        _Count("stills"),
    )
    _print({"sheet": str(proposal.sheet), "n": len(proposal.candidates)}, json)


@app.command("export")
@guarded
def export(
    spec: Annotated[Path, typer.Argument(help="TOML file: version, weights, what the card says.")],
    manifest: Annotated[Path, typer.Option(help="CSV of labelled stills, as for finetune.")],
    models: Annotated[Path, typer.Option("--models", help="Folder that receives the bundle.")],
    runs: RunsOption = Path("runs"),
    json: JsonOption = False,
) -> None:
    """Calibrate on held-out groups, average weights, write a bundle and its card.

    Example: ubereport train export spec.toml --manifest labelled/MANIFEST.csv --models models
    """
    from ubereport.training.specification import export_from_specification

    bundle = export_from_specification(spec, manifest, runs, models)
    _print({"bundle": str(bundle.folder), "sha256": bundle.sha256}, json)


class _Count:
    """A line every few seconds of how many things were looked at."""

    every_s = 5.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        self._next_s = self.every_s

    def __call__(self, done: int, total: int) -> None:
        elapsed_s = time.monotonic() - self._started
        if elapsed_s < self._next_s and done < total:
            return
        self._next_s = elapsed_s + self.every_s
        left_s = elapsed_s / done * (total - done) if done else 0.0
        typer.echo(f"{done} of {total} {self._what}, {left_s:.0f} s left", err=True)


class _Steps:
    """A line a look: loss, rate, time left, and what validation found."""

    def __call__(self, progress: Progress) -> None:
        rate = progress.step / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
        left_s = (progress.n_steps - progress.step) / rate if rate > 0 else 0.0
        line = (
            f"step {progress.step} of {progress.n_steps}: loss {progress.loss:.4f}, "
            f"{rate:.2f} steps/s, {left_s / 60:.0f} min left"
        )
        if progress.validation is not None:
            found = progress.validation
            line += f"; held out: Dice {found.dice_median}, accuracy {found.accuracy}"
        typer.echo(line, err=True)


def _print(result: dict[str, Any], is_json: bool) -> None:
    if is_json:
        print_json(result)
        return
    for key, value in result.items():
        say(f"{key}: {value}")
