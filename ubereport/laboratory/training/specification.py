"""Export from a committed file: which weights to average and what the card says beside figures."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ubereport.core.config import config_from_toml
from ubereport.core.errors import AnnotationError, ConfigError, OutputError
from ubereport.core.validation import check_setting
from ubereport.laboratory.training.calibrate import DEFAULT_AIMS, CalibrationAims
from ubereport.laboratory.training.collections import (
    by_collection,
    collections_of,
    read_collections,
)
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.export import (
    BundleText,
    HeldOutMaps,
    average_states,
    export_bundle,
    look_at_held_out,
    training_colors,
)
from ubereport.laboratory.training.finetune import split_indices
from ubereport.laboratory.training.labelled_stills import (
    Collection,
    Still,
    StillCache,
    cache_stills,
)
from ubereport.laboratory.training.loop import network_spec
from ubereport.laboratory.training.presence import (
    DEFAULT_MARGIN,
    with_exposure_gain,
    with_flood_color,
    with_flood_gain,
    with_haze_removal,
    with_presence_head,
    with_shade_doubt,
)
from ubereport.laboratory.training.run_split import check_unseen
from ubereport.laboratory.training.weights import load_weights
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.metadata import TrainingSet
from ubereport.segmentation.network import build_network, load_state

NEEDED = ("version", "config", "weights", "title", "licence", "training_population", "limits",
          "intended_use", "evaluated_on", "training_data", "card")  # fmt: skip
_SHARE_ALIKE = "CC BY-NC-SA 4.0"
_MAX_MARGIN = 10
# What a specification adds by its key, of numbers that no still is needed for.
_VIEW_PARTS = {
    "flood_gain": with_flood_gain,
    "exposure_gain": with_exposure_gain,
    "haze_removal": with_haze_removal,
    "shade_doubt": with_shade_doubt,
    "flood_color": with_flood_color,
}


def export_from_specification(
    specification: Path, manifest: Path, runs: Path, models: Path, root: Path | None = None
) -> Bundle:
    """Write the bundle that a specification describes into `models`.

    Parameters
    ----------
    specification
        TOML; `config` and `card` in it are files beside it, `weights` lie under `runs` and are
        averaged, and `input_px` replaces that of `config` where given. `folds` is a list of
        `config` and `weights` of the same recipe with other groups held out; `fold` replaces that
        of its `config`, and `sets` limits it to stills of sets of which its weights have seen
        nothing that it holds out.
        `presence_rule = true` writes a bundle that marks nothing where a picture shows no blood, by
        a rule that finds blood in `min_sensitivity` of the stills that show some;
        `presence_head = true` fits a head to the stills that are trained on, or to those of
        `presence_head_sets`, which doubts views that do not look like blood as a whole, unless
        they speak for it by `presence_margin` logits;
        `flood_gain = true` believes flooded ones, with `flood_color = true` those that are red all
        over sooner; `exposure_gain = true` lifts dim ones;
        `haze_removal = true` takes off the veil of hazy ones; `shade_doubt = true` doubts places
        that hardly any light reaches.
    manifest
        Labelled stills or a list of sets, as for fine-tuning. The groups that `config` holds out
        calibrate the thresholds; where there are `folds`, the groups that these hold out, each
        looked at by the fold that never saw it. Sets that a TOML file lists are named with their
        licences and counts, beside `training_data` of the specification.
    runs
        Folder of training runs.
    models
        Folder of bundles.
    root
        Where the paths of a list of sets begin; None is the folder of that list.

    Raises
    ------
    ConfigError
        If the specification cannot be read or lacks a key, its licence hides that a set is for
        academic use, or a run among its weights may have learned from what is held out.
    AnnotationError
        If the stills cannot be used, or a set states no licence.
    BundleError
        If weights are missing, damaged, or of another architecture.
    OutputError
        If the bundle exists or cannot be written.
    """
    spec = read_specification(specification, NEEDED)
    config = _config(specification.parent, spec)
    is_flip = bool(spec.get("flip", False))
    name = str(spec.get("name", "ube-blood"))
    target = models / f"{name}-{spec['version']}"
    # Whatever can be refused is refused before stills are decoded.
    if target.exists():
        raise OutputError(f"{target.name!r} exists already. Choose another version or remove it.")
    stills = read_collections(manifest, root)
    _check_parts(spec, stills)
    sets = [*_sets_of(stills, manifest, str(spec["licence"])), *_training_sets(spec)]
    card = _card(specification.parent / spec["card"], spec, sets, config.input_px)
    averaged = _averaged(runs, spec)
    load_state(build_network(network_spec(config)), averaged)
    _check_unseen(specification.parent, spec, stills, runs)
    cache = cache_stills(stills, config.data.cache_side_px, runs / "cache")
    state = _with_view_parts(spec, config, averaged, cache)
    return export_bundle(
        target,
        config,
        state,
        _held_out(specification.parent, spec, config, state, cache, runs),
        training_colors(cache, _operations(stills, split_indices(stills, config)[0])),
        BundleText(name, *(spec[f.name] for f in dataclasses.fields(BundleText)[1:])),
        sets,
        card,
        flip=is_flip,
        aims=_aims(spec),
    )


@dataclass(frozen=True, slots=True, eq=False)
class FoldLook:
    """What a fold held out, looked at by weights that never saw it; no `sets` are all of them."""

    fold: int
    sets: tuple[str, ...]
    held_out: HeldOutMaps


def look_at_folds(
    specification: Path, manifest: Path, runs: Path, root: Path | None = None
) -> tuple[tuple[FoldLook, ...], CalibrationAims]:
    """Look at what each of the `folds` of a specification held out, as an export does.

    Parameters
    ----------
    specification, manifest, runs, root
        As `export_from_specification`; of the specification only `config`, `input_px`, `folds`,
        `flip` and what thresholds are held to are read.

    Returns
    -------
    tuple of FoldLook, and CalibrationAims
        One for each entry of `folds`; what to calibrate for.

    Raises
    ------
    ConfigError, AnnotationError, BundleError
        As `export_from_specification`.
    """
    spec = read_specification(specification, ("config", "folds"))
    cache_side_px = _config(specification.parent, spec).data.cache_side_px
    stills = read_collections(manifest, root)
    _check_parts(spec, stills)
    _check_unseen(specification.parent, spec, stills, runs)
    cache = cache_stills(stills, cache_side_px, runs / "cache")
    return _fold_looks(specification.parent, spec, cache, runs), _aims(spec)


def _aims(spec: Mapping[str, Any]) -> CalibrationAims:
    return CalibrationAims(
        float(spec.get("max_clean_area_frac", DEFAULT_AIMS.max_clean_area_frac)),
        bool(spec.get("presence_rule", DEFAULT_AIMS.is_presence_ruled)),
        float(spec.get("min_sensitivity", DEFAULT_AIMS.min_sensitivity)),
    )


def _config(folder: Path, spec: Mapping[str, Any]) -> TrainConfig:
    config = config_from_toml(folder / spec["config"], TrainConfig)
    return dataclasses.replace(config, input_px=spec.get("input_px", config.input_px))


def _fold_config(folder: Path, spec: Mapping[str, Any], fold: Mapping[str, Any]) -> TrainConfig:
    own = _config(folder, {**spec, "config": fold["config"]})
    number = fold.get("fold", own.data.fold)
    return dataclasses.replace(own, data=dataclasses.replace(own.data, fold=number))


def _averaged(runs: Path, spec: Mapping[str, Any]) -> dict[str, Tensor]:
    return average_states([load_weights(runs / path) for path in spec["weights"]])


def _operations(stills: Sequence[Still], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out other kinds of views, and what no fold is dealt: neither is an operation."""
    kept = [c for c in collections_of(stills) if c.is_split and not c.is_foreign]
    return np.array([i for i in index if stills[int(i)].collection in kept], np.int64)


def _sets_of(stills: Sequence[Still], manifest: Path, licence: str) -> list[TrainingSet]:
    """Name the sets that a list states; of a lone manifest the specification says what it is."""
    if manifest.suffix.lower() != ".toml":
        return []
    sets = {c: own for c, own in by_collection(stills).items() if c.is_trained}
    silent = [c.name for c in sets if not c.licence]
    if silent:
        raise AnnotationError(
            f"No licence is stated for the set {', '.join(silent)}. A bundle says what it was "
            "trained on and under which terms: add licence to its entry."
        )
    academic = [c.name for c in sets if c.use == "academic"]
    if academic and "NC" not in licence:
        raise ConfigError(
            f"The licence of the weights is {licence!r}, but {', '.join(academic)} is for academic "
            f'use only. State a licence that says so, such as "{_SHARE_ALIKE}", or leave it out.'
        )
    return [_described(collection, own) for collection, own in sets.items()]


def _described(collection: Collection, stills: Sequence[Still]) -> TrainingSet:
    return TrainingSet(
        collection.name,
        collection.licence,
        len(stills),
        sum(still.kind == "blood" for still in stills),
        len({still.group for still in stills}),
        collection.role,
    )


def _held_out(
    folder: Path,
    spec: Mapping[str, Any],
    config: TrainConfig,
    state: Mapping[str, Tensor],
    cache: StillCache,
    runs: Path,
) -> HeldOutMaps:
    if "folds" not in spec:
        return _look(spec, {}, config, state, cache)
    looks = _fold_looks(folder, spec, cache, runs, shipped=(config, state))
    return HeldOutMaps.pooled([look.held_out for look in looks])


def _fold_looks(
    folder: Path,
    spec: Mapping[str, Any],
    cache: StillCache,
    runs: Path,
    shipped: tuple[TrainConfig, Mapping[str, Tensor]] | None = None,
) -> tuple[FoldLook, ...]:
    """Look at what each fold held out; `shipped` are configuration and weights of the bundle."""
    looks = []
    for fold in spec["folds"]:
        own = _fold_config(folder, spec, fold)
        # A fold that the bundle's own weights have not seen needs no second average, nor a second
        # fit of the same head.
        if shipped is not None and (own, fold["weights"]) == (shipped[0], spec["weights"]):
            weights = shipped[1]
        else:
            weights = _with_view_parts(spec, own, _averaged(runs, fold), cache)
        sets = tuple(fold.get("sets", ()))
        looks.append(FoldLook(own.data.fold, sets, _look(spec, fold, own, weights, cache)))
    return tuple(looks)


def _look(
    spec: Mapping[str, Any],
    fold: Mapping[str, Any],
    config: TrainConfig,
    state: Mapping[str, Tensor],
    cache: StillCache,
) -> HeldOutMaps:
    """Look with `state` at what `config` holds out, of the sets that `fold` names, if any."""
    index = _held_out_of(cache.stills, config, fold)
    return look_at_held_out(config, state, cache, index, flip=bool(spec.get("flip", False)))


def _held_out_of(
    stills: Sequence[Still], config: TrainConfig, fold: Mapping[str, Any]
) -> NDArray[np.int64]:
    """Return what `config` holds out, of the sets that `fold` names, if any."""
    return _of_sets(stills, split_indices(stills, config)[1], fold.get("sets"))


def _check_unseen(
    folder: Path, spec: Mapping[str, Any], stills: Sequence[Still], runs: Path
) -> None:
    """Check, before stills are decoded, that no run learned from what it will be looked at with."""
    # Without folds the weights of the bundle themselves are looked at, over every set.
    folds = spec.get("folds", ({key: spec[key] for key in ("config", "weights")},))
    for fold in folds:
        index = _held_out_of(stills, _fold_config(folder, spec, fold), fold)
        for path in dict.fromkeys(fold["weights"]):
            check_unseen(runs / path, [stills[int(i)] for i in index])


def _with_view_parts(
    spec: Mapping[str, Any], config: TrainConfig, state: Mapping[str, Tensor], cache: StillCache
) -> Mapping[str, Tensor]:
    """Add what a specification asks for; a head is fitted to what `config` trains on."""
    if spec.get("presence_head", False):
        inside = split_indices(cache.stills, config)[0]
        fitted = _of_sets(cache.stills, inside, spec.get("presence_head_sets"))
        state = with_presence_head(config, state, cache, fitted, _margin(spec))
    # Last: a head is fitted to stills as they are. Fitted to dim capsule stills that were lifted,
    # it told operations apart less well.
    for key, with_part in _VIEW_PARTS.items():
        if spec.get(key, False):
            state = with_part(state)
    return state


def _margin(spec: Mapping[str, Any]) -> float:
    margin = spec.get("presence_margin", DEFAULT_MARGIN)
    is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
    check_setting(
        is_number and 0 <= margin <= _MAX_MARGIN, "presence_margin", margin, f"0 to {_MAX_MARGIN}"
    )
    return float(margin)


def _check_parts(spec: Mapping[str, Any], stills: Sequence[Still]) -> None:
    """Check what sees whole views, and that every set that is named is listed."""
    _margin(spec)
    check_setting(
        bool(spec.get("flood_gain", False)) or not spec.get("flood_color", False),
        "flood_color",
        spec.get("flood_color"),
        "true where flood_gain is true",
    )
    listed = [c.name for c in collections_of(stills)]
    folds = spec.get("folds", ())
    named = [spec.get("presence_head_sets", ()), *(fold.get("sets", ()) for fold in folds)]
    unknown = sorted(set(itertools.chain.from_iterable(named)) - set(listed))
    if unknown:
        raise ConfigError(
            f"The specification names the set {', '.join(unknown)}, which is not listed. Allowed: "
            f"{', '.join(listed)}."
        )


def _of_sets(
    stills: Sequence[Still], index: NDArray[np.int64], names: Sequence[str] | None
) -> NDArray[np.int64]:
    """Keep the stills of the named sets; of all where none are named."""
    if names is None:
        return index
    return np.array([i for i in index if stills[int(i)].collection.name in names], np.int64)


def read_specification(specification: Path, needed: Iterable[str]) -> dict[str, Any]:
    """Return the table of a TOML file; raises ConfigError if it is none or lacks a needed key."""
    try:
        spec = tomllib.loads(specification.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The specification cannot be read ({type(error).__name__}). Name a TOML file."
        ) from None
    lacking = [key for key in needed if key not in spec]
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


def _row(each: TrainingSet) -> str:
    counts = [str(each.n_stills)]
    if each.n_positive is not None:
        counts.append(f"{each.n_positive} with blood")
    if each.n_groups is not None:
        counts.append(f"{each.n_groups} groups")
    return f"| {each.name} | {each.licence} | {', '.join(counts)} | {each.role} |"


def _card(
    template: Path, spec: Mapping[str, Any], sets: Sequence[TrainingSet], input_px: int
) -> str:
    is_flip = bool(spec.get("flip", False))
    words = {
        "name": str(spec.get("name", "ube-blood")),
        "version": spec["version"],
        "input_px": input_px,
        "test_time_words": "picture and mirror image averaged" if is_flip else "one look a picture",
        "soup": spec.get("soup", ""),
        "sets": "\n".join(_row(s) for s in sets),
        "training": spec.get("training", ""),
        "evaluated": spec["evaluated_on"],
        "limits": spec["limits"],
        "licence": spec["licence"],
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
