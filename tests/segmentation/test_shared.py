"""One network for several processes: the same answers, a dead server replaced, errors told."""

import importlib.util
import os
import signal
import time

import numpy as np
import pytest

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import DependencyError, PredictionError
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.predictor import open_predictor
from ubereport.segmentation.shared_network import SharedNetwork, SharedPredictor

pytestmark = pytest.mark.slow
CONFIG = SegmentationConfig(model="ube-blood", device=Device.CPU, batch_size=4, n_threads=1)


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(find_bundle("ube-blood", models_dir()))


@pytest.fixture(scope="module")
def network(bundle):
    with SharedNetwork(bundle, CONFIG, is_forced=True) as network:
        yield network


def pictures(bundle, n):
    size = (n, bundle.metadata.input_height_px, bundle.metadata.input_width_px, 3)
    return np.random.default_rng(n).integers(0, 256, size, dtype=np.uint8)


def test_answers_are_those_of_a_network_of_ones_own(network, bundle):
    own = open_predictor(bundle, CONFIG)
    shared = SharedPredictor(network.address, bundle)
    rgb = pictures(bundle, 3)
    field = np.ones(rgb.shape[1:3], dtype=np.bool_)
    field[:40] = False
    assert np.array_equal(shared.areas(rgb, field)[:, :3], own.areas(rgb, field)[:, :3])
    assert np.array_equal(shared.masks(rgb), own.masks(rgb))
    assert np.array_equal(shared.probabilities(rgb), own.probabilities(rgb))
    for name in (
        "input_height_px",
        "input_width_px",
        "thresholds",
        "device",
        "is_accelerated",
        "precision",
    ):
        assert getattr(shared, name) == getattr(own, name)


@pytest.mark.parametrize("route", list(Route))
def test_a_processor_is_not_shared_whatever_library_counts_on_it(bundle, route, required):
    """OpenVINO names itself in the device's title: a title decides nothing."""
    if route is Route.OPENVINO:
        required("openvino", importlib.util.find_spec("openvino") is not None)
    config = SegmentationConfig(model="ube-blood", device=Device.CPU, n_threads=1, route=route)
    with SharedNetwork(bundle, config, is_forced=False) as network:
        assert network.address is None


def test_a_killed_server_is_replaced_and_the_request_sent_again(network, bundle):
    shared = SharedPredictor(network.address, bundle)
    rgb = pictures(bundle, 2)
    before = shared.masks(rgb)
    killed = network.process_id
    os.kill(killed, signal.SIGKILL)
    assert np.array_equal(shared.masks(rgb), before)
    assert network.process_id != killed


def test_an_error_of_the_network_reaches_the_case_that_asked(network, bundle):
    shared = SharedPredictor(network.address, bundle)
    with pytest.raises(ValueError, match="this model takes"):
        shared.masks(np.zeros((1, 8, 8, 3), dtype=np.uint8))
    assert shared.masks(pictures(bundle, 1)).shape[0] == 1


def test_another_bundle_is_refused(network):
    other = load_bundle(find_bundle("hsv-red", models_dir()))
    with pytest.raises(PredictionError, match="another bundle"):
        SharedPredictor(network.address, other)


def test_on_the_cpu_nothing_is_shared_unless_asked_for():
    hsv = load_bundle(find_bundle("hsv-red", models_dir()))
    with SharedNetwork(hsv, SegmentationConfig(model="hsv-red"), is_forced=False) as network:
        assert network.address is None


def test_when_the_server_is_gone_for_good_the_case_is_told_at_once():
    hsv = load_bundle(find_bundle("hsv-red", models_dir()))
    with SharedNetwork(hsv, SegmentationConfig(model="hsv-red"), is_forced=True) as network:
        shared = SharedPredictor(network.address, hsv)
        worker = network.process_id
    started = time.monotonic()
    with pytest.raises(PredictionError, match="lost"):
        shared.masks(pictures(hsv, 1))
    assert time.monotonic() - started < 5.0
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_server_that_cannot_start_says_why(bundle):
    broken = SegmentationConfig(model="ube-blood", device=Device.MPS)
    network = SharedNetwork(bundle, broken, is_forced=True)
    with pytest.raises(DependencyError, match="--device"), network:
        pass
