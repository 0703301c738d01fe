from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ubereport.segmentation.fusion import fold_batch_norms, fuse_batch_norms, unfolded_state
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import build_network


def _n_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def _picture() -> torch.Tensor:
    return torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(9)) * 2 - 1


def test_all_norms_of_the_shipped_architecture_go_and_the_answer_stays(
    tiny_network: nn.Module,
) -> None:
    before = {key: value.clone() for key, value in tiny_network.state_dict().items()}
    fused = fuse_batch_norms(tiny_network)
    assert _n_norms(tiny_network) > 50
    assert _n_norms(fused) == 0
    with torch.inference_mode():
        torch.testing.assert_close(
            fused(_picture()), tiny_network(_picture()), atol=1e-4, rtol=1e-4
        )
    for key, value in tiny_network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_other_encoders_answer_the_same() -> None:
    network = build_network(NetworkSpec(architecture="unet", encoder="resnet18")).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0, 0.1)
    fused = fuse_batch_norms(network)
    assert _n_norms(fused) == 0
    with torch.inference_mode():
        torch.testing.assert_close(fused(_picture()), network(_picture()), atol=1e-4, rtol=1e-4)


class _OutputUsedTwice(nn.Module):
    """Folding is wrong here: the convolution's own output is needed as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        self.norm = nn.BatchNorm2d(1)
        self.norm.running_mean = torch.tensor([3.0])

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        raw = self.conv(planes)
        return self.norm(raw) + raw


class _NormFirst(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(planes))


@pytest.mark.parametrize(
    "network",
    [
        _OutputUsedTwice(),
        _NormFirst(nn.BatchNorm2d(3)),
        _NormFirst(nn.BatchNorm2d(3, track_running_stats=False)),
    ],
)
def test_what_cannot_be_folded_stays(network: nn.Module) -> None:
    network.eval()
    kept = fuse_batch_norms(network)
    assert _n_norms(kept) == 1
    with torch.inference_mode():
        torch.testing.assert_close(kept(_picture()), network(_picture()), atol=0, rtol=0)


def test_an_unfolded_state_answers_as_the_folded_network(tiny_network: nn.Module) -> None:
    folded, norms = fold_batch_norms(tiny_network)
    trained = {
        key: value * 1.01 + 0.001 if value.is_floating_point() else value
        for key, value in folded.state_dict().items()
    }
    folded.load_state_dict(trained)
    again = copy.deepcopy(tiny_network)
    again.load_state_dict(unfolded_state(trained, norms, tiny_network.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(
            again.eval()(_picture()), folded(_picture()), atol=1e-3, rtol=1e-3
        )


def test_an_unfolded_state_has_the_scale_of_what_was_folded(tiny_network: nn.Module) -> None:
    # Weights of two runs can be averaged only where they mean the same.
    original = tiny_network.state_dict()
    folded, norms = fold_batch_norms(tiny_network)
    state = unfolded_state(folded.state_dict(), norms, original)
    assert {key for key in original if not key.endswith("num_batches_tracked")} == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, original[key], atol=1e-4, rtol=1e-4, msg=key)


def test_a_channel_that_was_scaled_to_nothing_comes_back(tiny_network: nn.Module) -> None:
    network = copy.deepcopy(tiny_network)
    dead = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        dead.weight[0] = 0.0
    folded, norms = fold_batch_norms(network)
    state = unfolded_state(folded.state_dict(), norms, network.state_dict())
    again = copy.deepcopy(network)
    again.load_state_dict(state)
    assert all(bool(torch.isfinite(value).all()) for value in state.values())
    with torch.inference_mode():
        torch.testing.assert_close(
            again.eval()(_picture()), network(_picture()), atol=1e-4, rtol=1e-4
        )
