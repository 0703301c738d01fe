"""One logit for the whole view, which lowers those of its pixels or leaves them."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.segmentation.conftest import BRANCH, LOW, planes_of, route_answers
from ubereport.core.errors import BundleError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.export import add_instruments, write_bundle
from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.instruments import build_branch, load_outputs
from ubereport.segmentation.metadata import BundleMetadata
from ubereport.segmentation.network import (
    SegmentationNetwork,
    build_network,
    encoder_channels,
    load_network,
    load_state,
    portable_state,
    without_view_parts,
)
from ubereport.segmentation.precision import with_low_precision_tail
from ubereport.segmentation.view_parts import PresenceHead, pooled_features


@pytest.fixture(scope="session")
def telling_network(tiny_network: nn.Module) -> SegmentationNetwork:
    """The tiny network with a head that lowers pictures, each by another shift."""
    own = copy.deepcopy(tiny_network)
    head = PresenceHead(encoder_channels(own)[-1])
    network = SegmentationNetwork(own, presence=head)
    rng = np.random.default_rng(11)
    coarse = torch.from_numpy(rng.integers(0, 256, (8, 3, 8, 8)))
    planes = (coarse.float().repeat_interleave(8, 2).repeat_interleave(8, 3) - 127) / 128
    with torch.no_grad():
        linear = head.linear
        linear.weight.copy_(torch.from_numpy(rng.normal(0, 1, tuple(linear.weight.shape))))
        linear.bias.zero_()
        evidence = linear(pooled_features(network.encoder(planes)[-1]))
        linear.weight.div_(evidence.std())
        linear.bias.sub_(evidence.mean() / evidence.std() + 1)
    return network.eval()


@pytest.fixture(scope="session")
def telling(telling_network: nn.Module, bundle_of: Callable[..., Bundle]) -> Bundle:
    return bundle_of(telling_network)


def test_all_pixels_of_a_picture_are_shifted_alike(
    tiny_network: nn.Module, telling_network: nn.Module, pictures: np.ndarray
) -> None:
    with torch.inference_mode():
        shift = telling_network(planes_of(pictures)) - tiny_network(planes_of(pictures))
    by_picture = shift.flatten(1)
    assert float(by_picture.std(1).max()) < 1e-5
    assert float(by_picture.mean(1).std()) > 0.01


def test_a_view_that_speaks_for_blood_is_left_as_it_is_and_any_other_at_most_3_lower() -> None:
    head = PresenceHead(4)
    with torch.no_grad():
        head.linear.weight.fill_(1.0)
        head.linear.bias.zero_()
        for level, shift in ((1e6, 0.0), (0.01, 0.0), (-1e6, -3.0)):
            answer = head(torch.full((1, 4, 2, 2), level))
            assert answer.shape == (1, 1, 1, 1)
            assert float(answer) == shift


def test_a_view_counts_by_the_mean_and_the_maximum_of_its_features() -> None:
    head = PresenceHead(1)
    deepest = torch.tensor([[[[-0.5, 0.0], [0.0, 0.0]]], [[[-0.1, -0.1], [-0.1, -0.1]]]])
    with torch.no_grad():
        head.linear.bias.zero_()
        head.linear.weight.copy_(torch.tensor([[0.0, 1.0]]))
        by_maximum = head(deepest).flatten().tolist()
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0]]))
        by_mean = head(deepest).flatten().tolist()
    assert by_maximum == pytest.approx([0.0, 3 * np.tanh(-0.1 / 3)])
    assert by_mean == pytest.approx([3 * np.tanh(-0.125 / 3), 3 * np.tanh(-0.1 / 3)])


def test_weights_with_and_without_the_head_belong_to_other_networks(
    tiny_network: nn.Module, telling_network: nn.Module, metadata: BundleMetadata
) -> None:
    assert metadata.network is not None
    state = portable_state(telling_network)
    plain = build_network(metadata.network)
    with pytest.raises(BundleError, match=r"2 are unexpected \(presence\.linear\.bias"):
        load_state(plain, state)
    load_state(plain, without_view_parts(state))
    for key, value in portable_state(tiny_network).items():
        assert torch.equal(plain.state_dict()[key], value), key


def test_a_bundle_gives_the_network_back(
    telling: Bundle, telling_network: nn.Module, pictures: np.ndarray
) -> None:
    with torch.inference_mode():
        expected = telling_network(planes_of(pictures))
        assert torch.equal(load_network(telling)(planes_of(pictures)), expected)
        folded = fuse_batch_norms(load_network(telling))(planes_of(pictures))
    torch.testing.assert_close(folded, expected, atol=1e-3, rtol=1e-3)


def test_low_precision_keeps_the_shift(
    tiny_network: nn.Module, telling_network: nn.Module, pictures: np.ndarray
) -> None:
    with torch.inference_mode():
        exact, low = (
            (telling(planes_of(pictures)).float() - plain(planes_of(pictures)).float()).mean(
                (1, 2, 3)
            )
            for plain, telling in (
                (tiny_network, telling_network),
                [
                    with_low_precision_tail(network, torch.bfloat16)
                    for network in (tiny_network, telling_network)
                ],
            )
        )
    torch.testing.assert_close(low, exact, atol=0.1, rtol=0)


@pytest.mark.parametrize("is_low", [False, LOW])
def test_routes_answer_alike(
    telling: Bundle, pictures: np.ndarray, required: Callable[[str, bool], None], is_low: bool
) -> None:
    required("openvino", importlib.util.find_spec("openvino") is not None)
    answers = route_answers(telling, pictures, is_low=is_low)
    apart = np.abs(answers[0] - answers[1])
    assert apart.max() < (0.1 if is_low else 1e-4)
    assert apart.mean() < 0.01


def test_instruments_stand_beside_the_head(
    telling: Bundle, pictures: np.ndarray, tmp_path: Path
) -> None:
    plain = load_network(telling)
    branch = build_branch(plain, BRANCH).eval()
    # Without a graph: how those are made is tested above and with instruments alone.
    described = dataclasses.replace(telling.metadata, graph=None)
    bundle = write_bundle(tmp_path / "tiny-1", plain, described, "# Tiny")
    marking = add_instruments(bundle, branch, BRANCH, "# Tiny", tmp_path / "marking" / "tiny-1")
    network = load_outputs(marking)
    low = with_low_precision_tail(network, torch.bfloat16)
    with torch.inference_mode():
        blood, instruments = network(planes_of(pictures))
        low_blood, low_instruments = low(planes_of(pictures))
        assert torch.equal(blood, plain(planes_of(pictures)))
    assert instruments.shape == low_instruments.shape == blood.shape
    assert float((low_blood.float() - blood).abs().mean()) < 0.1 * float(blood.std())
