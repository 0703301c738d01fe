"""From trained weights to a bundle: average, calibrate on held-out groups, describe, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ubereport.core.errors import BundleError
from ubereport.core.held_out import HeldOutOperation, band_coverage_share
from ubereport.laboratory.training.calibrate import (
    DEFAULT_AIMS,
    CalibrationAims,
    calibrate,
    errors_by_operation,
)
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.labelled_stills import StillCache
from ubereport.laboratory.training.loop import INPUT_MEAN, INPUT_SCALE, network_spec, predict
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.distribution import ColorReference, color_reference
from ubereport.segmentation.export import write_bundle
from ubereport.segmentation.metadata import BundleMetadata, NetworkSpec, TrainingSet
from ubereport.segmentation.network import build_network, has_part, load_state
from ubereport.segmentation.pictures import shown_blood
from ubereport.segmentation.view_parts import (
    EXPOSURE_PREFIX,
    FLOOD_COLOR_PREFIX,
    FLOOD_PREFIX,
    HAZE_PREFIX,
    PRESENCE_PREFIX,
    SHADE_PREFIX,
)

_N_COLOR_STILLS = 12
_MIN_COLOR_GROUPS = 5


@dataclass(frozen=True, slots=True)
class BundleText:
    """What people write about a bundle; the figures are added by `export_bundle`."""

    name: str
    version: str
    title: str
    training_population: str
    limits: str
    intended_use: str
    evaluated_on: str
    licence: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutMaps:
    """(n, S, S) probability maps and labels of stills that the network which drew them never saw.

    `groups` (n,) says which operation each still belongs to.
    """

    maps: NDArray[np.float32]
    labels: NDArray[np.uint8]
    groups: tuple[str, ...]

    @classmethod
    def pooled(cls, parts: Sequence[HeldOutMaps]) -> HeldOutMaps:
        """Put the folds of a cross-validation together: every still once, none seen before.

        Raises
        ------
        ValueError
            If there is none, or a group occurs in two of them.
        """
        groups = [set(part.groups) for part in parts]
        if sum(len(g) for g in groups) != len(set().union(*groups)):
            raise ValueError("a group is held out in two folds; deal groups to folds once")
        return cls(
            np.concatenate([part.maps for part in parts]),
            np.concatenate([part.labels for part in parts]),
            tuple(group for part in parts for group in part.groups),
        )


def look_at_held_out(
    config: TrainConfig,
    state: Mapping[str, Tensor],
    cache: StillCache,
    index: NDArray[np.int64],
    *,
    flip: bool = False,
) -> HeldOutMaps:
    """Run the network of `state` over the stills `index` at `config.input_px`.

    Stills of which nothing is decided are left out.

    Raises
    ------
    BundleError
        If the weights do not fit the configuration.
    """
    network = build_network(spec_of(config, state))
    load_state(network, state)
    index = cache.decided(index, config.input_px)
    maps, labels = held_out_maps(network, cache, index, config.input_px, flip=flip)
    return HeldOutMaps(maps, labels, tuple(cache.stills[int(i)].group for i in index))


def spec_of(config: TrainConfig, state: Mapping[str, Tensor]) -> NetworkSpec:
    """Return the description of the network of a configuration with what `state` adds to it."""
    return dataclasses.replace(
        network_spec(config),
        has_presence_head=has_part(state, PRESENCE_PREFIX),
        has_flood_gain=has_part(state, FLOOD_PREFIX),
        has_exposure_gain=has_part(state, EXPOSURE_PREFIX),
        has_haze_removal=has_part(state, HAZE_PREFIX),
        has_shade_doubt=has_part(state, SHADE_PREFIX),
        has_flood_color=has_part(state, FLOOD_COLOR_PREFIX),
    )


def average_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of state dicts of one architecture, tensor by tensor.

    Raises
    ------
    BundleError
        If there is none, or keys or shapes differ.
    """
    if not states:
        raise BundleError("There are no weights to average. Name one run or more.")
    first = states[0]
    for other in states[1:]:
        if other.keys() != first.keys() or any(other[k].shape != first[k].shape for k in first):
            raise BundleError(
                "The weights to average belong to different architectures. Average runs of one "
                "encoder and one set of decoder channels."
            )
    return {k: torch.stack([s[k].float() for s in states]).mean(0) for k in first}


def held_out_maps(
    network: nn.Module, cache: StillCache, index: NDArray[np.int64], side_px: int, *, flip: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return (n, S, S) probability maps and labels of stills; `flip` averages the mirror image."""
    stills = cache.resized(index, side_px)
    device = next(network.parameters()).device
    maps = predict(network, stills.rgb, device)
    if flip:
        mirrored = predict(network, np.ascontiguousarray(stills.rgb[:, :, ::-1]), device)
        # Probabilities are averaged and not logits, as the predictor does: the thresholds found
        # here are those that it applies.
        maps = np.asarray((maps + mirrored[:, :, ::-1]) / 2, np.float32)
    return maps, stills.label


def training_colors(cache: StillCache, index: NDArray[np.int64]) -> ColorReference | None:
    """Describe the colors of the training stills, at most twelve a group.

    None where they come from fewer than five groups: how far apart operations of one kind may lie
    is not known then, and the bundle flags no recording as strange.
    """
    groups = np.array([cache.stills[int(i)].group for i in index])
    if len(np.unique(groups)) < _MIN_COLOR_GROUPS:
        return None
    # As many of each at most: an operation that gave hundreds of stills would otherwise be the
    # population.
    chosen = np.concatenate([index[groups == g][:_N_COLOR_STILLS] for g in np.unique(groups)])
    rgb = np.stack([cv2.resize(cache.rgb[i], (128, 128)) for i in chosen]).astype(np.uint8)
    field = rgb.max(axis=-1) > 18
    field[~field.any(axis=(1, 2))] = True
    return color_reference(rgb, [cache.stills[int(i)].group for i in chosen], field)


def export_bundle(
    folder: Path,
    config: TrainConfig,
    state: Mapping[str, Tensor],
    held_out: HeldOutMaps,
    colors: ColorReference | None,
    text: BundleText,
    training_data: Sequence[TrainingSet],
    card: str,
    *,
    flip: bool = False,
    aims: CalibrationAims = DEFAULT_AIMS,
) -> Bundle:
    """Calibrate on held-out stills and write a bundle.

    Parameters
    ----------
    folder
        To be made, ``<name>-<version>``.
    held_out
        Of this network, or of the folds of its recipe where it was trained on every group.
    colors
        Of the stills it was trained on, where they were described.
    card
        Markdown with ``{figures}`` where the table of held-out figures goes, and ``{operations}``
        for the table by operation.
    aims
        What thresholds are held to.

    Raises
    ------
    AnnotationError
        If the held-out stills do not show both blood and clean views.
    BundleError
        If the weights do not fit the configuration.
    OutputError
        If the folder exists or cannot be written.
    """
    described = spec_of(config, state)
    network = build_network(described)
    load_state(network, state)
    calibration = calibrate(held_out.maps, held_out.labels, held_out.groups, aims)
    presence = calibration.presence if aims.is_presence_ruled else None
    operations = errors_by_operation(
        shown_blood(held_out.maps.copy(), presence),
        held_out.labels,
        held_out.groups,
        calibration.thresholds[1],
    )
    metadata = BundleMetadata(
        **dataclasses.asdict(text),
        kind="network",
        input_height_px=config.input_px,
        input_width_px=config.input_px,
        thresholds=calibration.thresholds,
        network=described,
        input_mean=(INPUT_MEAN,) * 3,
        input_scale=(INPUT_SCALE,) * 3,
        test_time="flip" if flip else "none",
        operating_characteristics=calibration.figures,
        training_data=tuple(training_data),
        presence=presence,
        held_out_operations=operations,
        color_reference=colors,
        # Filled in where the weights are written; until then metadata of a network must hold some
        # digest.
        weights_sha256="0" * 64,
    )
    thresholds = ", ".join(f"{t:.3f}" for t in calibration.thresholds)
    figures = f"{figures_table(calibration.figures)}\n\nThresholds (lenient, central, strict): "
    filled = card.replace("{figures}", f"{figures}{thresholds}.").replace(
        "{operations}", _operations_table(operations)
    )
    return write_bundle(folder, network, metadata, filled, has_graph=True)


def _operations_table(operations: Sequence[HeldOutOperation]) -> str:
    lines = [
        "| operation | stills (with blood) | clean painted | blood found | area: true, measured |",
        "|---|---|---|---|---|",
    ]
    for o in operations:
        blood_share = "–" if o.blood_found_share is None else f"{o.blood_found_share:.0%}"
        lines.append(
            f"| {o.operation} | {o.n_stills} ({o.n_with_blood}) | {o.painted_clean_frac:.2%} | "
            f"{blood_share} | {o.true_area_frac:.2%}, {o.measured_area_frac:.2%} |"
        )
    covered = band_coverage_share(operations)
    if covered is not None:
        lines += [
            "",
            f"The 80 % band for a measured area, taken from the other operations, held the true "
            f"mean area of {covered:.0%} of these {len(operations)}. It holds at least 80 % of "
            "operations like these; for another kind nothing is promised.",
        ]
    return "\n".join(lines)


def figures_table(figures: Sequence[tuple[str, float]]) -> str:
    """Return Markdown of figures; ``NAME_low`` and ``NAME_high`` stand beside theirs."""
    values = dict(figures)
    lines = ["| figure | value | 95 % interval |", "|---|---|---|"]
    for key, value in figures:
        if key.endswith(("_low", "_high")):
            continue
        low, high = values.get(f"{key}_low"), values.get(f"{key}_high")
        interval = "" if low is None or high is None else f"{low:.3g} to {high:.3g}"
        lines.append(f"| {key} | {value:.4g} | {interval} |")
    return "\n".join(lines)
