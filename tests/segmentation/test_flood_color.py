"""A view that is red all over is taken for a flooded one sooner, in any light."""

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
from ubereport.segmentation.view_parts import FloodColor, FloodGain

MOST = 0.25


def even_view(*color: float) -> np.ndarray:
    return np.full((1, 64, 64, 3), color, np.uint8)


@pytest.fixture(scope="session")
def easing_network(tiny_network: nn.Module) -> nn.Module:
    """The tiny network, to which any pixel is likely blood and no view is flooded in full."""
    # As far apart as the usual shares: a graph that tests translate once holds their difference.
    flood = FloodGain()
    with torch.no_grad():
        for number, value in (
            (flood.likely_logit, -50),
            (flood.from_frac, 1.1),
            (flood.to_frac, 1.3),
        ):
            number.fill_(value)
    return SegmentationNetwork(tiny_network, flood=flood, flood_color=FloodColor()).eval()


@pytest.fixture(scope="session")
def easing(easing_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(easing_network)


@pytest.mark.parametrize("light", [1.0, 0.3, 0.1])
@pytest.mark.parametrize(("tint", "told"), [(0.1, 1.0), (0.2, 1.0), (0.235, 0.5), (0.3, 0.0)])
def test_it_is_told_by_green_and_blue_as_shares_of_red_in_any_light(
    light: float, tint: float, told: float
) -> None:
    red = 200 * light
    planes = torch.tensor([red, tint * red, tint * red]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    answer = FloodColor()((planes - 127) / 128)
    assert answer.shape == (1, 1, 1, 1)
    assert answer.item() == pytest.approx(MOST * told, abs=0.01)


@pytest.mark.parametrize("color", [(120, 120, 120), (30, 12, 11), (180, 90, 80)])
def test_gray_liver_in_the_dark_and_tissue_are_not_flooded_sooner(color) -> None:
    ease = FloodColor()(planes_of(even_view(*color)))
    assert ease.item() == 0.0
    none = torch.full((1, 1, 64, 64), -9.0)
    assert FloodGain().share(none, ease).item() == 0.0


def test_black_has_no_color_and_no_likely_blood_that_would_pass_for_a_flood() -> None:
    ease = FloodColor()(planes_of(even_view(0, 0, 0)))
    assert ease.item() == pytest.approx(MOST)
    none = torch.full((1, 1, 64, 64), -9.0)
    assert FloodGain().share(none, ease).item() == 0.0


def test_less_of_a_red_view_must_be_likely_blood() -> None:
    logits = torch.full((1, 1, 10, 10), -9.0)
    logits.view(-1)[:20] = 9.0
    assert FloodGain().share(logits).item() == 0.0
    assert FloodGain().share(logits, MOST).item() == pytest.approx(0.5)


def test_a_network_asks_it_of_the_view_that_the_encoder_sees(
    easing_network: nn.Module, tiny_network: nn.Module
) -> None:
    planes = torch.cat([planes_of(even_view(*c)) for c in ((60, 6, 6), (180, 90, 80))])
    with torch.inference_mode():
        added = easing_network(planes) - tiny_network(planes)
    flood = easing_network.flood
    red, other = (float(flood.gain) * share for share in (0.15 / 0.2, 0.0))
    expected = torch.tensor([red, other]).view(2, 1, 1, 1).expand(2, 1, 64, 64)
    torch.testing.assert_close(added, expected, atol=1e-4, rtol=0)


def test_its_numbers_are_part_of_the_weights(easing: Bundle) -> None:
    assert easing.metadata.network is not None
    assert easing.metadata.network.has_flood_color
    state = load_network(easing).state_dict()
    numbers = {key: value for key, value in state.items() if "flood_color" in key}
    assert {key: float(value) for key, value in numbers.items()} == pytest.approx(
        {
            "flood_color.black": -127 / 128,
            "flood_color.white": 1.0,
            "flood_color.from_tint": 0.27,
            "flood_color.to_tint": 0.2,
            "flood_color.ease": MOST,
        },
        abs=1e-3,
    )
    assert without_view_parts(numbers) == {}


def test_low_precision_tells_colors_in_full_precision(
    easing_network: nn.Module, tiny_network: nn.Module
) -> None:
    planes = planes_of(even_view(60, 14, 14))
    low = with_low_precision_tail(easing_network, torch.bfloat16)
    with torch.inference_mode():
        plain = with_low_precision_tail(tiny_network, torch.bfloat16)(planes)
        share = easing_network.flood.share(plain, FloodColor()(planes))
        expected = plain + (easing_network.flood.gain * share).to(plain.dtype)
        assert torch.equal(low(planes), expected)


def test_routes_answer_alike(easing: Bundle, required: Callable[[str, bool], None]) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    pictures = np.concatenate([even_view(*c) for c in ((60, 6, 6), (60, 14, 14), (180, 90, 80))])
    torch_answer, graph_answer = route_answers(easing, pictures, is_low=False)
    assert np.abs(torch_answer - graph_answer).max() < 1e-4
