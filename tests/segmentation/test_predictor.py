from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import PredictionError
from ubereport.core.presence import PresenceRule
from ubereport.files.resources import models_dir
from ubereport.laboratory.simulation.simulated_stills import simulate_stills
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.devices import DeviceChoice
from ubereport.segmentation.metadata import BundleMetadata
from ubereport.segmentation.network_predictor import NetworkPredictor
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.predictor import open_predictor

CPU = DeviceChoice(torch.device("cpu"), "cpu", None)
FIELD = np.ones((64, 64), dtype=bool)


class RedLogit(nn.Module):
    """Logit (red - 128) / 32 of 0..255 levels: areas follow from counting pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        self.batch_sizes.append(len(planes))
        return (planes[:, :1] * 128 + 127 - 128) / 32


class Hungry(RedLogit):
    """Runs out of memory above `most` pictures."""

    def __init__(self, most: int, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.most = most
        self.error = error

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        if len(planes) > self.most:
            raise self.error()
        return super().forward(planes)


class Answering(nn.Module):
    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, planes: torch.Tensor) -> object:
        return self.answer(planes)


class Noting(RedLogit):
    """Notes how convolutions may count while it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[bool, bool]] = set()

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        cudnn = torch.backends.cudnn
        self.seen.add((cudnn.allow_tf32, cudnn.deterministic))
        return super().forward(planes)


def _predictor(network: nn.Module, metadata: BundleMetadata, batch_size: int) -> NetworkPredictor:
    return NetworkPredictor(network, metadata, CPU, batch_size)


def _expected_areas(
    rgb: np.ndarray, field: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    probability = 1 / (1 + np.exp(-(rgb[..., 0].astype(np.float64) - 128) / 32))
    inside = probability[:, field]
    return np.stack([(inside >= t).mean(axis=1) for t in thresholds], axis=1)


def test_areas_are_counted_in_the_field_at_each_threshold(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    field = np.zeros((64, 64), dtype=bool)
    field[5:40, 10:61] = True
    areas = _predictor(RedLogit(), metadata, 2).areas(pictures, field)[:, :3]
    assert areas.dtype == np.float64
    np.testing.assert_allclose(
        areas, _expected_areas(pictures, field, metadata.thresholds), atol=1e-12
    )
    assert np.ptp(areas) > 0.1
    assert (np.diff(areas, axis=1) <= 0).all()


def test_masks_and_probabilities_are_those_of_the_network(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = _predictor(RedLogit(), metadata, 3)
    probability = 1 / (1 + np.exp(-(pictures[..., 0].astype(np.float64) - 128) / 32))
    found = predictor.probabilities(pictures)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, probability, atol=1e-5)
    masks = predictor.masks(pictures)
    assert masks.dtype == np.bool_
    np.testing.assert_array_equal(masks, pictures[..., 0] >= 128)
    np.testing.assert_array_equal(masks, found >= metadata.thresholds[1])


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_any_number_of_pictures_is_looked_at_in_batches(
    metadata: BundleMetadata, pictures: np.ndarray, n: int
) -> None:
    network = RedLogit()
    predictor = _predictor(network, metadata, 2)
    assert predictor.areas(pictures[:n], FIELD).shape == (n, 4)
    assert network.batch_sizes == [2] * (n // 2) + [1] * (n % 2)
    assert predictor.masks(pictures[:n]).shape == (n, 64, 64)
    assert predictor.probabilities(pictures[:n]).dtype == np.float32


def test_read_only_and_strided_pictures_are_taken(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = _predictor(RedLogit(), metadata, 2)
    frozen = pictures.copy()
    frozen.setflags(write=False)
    strided = np.repeat(pictures, 2, axis=2)[:, :, ::2]
    expected = predictor.areas(pictures, FIELD)[:, :3]
    np.testing.assert_array_equal(predictor.areas(frozen, FIELD)[:, :3], expected)
    np.testing.assert_array_equal(predictor.areas(strided, FIELD)[:, :3], expected)


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda: RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: "
            "can't allocate memory: you tried to allocate 1 bytes."
        ),
        lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
        lambda: RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
@pytest.mark.parametrize("most", [1, 3])
def test_out_of_memory_halves_the_batch_and_keeps_the_answer(
    metadata: BundleMetadata,
    pictures: np.ndarray,
    most: int,
    error: Callable[[], Exception],
) -> None:
    hungry = Hungry(most, error)
    predictor = _predictor(hungry, metadata, 8)
    many = np.concatenate([pictures, pictures[::-1]])
    np.testing.assert_array_equal(
        predictor.areas(many, FIELD), _predictor(RedLogit(), metadata, 8).areas(many, FIELD)
    )
    assert predictor.batch_size == {1: 1, 3: 2}[most]
    assert sum(hungry.batch_sizes) == len(many)


def test_no_memory_for_one_picture_is_an_error(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = _predictor(Hungry(0, lambda: torch.OutOfMemoryError("none")), metadata, 4)
    with pytest.raises(PredictionError, match="single picture"):
        predictor.areas(pictures, FIELD)


def test_other_runtime_errors_are_not_mistaken_for_memory(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = _predictor(Hungry(0, lambda: RuntimeError("shapes differ")), metadata, 4)
    with pytest.raises(RuntimeError, match="shapes differ"):
        predictor.areas(pictures, FIELD)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_pixel_outside_the_field_fails_loudly(
    metadata: BundleMetadata, pictures: np.ndarray, value: float
) -> None:
    def answer(planes: torch.Tensor) -> torch.Tensor:
        logits = planes[:, :1].clone()
        logits[-1, 0, 63, 63] = value
        return logits

    field = FIELD.copy()
    field[60:, 60:] = False
    predictor = _predictor(Answering(answer), metadata, 4)
    for ask in (lambda: predictor.areas(pictures, field), lambda: predictor.masks(pictures)):
        with pytest.raises(PredictionError, match="NaN or infinity"):
            ask()


@pytest.mark.parametrize(
    "answer",
    [
        lambda planes: planes,
        lambda planes: planes[:, 0],
        lambda planes: planes[:, :1, ::2],
        lambda planes: planes[:1, :1].expand(len(planes) + 1, 1, 64, 64),
        lambda planes: (planes[:, :1], planes[:, :1]),
        lambda planes: None,
    ],
)
def test_answers_of_a_wrong_shape_fail_loudly(
    metadata: BundleMetadata, pictures: np.ndarray, answer: Callable[[torch.Tensor], object]
) -> None:
    with pytest.raises(PredictionError, match=r"one logit a pixel|answered with 2 outputs"):
        _predictor(Answering(answer), metadata, 4).areas(pictures, FIELD)


@pytest.mark.parametrize(("logit", "area"), [(40.0, 1.0), (-40.0, 0.0), (1e30, 1.0)])
def test_all_blood_and_no_blood_are_answers_like_any_other(
    metadata: BundleMetadata, pictures: np.ndarray, logit: float, area: float
) -> None:
    network = Answering(lambda planes: torch.full_like(planes[:, :1], logit))
    areas = _predictor(network, metadata, 4).areas(pictures, FIELD)[:, :3]
    np.testing.assert_array_equal(areas, np.full((5, 3), area))


def test_flips_are_averaged_when_the_bundle_says_so(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    ramp = torch.linspace(-2, 2, 64).expand(1, 1, 64, 64)
    network = Answering(lambda planes: ramp.expand(len(planes), 1, 64, 64))
    flipped = dataclasses.replace(metadata, test_time="flip")
    row = 1 / (1 + np.exp(-np.linspace(-2, 2, 64)))
    found = _predictor(network, flipped, 4).probabilities(pictures)[0, 0]
    np.testing.assert_allclose(found, (row + row[::-1]) / 2, atol=1e-6)
    plain = _predictor(network, metadata, 4).probabilities(pictures)[0, 0]
    np.testing.assert_allclose(plain, row, atol=1e-6)


def test_pictures_and_fields_of_another_size_are_a_misuse(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    predictor = _predictor(RedLogit(), metadata, 4)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.areas(pictures[:, ::2], FIELD)
    with pytest.raises(ValueError, match="this model takes"):
        predictor.masks(pictures.astype(np.float32))
    with pytest.raises(ValueError, match="field of view of shape"):
        predictor.areas(pictures, FIELD[::2])
    with pytest.raises(ValueError, match="no pixel"):
        predictor.areas(pictures, ~FIELD)


def test_an_opened_bundle_gives_the_same_areas_at_every_batch_size(
    make_bundle: Callable[..., Bundle], pictures: np.ndarray
) -> None:
    bundle = make_bundle()
    areas = [
        open_predictor(
            bundle, SegmentationConfig(batch_size=n, device=Device.CPU, route=Route.TORCH)
        ).areas(pictures, FIELD)[:, :3]
        for n in (1, 2, 16)
    ]
    assert np.ptp(areas[0]) > 0.01, "equal areas of a flat answer would show nothing"
    for other in areas[1:]:
        np.testing.assert_allclose(other, areas[0], atol=0.002)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_gives_the_same_areas_as_fp32(
    metadata: BundleMetadata, tiny_network: nn.Module, pictures: np.ndarray, dtype: torch.dtype
) -> None:
    # A trained network is sure of most pixels: of `ube-blood 3` 2.6 % lie within one logit of the
    # threshold on held-out stills; of random weights 87 %, of these times 8 32 %, times 32 13 %.
    network = copy.deepcopy(tiny_network)
    with torch.no_grad():
        network.get_submodule("segmentation_head.0").weight.mul_(32)
    exact = NetworkPredictor(network, metadata, CPU, 4)
    low = DeviceChoice(torch.device("cpu"), "cpu", dtype)
    rough = NetworkPredictor(with_low_precision_tail(network, dtype), metadata, low, 4)
    assert (exact.precision, rough.precision[:-4]) == ("fp32", "fp32, late stages ")
    exact_areas = exact.areas(pictures, FIELD)[:, :3].mean(axis=0)
    difference = rough.areas(pictures, FIELD)[:, :3].mean(axis=0) - exact_areas
    assert not np.array_equal(rough.probabilities(pictures), exact.probabilities(pictures))
    np.testing.assert_allclose(difference, 0, atol=0.002)
    assert (exact_areas > 0.01).all(), "there is area to differ in"


def test_low_precision_is_used_where_the_device_gains(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    bundle = make_bundle()
    found = {
        allowed: open_predictor(
            bundle,
            SegmentationConfig(
                device=Device.CPU, route=Route.TORCH, is_low_precision_allowed=allowed
            ),
        ).precision
        for allowed in (True, False)
    }
    assert found == {True: "fp32, late stages bf16", False: "fp32"}


def test_threads_are_set_when_asked_for(make_bundle: Callable[..., Bundle]) -> None:
    before = torch.get_num_threads()
    try:
        config = SegmentationConfig(n_threads=1, device=Device.CPU, route=Route.TORCH)
        open_predictor(make_bundle(), config)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_fp32_is_counted_as_fp32_and_the_settings_of_others_come_back(
    metadata: BundleMetadata, pictures: np.ndarray
) -> None:
    before = (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)
    network = Noting()
    _predictor(network, metadata, 2).areas(pictures, FIELD)
    assert network.seen == {(False, True)}
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("is_low", [False, True])
def test_areas_on_cuda_are_those_of_the_processor(is_low: bool) -> None:
    """The rule of every route: no area further than 0.2 percentage points from fp32."""
    bundle = load_bundle(find_bundle("ube-blood", models_dir()))
    size = (bundle.metadata.input_height_px, bundle.metadata.input_width_px)
    stills = [still for still, _, _ in simulate_stills(4711, 48, *size)]
    field = np.ones(size, dtype=bool)
    config = SegmentationConfig(is_low_precision_allowed=is_low, route=Route.TORCH)
    on_cuda = open_predictor(bundle, dataclasses.replace(config, device=Device.CUDA))
    exact = dataclasses.replace(config, device=Device.CPU, is_low_precision_allowed=False)
    on_cpu = open_predictor(bundle, exact)
    assert on_cuda.is_accelerated
    assert not on_cpu.is_accelerated
    rgb = np.stack(stills).astype(np.uint8)
    difference = np.abs(on_cuda.areas(rgb, field)[:, :3] - on_cpu.areas(rgb, field)[:, :3])
    assert difference.max() <= 0.002


def _with_sure_pixels(n_sure: list[int]) -> np.ndarray:
    """Views that look a little like blood (0.6 in the upper half), with some sure pixels (0.97)."""
    rgb = np.zeros((len(n_sure), 64, 64, 3), dtype=np.uint8)
    rgb[:, :32] = 141
    for picture, n in zip(rgb, n_sure, strict=True):
        picture.reshape(-1, 3)[:n] = 240
    return rgb


@pytest.mark.parametrize("test_time", ["none", "flip"])
def test_a_picture_without_enough_sure_pixels_shows_no_blood(
    metadata: BundleMetadata, test_time: str
) -> None:
    """0.2 % of 64 x 64 pixels are 8.2: eight sure ones are too few, nine are enough."""
    rule = PresenceRule(probability=0.95, view_frac=0.002)
    ruled = dataclasses.replace(metadata, presence=rule, test_time=test_time)
    rgb = _with_sure_pixels([0, 8, 9, 40])
    if test_time == "flip":
        rgb = np.maximum(rgb, rgb[:, :, ::-1])
    without = _predictor(RedLogit(), metadata, 2).areas(rgb, FIELD)
    predictor = _predictor(RedLogit(), ruled, 3)
    areas = predictor.areas(rgb, FIELD)
    is_shown = [False, test_time == "flip", True, True]
    assert (without[:, 1] >= 0.5).all()
    np.testing.assert_array_equal(areas[:, :3], without[:, :3] * np.array(is_shown)[:, None])
    masks, probabilities = predictor.masks(rgb), predictor.probabilities(rgb)
    assert list(masks.any(axis=(1, 2))) == is_shown
    np.testing.assert_array_equal(masks, probabilities >= metadata.thresholds[1])
    assert probabilities.dtype == np.float32
