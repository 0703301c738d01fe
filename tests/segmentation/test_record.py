from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tests_support import fp32_roundings
from torch import nn

from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.graph import GraphStep, NetworkGraph
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import build_network
from ubereport.segmentation.precision import late_stages
from ubereport.segmentation.record import UnrecordableError, record_network


def computed(graph: NetworkGraph, planes: torch.Tensor) -> list[torch.Tensor]:
    """Compute every value of a graph from its description alone."""
    values = [planes]
    for step in graph.steps:
        inputs, options = [values[i] for i in step.inputs], step.options
        weights = {name: torch.from_numpy(array) for name, array in step.weights.items()}
        if step.kind == "convolution":
            names = ("stride", "padding", "dilation", "groups")
            answer = F.conv2d(
                inputs[0],
                weights["weight"],
                weights.get("bias"),
                *(options[name] for name in names),
            )
        elif step.kind == "add":
            answer = inputs[0] + inputs[-1]
        elif step.kind == "concatenate":
            answer = torch.cat(inputs, options["axis"])
        elif step.kind == "relu":
            answer = inputs[0].clamp(min=0)
        elif step.kind == "clip":
            answer = inputs[0].clamp(options["low"], options["high"])
        elif step.kind == "resize":
            mode = {"nearest": "nearest", "linear": "bilinear"}[options["mode"]]
            answer = F.interpolate(inputs[0], size=options["size"], mode=mode)
        else:
            answer = F.pad(inputs[0], options["amounts"], value=options["value"])
        values.append(answer)
    return values


def folded(network: nn.Module) -> nn.Module:
    return fuse_batch_norms(network)


def test_what_was_recorded_computes_what_the_network_computes(tiny_network: nn.Module) -> None:
    network = folded(tiny_network)
    graph = record_network(network, 64, 64)
    planes = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.inference_mode():
        expected = network(planes)
        found = computed(graph, planes)[-1]
    assert float(expected.std()) > 0.01, "a flat answer would show nothing"
    near = fp32_roundings(network)
    torch.testing.assert_close(found, expected, rtol=near, atol=near * float(expected.std()))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "resnet18"), ("unetplusplus", "tu-tf_efficientnet_lite0")],
)
def test_other_architectures_are_recorded(
    architecture: str, encoder: str, interpolation: str
) -> None:
    torch.manual_seed(1)
    spec = NetworkSpec(
        architecture=architecture,
        encoder=encoder,
        decoder_channels=(16, 8, 8, 4, 4),
        interpolation=interpolation,
    )
    network = folded(build_network(spec).eval())
    if encoder == "resnet18":
        with pytest.raises(UnrecordableError, match=r"max_pool2d.*route = torch"):
            record_network(network, 64, 64)
        return
    graph = record_network(network, 64, 64)
    planes = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        torch.testing.assert_close(
            computed(graph, planes)[-1], network(planes), rtol=1e-4, atol=1e-5
        )


def test_exact_counting_ends_where_the_late_stages_begin(tiny_network: nn.Module) -> None:
    network = folded(tiny_network)
    first_late = late_stages(network)[0]
    assert first_late == "encoder.model.blocks.6"
    graph = record_network(network, 64, 64)
    seen: list[torch.Tensor] = []
    handle = network.get_submodule(first_late).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    planes = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        network(planes)
        values = computed(graph, planes)
    handle.remove()
    assert float(seen[0].std()) > 0.02, "flat values would be close to anything"
    torch.testing.assert_close(values[graph.n_exact], seen[0], rtol=1e-3, atol=2e-4)
    assert graph.handed_over()[-1] == graph.n_exact
    assert all(number <= graph.n_exact for number in graph.handed_over())


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, padding=1)
        self.decoder = nn.Conv2d(4, 1, 1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(planes))


@pytest.mark.parametrize(
    ("last", "named"),
    [
        (lambda x: torch.sin(x), "sin"),
        (lambda x: x + 1.0, "constant"),
        (lambda x: x.clamp(min=0.5), "one bound"),
        (lambda x: F.conv_transpose2d(x, torch.ones(1, 1, 2, 2)), "transposed"),
    ],
)
def test_what_no_other_runtime_was_taught_is_named(
    last: Callable[[torch.Tensor], torch.Tensor], named: str
) -> None:
    network = _Encoder()
    network.decoder = nn.Sequential(network.decoder, _Applied(last))
    with pytest.raises(UnrecordableError, match=named):
        record_network(network.eval(), 8, 8)


class _Applied(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.function(planes)


def test_recording_leaves_the_network_as_it_was(tiny_network: nn.Module) -> None:
    network = folded(tiny_network)
    before = copy.deepcopy(network.state_dict())
    record_network(network, 64, 64)
    record_network(network, 64, 64)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not network.get_submodule("encoder.model.blocks.6")._forward_pre_hooks


def test_recording_does_not_load_the_compiler_of_torch(tiny_network: nn.Module) -> None:
    was_there = "torch._dynamo" in sys.modules
    record_network(folded(tiny_network), 64, 64)
    assert was_there or "torch._dynamo" not in sys.modules


def test_a_graph_that_cannot_be_computed_is_a_misuse() -> None:
    good = GraphStep("relu", (0,))
    with pytest.raises(ValueError, match="not there yet"):
        NetworkGraph((good, GraphStep("relu", (2,))), 0, 8, 8)
    with pytest.raises(ValueError, match="exact steps"):
        NetworkGraph((good,), 1, 8, 8)
