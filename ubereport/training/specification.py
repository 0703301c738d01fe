"""Export from a committed file: which weights to average and what the card says beside figures."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ubereport.core.config import config_from_toml
from ubereport.core.errors import ConfigError, OutputError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.metadata import TrainingSet
from ubereport.segmentation.network import build_network, load_state
from ubereport.training.checkpoint import load_weights
from ubereport.training.collections import read_collections
from ubereport.training.config import TrainConfig
from ubereport.training.export import (
    BundleText,
    HeldOutMaps,
    average_states,
    export_bundle,
    look_at_held_out,
    training_colors,
)
from ubereport.training.finetune import split_indices
from ubereport.training.loop import network_spec
from ubereport.training.stills import StillCache, cache_stills

__all__ = ["export_from_specification"]

NEEDED = ("version", "config", "weights", "title", "training_population", "limits",
          "intended_use", "evaluated_on", "training_data", "card")  # fmt: skip


def export_from_specification(
    specification: Path, manifest: Path, runs: Path, models: Path
) -> Bundle:
    """Write the bundle that a specification describes into `models`.

    Parameters
    ----------
    specification
        TOML; `config` and `card` in it are files beside it, `weights` lie under `runs` and are
        averaged, and `input_px` replaces that of `config` where given. `folds` is a list of
        `config` and `weights` of the same recipe with other groups held out.
    manifest
        Labelled stills or a list of sets, as for fine-tuning. The groups that `config` holds out
        calibrate the thresholds; where there are `folds`, the groups that these hold out, each
        looked at by the fold that never saw it.
    runs
        Folder of training runs.
    models
        Folder of bundles.

    Raises
    ------
    ConfigError
        If the specification cannot be read or lacks a key.
    AnnotationError
        If the stills cannot be used.
    BundleError
        If weights are missing, damaged, or of another architecture.
    OutputError
        If the bundle exists or cannot be written.
    """
    spec = _read(specification)
    config = config_from_toml(specification.parent / spec["config"], TrainConfig)
    config = dataclasses.replace(config, input_px=spec.get("input_px", config.input_px))
    is_flip = bool(spec.get("flip", False))
    name = str(spec.get("name", "ube-blood"))
    target = models / f"{name}-{spec['version']}"
    # Whatever can be refused is refused before stills are decoded.
    if target.exists():
        raise OutputError(f"{target.name!r} exists already. Choose another version or remove it.")
    sets = _training_sets(spec)
    card = _card(specification.parent / spec["card"], spec, sets, config.input_px)
    state = average_states([load_weights(runs / path) for path in spec["weights"]])
    load_state(build_network(network_spec(config)), state)
    stills = read_collections(manifest)
    cache = cache_stills(stills, config.data.cache_side_px, runs / "cache")
    return export_bundle(
        target,
        config,
        state,
        _held_out(specification.parent, spec, config, state, cache, runs),
        training_colors(cache, split_indices(stills, config)[0]),
        BundleText(
            name=name,
            version=spec["version"],
            title=spec["title"],
            training_population=spec["training_population"],
            limits=spec["limits"],
            intended_use=spec["intended_use"],
            evaluated_on=spec["evaluated_on"],
        ),
        sets,
        card,
        flip=is_flip,
    )


def _held_out(
    folder: Path,
    spec: Mapping[str, Any],
    config: TrainConfig,
    state: Mapping[str, Tensor],
    cache: StillCache,
    runs: Path,
) -> HeldOutMaps:
    is_flip = bool(spec.get("flip", False))
    if "folds" not in spec:
        index = split_indices(cache.stills, config)[1]
        return look_at_held_out(config, state, cache, index, flip=is_flip)
    parts = []
    for fold in spec["folds"]:
        own = config_from_toml(folder / fold["config"], TrainConfig)
        own = dataclasses.replace(own, input_px=config.input_px)
        weights = average_states([load_weights(runs / path) for path in fold["weights"]])
        index = split_indices(cache.stills, own)[1]
        parts.append(look_at_held_out(own, weights, cache, index, flip=is_flip))
    return HeldOutMaps.pooled(parts)


def _read(specification: Path) -> dict[str, Any]:
    try:
        spec = tomllib.loads(specification.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The specification cannot be read ({type(error).__name__}). Name a TOML file."
        ) from None
    lacking = [key for key in NEEDED if key not in spec]
    if lacking:
        raise ConfigError(f"The specification lacks {', '.join(lacking)}. Add them.")
    return spec


def _training_sets(spec: Mapping[str, Any]) -> list[TrainingSet]:
    try:
        return [TrainingSet(**each) for each in spec["training_data"]]
    except TypeError as error:
        raise ConfigError(
            f"training_data of the specification cannot be used ({error}). Each entry has name, "
            "licence, n_stills and role, and may have n_positive and n_groups."
        ) from None


def _card(
    template: Path, spec: Mapping[str, Any], sets: Sequence[TrainingSet], input_px: int
) -> str:
    is_flip = bool(spec.get("flip", False))
    words = {
        "version": spec["version"],
        "input_px": input_px,
        "test_time_words": "picture and mirror image averaged" if is_flip else "one look a picture",
        "soup": spec.get("soup", ""),
        "sets": "\n".join(f"| {s.name} | {s.licence} | {s.n_stills} | {s.role} |" for s in sets),
        "training": spec.get("training", ""),
        "evaluated": spec["evaluated_on"],
        "limits": spec["limits"],
        "more": spec.get("more", ""),
    }
    try:
        card = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"The card {template.name!r} cannot be read. Put it beside the specification."
        ) from None
    for key, text in words.items():
        card = card.replace("{" + key + "}", str(text))
    return card
