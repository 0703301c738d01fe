from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ubereport.core.errors import BundleError
from ubereport.segmentation.bundle import WEIGHTS_NAME, Bundle
from ubereport.segmentation.hsv import HsvPredictor
from ubereport.segmentation.metadata import BundleMetadata, HsvSpec, NetworkSpec
from ubereport.segmentation.network import build_network, load_network, load_state, portable_state

SMALL = NetworkSpec(decoder_channels=(16, 8, 8, 4, 4))


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(),
        NetworkSpec(architecture="unet", encoder="resnet18"),
        NetworkSpec(encoder="tu-tf_efficientnet_lite0", interpolation="bilinear"),
    ],
)
def test_building_opens_no_socket_and_gives_one_logit_a_pixel(spec: NetworkSpec) -> None:
    network = build_network(spec).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 32)).shape == (2, 1, 64, 32)
    assert next(network.parameters()).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("encoder", ["tu-no_such_net", "no_such_net"])
def test_an_unknown_encoder_is_named(encoder: str) -> None:
    with pytest.raises(BundleError, match=encoder):
        build_network(NetworkSpec(encoder=encoder))


def test_weights_go_to_disk_and_back_unchanged(
    make_bundle: Callable[..., Bundle], tiny_network: nn.Module
) -> None:
    bundle = make_bundle()
    loaded = load_network(bundle)
    assert not loaded.training
    for key, tensor in portable_state(tiny_network).items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    assert load_file(bundle.weights_path).keys() == portable_state(tiny_network).keys()


def test_missing_and_unexpected_tensors_are_counted_and_named(tiny_network: nn.Module) -> None:
    state = portable_state(tiny_network)
    state["strange.weight"] = state.pop("segmentation_head.0.bias")
    with pytest.raises(BundleError, match=r"1 tensors are missing \(segmentation_head.0.bias\)"):
        load_state(build_network(SMALL), state)


def test_weights_of_another_architecture_are_refused(tiny_network: nn.Module) -> None:
    other = build_network(dataclasses.replace(SMALL, architecture="unet"))
    with pytest.raises(BundleError, match="another architecture"):
        load_state(other, portable_state(tiny_network))
    wider = build_network(dataclasses.replace(SMALL, decoder_channels=(16, 8, 8, 4, 8)))
    with pytest.raises(BundleError, match="has shape"):
        load_state(wider, portable_state(tiny_network))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tiny_network: nn.Module, value: float) -> None:
    state = portable_state(tiny_network)
    state["segmentation_head.0.bias"] = torch.tensor([value])
    with pytest.raises(BundleError, match="NaN or infinity"):
        load_state(build_network(SMALL), state)


def test_weights_changed_after_the_check_are_refused(make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle()
    content = bytearray((bundle.folder / WEIGHTS_NAME).read_bytes())
    content[-1] ^= 1
    (bundle.folder / WEIGHTS_NAME).write_bytes(content)
    with pytest.raises(BundleError, match="changed since"):
        load_network(bundle)


def test_a_bundle_without_network_has_none_to_load(
    make_bundle: Callable[..., Bundle], metadata: BundleMetadata
) -> None:
    hsv = dataclasses.replace(
        metadata, kind="hsv", network=None, hsv=HsvSpec(), weights_sha256=None
    )
    bundle = dataclasses.replace(make_bundle(), metadata=hsv)
    with pytest.raises(BundleError, match="holds no network"):
        load_network(bundle)
    with pytest.raises(BundleError, match="no HSV ranges"):
        HsvPredictor(metadata)


def test_the_network_still_computes_what_it_computed(tiny_network: nn.Module) -> None:
    """Stored answer (torch 2.14, smp 0.6.0, timm 1.0.31): an upgrade must not move areas."""
    steps = np.linspace(-1, 1, 3 * 64 * 64, dtype=np.float64)
    picture = torch.from_numpy(np.sin(40 * steps)).float().view(1, 3, 64, 64)
    with torch.inference_mode():
        logits = tiny_network(picture)[0, 0]
    found = logits[::21, ::21].flatten().tolist()
    assert found == pytest.approx(STORED_LOGITS, abs=2e-3, rel=1e-3)
    assert logits.std() > 0.1, "a flat answer would hide a change"


STORED_LOGITS = [
    *(0.1365, -1.154, -0.7553, -1.4467, 0.0705, -0.3123, -0.1004, -1.3597),
    *(0.1248, 0.056, 0.1627, -0.1642, -0.1537, -0.201, -0.1031, -0.1015),
]
