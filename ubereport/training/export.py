"""From trained weights to a bundle: average, calibrate on held-out groups, describe, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ubereport.errors import BundleError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.distribution import ColorReference, color_reference
from ubereport.segmentation.export import write_bundle
from ubereport.segmentation.metadata import BundleMetadata, TrainingSet
from ubereport.segmentation.network import build_network, load_state
from ubereport.training.calibrate import Calibration, calibrate
from ubereport.training.config import TrainConfig
from ubereport.training.loop import INPUT_MEAN, INPUT_SCALE, network_spec, predict
from ubereport.training.stills import StillCache

__all__ = ["BundleText", "average_states", "export_bundle", "held_out_maps", "training_colors"]

_N_COLOR_STILLS = 12


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
    size = (side_px, side_px)
    rgb = np.stack(
        [cv2.resize(cache.rgb[i], size, interpolation=cv2.INTER_AREA) for i in index]
    ).astype(np.uint8)
    label = np.stack(
        [cv2.resize(cache.label[i], size, interpolation=cv2.INTER_NEAREST) for i in index]
    ).astype(np.uint8)
    device = next(network.parameters()).device
    maps = predict(network, rgb, device)
    if flip:
        mirrored = predict(network, np.ascontiguousarray(rgb[:, :, ::-1]), device)
        maps = np.asarray((maps + mirrored[:, :, ::-1]) / 2, np.float32)
    return maps, label


def training_colors(cache: StillCache, index: NDArray[np.int64]) -> ColorReference:
    """Describe the colors of the training stills, at most twelve a group.

    Raises
    ------
    ValueError
        If they come from fewer than five groups.
    """
    groups = np.array([cache.stills[int(i)].group for i in index])
    chosen = np.concatenate([index[groups == g][:_N_COLOR_STILLS] for g in np.unique(groups)])
    rgb = np.stack([cv2.resize(cache.rgb[i], (128, 128)) for i in chosen]).astype(np.uint8)
    field = rgb.max(axis=-1) > 18
    field[~field.any(axis=(1, 2))] = True
    return color_reference(rgb, [cache.stills[int(i)].group for i in chosen], field)


def export_bundle(
    folder: Path,
    config: TrainConfig,
    states: Sequence[Mapping[str, Tensor]],
    cache: StillCache,
    train_index: NDArray[np.int64],
    held_out_index: NDArray[np.int64],
    text: BundleText,
    training_data: Sequence[TrainingSet],
    card: str,
    *,
    flip: bool = False,
) -> Bundle:
    """Average `states`, calibrate on the held-out stills and write a bundle.

    Parameters
    ----------
    folder
        To be made, ``<name>-<version>``.
    card
        Markdown with ``{figures}`` where the table of held-out figures goes.

    Raises
    ------
    AnnotationError
        If the held-out stills do not show both blood and clean views.
    BundleError
        If the weights do not fit the configuration.
    OutputError
        If the folder exists or cannot be written.
    """
    network = build_network(network_spec(config))
    load_state(network, average_states(states))
    maps, labels = held_out_maps(network, cache, held_out_index, config.input_px, flip=flip)
    groups = [cache.stills[int(i)].group for i in held_out_index]
    found = calibrate(maps, labels, groups)
    metadata = BundleMetadata(
        name=text.name,
        version=text.version,
        title=text.title,
        kind="network",
        input_height_px=config.input_px,
        input_width_px=config.input_px,
        thresholds=found.thresholds,
        training_population=text.training_population,
        limits=text.limits,
        intended_use=text.intended_use,
        evaluated_on=text.evaluated_on,
        network=network_spec(config),
        input_mean=(INPUT_MEAN,) * 3,
        input_scale=(INPUT_SCALE,) * 3,
        test_time="flip" if flip else "none",
        operating_characteristics=found.figures,
        training_data=tuple(training_data),
        color_reference=training_colors(cache, train_index),
        weights_sha256="0" * 64,
    )
    return write_bundle(folder, network, metadata, card.replace("{figures}", _table(found)))


def _table(found: Calibration) -> str:
    values = dict(found.figures)
    lines = ["| figure | value | 95 % interval |", "|---|---|---|"]
    for key, value in found.figures:
        if key.endswith(("_low", "_high")):
            continue
        low, high = values.get(f"{key}_low"), values.get(f"{key}_high")
        interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        lines.append(f"| {key} | {value:.4g} | {interval} |")
    thresholds = ", ".join(f"{t:.3f}" for t in found.thresholds)
    return "\n".join([*lines, "", f"Thresholds (lenient, central, strict): {thresholds}."])
