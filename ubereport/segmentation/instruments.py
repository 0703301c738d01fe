"""A second output that marks instruments: a light branch on the features of a frozen network.

Nothing of the network that finds blood is changed or trained again, so its answers stay the same
bits whether the branch is there or not.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from ubereport.core.errors import BundleError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.metadata import InstrumentSpec
from ubereport.segmentation.network import (
    SegmentationNetwork,
    encoder_channels,
    load_network,
    load_state,
    state_bytes,
)

_PREFIX = "instruments."
_COARSEST_STRIDE = 32


class InstrumentBranch(nn.Module):
    """Marks instruments from the features of an encoder at strides of 32, 16, 8 and perhaps 4.

    From the coarsest to the finest, a stage adds what was doubled from the stage before to its own
    features and mixes each place with its surroundings: a shaft is known by where it comes from.
    One logit for a place of the finest stage, interpolated.

    Parameters
    ----------
    encoder_channels
        Channels of the encoder's features, the picture itself first.
    channels, n_blocks
        Channels and mixing blocks of each stage of the branch, the coarsest first.
    """

    def __init__(
        self, encoder_channels: Sequence[int], channels: Sequence[int], n_blocks: Sequence[int]
    ) -> None:
        super().__init__()
        n_stages = len(channels)
        own = zip(reversed(encoder_channels[-n_stages:]), channels, strict=True)
        self.lateral = nn.ModuleList(nn.Conv2d(n_in, n_out, 1) for n_in, n_out in own)
        self.mixing = nn.ModuleList(
            nn.Sequential(*(_Mixing(n) for _ in range(m)), nn.ReLU())
            for n, m in zip(channels, n_blocks, strict=True)
        )
        self.finer = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 1) for n_in, n_out in itertools.pairwise(channels)
        )
        self.head = nn.Conv2d(channels[-1], 1, 1)
        self._stride = _COARSEST_STRIDE >> (n_stages - 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the encoder's features, finest first, to (n, 1, H, W) logits of instruments."""
        coarse_first = reversed(features[-len(self.lateral) :])
        level: Tensor | None = None
        for i, feature in enumerate(coarse_first):
            own = self.lateral[i](feature)
            if level is not None:
                own = own + _doubled(self.finer[i - 1](level))
            level = self.mixing[i](own)
        return F.interpolate(self.head(level), scale_factor=float(self._stride), mode="bilinear")


class _Mixing(nn.Module):
    """Adds to each place what its 5 × 5 surroundings tell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.across = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, level: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        answer: Tensor = level + self.out(F.relu(self.across(self.around(level))))
        return answer


def _doubled(level: Tensor) -> Tensor:
    return F.interpolate(level, scale_factor=2.0, mode="nearest")


def build_branch(network: nn.Module, spec: InstrumentSpec) -> InstrumentBranch:
    """Build an untrained branch on the encoder of `network`."""
    return InstrumentBranch(encoder_channels(network), spec.channels, spec.n_blocks)


def branch_bytes(branch: InstrumentBranch) -> bytes:
    """Return the content of instruments.safetensors; names are those in the whole network."""
    return state_bytes(branch, _PREFIX)


def load_outputs(bundle: Bundle) -> nn.Module:
    """Load the network of a bundle with all its outputs, in evaluation mode.

    Raises
    ------
    BundleError
        As `load_network`; if the weights of instruments changed or do not fit.
    """
    network = load_network(bundle)
    spec = bundle.metadata.instruments
    if spec is None:
        return network
    content = bundle.instruments_path.read_bytes()
    if hashlib.sha256(content).hexdigest() != spec.sha256:
        raise BundleError(
            "The weights of instruments changed since the bundle was checked; load it again."
        )
    branch = build_branch(network, spec)
    tensors = load_safetensors(content)
    load_state(branch, {key.removeprefix(_PREFIX): value for key, value in tensors.items()})
    return SegmentationNetwork(network, instruments=branch).eval()
