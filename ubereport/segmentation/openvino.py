"""The only door to OpenVINO: a recorded network compiled for this processor.

The exact steps count in fp32, the others in bf16 where the processor multiplies it natively; the
two compiled networks hand over to each other. The bytes of the graph never leave the process and
nothing is asked of the network: `openvino.convert_model`, which reports its use, is not called.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import DependencyError
from ubereport.segmentation.graph import GraphStep, NetworkGraph

_ABSENT = (
    "segmentation.route = openvino was asked for, but OpenVINO is not installed. Install it with "
    "pip install 'ubereport[openvino]', or use route = auto or torch."
)


def is_openvino_present() -> bool:
    """Whether OpenVINO is installed; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def require_openvino() -> None:
    """Raise DependencyError, saying how to install it, unless OpenVINO is installed."""
    if not is_openvino_present():
        raise DependencyError(_ABSENT)


class CompiledNetwork:
    """A network that maps (n, H, W, 3) uint8 pictures to (n, H, W) float32 logits.

    Parameters
    ----------
    graph
        What it computes.
    mean, scale
        Normalization of the three color channels, in levels of 0..255.
    is_low
        Whether the inexact steps count in bf16.
    n_threads
        Processor threads; 0 leaves it to OpenVINO.

    Raises
    ------
    DependencyError
        If OpenVINO is not installed.
    """

    def __init__(
        self,
        graph: NetworkGraph,
        mean: tuple[float, float, float],
        scale: tuple[float, float, float],
        *,
        is_low: bool,
        n_threads: int,
    ) -> None:
        require_openvino()
        import openvino

        self.version = str(openvino.__version__).split("-")[0]
        core = openvino.Core()
        handed = graph.handed_over()
        n_exact = graph.n_exact if is_low else len(graph.steps)
        parts = _Parts(graph, mean, scale)
        models = [parts.whole()] if n_exact == len(graph.steps) else parts.halves(handed)
        self._compiled = [
            core.compile_model(model, "CPU", _settings(precision, n_threads))
            for model, precision in zip(models, ("f32", "bf16"), strict=False)
        ]

    def __call__(self, rgb: RgbArray) -> NDArray[np.float32]:
        """Return (n, H, W) logits; `rgb` is (n, H, W, 3) uint8, n >= 1."""
        values: list[Any] = [np.ascontiguousarray(rgb)]
        for compiled in self._compiled:
            answers = compiled(values, share_inputs=True, share_outputs=True)
            values = [answers[i] for i in range(len(answers))]
        return np.array(values[0][:, 0], dtype=np.float32)


def _settings(precision: str, n_threads: int) -> dict[str, object]:
    settings: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    if n_threads > 0:
        settings["INFERENCE_NUM_THREADS"] = n_threads
    return settings


class _Parts:
    """Builds OpenVINO models of a graph: whole, or cut where exact counting ends."""

    def __init__(
        self,
        graph: NetworkGraph,
        mean: tuple[float, float, float],
        scale: tuple[float, float, float],
    ) -> None:
        import openvino.opset13 as ops
        from openvino import Model

        self._ops, self._model = ops, Model
        self._graph, self._mean, self._scale = graph, mean, scale

    def whole(self) -> Any:  # noqa: ANN401 -- OpenVINO publishes no types
        """Return the model from pictures to logits."""
        picture, values = self._picture()
        self._add_steps(values, 0, len(self._graph.steps))
        return self._model([values[len(self._graph.steps)]], [picture], "network")

    def halves(self, handed: tuple[int, ...]) -> list[Any]:
        """Return the exact model, which answers with `handed`, and the one that goes on."""
        picture, values = self._picture()
        self._add_steps(values, 0, self._graph.n_exact)
        exact = self._model([values[number] for number in handed], [picture], "exact")
        shapes = [[-1, *list(values[number].get_partial_shape())[1:]] for number in handed]
        inputs = [self._ops.parameter(shape, np.float32) for shape in shapes]
        values = dict(zip(handed, (node.output(0) for node in inputs), strict=True))
        self._add_steps(values, self._graph.n_exact, len(self._graph.steps))
        rest = self._model([values[len(self._graph.steps)]], inputs, "rest")
        return [exact, rest]

    def _picture(self) -> tuple[Any, dict[int, Any]]:
        ops, graph = self._ops, self._graph
        picture = ops.parameter([-1, graph.height_px, graph.width_px, 3], np.uint8)
        planes = ops.transpose(ops.convert(picture, "f32"), np.array([0, 3, 1, 2]))
        mean = np.array(self._mean, dtype=np.float32).reshape(1, 3, 1, 1)
        scale = np.array(self._scale, dtype=np.float32).reshape(1, 3, 1, 1)
        return picture, {0: ops.divide(ops.subtract(planes, mean), scale).output(0)}

    def _add_steps(self, values: dict[int, Any], first: int, end: int) -> None:
        for number in range(first, end):
            step = self._graph.steps[number]
            inputs = [values[value] for value in step.inputs]
            values[number + 1] = _BUILDERS[step.kind](self._ops, inputs, step).output(0)


def _convolution(ops: Any, inputs: list[Any], step: GraphStep) -> Any:  # noqa: ANN401
    weight, options = step.weights["weight"], step.options
    groups = options["groups"]
    padding = list(options["padding"])
    placing = (list(options["stride"]), padding, padding, list(options["dilation"]))
    if groups == 1:
        node = ops.convolution(inputs[0], weight, *placing)
    else:
        out_channels, in_channels, *kernel = weight.shape
        grouped = weight.reshape(groups, out_channels // groups, in_channels, *kernel)
        node = ops.group_convolution(inputs[0], grouped, *placing)
    if "bias" not in step.weights:
        return node
    return ops.add(node, step.weights["bias"].reshape(1, -1, 1, 1))


def _resize(ops: Any, inputs: list[Any], step: GraphStep) -> Any:  # noqa: ANN401
    is_nearest = step.options["mode"] == "nearest"
    return ops.interpolate(
        inputs[0],
        np.array(step.options["size"], dtype=np.int64),
        "nearest" if is_nearest else "linear_onnx",
        "sizes",
        axes=np.array([2, 3], dtype=np.int64),
        coordinate_transformation_mode="asymmetric" if is_nearest else "half_pixel",
        nearest_mode="floor",
    )


def _pad(ops: Any, inputs: list[Any], step: GraphStep) -> Any:  # noqa: ANN401
    # torch counts from the last axis: left, right, top, bottom.
    left, right, top, bottom = (*step.options["amounts"], 0, 0)[:4]
    return ops.pad(
        inputs[0],
        np.array([0, 0, top, left], dtype=np.int64),
        np.array([0, 0, bottom, right], dtype=np.int64),
        "constant",
        np.array(step.options["value"], dtype=np.float32),
    )


_BUILDERS: dict[str, Callable[[Any, list[Any], GraphStep], Any]] = {
    "convolution": _convolution,
    "add": lambda ops, inputs, _: ops.add(inputs[0], inputs[-1]),
    "concatenate": lambda ops, inputs, step: ops.concat(inputs, step.options["axis"]),
    "relu": lambda ops, inputs, _: ops.relu(inputs[0]),
    "clip": lambda ops, inputs, step: ops.clamp(
        inputs[0], step.options["low"], step.options["high"]
    ),
    "resize": _resize,
    "pad": _pad,
}
