"""Write a bundle: atomic, the same bytes for the same weights and metadata."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from ubereport.core.errors import BundleError, OutputError
from ubereport.files.atomic import publish_folder
from ubereport.segmentation.bundle import (
    CARD_NAME,
    METADATA_NAME,
    WEIGHTS_NAME,
    Bundle,
    load_bundle,
)
from ubereport.segmentation.metadata import BundleMetadata, metadata_to_json
from ubereport.segmentation.network import build_network, load_state, portable_state


def write_bundle(
    folder: Path,
    weights: nn.Module | Mapping[str, torch.Tensor] | None,
    metadata: BundleMetadata,
    card: str,
) -> Bundle:
    """Write a bundle folder and return it as `load_bundle` reads it back.

    The folder appears whole or not at all; an existing one is never overwritten.

    Parameters
    ----------
    folder
        To be made; called ``<name>-<version>`` by custom.
    weights
        A network or its state dict; None for kind "hsv".
    metadata
        Its `weights_sha256` is set here; any 64 hex digits may stand there before.
    card
        The model card, Markdown.

    Raises
    ------
    BundleError
        If the weights do not fit the described network or are not finite, or the card is empty.
    OutputError
        If the folder exists or cannot be written.
    """
    if not card.strip():
        raise BundleError("The model card is empty. Say what the model is, saw and cannot do.")
    content = _weights_bytes(weights, metadata)
    if content is not None:
        digest = hashlib.sha256(content).hexdigest()
        metadata = dataclasses.replace(metadata, weights_sha256=digest)
    if folder.exists():
        raise OutputError(f"{folder.name!r} exists already. Choose another version or remove it.")
    files = {METADATA_NAME: metadata_to_json(metadata).encode(), CARD_NAME: card.encode()}
    if content is not None:
        files[WEIGHTS_NAME] = content
    publish_folder(folder, files)
    return load_bundle(folder)


def _weights_bytes(
    weights: nn.Module | Mapping[str, torch.Tensor] | None, metadata: BundleMetadata
) -> bytes | None:
    if metadata.network is None:
        if weights is not None:
            raise BundleError("A bundle of kind 'hsv' has no weights; give None.")
        return None
    if weights is None:
        raise BundleError("A bundle of kind 'network' needs weights; give a network.")
    network = build_network(metadata.network)
    load_state(network, weights.state_dict() if isinstance(weights, nn.Module) else weights)
    state = portable_state(network)
    return save_safetensors({key: state[key] for key in sorted(state)})
