"""A graphics device that fails in mid-case: the processor goes on, and the record says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import PredictionError
from ubereport.segmentation import network_predictor
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.devices import DeviceChoice
from ubereport.segmentation.failover import DeviceLostError, FailoverPredictor
from ubereport.segmentation.network_predictor import NetworkPredictor
from ubereport.segmentation.predictor import open_predictor

FIELD = np.ones((64, 64), dtype=bool)
CPU = DeviceChoice(torch.device("cpu"), "cpu", None)
LOST = "CUDA error: unspecified launch failure"


class Failing(nn.Module):
    """Answers as `network` for so many calls, then as a device that is gone."""

    def __init__(self, network: nn.Module, n_good: int, error: Exception) -> None:
        super().__init__()
        self.network, self.n_left, self.error = network, n_good, error

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        self.n_left -= 1
        if self.n_left < 0:
            raise self.error
        return self.network(planes)


class OnStub(NetworkPredictor):
    """Counts on the processor and says that it is a graphics device."""

    def __init__(self, network: nn.Module, metadata, batch_size: int = 2) -> None:
        super().__init__(network, metadata, CPU, batch_size)
        self.device, self.is_accelerated = "cuda (Stub)", True


@pytest.mark.parametrize(
    "error",
    [RuntimeError(LOST), torch.OutOfMemoryError("CUDA out of memory")],
    ids=["driver", "oom"],
)
def test_the_processor_goes_on_and_nothing_is_lost(
    tiny_network: nn.Module, metadata, pictures: np.ndarray, error: Exception
) -> None:
    exact = NetworkPredictor(tiny_network, metadata, CPU, 2)
    expected = exact.areas(pictures, FIELD)[:, :3]
    opened = []

    def open_on_processor():
        opened.append(exact)
        return exact

    stub = OnStub(Failing(tiny_network, 4, error), metadata)
    predictor = FailoverPredictor(stub, open_on_processor)
    np.testing.assert_array_equal(predictor.areas(pictures, FIELD)[:, :3], expected)
    assert (predictor.device, predictor.is_accelerated, opened) == ("cuda (Stub)", True, [])
    np.testing.assert_array_equal(predictor.areas(pictures, FIELD)[:, :3], expected)
    assert predictor.device == "cuda (Stub); after it failed, cpu"
    assert not predictor.is_accelerated
    assert predictor.precision == "fp32"
    np.testing.assert_array_equal(predictor.masks(pictures), exact.masks(pictures))
    np.testing.assert_array_equal(predictor.probabilities(pictures), exact.probabilities(pictures))
    assert len(opened) == 1, "the processor is opened once"


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), PredictionError("NaN")])
def test_what_is_no_failure_of_the_device_is_not_hidden(
    tiny_network: nn.Module, metadata, pictures: np.ndarray, error: Exception
) -> None:
    stub = OnStub(Failing(tiny_network, 0, error), metadata)
    predictor = FailoverPredictor(stub, lambda: pytest.fail("the processor was asked"))
    with pytest.raises(type(error), match=str(error)):
        predictor.areas(pictures, FIELD)


def test_on_the_processor_nothing_is_called_a_lost_device(
    tiny_network: nn.Module, metadata, pictures: np.ndarray
) -> None:
    predictor = NetworkPredictor(Failing(tiny_network, 0, RuntimeError(LOST)), metadata, CPU, 2)
    with pytest.raises(RuntimeError, match="launch failure") as told:
        predictor.areas(pictures, FIELD)
    assert not isinstance(told.value, DeviceLostError)


def test_an_opened_bundle_goes_on_on_the_processor(
    make_bundle: Callable[..., Bundle],
    tiny_network: nn.Module,
    pictures: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the device was asked for by name: nothing that was measured is lost."""
    bundle = make_bundle()
    config = SegmentationConfig(device=Device.CPU, route=Route.TORCH)
    expected = open_predictor(bundle, config).areas(pictures, FIELD)[:, :3]
    real = network_predictor.open_network_predictor

    def on_stub(bundle: Bundle, config: SegmentationConfig) -> NetworkPredictor:
        if config.device is Device.CPU:
            return real(bundle, config)
        return OnStub(Failing(tiny_network, 1, RuntimeError(LOST)), bundle.metadata)

    monkeypatch.setattr(network_predictor, "open_network_predictor", on_stub)
    predictor = open_predictor(bundle, dataclasses.replace(config, device=Device.CUDA))
    np.testing.assert_allclose(predictor.areas(pictures, FIELD)[:, :3], expected, atol=0.002)
    assert predictor.device == "cuda (Stub); after it failed, cpu"
