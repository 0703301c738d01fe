"""A bundle with a second output that marks instruments, from a committed file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ubereport.core.errors import ConfigError
from ubereport.laboratory.training.collections import by_collection, read_collections
from ubereport.laboratory.training.export import figures_table
from ubereport.laboratory.training.instrument_figures import branch_figures
from ubereport.laboratory.training.instruments import (
    BranchTraining,
    read_stills,
    train_branch,
    with_instruments,
)
from ubereport.laboratory.training.labelled_stills import Still, fold_of_groups
from ubereport.laboratory.training.specification import read_specification
from ubereport.segmentation.bundle import CARD_NAME, Bundle, find_bundle, load_bundle
from ubereport.segmentation.export import add_instruments
from ubereport.segmentation.metadata import InstrumentSpec, TrainingSet
from ubereport.segmentation.network import SegmentationNetwork, load_network

_NEEDED = ("bundle", "sets", "n_folds", "fold", "split_seed", "channels", "n_blocks", "threshold",
           "evaluated_on", "card", "training")  # fmt: skip
_TITLE = "\n## Instruments\n"


def bundle_with_instruments(
    specification: Path,
    labelled: Path,
    models: Path,
    out: Path,
    training: BranchTraining,
    on_step: Callable[[int, float], None] | None = None,
) -> Bundle:
    """Train a branch on the features of a bundle, measure it, and write both as one bundle.

    Parameters
    ----------
    specification
        TOML: the bundle, the list of sets, which fold of operations is held out (and measured, and
        never trained on), the size of the branch, and what the card says beside the figures.
    labelled
        Folder of the sets.
    models
        Folder of the bundle.
    out
        Where the new bundle's folder is made.
    training
        How long and how.
    on_step
        Told each step and its loss.

    Raises
    ------
    ConfigError
        If the specification lacks a key or has an unknown one.
    AnnotationError, BundleError, DependencyError, OutputError
        If stills or bundle cannot be read, or the new one not be written.
    """
    table = _read(specification)
    bundle = load_bundle(find_bundle(table["bundle"], models))
    stills = read_collections(specification.parent / table["sets"], labelled)
    trained, held_out = _split(stills, table)
    spec = InstrumentSpec(
        sha256="0" * 64,
        channels=tuple(table["channels"]),
        n_blocks=tuple(table["n_blocks"]),
        threshold=table["threshold"],
        training_data=tuple(_training_sets(trained)),
        evaluated_on=table["evaluated_on"],
    )
    network = load_network(bundle)
    cache = read_stills(trained, training.still_px)
    branch = train_branch(network, bundle.metadata, spec, cache, training, on_step)
    both = SegmentationNetwork(network, instruments=branch).eval()
    measured = read_stills(held_out, bundle.metadata.input_height_px)
    spec = replace(spec, figures=branch_figures(both, bundle.metadata, spec.threshold, measured))
    card = _card((bundle.folder / CARD_NAME).read_text(encoding="utf-8"), spec, table["card"])
    return add_instruments(bundle, branch, spec, card, out / bundle.folder.name)


def _read(specification: Path) -> dict[str, Any]:
    table = read_specification(specification, _NEEDED)
    unknown = sorted(set(table) - set(_NEEDED))
    if unknown:
        raise ConfigError(
            f"{specification.name} does not know: {', '.join(unknown)}. It has "
            f"{', '.join(_NEEDED)}."
        )
    return table


def _split(
    stills: Sequence[Still], table: dict[str, Any]
) -> tuple[tuple[Still, ...], tuple[Still, ...]]:
    """Return the stills with drawn instruments to train on, and those of the fold held out.

    Operations are dealt to folds with all stills of their set, as for the network: what it never
    saw, the branch never sees either.
    """
    folds: dict[str, int] = {}
    for own in by_collection(stills).values():
        if any(still.instrument_path is not None for still in own):
            folds |= fold_of_groups(own, table["n_folds"], table["split_seed"])
    marked = with_instruments(stills)
    return (
        tuple(still for still in marked if folds[still.group] != table["fold"]),
        tuple(still for still in marked if folds[still.group] == table["fold"]),
    )


def _training_sets(stills: Sequence[Still]) -> list[TrainingSet]:
    return [
        TrainingSet(
            collection.name,
            collection.licence,
            len(own),
            n_positive=None,
            n_groups=len({still.group for still in own}),
            role="masks of instruments",
        )
        for collection, own in by_collection(stills).items()
    ]


def _card(card: str, spec: InstrumentSpec, words: str) -> str:
    """Return the card with a section about instruments at its end, or a new one there."""
    before, _, after = card.partition(_TITLE)
    rest = re.search(r"\n## ", after)
    figures = figures_table(spec.figures)
    section = f"{_TITLE}{words.strip()}\n\n{spec.evaluated_on}\n\n{figures}\n"
    return before.rstrip("\n") + "\n" + section + (after[rest.start() :] if rest else "")
