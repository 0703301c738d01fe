from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_graphs import graphs_translated_once
from torch import nn

from ubereport.core.choices import Device, Route
from ubereport.core.config import SegmentationConfig
from ubereport.segmentation.bundle import METADATA_NAME, Bundle, load_bundle
from ubereport.segmentation.devices import cpu_gains_from_bf16
from ubereport.segmentation.export import write_bundle
from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.metadata import (
    BundleMetadata,
    InstrumentSpec,
    NetworkSpec,
    TrainingSet,
    metadata_to_json,
)
from ubereport.segmentation.network import SegmentationNetwork, build_network, encoder_channels
from ubereport.segmentation.predictor import open_predictor
from ubereport.segmentation.view_parts import (
    ExposureGain,
    FloodColor,
    FloodGain,
    HazeRemoval,
    PresenceHead,
    ShadeDoubt,
)

SIZE_PX = 64
SMALL = NetworkSpec(decoder_channels=(16, 8, 8, 4, 4))
BRANCH = InstrumentSpec(
    sha256="0" * 64,
    channels=(8, 8, 4),
    n_blocks=(1, 1, 0),
    threshold=0.5,
    training_data=(TrainingSet("none", "none", 0),),
    evaluated_on="Nothing.",
)
LOW = pytest.param(
    True,
    marks=pytest.mark.skipif(not cpu_gains_from_bf16(), reason="this processor has no bf16"),
)


def planes_of(pictures: np.ndarray) -> torch.Tensor:
    """Return (n, H, W, 3) pictures as the tiny network takes them."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 127) / 128


def route_answers(bundle: Bundle, pictures: np.ndarray, *, is_low: bool) -> list[np.ndarray]:
    """Return the probabilities of torch and of OpenVINO on a processor."""
    return [
        open_predictor(
            bundle,
            SegmentationConfig(
                device=Device.CPU, route=route, is_low_precision_allowed=is_low, n_threads=1
            ),
        ).probabilities(pictures)
        for route in (Route.TORCH, Route.OPENVINO)
    ]


def with_all_parts(network: SegmentationNetwork) -> nn.Module:
    """Return the network with every part that sees whole views.

    Those that it lacks have the numbers of all bundles, which leave views alone that are neither
    hazy, dim nor flooded; what it lacks of a head and of a doubt of dark places doubts nothing.
    """
    presence = PresenceHead(encoder_channels(network)[-1])
    with torch.no_grad():
        presence.linear.weight.zero_()
        presence.linear.bias.zero_()
    shade = ShadeDoubt()
    shade.doubt.zero_()
    parts = {
        "haze": HazeRemoval(),
        "exposure": ExposureGain(),
        "presence": presence,
        "shade": shade,
        "flood": FloodGain(),
        "flood_color": FloodColor(),
    }
    lacking = {name: part for name, part in parts.items() if getattr(network, name) is None}
    return SegmentationNetwork(network, **lacking).eval()


@pytest.fixture(scope="session")
def metadata() -> BundleMetadata:
    return BundleMetadata(
        name="tiny",
        version="1",
        title="A tiny network for tests",
        kind="network",
        input_height_px=SIZE_PX,
        input_width_px=SIZE_PX,
        thresholds=(0.3, 0.5, 0.7),
        training_population="None.",
        limits="Knows nothing.",
        intended_use="Tests.",
        evaluated_on="Nothing.",
        network=SMALL,
        weights_sha256="0" * 64,
        operating_characteristics=(("sensitivity", 0.93), ("specificity", 0.6)),
    )


@pytest.fixture(scope="session")
def tiny_network() -> nn.Module:
    """Weights by a formula of numpy, so that they are the same under every torch."""
    network = build_network(SMALL)
    rng = np.random.default_rng(20260501)
    state = network.state_dict()
    for key in sorted(state):
        shape = tuple(state[key].shape)
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_var") or (key.endswith(".weight") and len(shape) == 1):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 4:
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            values = rng.normal(0, 0.1, shape)
        state[key].copy_(torch.from_numpy(values))
    return network.eval()


@pytest.fixture(scope="session")
def written(
    tmp_path_factory: pytest.TempPathFactory, metadata: BundleMetadata, tiny_network: nn.Module
) -> Bundle:
    """The tiny network as `write_bundle` writes it, once."""
    folder = tmp_path_factory.mktemp("written") / "tiny-1"
    return write_bundle(folder, tiny_network, metadata, "# Tiny\n")


@pytest.fixture(scope="session")
def sure_network(tiny_network: nn.Module) -> nn.Module:
    """Sure of most pixels, as a trained network is; random weights are not."""
    network = copy.deepcopy(tiny_network)
    with torch.no_grad():
        network.get_submodule("segmentation_head.0").weight.mul_(30)
    return fuse_batch_norms(network)


@pytest.fixture(scope="session")
def bundle_of(
    tmp_path_factory: pytest.TempPathFactory, metadata: BundleMetadata, graphs_folder: Path
) -> Callable[..., Bundle]:
    """Write a network like the tiny one as a bundle with a graph."""
    assert metadata.network is not None
    tiny = metadata.network

    def write(network: nn.Module) -> Bundle:
        described = metadata
        if isinstance(network, SegmentationNetwork):
            # So that all these bundles have one graph.
            network = with_all_parts(network)
            spec = dataclasses.replace(
                tiny,
                has_haze_removal=True,
                has_exposure_gain=True,
                has_presence_head=True,
                has_shade_doubt=True,
                has_flood_gain=True,
                has_flood_color=True,
            )
            described = dataclasses.replace(metadata, network=spec)
        folder = tmp_path_factory.mktemp("graphed") / "tiny-1"
        with graphs_translated_once(graphs_folder):
            return write_bundle(folder, network, described, "# Tiny", has_graph=True)

    return write


@pytest.fixture(scope="session")
def sure(tiny_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    """The sure network as a bundle with a graph, its normalizations not folded."""
    network = copy.deepcopy(tiny_network)
    with torch.no_grad():
        network.get_submodule("segmentation_head.0").weight.mul_(30)
    return bundle_of(network)


@pytest.fixture
def make_bundle(tmp_path: Path, written: Bundle) -> Callable[..., Bundle]:
    """Copy the written bundle under another folder name, with changes to its metadata."""

    def make(folder: str = "tiny-1", **changes: object) -> Bundle:
        changed = dataclasses.replace(written.metadata, **changes)  # type: ignore[arg-type]
        copied = shutil.copytree(written.folder, tmp_path / "models" / folder)
        (copied / METADATA_NAME).write_text(metadata_to_json(changed), encoding="utf-8")
        return load_bundle(copied)

    return make


@pytest.fixture
def pictures() -> np.ndarray:
    """Five smooth random pictures (5, 64, 64, 3), so that maps have regions, not noise."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (5, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.uint8)
