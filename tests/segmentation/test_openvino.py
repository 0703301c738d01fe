from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests_support import fp32_roundings
from torch import nn

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import DependencyError, PredictionError
from ubereport.segmentation import network_predictor, openvino
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.devices import DeviceChoice, cpu_gains_from_bf16
from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.graph import NetworkGraph
from ubereport.segmentation.measure import measure_routes
from ubereport.segmentation.metadata import BundleMetadata
from ubereport.segmentation.network_predictor import NetworkPredictor, choose_route
from ubereport.segmentation.openvino_predictor import OpenVinoPredictor
from ubereport.segmentation.predictor import open_predictor
from ubereport.segmentation.record import UnrecordableError, record_network

CPU = DeviceChoice(torch.device("cpu"), "cpu", None)
CUDA = DeviceChoice(torch.device("cuda"), "cuda (Test GPU)", torch.bfloat16)
FIELD = np.ones((64, 64), dtype=bool)
FIELD[:9, 20:] = False


needs_bf16 = pytest.mark.skipif(
    not cpu_gains_from_bf16(), reason="this processor, or what it is held to, has no bf16"
)


@pytest.fixture
def openvino_here(required: Callable[[str, bool], None]) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)


@pytest.fixture(scope="session")
def sure_network(tiny_network: nn.Module) -> nn.Module:
    """Sure of most pixels, as a trained network is; random weights are not."""
    network = copy.deepcopy(tiny_network)
    with torch.no_grad():
        network.get_submodule("segmentation_head.0").weight.mul_(30)
    return fuse_batch_norms(network)


@pytest.fixture(scope="session")
def graph(sure_network: nn.Module) -> NetworkGraph:
    return record_network(sure_network, 64, 64)


@pytest.mark.usefixtures("openvino_here")
@pytest.mark.parametrize("test_time", ["none", "flip"])
def test_areas_are_those_of_torch(
    sure_network: nn.Module,
    graph: NetworkGraph,
    metadata: BundleMetadata,
    pictures: np.ndarray,
    test_time: str,
) -> None:
    metadata = dataclasses.replace(metadata, test_time=test_time)
    torch_predictor = NetworkPredictor(sure_network, metadata, CPU, 4)
    expected = torch_predictor.areas(pictures, FIELD)
    assert np.ptp(expected) > 0.05, "equal areas of a flat answer would show nothing"
    exact = OpenVinoPredictor(graph, metadata, is_low=False, n_threads=1)
    maps = torch_predictor.probabilities(pictures)
    # A probability moves by at most a quarter of its logit; so near a threshold, it may cross it.
    logits = np.log(np.clip(maps, 1e-7, 1 - 1e-7) / np.clip(1 - maps, 1e-7, 1))
    near = fp32_roundings(sure_network) * float(logits.std()) / 4
    is_near = np.min([abs(maps - t) for t in metadata.thresholds], axis=0) <= near
    n_undecided = np.count_nonzero(is_near & FIELD, axis=(1, 2))
    moved = abs(exact.areas(pictures, FIELD) - expected) * np.count_nonzero(FIELD)
    assert (moved <= n_undecided[:, None] + 1e-6).all()
    assert n_undecided.sum() <= 0.01 * FIELD.sum() * len(pictures), "nothing would be shown"
    np.testing.assert_allclose(exact.probabilities(pictures), maps, atol=near)
    np.testing.assert_array_equal(
        exact.masks(pictures), exact.probabilities(pictures) >= metadata.thresholds[1]
    )
    assert exact.device.startswith("cpu (OpenVINO 20")
    assert exact.precision == "fp32"


@needs_bf16
@pytest.mark.usefixtures("openvino_here")
def test_areas_in_bf16_are_near_those_of_torch(
    sure_network: nn.Module, graph: NetworkGraph, metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    expected = NetworkPredictor(sure_network, metadata, CPU, 4).areas(pictures, FIELD)
    low = OpenVinoPredictor(graph, metadata, is_low=True, n_threads=1)
    np.testing.assert_allclose(
        low.areas(pictures, FIELD).mean(axis=0), expected.mean(axis=0), atol=0.002
    )
    assert low.probabilities(pictures).dtype == np.float32
    assert low.precision == "fp32, late stages bf16"


@pytest.mark.usefixtures("openvino_here")
@pytest.mark.parametrize("is_low", [False, pytest.param(True, marks=needs_bf16)])
def test_areas_depend_neither_on_threads_nor_on_company(
    graph: NetworkGraph, metadata: BundleMetadata, pictures: np.ndarray, is_low: bool
) -> None:
    many = np.concatenate([pictures, pictures[::-1], pictures[:, ::-1]])
    one = OpenVinoPredictor(graph, metadata, is_low=is_low, n_threads=1)
    two = OpenVinoPredictor(graph, metadata, is_low=is_low, n_threads=2)
    expected = one.areas(many, FIELD)
    np.testing.assert_array_equal(two.areas(many, FIELD), expected)
    alone = np.concatenate([two.areas(many[i : i + 1], FIELD) for i in range(len(many))])
    np.testing.assert_array_equal(alone, expected)
    assert one.areas(many[:0], FIELD).shape == (0, 3)


@pytest.mark.usefixtures("openvino_here")
def test_pictures_of_another_size_are_a_misuse(
    graph: NetworkGraph, metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = OpenVinoPredictor(graph, metadata, is_low=False, n_threads=1)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.areas(pictures[:, ::2], FIELD)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.masks(pictures.astype(np.float32))
    with pytest.raises(ValueError, match="no pixel"):
        predictor.areas(pictures, np.zeros_like(FIELD))


@pytest.mark.usefixtures("openvino_here")
def test_an_answer_that_is_no_number_fails_loudly(
    graph: NetworkGraph, metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    last = graph.steps[-1]
    broken = {**last.weights, "bias": np.full_like(last.weights["bias"], np.nan)}
    steps = (*graph.steps[:-1], dataclasses.replace(last, weights=broken))
    predictor = OpenVinoPredictor(
        dataclasses.replace(graph, steps=steps), metadata, is_low=False, n_threads=1
    )
    with pytest.raises(PredictionError, match="NaN or infinity"):
        predictor.areas(pictures, FIELD)


@pytest.mark.usefixtures("openvino_here")
def test_auto_takes_openvino_where_it_is_and_says_so(make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    found = {
        route: open_predictor(bundle, SegmentationConfig(device=Device.CPU, route=route)).device
        for route in Route
    }
    assert found[Route.TORCH] == "cpu"
    assert found[Route.AUTO] == found[Route.OPENVINO]
    assert found[Route.AUTO].startswith("cpu (OpenVINO")


def test_auto_takes_torch_where_openvino_is_absent(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (openvino, network_predictor):
        monkeypatch.setattr(module, "is_openvino_present", lambda: False)
    bundle = make_bundle()
    assert open_predictor(bundle, SegmentationConfig(device=Device.CPU)).device == "cpu"
    with pytest.raises(DependencyError, match=r"pip install 'ubereport\[openvino\]'"):
        open_predictor(bundle, SegmentationConfig(device=Device.CPU, route=Route.OPENVINO))


def test_openvino_is_for_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_predictor, "is_openvino_present", lambda: True)
    assert choose_route(Route.AUTO, CUDA) is Route.TORCH
    assert choose_route(Route.TORCH, CPU) is Route.TORCH
    assert choose_route(Route.AUTO, CPU) is Route.OPENVINO
    with pytest.raises(DependencyError, match="--device cpu"):
        choose_route(Route.OPENVINO, CUDA)


@pytest.mark.usefixtures("openvino_here")
def test_a_network_that_only_torch_computes_runs_in_torch_unless_openvino_is_asked_for(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NetworkGraph:
        raise UnrecordableError("The network uses aten.sin.")

    monkeypatch.setattr(network_predictor, "record_network", refuse)
    bundle = make_bundle()
    assert open_predictor(bundle, SegmentationConfig(device=Device.CPU)).device == "cpu"
    with pytest.raises(UnrecordableError):
        open_predictor(bundle, SegmentationConfig(device=Device.CPU, route=Route.OPENVINO))


def test_every_route_is_measured_against_fp32_in_torch(
    make_bundle: Callable[..., Bundle], pictures: np.ndarray
) -> None:
    speeds = measure_routes(make_bundle(), pictures, FIELD)
    first = speeds[0]
    assert (first.route, first.precision) == (Route.TORCH, "fp32")
    assert (first.area_deviation_max_frac, first.is_usable) == (0.0, True)
    assert all(speed.pictures_per_s > 0 for speed in speeds)
    assert len({speed.title for speed in speeds}) == len(speeds)
    n_routes = len({speed.route for speed in speeds})
    assert n_routes == (2 if openvino.is_openvino_present() else 1)
    moved = dataclasses.replace(first, area_deviation_max_frac=0.0021)
    assert not moved.is_usable
