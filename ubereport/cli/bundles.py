"""`ubereport models`: which bundles are there, and whether they are unaltered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ubereport.cli.console import JsonOption, print_json, say
from ubereport.cli.guard import guarded
from ubereport.core.errors import BundleError, UsageError
from ubereport.language.speaking import _, told, told_as_typed

if TYPE_CHECKING:
    from ubereport.api.bundles import BundleEntry

app = typer.Typer(help="List, verify and prepare model bundles.", no_args_is_help=True)
FolderOption = Annotated[
    Path | None, typer.Option("--models", help="Folder of bundles; default: the shipped ones.")
]


def _bundles_in(models: Path | None) -> tuple[BundleEntry, ...]:
    """Return what bundles there are; a folder without any is no list that holds nothing."""
    from ubereport.api.bundles import list_bundles

    entries = list_bundles(models)
    if models is None and not entries:
        raise UsageError(
            "No bundle came with this installation. Install ubereport again, or name the folder "
            "that holds your bundles with --models."
        )
    if models is not None and not models.is_dir():
        raise UsageError(
            "There is no folder where --models says. Name the folder that holds the bundles, each "
            "in a folder of its own, or leave --models out for the shipped ones."
        )
    if not entries:
        raise UsageError(
            "The folder of --models holds no bundle. Name the folder that holds the bundles, each "
            "in a folder of its own, or leave --models out for the shipped ones."
        )
    return entries


@app.command("list")
@guarded
def list_models(models: FolderOption = None, json: JsonOption = False) -> None:
    """List the bundles. Example: ubereport models list."""
    entries = _bundles_in(models)
    if json:
        print_json(
            {
                "models": [
                    {
                        "name": e.metadata.name if e.metadata else e.folder.name,
                        "version": e.metadata.version if e.metadata else None,
                        "title": e.metadata.title if e.metadata else None,
                        "licence": e.metadata.licence or None if e.metadata else None,
                        "problem": e.problem,
                    }
                    for e in entries
                ]
            }
        )
        return
    for entry in entries:
        if entry.metadata is None:
            reason = told_as_typed(entry.problem or "")
            say(_("{name}: cannot be used. {reason}", name=entry.folder.name, reason=reason))
        else:
            metadata = entry.metadata
            terms = _("no licence stated")
            if metadata.licence:
                terms = _("licence {licence}", licence=metadata.licence)
            say(f"{metadata.name} {metadata.version}: {told(metadata.title)} ({terms})")


@app.command("verify")
@guarded
def verify_models(models: FolderOption = None, json: JsonOption = False) -> None:
    """Check every bundle's files against its sha256. Example: ubereport models verify."""
    from ubereport.api.bundles import verify_bundle

    problems = {
        entry.folder.name: list(verify_bundle(entry.folder)) for entry in _bundles_in(models)
    }
    is_sound = not any(problems.values())
    if json:
        print_json({"is_sound": is_sound, "problems": problems})
    else:
        for name, reasons in problems.items():
            say(f"{name}: {told_as_typed(' '.join(reasons)) or _('sound')}")
    if not is_sound:
        raise BundleError("A bundle is altered or incomplete. Install it again before using it.")


@app.command("prepare")
@guarded
def prepare_model(
    folder: Annotated[Path, typer.Argument(help="Folder of a bundle that holds a network.")],
    json: JsonOption = False,
) -> None:
    """Give an older bundle its graph, with which processors run it without torch.

    Example: ubereport models prepare models/our-blood-1.
    """
    from ubereport.api.bundles import prepare_bundle

    metadata = prepare_bundle(folder).metadata
    sha256 = metadata.graph.sha256 if metadata.graph is not None else None
    if json:
        print_json({"name": metadata.name, "version": metadata.version, "graph_sha256": sha256})
    else:
        line = _("model.onnx made, sha256 {sha256}", sha256=sha256)
        say(f"{metadata.name} {metadata.version}: {line}")
