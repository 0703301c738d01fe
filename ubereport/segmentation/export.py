"""Write a bundle: atomic, the same bytes for the same weights and metadata."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ubereport.core.errors import BundleError, OutputError
from ubereport.files.atomic import publish_folder, write_file
from ubereport.segmentation.bundle import (
    CARD_NAME,
    GRAPH_NAME,
    INSTRUMENTS_NAME,
    METADATA_NAME,
    WEIGHTS_NAME,
    Bundle,
    load_bundle,
)
from ubereport.segmentation.instruments import InstrumentBranch, branch_bytes, load_outputs
from ubereport.segmentation.metadata import BundleMetadata, InstrumentSpec, metadata_to_json
from ubereport.segmentation.network import (
    SegmentationNetwork,
    build_network,
    load_network,
    load_state,
    state_bytes,
)


def write_bundle(
    folder: Path,
    weights: nn.Module | Mapping[str, torch.Tensor] | None,
    metadata: BundleMetadata,
    card: str,
    *,
    has_graph: bool = False,
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
    has_graph
        Whether a network gets its graph, with which it runs on processors without torch.

    Raises
    ------
    BundleError
        If the weights do not fit the described network or are not finite, the card is empty, or
        no graph can be made that answers as the network.
    DependencyError
        If making a graph needs a package that is not installed.
    OutputError
        If the folder exists or cannot be written.
    """
    if not card.strip():
        raise BundleError("The model card is empty. Say what the model is, saw and cannot do.")
    if folder.exists():
        raise OutputError(f"{folder.name!r} exists already. Choose another version or remove it.")
    files = {CARD_NAME: card.encode()}
    network = _filled_network(weights, metadata)
    if network is not None:
        content = state_bytes(network)
        files[WEIGHTS_NAME] = content
        digest = hashlib.sha256(content).hexdigest()
        metadata = dataclasses.replace(metadata, weights_sha256=digest)
        if has_graph:
            metadata = _with_graph(files, network, metadata)
    return _published(folder, files, metadata)


def prepare_bundle(folder: Path) -> Bundle:
    """Give a bundle of a network its graph, or a new one; weights and the rest stay as they are.

    Raises
    ------
    BundleError
        If the bundle is not sound or has no network, or no graph can be made that answers as it.
    DependencyError
        If making a graph needs a package that is not installed.
    OutputError
        If the folder cannot be written.
    """
    bundle = load_bundle(folder)
    network = load_outputs(bundle)  # first of all: it refuses a bundle that has no weights
    files = {WEIGHTS_NAME: bundle.weights_path.read_bytes()}
    if bundle.metadata.instruments is not None:
        files[INSTRUMENTS_NAME] = bundle.instruments_path.read_bytes()
    metadata = _with_graph(files, network, bundle.metadata)
    write_file(bundle.graph_path, files[GRAPH_NAME])
    write_file(folder / METADATA_NAME, metadata_to_json(metadata).encode())
    return load_bundle(folder)


def add_instruments(
    bundle: Bundle, branch: InstrumentBranch, spec: InstrumentSpec, card: str, folder: Path
) -> Bundle:
    """Write a bundle again with a second output that marks instruments; its weights stay.

    Parameters
    ----------
    bundle
        Of a network, with or without a graph; if it has one, the new bundle gets its own.
    branch
        Trained on the features of that network.
    spec
        Its `sha256` is set here; any 64 hex digits may stand there before.
    card
        The model card, Markdown.
    folder
        To be made.

    Raises
    ------
    BundleError, DependencyError, OutputError
        As `write_bundle`.
    """
    content = branch_bytes(branch)
    spec = dataclasses.replace(spec, sha256=hashlib.sha256(content).hexdigest())
    metadata = dataclasses.replace(bundle.metadata, instruments=spec)
    files = {
        CARD_NAME: card.encode(),
        WEIGHTS_NAME: bundle.weights_path.read_bytes(),
        INSTRUMENTS_NAME: content,
    }
    if bundle.metadata.graph is not None:
        network = SegmentationNetwork(load_network(bundle), instruments=branch).eval()
        metadata = _with_graph(files, network, metadata)
    return _published(folder, files, metadata)


def _with_graph(
    files: dict[str, bytes], network: nn.Module, metadata: BundleMetadata
) -> BundleMetadata:
    """Add a network's graph to the files of its bundle; return the metadata that say so."""
    from ubereport.segmentation.onnx_graph import export_graph

    weights = {name: files[name] for name in (WEIGHTS_NAME, INSTRUMENTS_NAME) if name in files}
    files[GRAPH_NAME], spec = export_graph(network, weights, metadata)
    return dataclasses.replace(metadata, graph=spec)


def _published(folder: Path, files: dict[str, bytes], metadata: BundleMetadata) -> Bundle:
    files[METADATA_NAME] = metadata_to_json(metadata).encode()
    publish_folder(folder, files)
    return load_bundle(folder)


def _filled_network(
    weights: nn.Module | Mapping[str, torch.Tensor] | None, metadata: BundleMetadata
) -> nn.Module | None:
    if metadata.network is None:
        if weights is not None:
            raise BundleError("A bundle of kind 'hsv' has no weights; give None.")
        return None
    if weights is None:
        raise BundleError("A bundle of kind 'network' needs weights; give a network.")
    network = build_network(metadata.network)
    load_state(network, weights.state_dict() if isinstance(weights, nn.Module) else weights)
    return network.eval()
