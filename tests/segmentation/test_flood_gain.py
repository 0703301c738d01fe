"""A flooded view is not doubted, and all of its pixels are believed sooner."""

import copy
import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from tests.segmentation.conftest import planes_of, route_answers
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.network import (
    SegmentationNetwork,
    encoder_channels,
    load_network,
    without_view_parts,
)
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.view_parts import FloodGain, PresenceHead

GAIN, LIKELY = 1.6, 1.386


@pytest.fixture(scope="session")
def doubting_network(tiny_network: nn.Module) -> nn.Module:
    """The tiny network and a head that lowers every view; 45 % of pixels are likely blood."""
    network = copy.deepcopy(tiny_network)
    coarse = np.random.default_rng(11).integers(0, 256, (8, 8, 8, 3))
    pictures = np.kron(coarse, np.ones((1, 8, 8, 1))).astype(np.uint8)
    head = PresenceHead(encoder_channels(network)[-1])
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.fill_(-1.0)
        last = network.segmentation_head[0]
        logits = network(planes_of(pictures)).double()
        scale = 2 / logits.std()
        last.weight.mul_(scale)
        last.bias.sub_(logits.quantile(0.55)).mul_(scale).add_(LIKELY)
    return SegmentationNetwork(network, presence=head).eval()


@pytest.fixture(scope="session")
def believing_network(doubting_network: nn.Module) -> nn.Module:
    return SegmentationNetwork(doubting_network, flood=FloodGain()).eval()


@pytest.fixture(scope="session")
def believing(believing_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(believing_network)


@pytest.mark.parametrize(
    ("likely_frac", "told"), [(0.0, 0.0), (0.35, 0.0), (0.45, 0.5), (0.55, 1.0), (1.0, 1.0)]
)
def test_a_view_is_flooded_by_the_share_of_it_that_is_likely_blood(
    likely_frac: float, told: float
) -> None:
    logits = torch.full((2, 1, 10, 10), LIKELY - 0.01)
    logits[1].view(-1)[: round(100 * likely_frac)] = LIKELY + 0.01
    answer = FloodGain().share(logits)
    assert answer.shape == (2, 1, 1, 1)
    assert answer.flatten().tolist() == pytest.approx([0.0, told], abs=1e-6)


def test_the_more_a_view_is_flooded_the_less_it_is_doubted_and_the_more_believed(
    tiny_network: nn.Module,
    doubting_network: nn.Module,
    believing_network: nn.Module,
    pictures: np.ndarray,
) -> None:
    planes = planes_of(pictures)
    with torch.inference_mode():
        features = doubting_network.encoder(planes)
        plain = doubting_network.segmentation_head(doubting_network.decoder(features))
        doubt = doubting_network.presence(features[-1])
        flood = FloodGain().share(plain)
        assert len(set(flood.flatten().tolist()) - {0.0, 1.0}) > 0
        expected = plain + GAIN * flood + (1 - flood) * doubt
        torch.testing.assert_close(believing_network(planes), expected)
        torch.testing.assert_close(doubting_network(planes), plain + doubt)


def test_a_network_without_a_head_believes_floods_too(tiny_network: nn.Module) -> None:
    planes = torch.zeros(1, 3, 64, 64)
    flooding = copy.deepcopy(tiny_network)
    with torch.inference_mode():
        flooding.segmentation_head[0].bias.fill_(50.0)
        believing = SegmentationNetwork(flooding, flood=FloodGain())
        torch.testing.assert_close(believing(planes), flooding(planes) + GAIN)


def test_its_numbers_are_part_of_the_weights(
    believing: Bundle, doubting_network: nn.Module, pictures: np.ndarray
) -> None:
    network = load_network(believing)
    numbers = {
        key: value for key, value in network.state_dict().items() if key.startswith("flood.")
    }
    assert sorted(numbers) == [
        f"flood.{n}" for n in ("from_frac", "gain", "likely_logit", "to_frac")
    ]
    with torch.no_grad():
        network.flood.gain.fill_(0.0)
        network.flood.to_frac.fill_(2e9)
        planes = planes_of(pictures)
        torch.testing.assert_close(network(planes), doubting_network(planes))
    assert not any(key.startswith(("flood", "presence")) for key in without_view_parts(numbers))


def test_a_bundle_gives_the_network_back_and_low_precision_keeps_it(
    believing: Bundle,
    believing_network: nn.Module,
    doubting_network: nn.Module,
    pictures: np.ndarray,
) -> None:
    network = load_network(believing)
    with torch.inference_mode():
        expected = believing_network(planes_of(pictures))
        assert torch.equal(network(planes_of(pictures)), expected)
        low, without = (
            with_low_precision_tail(each, torch.bfloat16)(planes_of(pictures)).float()
            for each in (network, doubting_network)
        )
    # A few pixels more or less that are likely blood are a few hundredths of a flood.
    told = (low - without).mean((1, 2, 3))
    exact = (expected - doubting_network(planes_of(pictures)).detach()).mean((1, 2, 3))
    torch.testing.assert_close(told, exact, atol=0.2, rtol=0)
    assert float(exact.max()) > 1


def test_routes_answer_alike(
    believing: Bundle, pictures: np.ndarray, required: Callable[[str, bool], None]
) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    torch_answer, graph_answer = route_answers(believing, pictures, is_low=False)
    # A pixel that is likely blood in one runtime and just not in the other moves the whole picture
    # by less than a thousandth.
    assert np.abs(torch_answer - graph_answer).max() < 5e-3
