from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests_support import fp32_roundings
from torch import nn

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import BundleError, PredictionError
from ubereport.core.presence import PresenceRule
from ubereport.laboratory.route_speeds import measure_routes
from ubereport.segmentation import openvino
from ubereport.segmentation.bundle import GRAPH_NAME, Bundle
from ubereport.segmentation.devices import DeviceChoice, cpu_gains_from_bf16
from ubereport.segmentation.metadata import GraphSpec
from ubereport.segmentation.network_predictor import NetworkPredictor
from ubereport.segmentation.openvino_predictor import OpenVinoPredictor
from ubereport.segmentation.predictor import open_predictor

CPU = DeviceChoice(torch.device("cpu"), "cpu", None)
FIELD = np.ones((64, 64), dtype=bool)
FIELD[:9, 20:] = False


# Networks dropped by another thread than the one that opened them; then a child ends, and its
# signal is handled in the first thread.
DROPPED_ELSEWHERE = """
import signal, subprocess, sys, threading
from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.predictor import open_predictor

signals = []
signal.signal(signal.SIGCHLD, lambda number, frame: signals.append(number))
bundle = load_bundle(find_bundle("ube-blood", models_dir()))
config = SegmentationConfig(model="ube-blood", device=Device.CPU, n_threads=1, route=Route.OPENVINO)
opened = [open_predictor(bundle, config)]
dropping = threading.Thread(target=opened.clear)
dropping.start()
dropping.join()
subprocess.run([sys.executable, "-c", ""], check=True)
assert signals, "no signal was handled"
"""

needs_bf16 = pytest.mark.skipif(
    not cpu_gains_from_bf16(), reason="this processor, or what it is held to, has no bf16"
)


@pytest.fixture
def openvino_here(required: Callable[[str, bool], None]) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)


@pytest.mark.usefixtures("openvino_here")
@pytest.mark.parametrize("test_time", ["none", "flip"])
def test_areas_are_those_of_torch(
    sure_network: nn.Module, sure: Bundle, pictures: np.ndarray, test_time: str
) -> None:
    metadata = dataclasses.replace(sure.metadata, test_time=test_time)
    sure = dataclasses.replace(sure, metadata=metadata)
    torch_predictor = NetworkPredictor(sure_network, metadata, CPU, 4)
    expected = torch_predictor.areas(pictures, FIELD)[:, :3]
    assert np.ptp(expected) > 0.05, "equal areas of a flat answer would show nothing"
    exact = OpenVinoPredictor(sure, is_low=False, n_threads=1)
    maps = torch_predictor.probabilities(pictures)
    # A probability moves by at most a quarter of its logit; so near a threshold, it may cross it.
    logits = np.log(np.clip(maps, 1e-7, 1 - 1e-7) / np.clip(1 - maps, 1e-7, 1))
    # Twice, since random weights amplify what a trained network would not.
    near = 2 * fp32_roundings(sure_network, 3) * float(logits.std()) / 4
    is_near = np.min([abs(maps - t) for t in metadata.thresholds], axis=0) <= near
    n_undecided = np.count_nonzero(is_near & FIELD, axis=(1, 2))
    moved = abs(exact.areas(pictures, FIELD)[:, :3] - expected) * np.count_nonzero(FIELD)
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
    sure_network: nn.Module, sure: Bundle, pictures: np.ndarray
) -> None:
    expected = NetworkPredictor(sure_network, sure.metadata, CPU, 4).areas(pictures, FIELD)[:, :3]
    low = OpenVinoPredictor(sure, is_low=True, n_threads=1)
    np.testing.assert_allclose(
        low.areas(pictures, FIELD)[:, :3].mean(axis=0), expected.mean(axis=0), atol=0.002
    )
    assert low.probabilities(pictures).dtype == np.float32
    assert low.precision == "fp32, late stages bf16"


@pytest.mark.usefixtures("openvino_here")
@pytest.mark.parametrize("is_low", [False, pytest.param(True, marks=needs_bf16)])
def test_areas_depend_neither_on_threads_nor_on_company(
    sure: Bundle, pictures: np.ndarray, is_low: bool
) -> None:
    many = np.concatenate([pictures, pictures[::-1], pictures[:, ::-1]])
    one = OpenVinoPredictor(sure, is_low=is_low, n_threads=1)
    two = OpenVinoPredictor(sure, is_low=is_low, n_threads=2)
    expected = one.areas(many, FIELD)[:, :3]
    np.testing.assert_array_equal(two.areas(many, FIELD)[:, :3], expected)
    alone = np.concatenate([two.areas(many[i : i + 1], FIELD)[:, :3] for i in range(len(many))])
    np.testing.assert_array_equal(alone, expected)
    assert one.areas(many[:0], FIELD).shape == (0, 4)


@pytest.mark.usefixtures("openvino_here")
def test_pictures_of_another_size_are_a_misuse(sure: Bundle, pictures: np.ndarray) -> None:
    predictor = OpenVinoPredictor(sure, is_low=False, n_threads=1)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.areas(pictures[:, ::2], FIELD)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.masks(pictures.astype(np.float32))
    with pytest.raises(ValueError, match="no pixel"):
        predictor.areas(pictures, np.zeros_like(FIELD))


@pytest.mark.usefixtures("openvino_here")
def test_an_answer_that_is_no_number_fails_loudly(sure: Bundle, pictures: np.ndarray) -> None:
    predictor = OpenVinoPredictor(sure, is_low=False, n_threads=1)
    logits = np.zeros(pictures.shape[:3], dtype=np.float32)
    logits[0, 0, -1] = np.nan  # outside the field
    predictor._network = lambda _: (logits, None)  # type: ignore[assignment]
    with pytest.raises(PredictionError, match="NaN or infinity"):
        predictor.areas(pictures, FIELD)


@needs_bf16
@pytest.mark.usefixtures("openvino_here")
def test_low_precision_begins_where_the_late_stages_do(
    sure_network: nn.Module, sure: Bundle, pictures: np.ndarray
) -> None:
    """The exact half answers with what the stages before the late ones give, to the rounding."""
    seen: list[torch.Tensor] = []
    late = sure_network.get_submodule("encoder.model.blocks.6")
    handle = late.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    NetworkPredictor(sure_network, sure.metadata, CPU, 8).areas(pictures, FIELD)
    handle.remove()
    graph = sure.metadata.graph
    assert graph is not None
    assert len(graph.late_inputs) == 5, "four skips of the decoder and the late stage"
    half = openvino.CompiledNetwork(
        sure.graph_path, graph.late_inputs, sure.metadata, is_low=True, n_threads=1
    )
    assert len(half._compiled) == 2
    answers = half._compiled[0]([pictures])
    handed = next(a for a in answers.values() if a.shape == tuple(seen[0].shape))
    expected = seen[0].numpy()
    assert expected.std() > 0.02, "flat values would be close to anything"
    near = fp32_roundings(sure_network, 3) * float(expected.std())
    np.testing.assert_allclose(handed, expected, atol=near)


@pytest.mark.usefixtures("openvino_here")
def test_a_graph_that_cannot_be_used_is_told(sure: Bundle, tmp_path: Path) -> None:
    garbage = tmp_path / GRAPH_NAME
    garbage.write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=r"model\.onnx cannot be used .* models prepare"):
        openvino.CompiledNetwork(garbage, (), sure.metadata, is_low=False, n_threads=1)
    larger = dataclasses.replace(sure.metadata, input_height_px=96, input_width_px=96)
    with pytest.raises(BundleError, match="answers with shape"):
        openvino.CompiledNetwork(sure.graph_path, (), larger, is_low=False, n_threads=1)
    with pytest.raises(BundleError, match="cannot be used"):
        openvino.CompiledNetwork(
            sure.graph_path, ("nothing",), sure.metadata, is_low=True, n_threads=1
        )


@pytest.mark.usefixtures("openvino_here")
def test_files_that_changed_since_they_were_checked_are_refused(
    sure: Bundle, tmp_path: Path
) -> None:
    spec = GraphSpec("0" * 64, ())
    changed = dataclasses.replace(sure, metadata=dataclasses.replace(sure.metadata, graph=spec))
    with pytest.raises(BundleError, match=r"graph of bundle .* altered"):
        OpenVinoPredictor(changed, is_low=False, n_threads=1)


@pytest.mark.usefixtures("openvino_here")
def test_auto_takes_openvino_where_it_and_a_graph_are(
    sure: Bundle, make_bundle: Callable[..., Bundle]
) -> None:
    found = {
        route: open_predictor(sure, SegmentationConfig(device=Device.CPU, route=route)).device
        for route in Route
    }
    assert found[Route.TORCH] == "cpu"
    assert found[Route.AUTO] == found[Route.OPENVINO]
    assert found[Route.AUTO].startswith("cpu (OpenVINO")
    older = make_bundle()
    assert open_predictor(older, SegmentationConfig(device=Device.CPU)).device == "cpu"


def test_every_route_is_measured_against_fp32_in_torch(
    make_bundle: Callable[..., Bundle], sure: Bundle, pictures: np.ndarray
) -> None:
    assert {speed.route for speed in measure_routes(make_bundle(), pictures, FIELD)} == {
        Route.TORCH
    }
    speeds = measure_routes(sure, pictures, FIELD)
    first = speeds[0]
    assert (first.route, first.precision) == (Route.TORCH, "fp32")
    assert (first.area_deviation_max_frac, first.is_usable) == (0.0, True)
    assert all(speed.pictures_per_s > 0 for speed in speeds)
    assert len({speed.title for speed in speeds}) == len(speeds)
    n_routes = len({speed.route for speed in speeds})
    assert n_routes == (2 if openvino.is_openvino_present() else 1)
    moved = dataclasses.replace(first, area_deviation_max_frac=0.0021)
    assert not moved.is_usable


@pytest.mark.slow
@pytest.mark.usefixtures("openvino_here")
@pytest.mark.skipif(sys.platform == "win32", reason="no signal tells of a child's end there")
def test_a_network_may_end_in_another_thread_than_it_was_opened_in() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED_ELSEWHERE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.usefixtures("openvino_here")
def test_a_rule_of_presence_is_that_of_torch(
    sure_network: nn.Module, sure: Bundle, pictures: np.ndarray
) -> None:
    maps = NetworkPredictor(sure_network, sure.metadata, CPU, 4).probabilities(pictures)
    share = np.median((maps >= 0.6).mean(axis=(1, 2)))
    metadata = dataclasses.replace(sure.metadata, presence=PresenceRule(0.6, float(share) + 1e-6))
    exact = OpenVinoPredictor(
        dataclasses.replace(sure, metadata=metadata), is_low=False, n_threads=1
    )
    shown = exact.masks(pictures).any(axis=(1, 2))
    assert shown.any()
    assert not shown.all()
    expected = NetworkPredictor(sure_network, metadata, CPU, 4).masks(pictures).any(axis=(1, 2))
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(exact.areas(pictures, FIELD)[:, 0] > 0, shown)
