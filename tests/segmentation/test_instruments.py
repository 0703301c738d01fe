from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stored_graphs import graphs_translated_once
from torch import nn

from tests.segmentation.conftest import BRANCH, LOW
from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import BundleError, PredictionError
from ubereport.segmentation.bundle import INSTRUMENTS_NAME, METADATA_NAME, Bundle, load_bundle
from ubereport.segmentation.devices import DeviceChoice
from ubereport.segmentation.export import add_instruments, prepare_bundle
from ubereport.segmentation.instruments import InstrumentBranch, build_branch, load_outputs
from ubereport.segmentation.metadata import (
    BundleMetadata,
    HsvSpec,
    metadata_to_json,
)
from ubereport.segmentation.network import load_network
from ubereport.segmentation.network_predictor import NetworkPredictor
from ubereport.segmentation.predictor import Predictor, open_predictor

CPU = DeviceChoice(torch.device("cpu"), "cpu", None)
FIELD = np.ones((64, 64), dtype=bool)
FIELD[:8] = False


class TwoChannels(nn.Module):
    """Blood where red is bright, an instrument where blue is: areas follow from counting."""

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = planes * 128 + 127
        return (levels[:, :1] - 128) / 32, (levels[:, 2:] - 128) / 32


@pytest.fixture(scope="session")
def marking(tmp_path_factory: pytest.TempPathFactory, sure: Bundle, graphs_folder: Path) -> Bundle:
    """The sure network with a branch of random weights that marks a part of what it sees."""
    branch = _branch(sure)
    folder = tmp_path_factory.mktemp("marking") / "tiny-1"
    with graphs_translated_once(graphs_folder):
        return add_instruments(sure, branch, BRANCH, "# Tiny", folder)


def _branch(bundle: Bundle) -> InstrumentBranch:
    branch = build_branch(load_network(bundle), BRANCH)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
        branch.head.bias.zero_()
        features = load_network(bundle).get_submodule("encoder")(
            torch.rand((2, 3, 64, 64), generator=generator) - 0.5
        )
        branch.head.bias.sub_(branch(features).quantile(0.6))
    return branch.eval()


def _opened(bundle: Bundle, route: Route, *, is_low: bool) -> Predictor:
    config = SegmentationConfig(
        device=Device.CPU, route=route, is_low_precision_allowed=is_low, n_threads=1
    )
    return open_predictor(bundle, config)


@pytest.fixture(params=[Route.TORCH, Route.OPENVINO])
def route(request: pytest.FixtureRequest, required: Callable[[str, bool], None]) -> Route:
    if request.param is Route.OPENVINO:
        required("openvino", importlib.util.find_spec("openvino") is not None)
    return request.param


@pytest.fixture
def two(metadata: BundleMetadata) -> NetworkPredictor:
    described = dataclasses.replace(metadata, instruments=BRANCH)
    return NetworkPredictor(TwoChannels(), described, CPU, 4)


def _picture(blood: np.ndarray, instrument: np.ndarray) -> np.ndarray:
    rgb = np.zeros((1, 64, 64, 3), np.uint8)
    rgb[0, ..., 0][blood] = 255
    rgb[0, ..., 2][instrument] = 255
    return rgb


@pytest.mark.parametrize("is_low", [False, LOW])
def test_blood_is_the_same_bits_with_and_without_instruments(
    sure: Bundle, marking: Bundle, pictures: np.ndarray, route: Route, is_low: bool
) -> None:
    without = _opened(sure, route, is_low=is_low)
    with_branch = _opened(marking, route, is_low=is_low)
    expected = without.probabilities(pictures)
    assert np.ptp(expected) > 0.5
    np.testing.assert_array_equal(with_branch.probabilities(pictures), expected)
    np.testing.assert_array_equal(
        with_branch.areas(pictures, FIELD)[:, :3], without.areas(pictures, FIELD)[:, :3]
    )


def test_weights_and_digest_of_blood_stay(sure: Bundle, marking: Bundle) -> None:
    assert marking.sha256 == sure.sha256
    assert marking.weights_path.read_bytes() == sure.weights_path.read_bytes()
    assert marking.summary().instruments_sha256 == marking.metadata.instruments.sha256
    assert sure.summary().instruments_sha256 == ""


def test_pixels_on_instruments_are_counted_neither_way(two: NetworkPredictor) -> None:
    blood, instrument = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    blood[8:24] = True  # 1024 of the 3584 pixels of the field
    instrument[16:40, :32] = True  # 768 pixels, 256 of them bloody
    areas = two.areas(_picture(blood, instrument), FIELD)[0]
    np.testing.assert_allclose(areas[:3], 1024 / 3584)
    assert areas[3] == pytest.approx((1024 - 256) / (3584 - 768))
    np.testing.assert_array_equal(two.areas(_picture(blood, instrument), FIELD)[0, :3], areas[:3])


def test_instruments_outside_the_field_do_not_count(two: NetworkPredictor) -> None:
    blood, instrument = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    blood[8:24], instrument[:8] = True, True
    assert two.areas(_picture(blood, instrument), FIELD)[0, 3] == 1024 / 3584


@pytest.mark.parametrize(("n_rows_seen", "is_told"), [(0, False), (13, False), (14, True)])
def test_a_view_full_of_instruments_has_no_area_over_tissue(
    two: NetworkPredictor, n_rows_seen: int, is_told: bool
) -> None:
    instrument = FIELD.copy()  # a quarter of the field of 56 rows are 14
    instrument[8 : 8 + n_rows_seen] = False
    areas = two.areas(_picture(np.ones((64, 64), bool), instrument), FIELD)[0]
    np.testing.assert_array_equal(areas[:3], 1.0)
    assert np.isnan(areas[3]) != is_told


def test_without_a_branch_nothing_is_told_over_tissue(
    sure: Bundle, pictures: np.ndarray, route: Route
) -> None:
    areas = _opened(sure, route, is_low=False).areas(pictures, FIELD)
    assert areas.shape == (5, 4)
    assert np.isnan(areas[:, 3]).all()
    assert not np.isnan(areas[:, :3]).any()


@pytest.mark.parametrize("test_time", ["none", "flip"])
def test_openvino_tells_the_same_area_over_tissue_as_torch(
    marking: Bundle, pictures: np.ndarray, required: Callable[[str, bool], None], test_time: str
) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    metadata = dataclasses.replace(marking.metadata, test_time=test_time)
    marking = dataclasses.replace(marking, metadata=metadata)
    expected, found = (
        _opened(marking, r, is_low=False).areas(pictures, FIELD)
        for r in (Route.TORCH, Route.OPENVINO)
    )
    is_told = ~np.isnan(expected[:, 3])
    assert is_told.any()
    assert (expected[is_told, 3] != expected[is_told, 1]).all(), "nothing would be shown"
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, atol=0.002)


def test_no_pictures_give_no_rows(marking: Bundle, pictures: np.ndarray, route: Route) -> None:
    predictor = _opened(marking, route, is_low=False)
    assert predictor.areas(pictures[:0], FIELD).shape == (0, 4)


def test_the_graph_can_be_made_again(marking: Bundle, tmp_path: Path, graphs_folder: Path) -> None:
    copied = shutil.copytree(marking.folder, tmp_path / "tiny-1")
    with graphs_translated_once(graphs_folder):
        assert prepare_bundle(copied).metadata == marking.metadata


def test_a_branch_also_comes_to_a_bundle_without_a_graph(
    written: Bundle, tmp_path: Path, pictures: np.ndarray
) -> None:
    bundle = add_instruments(written, _branch(written), BRANCH, "# Tiny", tmp_path / "tiny-1")
    assert bundle.metadata.graph is None
    areas = _opened(bundle, Route.AUTO, is_low=False).areas(pictures, FIELD)
    assert not np.isnan(areas).any()


@pytest.mark.parametrize("harm", ["altered", "missing"])
def test_the_weights_of_instruments_are_checked(marking: Bundle, tmp_path: Path, harm: str) -> None:
    copied = shutil.copytree(marking.folder, tmp_path / "tiny-1")
    path = copied / INSTRUMENTS_NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    if harm == "missing":
        path.unlink()
    wanted = {"altered": "weights of instruments .* altered", "missing": "no instruments.safete"}
    with pytest.raises(BundleError, match=wanted[harm]):
        load_bundle(copied)


def test_weights_that_changed_since_they_were_checked_are_not_used(
    marking: Bundle, tmp_path: Path
) -> None:
    copied = load_bundle(shutil.copytree(marking.folder, tmp_path / "tiny-1"))
    copied.instruments_path.write_bytes(b"something else")
    with pytest.raises(BundleError, match="instruments changed since"):
        load_outputs(copied)


def test_weights_of_another_branch_are_refused(marking: Bundle, tmp_path: Path) -> None:
    copied = shutil.copytree(marking.folder, tmp_path / "tiny-1")
    state = load_file(copied / INSTRUMENTS_NAME)
    state["instruments.head.weight"] = torch.zeros((1, 9, 1, 1))
    save_file(state, copied / INSTRUMENTS_NAME)
    bundle = dataclasses.replace(
        marking, folder=copied, metadata=_with_digest(marking.metadata, copied)
    )
    with pytest.raises(BundleError, match=r"head\.weight has shape"):
        load_outputs(bundle)


def _with_digest(metadata: BundleMetadata, folder: Path) -> BundleMetadata:
    digest = hashlib.sha256((folder / INSTRUMENTS_NAME).read_bytes()).hexdigest()
    spec = dataclasses.replace(metadata.instruments, sha256=digest)
    return dataclasses.replace(metadata, instruments=spec)


def test_a_network_with_fewer_outputs_than_described_is_told(
    metadata: BundleMetadata, sure_network: nn.Module, pictures: np.ndarray
) -> None:
    described = dataclasses.replace(metadata, instruments=BRANCH)
    predictor = NetworkPredictor(sure_network, described, CPU, 4)
    with pytest.raises(PredictionError, match="1 outputs; the bundle describes 2"):
        predictor.areas(pictures, FIELD)


def test_a_graph_with_fewer_outputs_than_described_is_told(
    sure: Bundle, tmp_path: Path, marking: Bundle, required: Callable[[str, bool], None]
) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    copied = shutil.copytree(sure.folder, tmp_path / "tiny-1")
    shutil.copy(marking.instruments_path, copied / INSTRUMENTS_NAME)
    metadata = dataclasses.replace(sure.metadata, instruments=marking.metadata.instruments)
    (copied / METADATA_NAME).write_text(metadata_to_json(metadata), encoding="utf-8")
    with pytest.raises(BundleError, match="for each of its 2 outputs"):
        _opened(load_bundle(copied), Route.OPENVINO, is_low=False)


def test_thresholds_of_red_mark_no_instruments(metadata: BundleMetadata) -> None:
    with pytest.raises(BundleError, match=r"instruments = .* none, for hsv"):
        dataclasses.replace(
            metadata,
            kind="hsv",
            network=None,
            hsv=HsvSpec(),
            weights_sha256=None,
            instruments=BRANCH,
        )
