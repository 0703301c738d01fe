"""What hardly any light reaches is doubted; blood as bright as blood mostly is keeps its bits."""

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
from ubereport.segmentation.view_parts import ExposureGain, FloodGain, ShadeDoubt

FROM, TO, MOST = 50, 25, 3.0


def lit_view(level: int, side_px: int = 64) -> np.ndarray:
    """A view lit on its upper half and of one dark red `level` on its lower one."""
    picture = np.full((1, side_px, side_px, 3), (210, 170, 140), np.uint8)
    picture[:, side_px // 2 :] = (level, level // 4, level // 6)
    return picture


def doubted(picture: np.ndarray) -> torch.Tensor:
    return ShadeDoubt()(planes_of(picture))


@pytest.fixture(scope="session")
def doubting_network(tiny_network: nn.Module) -> nn.Module:
    return SegmentationNetwork(tiny_network, shade=ShadeDoubt()).eval()


@pytest.fixture(scope="session")
def doubting(doubting_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(doubting_network)


@pytest.mark.parametrize(
    ("level", "shift"),
    [(0, -3), (20, -3), (25, -3), (31, -2.28), (38, -1.44), (45, -0.6), (50, 0), (90, 0)],
)
def test_the_darker_a_place_the_more_it_is_doubted(level, shift):
    shifts = doubted(lit_view(level))
    assert shifts.shape == (1, 1, 64, 64)
    assert float(shifts[..., 40:, :].min()) == pytest.approx(shift, abs=0.03)
    assert float(shifts[..., 40:, :].max()) == pytest.approx(shift, abs=0.03)
    assert bool((shifts[..., :32, :] == 0).all())


def test_noise_and_glints_make_no_dark_place_bright():
    picture = lit_view(20)
    noise = np.random.default_rng(3).normal(0, 5, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    noisy[:, 40::20, ::20] = 255
    assert float(doubted(noisy)[..., 40:60, :].median()) < -2.5


def test_the_edge_of_a_picture_is_as_dark_as_what_lies_beside_it():
    shifts = doubted(lit_view(31))[..., 40:, :]
    assert float(shifts.max() - shifts.min()) < 1e-4


def test_a_view_that_is_dim_altogether_is_no_dark_place():
    flood = np.full((1, 64, 64, 3), (40, 6, 4), np.uint8)
    assert bool((doubted(flood) == 0).all())
    # As dark beside a lit view's light it is doubted.
    assert float(doubted(lit_view(40))[..., 50, :].max()) < -1


def test_black_alone_is_finite():
    shifts = doubted(np.zeros((1, 64, 64, 3), np.uint8))
    assert bool(torch.isfinite(shifts).all())


def test_only_dark_places_are_shifted(tiny_network: nn.Module, doubting_network: nn.Module) -> None:
    planes = planes_of(lit_view(30))
    with torch.inference_mode():
        plain, shifted = tiny_network(planes), doubting_network(planes)
        torch.testing.assert_close(shifted, plain + ShadeDoubt()(planes))
        assert torch.equal(shifted[..., :27, :], plain[..., :27, :])
        assert float((plain - shifted)[..., 40:, :].min()) > 2


def test_a_dim_view_is_lifted_first(tiny_network: nn.Module) -> None:
    planes = planes_of(lit_view(80) // 4)
    both = SegmentationNetwork(tiny_network, exposure=ExposureGain(), shade=ShadeDoubt()).eval()
    alone = SegmentationNetwork(tiny_network, exposure=ExposureGain()).eval()
    with torch.inference_mode():
        assert torch.equal(both(planes), alone(planes))


def test_a_flooded_view_is_not_doubted(tiny_network: nn.Module) -> None:
    planes = planes_of(lit_view(30))
    flood = FloodGain()
    flood.likely_logit.fill_(-1e6)  # every view counts as flooded
    believed = SegmentationNetwork(tiny_network, flood=flood, shade=ShadeDoubt()).eval()
    with torch.inference_mode():
        torch.testing.assert_close(believed(planes), tiny_network(planes) + float(flood.gain))


def test_its_numbers_are_part_of_the_weights(doubting: Bundle) -> None:
    network = load_network(doubting)
    numbers = {key: value for key, value in network.state_dict().items() if "shade" in key}
    assert {key: float(value) for key, value in numbers.items()} == pytest.approx(
        {
            "shade.black": -127 / 128,
            "shade.white": 1.0,
            "shade.bright_level": 0.535,
            "shade.from_level": FROM / 255,
            "shade.to_level": TO / 255,
            "shade.doubt": MOST,
        },
        abs=1e-3,
    )
    assert without_view_parts(numbers) == {}


def test_low_precision_tells_levels_in_full_precision(
    doubting_network: nn.Module, tiny_network: nn.Module
) -> None:
    planes = planes_of(lit_view(37))
    low = with_low_precision_tail(doubting_network, torch.bfloat16)
    with torch.inference_mode():
        plain = with_low_precision_tail(tiny_network, torch.bfloat16)(planes)
        expected = plain + ShadeDoubt()(planes).to(plain.dtype)
        assert torch.equal(low(planes), expected)


def test_routes_answer_alike(doubting: Bundle, required: Callable[[str, bool], None]) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    pictures = np.concatenate([lit_view(level) for level in (15, 35, 120)])
    torch_answer, graph_answer = route_answers(doubting, pictures, is_low=False)
    assert np.abs(torch_answer - graph_answer).max() < 1e-4
