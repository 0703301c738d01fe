"""The veil of a view hazier than those trained on is taken off; any other keeps its bits."""

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
from ubereport.segmentation.view_parts import ExposureGain, HazeRemoval, brightest_level

FROM, TO, LEFT = 0.25, 0.33, 0.08


@pytest.fixture(scope="session")
def clearing_network(tiny_network: nn.Module) -> nn.Module:
    return SegmentationNetwork(tiny_network, haze=HazeRemoval()).eval()


@pytest.fixture(scope="session")
def clearing(clearing_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(clearing_network)


def tissue(n_pictures: int = 1, side_px: int = 320) -> np.ndarray:
    """Lit tissue of many colors; in one block of a hundred it lacks blue, as blood does."""
    rng = np.random.default_rng(11)
    n = side_px // 16
    blocks = rng.integers((170, 90, 70), (220, 170, 150), (n_pictures, n, n, 3))
    blocks[:, n // 2, : n * n // 50 + 1] = (200, 30, 0)
    return blocks.repeat(16, 1).repeat(16, 2).astype(np.uint8)


def hazy(pictures: np.ndarray, share: float, gray: int = 200) -> np.ndarray:
    return np.round(pictures * (1 - share) + share * gray).astype(np.uint8)


def levels_of(planes: torch.Tensor) -> torch.Tensor:
    return planes * 128 + 127


def veil_of(pictures: np.ndarray) -> float:
    return float(HazeRemoval().veil(planes_of(pictures)))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5])
def test_a_veil_is_what_the_darkest_color_of_a_view_sends(share):
    pictures = hazy(tissue(), share)
    level = float(brightest_level(planes_of(pictures), torch.tensor(-127 / 128))) * 128
    assert veil_of(pictures) == pytest.approx(share * 200 / level, abs=0.005)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7])
def test_what_lies_behind_a_veil_comes_back(share):
    pictures = tissue()
    shown = levels_of(HazeRemoval()(planes_of(hazy(pictures, share))))
    veiled = levels_of(planes_of(hazy(pictures, share)))
    true = levels_of(planes_of(pictures)).clone()
    # As bright as the veiled view, and with the little veil that is left.
    bright = [float(brightest_level(p, torch.tensor(0.0))) for p in (shown, veiled, true)]
    assert bright[0] == pytest.approx(bright[1], rel=0.01)
    ratio = (shown - LEFT * bright[0]) / (true * bright[0] / bright[2])
    assert float(ratio[true > 20].quantile(0.5)) == pytest.approx(1 - LEFT, abs=0.03)
    assert veil_of(np.uint8(shown.round().permute(0, 2, 3, 1))) == pytest.approx(LEFT, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_a_clear_view_keeps_its_very_bits(share):
    planes = planes_of(hazy(tissue(), share))
    assert float(HazeRemoval().veil(planes)) < FROM
    assert torch.equal(HazeRemoval()(planes), planes)


def test_half_way_half_of_it_is_taken_off():
    pictures = hazy(tissue(), 0.285)
    veil = veil_of(pictures)
    assert FROM < veil < TO
    share = (veil - FROM) / (TO - FROM)
    left = HazeRemoval()(planes_of(pictures))
    removed = share * (veil - LEFT) / (1 - LEFT)
    assert float(HazeRemoval().veil(left)) == pytest.approx(
        (veil - removed) / (1 - removed), abs=0.005
    )


def test_what_surrounds_a_round_view_hides_no_veil():
    rows, columns = np.mgrid[:320, :320] - 159.5
    pictures = hazy(tissue(), 0.5)
    veil = veil_of(pictures)
    pictures[:, rows**2 + columns**2 > 160**2] = 3
    assert veil_of(pictures) == pytest.approx(veil, abs=0.01)


def test_noise_and_glints_change_a_veil_little():
    pictures = hazy(tissue(), 0.5)
    veil = veil_of(pictures)
    noise = np.random.default_rng(2).normal(0, 6, pictures.shape)
    noisy = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    noisy[:, ::40, ::40] = 255
    noisy[:, 7::40, ::40] = 0
    assert veil_of(noisy) == pytest.approx(veil, abs=0.04)


@pytest.mark.parametrize("color", [(200, 30, 20), (90, 8, 5), (0, 0, 0), (3, 2, 4)])
def test_neither_a_flood_nor_the_dark_is_a_veil(color):
    planes = planes_of(np.full((1, 64, 64, 3), color, np.uint8))
    shown = HazeRemoval()(planes)
    assert bool(torch.isfinite(shown).all())
    if max(color) > 20:
        assert torch.equal(shown, planes)
    else:
        assert float((levels_of(shown) - levels_of(planes)).abs().max()) < 4


def test_a_white_wall_stays_within_black_and_white():
    shown = levels_of(HazeRemoval()(planes_of(np.full((1, 64, 64, 3), 255, np.uint8))))
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 255


def test_each_picture_is_cleared_on_its_own():
    pictures = np.concatenate([hazy(tissue(), 0.5), tissue()])
    both = HazeRemoval()(planes_of(pictures))
    alone = torch.cat([HazeRemoval()(planes_of(p[None])) for p in pictures])
    torch.testing.assert_close(both, alone)


def test_the_network_sees_the_clear_view_and_then_lifts_it(
    tiny_network: nn.Module, clearing_network: nn.Module
) -> None:
    planes = planes_of(hazy(tissue(side_px=64), 0.5) // 3)
    cleared = HazeRemoval()(planes)
    lifting = SegmentationNetwork(clearing_network, exposure=ExposureGain()).eval()
    with torch.inference_mode():
        torch.testing.assert_close(clearing_network(planes), tiny_network(cleared))
        torch.testing.assert_close(lifting(planes), tiny_network(ExposureGain()(cleared)))
        assert not torch.allclose(tiny_network(planes), tiny_network(cleared), atol=1e-3)


def test_its_numbers_are_part_of_the_weights(clearing: Bundle) -> None:
    network = load_network(clearing)
    numbers = {key: value for key, value in network.state_dict().items() if "haze" in key}
    assert {key: float(value) for key, value in numbers.items()} == pytest.approx(
        {
            "haze.black": -127 / 128,
            "haze.white": 1.0,
            "haze.from_veil": FROM,
            "haze.to_veil": TO,
            "haze.left_veil": LEFT,
        }
    )
    assert without_view_parts(numbers) == {}


def test_low_precision_clears_in_full_precision(clearing: Bundle, tiny_network: nn.Module) -> None:
    planes = planes_of(hazy(tissue(side_px=64), 0.5))
    low = with_low_precision_tail(load_network(clearing), torch.bfloat16)
    with torch.inference_mode():
        expected = with_low_precision_tail(tiny_network, torch.bfloat16)(HazeRemoval()(planes))
        assert torch.equal(low(planes), expected)


def test_routes_answer_alike(clearing: Bundle, required: Callable[[str, bool], None]) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    pictures = np.concatenate([hazy(tissue(side_px=64), share) for share in (0, 0.285, 0.5)])
    torch_answer, graph_answer = route_answers(clearing, pictures, is_low=False)
    assert np.abs(torch_answer - graph_answer).max() < 1e-4
