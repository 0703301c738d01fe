"""Low precision where it is safe: the encoder counts in fp32, the decoder in bf16 or fp16.

Measured on 11 bloody stills with `ube-blood-2`: with everything in bf16 the area of a still moves
by up to 0.33 percentage points and 0.1 on average, nearly all of it from the encoder; with only
the decoder in bf16 by at most 0.04. The decoder is most of the work.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["LowPrecisionDecoder", "with_low_precision_decoder"]


class LowPrecisionDecoder(nn.Module):
    """A segmentation network whose decoder and head run under autocast.

    Parameters
    ----------
    network
        With `encoder`, `decoder` and `segmentation_head`, as segmentation-models-pytorch has.
    dtype
        `torch.bfloat16` or `torch.float16`.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        self.head = network.get_submodule("segmentation_head")
        self.dtype = dtype

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, H, W) float32 to (n, 1, H, W) logits."""
        features = [feature.to(self.dtype) for feature in self.encoder(planes)]
        with torch.autocast(planes.device.type, dtype=self.dtype):
            logits: torch.Tensor = self.head(self.decoder(features))
        return logits


def with_low_precision_decoder(network: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Return `network` with its decoder in `dtype`; None leaves it in fp32."""
    return network if dtype is None else LowPrecisionDecoder(network, dtype)
