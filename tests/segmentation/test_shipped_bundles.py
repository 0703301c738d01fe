"""Every bundle that is shipped: sound, documented, and the same at every batch size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.laboratory.simulation.simulated_stills import simulate_stills
from ubereport.segmentation.bundle import CARD_NAME, find_bundle, load_bundle, verify_bundle
from ubereport.segmentation.devices import DeviceChoice
from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.instruments import load_outputs
from ubereport.segmentation.network import load_network
from ubereport.segmentation.network_predictor import NetworkPredictor
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.predictor import open_predictor

FOLDERS = sorted(path for path in models_dir().iterdir() if path.is_dir())
MAX_BYTES = 25 * 10**6


def _pictures(height_px: int, width_px: int) -> np.ndarray:
    """Three simulated views that bleed over a tenth to two thirds of them, exactly known."""
    stills = simulate_stills(11, 40, height_px, width_px)
    bloody = (rgb for rgb, blood, field in stills if 0.1 < blood.sum() / field.sum() < 0.66)
    return np.stack(list(itertools.islice(bloody, 3)))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_bundle_is_sound_small_and_honest(folder: Path) -> None:
    assert verify_bundle(folder) == ()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_BYTES
    card = " ".join((folder / CARD_NAME).read_text(encoding="utf-8").split()).lower()
    assert "not a medical device" in card
    metadata = load_bundle(folder).metadata
    assert metadata.limits
    assert metadata.operating_characteristics
    if metadata.kind == "network":
        assert metadata.training_data
        assert metadata.color_reference is not None
    assert find_bundle(metadata.name, models_dir()).name.startswith(metadata.name)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_bundle_answers_the_same_at_every_batch_size(folder: Path) -> None:
    bundle = load_bundle(folder)
    rgb = _pictures(bundle.metadata.input_height_px, bundle.metadata.input_width_px)
    field = np.ones(rgb.shape[1:3], dtype=bool)
    one, many = (
        open_predictor(
            bundle, SegmentationConfig(batch_size=n, device=Device.CPU, n_threads=1)
        ).areas(rgb, field)[:, :3]
        for n in (1, 3)
    )
    np.testing.assert_allclose(one, many, atol=0.002)
    assert (np.diff(one, axis=1) <= 0).all(), "strict finds no more than lenient"


NETWORKS = [folder for folder in FOLDERS if load_bundle(folder).metadata.kind == "network"]


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda folder: folder.name)
def test_a_shipped_network_gives_the_same_areas_in_bf16(folder: Path) -> None:
    metadata = load_bundle(folder).metadata
    rgb = _pictures(metadata.input_height_px, metadata.input_width_px)
    field = np.ones(rgb.shape[1:3], dtype=bool)
    network = fuse_batch_norms(load_outputs(load_bundle(folder)))
    areas = [
        NetworkPredictor(
            with_low_precision_tail(network, dtype),
            metadata,
            DeviceChoice(torch.device("cpu"), "cpu", dtype),
            4,
        ).areas(rgb, field)
        for dtype in (None, torch.bfloat16)
    ]
    assert np.nanmax(areas[0]) > 0.01, "equal areas of nothing would show nothing"
    np.testing.assert_allclose(areas[1], areas[0], atol=0.002)


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda folder: folder.name)
def test_a_shipped_graph_gives_the_areas_of_torch(folder: Path) -> None:
    """Both in fp32; at most one pixel of ten thousand may lie so near a threshold that it turns."""
    bundle = load_bundle(folder)
    rgb = _pictures(bundle.metadata.input_height_px, bundle.metadata.input_width_px)
    field = np.ones(rgb.shape[1:3], dtype=bool)
    by_torch, by_graph = (
        open_predictor(
            bundle,
            SegmentationConfig(
                device=Device.CPU, route=route, is_low_precision_allowed=False, n_threads=1
            ),
        ).areas(rgb, field)
        for route in (Route.TORCH, Route.OPENVINO)
    )
    assert np.nanmax(by_torch) > 0.01, "equal areas of nothing would show nothing"
    np.testing.assert_allclose(by_graph, by_torch, atol=1e-4)


@pytest.mark.parametrize("folder", NETWORKS, ids=lambda folder: folder.name)
def test_a_shipped_network_finds_the_same_blood_with_and_without_instruments(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.metadata.instruments is not None
    planes = torch.rand((2, 3, 320, 320), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        blood, instruments = load_outputs(bundle)(planes)
        assert torch.equal(blood, load_network(bundle)(planes))
    assert instruments.shape == blood.shape
