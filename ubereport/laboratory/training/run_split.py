"""What a run learns from and what it holds out: kept beside its weights, and compared later.

The weights alone do not tell. With more cases in the manifest groups are dealt to folds anew, and
a group that was trained on would be looked at as if it never had been.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ubereport.core.errors import ConfigError
from ubereport.files.atomic import write_file
from ubereport.laboratory.csv_rows import read_rows, rows_bytes
from ubereport.laboratory.training.labelled_stills import Still
from ubereport.laboratory.training.weights import CHECKPOINT_NAME, WEIGHTS_NAME

HELD_OUT_NAME = "held_out.csv"
SPLIT_NAME = "split.json"
_SCHEMA = "ubereport-split/1"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class RunSplit:
    """Groups on both sides of a run; `sha256` stands for every still, its kind, group and side.

    Unlabelled stills are left out: nothing is learned from them and no figure tells of them.
    """

    trained: frozenset[str]
    held_out: frozenset[str]
    sha256: str


def split_of(trained: Sequence[Still], held_out: Sequence[Still]) -> RunSplit:
    """Return the split of a run that learns from `trained` and holds out `held_out`."""
    sides = {"trained": _labelled(trained), "held_out": _labelled(held_out)}
    # Neither by path nor in order: a labelled folder may be moved and its list sorted.
    rows = sorted((side, s.name, s.group, s.kind) for side, own in sides.items() for s in own)
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    groups = {side: frozenset(still.group for still in own) for side, own in sides.items()}
    return RunSplit(groups["trained"], groups["held_out"], digest)


def _labelled(stills: Iterable[Still]) -> list[Still]:
    return [still for still in stills if still.kind != "unlabelled"]


def check_same_split(split: RunSplit, folder: Path) -> None:
    """Check that weights in `folder`, where there are some, come of the same split.

    A run from before splits were kept tells only in ``held_out.csv`` which groups it held out: any
    other that is to be held out may have been trained on.

    Raises
    ------
    ConfigError
        If the run has another split, or what it kept of it cannot be read.
    AnnotationError
        If its ``held_out.csv`` cannot be read.
    """
    if not _has_checkpoint(folder) and not (folder / WEIGHTS_NAME).is_file():
        return
    before, listed = _kept_split(folder), _listed_groups(folder)
    what = ""
    if before is not None and before.sha256 != split.sha256:
        what = _difference(before, split)
    elif before is None and listed is not None and split.held_out - listed:
        what = f"not held out before, to be held out now: {_named(split.held_out - listed)}"
    if what:
        raise ConfigError(
            f"The folder {folder.name!r} holds a run with another split of the stills ({what}). "
            "Start it with the manifest that it began with, or give the new run another name."
        )


def _difference(before: RunSplit, now: RunSplit) -> str:
    """Say what differs; the worst of it where several things do."""
    all_before, all_now = before.trained | before.held_out, now.trained | now.held_out
    for groups, words in (
        (before.trained & now.held_out, "trained on before, to be held out now"),
        (before.held_out & now.trained, "held out before, to be trained on now"),
        (all_now - all_before, "new groups"),
        (all_before - all_now, "groups that are missing"),
    ):
        if groups:
            return f"{words}: {_named(groups)}"
    return "stills of its groups were added, taken out or labelled anew"


def keep_split(split: RunSplit, held_out: Sequence[Still], folder: Path) -> None:
    """Write the split of a run, and which stills are held out, for `evaluate stills --only`.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    # Of a run that was begun before splits were kept, nobody knows what it has learned from.
    if not _has_checkpoint(folder) or (folder / SPLIT_NAME).is_file():
        table = {
            "schema": _SCHEMA,
            "sha256": split.sha256,
            "trained": sorted(split.trained),
            "held_out": sorted(split.held_out),
        }
        write_file(folder / SPLIT_NAME, json.dumps(table, indent=1).encode())
    if held_out:
        rows = rows_bytes(("name", "group"), ((still.name, still.group) for still in held_out))
        write_file(folder / HELD_OUT_NAME, rows)
    elif not _has_checkpoint(folder):
        # Of a run of this name that never got to a checkpoint, with another fold.
        (folder / HELD_OUT_NAME).unlink(missing_ok=True)


def check_unseen(weights: Path, held_out: Collection[Still]) -> None:
    """Check that the run whose folder holds `weights` did not learn from what is held out now.

    Weights outside the folder of a run, and those that a run began with, tell nothing of it.

    Raises
    ------
    ConfigError
        If it did, or what it kept of its split cannot be read.
    AnnotationError
        If its ``held_out.csv`` cannot be read.
    """
    is_checkpoint = weights.parent.name == CHECKPOINT_NAME
    folder = weights.parent.parent if is_checkpoint else weights.parent
    groups = frozenset(still.group for still in _labelled(held_out))
    split, listed = _kept_split(folder), _listed_groups(folder)
    seen = groups - listed if listed is not None else frozenset()
    if split is not None:
        seen |= groups & split.trained
    if seen:
        raise ConfigError(
            f"The export holds out {_named(seen)}, which the run {folder.name!r} did not: it may "
            "have been trained on them, and no figure would be honest. Export with the manifest "
            "and the fold of that run, or train again under another name."
        )


def _has_checkpoint(folder: Path) -> bool:
    return (folder / CHECKPOINT_NAME).is_dir()


def _listed_groups(folder: Path) -> frozenset[str] | None:
    path = folder / HELD_OUT_NAME
    if not path.is_file():
        return None
    return frozenset(row["group"] for row in read_rows(path, "name", "group"))


def _kept_split(folder: Path) -> RunSplit | None:
    path = folder / SPLIT_NAME
    if not path.is_file():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["schema"] != _SCHEMA:
            raise ValueError(f"schema {table['schema']!r}")
        trained, held_out = (frozenset(map(str, table[key])) for key in ("trained", "held_out"))
        return RunSplit(trained, held_out, str(table["sha256"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{SPLIT_NAME} of the run {folder.name!r} cannot be read ({type(error).__name__}). "
            "Bring it back from a backup, or delete the folder to start anew."
        ) from None


def _named(groups: Collection[str]) -> str:
    names = ", ".join(sorted(groups)[:_MOST_NAMED])
    n_more = len(groups) - _MOST_NAMED
    return f"{names} and {n_more} more" if n_more > 0 else names
