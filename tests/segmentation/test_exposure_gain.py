"""A view dimmer than those that were trained on is lifted; any other keeps its very bits."""

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from tests.segmentation.conftest import planes_of, route_answers
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.network import SegmentationNetwork, load_network, without_view_parts
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.view_parts import ExposureGain

LEAST, MOST = 0.535, 8.0


@pytest.fixture(scope="session")
def lifting_network(tiny_network: nn.Module) -> nn.Module:
    return SegmentationNetwork(tiny_network, exposure=ExposureGain()).eval()


@pytest.fixture(scope="session")
def lifting(lifting_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(lifting_network)


@pytest.fixture
def dim_pictures(pictures: np.ndarray) -> np.ndarray:
    return (pictures // 5).astype(np.uint8)


def _gray(level: float, shape: tuple[int, ...] = (1, 64, 64, 3)) -> torch.Tensor:
    return planes_of(np.full(shape, level, np.uint8))


@pytest.mark.parametrize(
    ("given", "shown"),
    [(255, 255), (150, 150), (137, 137), (100, 136.4), (50, 136.4), (10, 80), (0, 0)],
)
def test_a_dim_view_is_lifted_to_the_least_level_at_most_eight_times(given, shown):
    lifted = ExposureGain()(_gray(given)) * 128 + 127
    assert float(lifted.mean()) == pytest.approx(shown, abs=0.1)
    assert float(lifted.std()) < 1e-4


def test_a_view_that_is_bright_enough_keeps_its_very_bits(pictures):
    planes = planes_of(pictures)
    gain = ExposureGain()
    bright = (gain.level(planes) >= LEAST).flatten()
    assert bool(bright.any())
    assert torch.equal(gain(planes)[bright], planes[bright])


def test_how_bright_a_view_is_its_brightest_fifth_says():
    picture = np.zeros((1, 160, 160, 3), np.uint8)
    picture[:, :80, :64] = (51, 10, 0)  # 20 of 100 blocks: light falls on a fifth of the view
    level = ExposureGain().level(planes_of(picture))
    assert level.shape == (1, 1, 1, 1)
    assert float(level) == pytest.approx(51 / 255, abs=1e-6)
    picture[:, ::16, ::16] = 255  # a glint in each block is no light
    assert float(ExposureGain().level(planes_of(picture))) < 0.21


def test_colors_stay_and_what_would_be_brighter_than_white_is_white():
    picture = np.full((1, 64, 64, 3), (40, 20, 10), np.uint8)
    picture[:, :2, :2] = (250, 20, 10)
    lifted = (ExposureGain()(planes_of(picture)) * 128 + 127)[0]
    level = 40 + 210 * 4 / 256 / 3  # three blocks of sixteen, one with four pixels of 250
    gain = LEAST * 255 / level
    assert lifted[:, 40, 40].tolist() == pytest.approx([40 * gain, 20 * gain, 10 * gain], rel=1e-4)
    assert lifted[:, 0, 0].tolist() == pytest.approx([255, 20 * gain, 10 * gain], rel=1e-4)


@pytest.mark.parametrize(
    ("other", "shown"), [(0, 50), (5, 50), (10, 50), (11.75, 93.2), (13.5, 136.4), (50, 136.4)]
)
def test_a_dim_view_that_is_red_all_over_is_left_as_it_is(other, shown):
    planes = torch.tensor([50.0, other, other]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    lifted = ExposureGain()((planes - 127) / 128) * 128 + 127
    assert float(lifted[:, 0].mean()) == pytest.approx(shown, abs=0.2)


def test_each_picture_is_lifted_on_its_own(dim_pictures, pictures):
    gain = ExposureGain()
    both = torch.cat([planes_of(dim_pictures), planes_of(pictures)])
    alone = torch.cat([gain(planes_of(dim_pictures)), gain(planes_of(pictures))])
    torch.testing.assert_close(gain(both), alone)


def test_the_network_sees_the_lifted_view(
    tiny_network: nn.Module, lifting_network: nn.Module, dim_pictures: np.ndarray
) -> None:
    planes = planes_of(dim_pictures)
    with torch.inference_mode():
        expected = tiny_network(ExposureGain()(planes))
        torch.testing.assert_close(lifting_network(planes), expected)
        assert not torch.allclose(tiny_network(planes), expected, atol=1e-3)


def test_its_numbers_are_part_of_the_weights(lifting: Bundle) -> None:
    network = load_network(lifting)
    numbers = {key: value for key, value in network.state_dict().items() if "exposure" in key}
    assert {key: float(value) for key, value in numbers.items()} == pytest.approx(
        {
            "exposure.black": -127 / 128,
            "exposure.white": 1.0,
            "exposure.least_level": LEAST,
            "exposure.max_gain": MOST,
            "exposure.from_tint": 0.2,
            "exposure.to_tint": 0.27,
        }
    )
    assert without_view_parts(numbers) == {}


def test_low_precision_lifts_in_full_precision(
    lifting: Bundle, tiny_network: nn.Module, dim_pictures: np.ndarray
) -> None:
    planes = planes_of(dim_pictures)
    low = with_low_precision_tail(load_network(lifting), torch.bfloat16)
    with torch.inference_mode():
        expected = with_low_precision_tail(tiny_network, torch.bfloat16)(ExposureGain()(planes))
        assert torch.equal(low(planes), expected)


def test_routes_answer_alike(
    lifting: Bundle, dim_pictures: np.ndarray, required: Callable[[str, bool], None]
) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    torch_answer, graph_answer = route_answers(lifting, dim_pictures, is_low=False)
    assert np.abs(torch_answer - graph_answer).max() < 1e-4
