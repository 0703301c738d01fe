"""The only door to OpenVINO: a bundle's graph compiled for this processor, without torch.

What sees full detail counts in fp32, the rest in bf16 where the processor multiplies it natively;
the two compiled networks hand over to each other. Nothing is sent: OpenVINO reports each import to
its makers where it finds a package of its own for that, which it is not let find.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import BundleError, DependencyError
from ubereport.segmentation.metadata import BundleMetadata

if TYPE_CHECKING:
    import openvino

_ABSENT = (
    "segmentation.route = openvino was asked for, but OpenVINO is not installed. Install it with "
    "pip install openvino, or use route = auto or torch."
)
_WITHOUT_BF16 = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"})


def is_openvino_present() -> bool:
    """Whether OpenVINO is installed; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def require_openvino() -> None:
    """Raise DependencyError, saying how to install it, unless OpenVINO is installed."""
    if not is_openvino_present():
        raise DependencyError(_ABSENT)


def is_held_to_older_instructions() -> bool:
    """Whether ``ONEDNN_MAX_CPU_ISA`` keeps oneDNN, which does the multiplying, from bf16."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BF16


def openvino_gains_from_bf16() -> bool:
    """Whether this processor multiplies bf16 natively; elsewhere bf16 is slower."""
    capabilities = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities and not is_held_to_older_instructions()


def _keep_silent() -> None:
    """Hide from OpenVINO the package that it reports its use with; it has a silent one instead.

    On import it would name this installation to an analytics service by an id that it keeps in the
    user's home. A department's machine sends nothing, and one without a way out would wait for it.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


@functools.cache
def _core() -> openvino.Core:
    """Make the one core of this process, which never ends.

    A core gives the thread that made it another stack for signals, and takes that stack from the
    process when it ends. Ended by another thread (the collector runs in any), it leaves the first
    one without: the next signal there, a Ctrl-C or the end of a child, kills the process silently.
    """
    _keep_silent()
    import openvino

    core = openvino.Core()
    # Graphs are read at once and not later, from a file that may have changed.
    core.set_property({"ENABLE_MMAP": False})
    return core


class CompiledNetwork:
    """A network that maps (n, H, W, 3) uint8 pictures to (n, H, W) float32 logits, or two of them.

    The second are those of instruments, where the bundle marks them.

    Parameters
    ----------
    graph_path
        A bundle's model.onnx, its weights beside it.
    late_inputs
        Names of the exact values that stages take which may count in bf16.
    metadata
        Size and normalization of the pictures.
    is_low
        Whether those stages do; without `late_inputs` nothing does.
    n_threads
        Processor threads; 0 leaves it to OpenVINO.

    Raises
    ------
    DependencyError
        If OpenVINO is not installed.
    BundleError
        If the graph cannot be read, or does not give one logit a pixel of the bundle's size for
        each output.
    """

    def __init__(
        self,
        graph_path: Path,
        late_inputs: tuple[str, ...],
        metadata: BundleMetadata,
        *,
        is_low: bool,
        n_threads: int,
    ) -> None:
        require_openvino()
        core = _core()
        import openvino

        self.version = str(openvino.__version__).split("-")[0]
        try:
            model = _with_pictures(core.read_model(graph_path), metadata)
            is_cut = is_low and bool(late_inputs)
            models = _halves(model, late_inputs) if is_cut else [model]
        except (RuntimeError, KeyError) as error:
            raise BundleError(
                f"The bundle's {graph_path.name} cannot be used ({type(error).__name__}). Make it "
                "again with `ubereport models prepare`, or set segmentation.route = torch."
            ) from error
        _check_answers(model, metadata, graph_path.name)
        # In bf16 stages that see full detail move an area by up to a percentage point, late ones by
        # about a tenth of one (table in the decision on `segmentation.route`).
        self._compiled = [
            core.compile_model(model, "CPU", _settings(precision, n_threads))
            for model, precision in zip(models, ("f32", "bf16"), strict=False)
        ]

    def __call__(self, rgb: RgbArray) -> list[NDArray[np.float32]]:
        """Return (n, H, W) logits of blood, and of instruments where they are marked.

        `rgb` is (n, H, W, 3) uint8, n >= 1.
        """
        values: list[Any] = [np.ascontiguousarray(rgb)]
        for compiled in self._compiled:
            answers = compiled(values, share_inputs=True, share_outputs=True)
            values = [answers[i] for i in range(len(answers))]
        # A copy: shared outputs are OpenVINO's own memory, which the next call writes over.
        return [np.array(value[:, 0], dtype=np.float32) for value in values]


def _check_answers(model: Any, metadata: BundleMetadata, name: str) -> None:  # noqa: ANN401
    """Check that a model gives one logit a pixel of blood and, if they are marked, instruments."""
    n_wanted = 1 if metadata.instruments is None else 2
    size = ["1", str(metadata.input_height_px), str(metadata.input_width_px)]
    shapes = [[d.to_string() for d in output.get_partial_shape()] for output in model.outputs]
    if [shape[1:] for shape in shapes] != [size] * n_wanted:
        told = "; ".join(", ".join(shape) for shape in shapes)
        raise BundleError(
            f"The bundle's {name} answers with shape {told}, not one logit a pixel of the "
            f"bundle's size for each of its {n_wanted} outputs. Make it again with `ubereport "
            "models prepare`."
        )


def _settings(precision: str, n_threads: int) -> dict[str, object]:
    settings: dict[str, object] = {
        "INFERENCE_PRECISION_HINT": precision,
        # One call after the other, with as many threads as the caller has shared out; they are not
        # pinned, since decoding processes use the same cores.
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    if n_threads > 0:
        settings["INFERENCE_NUM_THREADS"] = n_threads
    return settings


def _with_pictures(model: Any, metadata: BundleMetadata) -> Any:  # noqa: ANN401 -- untyped
    """Let a graph of normalized planes take pictures as they are."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    picture.model().set_layout(Layout("NCHW"))
    picture.preprocess().convert_element_type(Type.f32).mean(list(metadata.input_mean)).scale(
        list(metadata.input_scale)
    )
    return steps.build()


def _halves(model: Any, late_inputs: tuple[str, ...]) -> list[Any]:  # noqa: ANN401
    """Return the exact model, which answers with `late_inputs`, and the one that goes on."""
    import openvino.opset13 as ops
    from openvino import Model

    # One graph, two precisions: the first half answers with the values at the cut, the second takes
    # them as its inputs, and each is compiled for its own precision.
    values = _values(model)
    exact = Model([values[name] for name in late_inputs], model.get_parameters(), "exact")
    rest = model.clone()
    values = _values(rest)
    parameters = []
    for name in late_inputs:
        parameter = ops.parameter(values[name].get_partial_shape(), np.float32)
        for reader in values[name].get_target_inputs():
            reader.replace_source_output(parameter.output(0))
        parameters.append(parameter)
    return [exact, Model(rest.get_results(), parameters, "rest")]


def _values(model: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return every value of a model by its names in the graph."""
    outputs = [output for node in model.get_ordered_ops() for output in node.outputs()]
    return {name: output for output in outputs for name in output.get_names()}
