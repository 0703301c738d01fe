"""The only door to ONNX: a network's graph, made once, for runtimes other than torch.

The graph holds no weights: each is named where it lies in the bundle's weights.safetensors, which
is a container of raw tensors with known places. So nothing is stored twice, and a graph cannot
disagree with the weights beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import struct
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import BundleError, DependencyError
from ubereport.segmentation.bundle import GRAPH_NAME
from ubereport.segmentation.fusion import answers_of, fuse_batch_norms
from ubereport.segmentation.metadata import BundleMetadata, GraphSpec
from ubereport.segmentation.network import normalized
from ubereport.segmentation.openvino import CompiledNetwork, require_openvino
from ubereport.segmentation.precision import late_stages

_OPSET = 18
_N_PROBES = 4
_HALF_EPS = 2.0**-24
_ABSENT = (
    "Making a bundle's graph needs the packages onnx and onnxscript. Install them with "
    "pip install 'ubereport[train]'."
)


def export_graph(
    network: nn.Module, weights: Mapping[str, bytes], metadata: BundleMetadata
) -> tuple[bytes, GraphSpec]:
    """Write down what `network` computes as ONNX, and check that it gives torch's probabilities.

    Returns the bytes of model.onnx and what the metadata says of it.

    Parameters
    ----------
    network
        In evaluation mode on the CPU, in fp32, its normalizations not folded; with the branch that
        marks instruments where `metadata` has one.
    weights
        The bundle's safetensors files: content by name.
    metadata
        Input size and normalization, and whether instruments are marked.

    Raises
    ------
    BundleError
        If the network uses what ONNX has no word for, or another runtime answers otherwise.
    DependencyError
        If onnx, onnxscript or OpenVINO is not installed.
    """
    require_openvino()
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise DependencyError(_ABSENT)
    size = (metadata.input_height_px, metadata.input_width_px)
    proto, late_inputs = _translated(network, size)
    for name, stored in weights.items():
        _point_into(proto, name, stored)
    content: bytes = proto.SerializeToString(deterministic=True)
    spec = GraphSpec(hashlib.sha256(content).hexdigest(), late_inputs)
    _check_equal(network, content, weights, metadata)
    return content, spec


def _translated(network: nn.Module, size: tuple[int, int]) -> tuple[Any, tuple[str, ...]]:
    """Return the network as an ONNX model of any number of pictures, and its late inputs."""
    import onnx_ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants

    marks_instruments = getattr(network, "instruments", None) is not None
    # Two pictures, since a length of one would be taken for a constant.
    planes = torch.zeros((2, 3, *size))
    with warnings.catch_warnings(), _quiet_exporter():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                (planes,),
                input_names=["planes"],
                output_names=["logits", *(["instruments"] if marks_instruments else [])],
                dynamic_shapes=({0: torch.export.Dim("n_pictures")},),
                opset_version=_OPSET,
                dynamo=True,
                # Its optimizer folds normalizations into new weights; these stay where they lie.
                optimize=False,
                verbose=False,
            )
        except Exception as error:
            raise BundleError(
                f"The network cannot be written as ONNX ({type(error).__name__}). Use an encoder "
                "that torch.onnx exports, or keep the bundle without a graph: torch runs it."
            ) from error
        model = program.model
        fold_constants(model, input_size_limit=2**30, output_size_limit=2**30)
        RemoveUnusedNodesPass()(model)
    late_inputs = _late_inputs(model, late_stages(network))
    proto = onnx_ir.serde.serialize_model(model)
    _forget_origin(proto)
    return proto, late_inputs


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what the exporter logs to itself, such as operators of packages that are not here."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _late_inputs(model: Any, stages: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ANN401
    """Name the values that cross from what must count in fp32 to what may count in less.

    Late is every node from the first one on that lies in the late stages, or in the decoder where
    an encoder has none. Weights and constants are no crossing.
    """
    # The graph is a list in the order of computing. From the first node of a late stage on,
    # everything may count in low precision; what these nodes read from the ones before is where the
    # graph is cut.
    first_late = next(iter(stages), "decoder")
    nodes = list(model.graph)
    scopes = [str(node.metadata_props.get("pkg.torch.onnx.name_scopes", "")) for node in nodes]
    start = next(i for i, scope in enumerate(scopes) if f"'{first_late}'" in scope)
    exact = {value.name for node in nodes[:start] for value in node.outputs}
    crossing = {
        value.name
        for node in nodes[start:]
        for value in node.inputs
        if value is not None and value.name in exact and value.const_value is None
    }
    return tuple(sorted(crossing))


def _forget_origin(proto: Any) -> None:  # noqa: ANN401
    """Take out what the exporter wrote of this machine's sources: traces name its folders."""
    graph = proto.graph
    for holder in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del holder.metadata_props[:]
        holder.doc_string = ""
    del graph.value_info[:]
    del proto.functions[:]


def _point_into(proto: Any, name: str, stored: bytes) -> None:  # noqa: ANN401
    """Replace every weight that `stored` holds by its place in that file, called `name`."""
    from onnx import TensorProto

    places = _places(stored)
    for tensor in proto.graph.initializer:
        if tensor.name not in places:
            continue
        offset, length = places[tensor.name]
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", name), ("offset", offset), ("length", length)):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)


def _places(weights: bytes) -> Mapping[str, tuple[int, int]]:
    """Return (offset in the file, length) in bytes of every tensor of a safetensors file."""
    # A safetensors file: eight bytes with the length of its header, the header as JSON, then the
    # tensors, whose offsets count from where they begin.
    start = 8 + struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8:start])
    header.pop("__metadata__", None)
    spans = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: (start + begin, end - begin) for name, (begin, end) in spans.items()}


def _check_equal(
    network: nn.Module, content: bytes, weights: Mapping[str, bytes], metadata: BundleMetadata
) -> None:
    rgb = _probes(metadata)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH_NAME
        path.write_bytes(content)
        for name, stored in weights.items():
            path.with_name(name).write_bytes(stored)
        answers = CompiledNetwork(path, (), metadata, is_low=False, n_threads=1)(rgb)
    folded = fuse_batch_norms(network)  # as torch runs it and OpenVINO compiles it
    with torch.inference_mode():
        planes = normalized(torch.from_numpy(rgb).permute(0, 3, 1, 2).float(), metadata)
        expected = answers_of(folded(planes))
    roundings = _fp32_roundings(network)
    for logits, wanted in zip(answers, expected, strict=False):
        apart = float(np.abs(logits - wanted[:, 0].numpy()).max())
        allowed = roundings * float(wanted.std())
        if not apart <= allowed:
            raise BundleError(
                f"The ONNX graph answers otherwise than torch: logits differ by {apart:.2g}, "
                f"rounding explains {allowed:.2g}. Use an encoder that torch.onnx exports "
                "faithfully."
            )


def _fp32_roundings(network: nn.Module) -> float:
    """Return how far two runtimes may differ in fp32, as a share of the size of an answer.

    A value is a sum of as many products as its convolution has weights. A product is rounded by up
    to half an eps, and so is its weight in either runtime, where normalizations are folded into it.
    Independent errors add as the root of their number; six of their standard deviations hold for
    every one of 10^5 pixels, and twice that leaves room for layers that amplify.
    """
    n_products = sum(m.weight[0].numel() for m in network.modules() if isinstance(m, nn.Conv2d))
    return float(2 * 6 * _HALF_EPS * (3 * n_products) ** 0.5)


def _probes(metadata: BundleMetadata) -> RgbArray:
    """Draw smooth pictures of random colors, the same ones each time."""
    n_tiles = 8
    height_px, width_px = metadata.input_height_px, metadata.input_width_px
    rng = np.random.default_rng(20260301)
    tiles = rng.integers(0, 256, (_N_PROBES, n_tiles, n_tiles, 3))
    shape = (1, -(-height_px // n_tiles), -(-width_px // n_tiles), 1)
    return np.kron(tiles, np.ones(shape, dtype=int))[:, :height_px, :width_px].astype(np.uint8)
