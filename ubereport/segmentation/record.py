"""Record what a network computes as a `NetworkGraph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ubereport.core.errors import BundleError
from ubereport.segmentation.graph import GraphStep, NetworkGraph
from ubereport.segmentation.precision import late_stages

_aten = torch.ops.aten
_HARD_TANH = (-1.0, 1.0)  # the bounds that torch leaves out of the arguments
_IDENTITIES = (_aten.detach, _aten.alias, _aten.dropout, _aten.clone, _aten.native_dropout)


class UnrecordableError(BundleError):
    """A network uses an operation that only torch computes here."""


def _only_torch(what: str) -> UnrecordableError:
    return UnrecordableError(
        f"The network uses {what}, which only torch computes here. Set segmentation.route = torch."
    )


def record_network(network: nn.Module, height_px: int, width_px: int) -> NetworkGraph:
    """Run `network` once on a picture of its size and return every operation that it did.

    Parameters
    ----------
    network
        In evaluation mode on the CPU, batch normalization folded, in fp32.
    height_px, width_px
        Size of its pictures.

    Raises
    ------
    UnrecordableError
        If it uses an operation that no other runtime here is taught.
    """
    planes = torch.zeros((1, 3, height_px, width_px))
    recorder = _Recorder(planes)
    first_late = next(iter(late_stages(network)), "decoder")
    hook = network.get_submodule(first_late).register_forward_pre_hook(recorder.note_late)
    try:
        with torch.no_grad(), recorder:
            logits = network(planes)
    finally:
        hook.remove()
    if recorder.number_of(logits) != len(recorder.steps):
        raise _only_torch("an answer that is not its last operation")
    return NetworkGraph(tuple(recorder.steps), recorder.n_exact, height_px, width_px)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down operations; tensors are kept alive so that no identity is given twice."""

    def __init__(self, planes: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[GraphStep] = []
        self.n_exact = 0
        self._alive: list[torch.Tensor] = [planes]
        self._numbers: dict[int, int] = {id(planes): 0}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and loading torch's compiler would take five seconds.
        return False

    def note_late(self, *_: object) -> None:
        """Remember that exact counting ends here."""
        self.n_exact = len(self.steps)

    def number_of(self, tensor: torch.Tensor) -> int:
        """Return the number of a recorded value."""
        return self._numbers.get(id(tensor), -1)

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 -- torch's own signature
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        answer = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if not self._is_on_path(args):
            return answer
        if operation in _IDENTITIES:
            self._keep(answer, self._numbers[id(args[0])])
            return answer
        if operation not in _TRANSLATORS:
            raise _only_torch(str(operation))
        kind, translate = _TRANSLATORS[operation]
        weights, options = translate(args, answer)
        inputs = [t for t in _tensors(args) if id(t) in self._numbers]
        numbers = tuple(self._numbers[id(t)] for t in inputs)
        self.steps.append(GraphStep(kind, numbers, weights, options))
        self._keep(answer, len(self.steps))
        return answer

    def _is_on_path(self, args: tuple[Any, ...]) -> bool:
        return any(id(tensor) in self._numbers for tensor in _tensors(args))

    def _keep(self, tensor: torch.Tensor, number: int) -> None:
        self._alive.append(tensor)
        self._numbers[id(tensor)] = number


def _tensors(args: Sequence[Any]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for arg in args:
        if isinstance(arg, torch.Tensor):
            found.append(arg)
        elif isinstance(arg, list | tuple):
            found.extend(item for item in arg if isinstance(item, torch.Tensor))
    return found


_Translated = tuple[dict[str, NDArray[np.float32]], dict[str, Any]]


def _convolution(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    weight, bias, stride, padding, dilation, is_transposed, _, groups = args[1:9]
    if is_transposed:
        raise _only_torch("a transposed convolution")
    weights = {"weight": _array(weight)}
    if bias is not None:
        weights["bias"] = _array(bias)
    options = {
        "stride": tuple(stride),
        "padding": tuple(padding),
        "dilation": tuple(dilation),
        "groups": int(groups),
    }
    return weights, options


def _add(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    if not isinstance(args[1], torch.Tensor):
        raise _only_torch("the addition of a constant")
    return {}, {}


def _concatenate(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    return {}, {"axis": int(args[1]) if len(args) > 1 else 0}


def _relu(_: tuple[Any, ...], __: torch.Tensor) -> _Translated:
    return {}, {}


def _hard_tanh(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    low = args[1] if len(args) > 1 else _HARD_TANH[0]
    high = args[2] if len(args) > 2 else _HARD_TANH[1]
    return {}, {"low": float(low), "high": float(high)}


def _clamp(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    low, high = (*args[1:3], None, None)[:2]
    if low is None or high is None:
        raise _only_torch("a clamp with one bound")
    return {}, {"low": float(low), "high": float(high)}


def _floor(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    if float(args[1]) != 0.0:
        raise _only_torch("a floor other than 0")
    return {}, {}


def _resize(mode: str) -> Callable[[tuple[Any, ...], torch.Tensor], _Translated]:
    def translate(_: tuple[Any, ...], answer: torch.Tensor) -> _Translated:
        return {}, {"size": (int(answer.shape[2]), int(answer.shape[3])), "mode": mode}

    return translate


def _pad(args: tuple[Any, ...], _: torch.Tensor) -> _Translated:
    value = float(args[2]) if len(args) > 2 else 0.0
    return {}, {"amounts": tuple(int(a) for a in args[1]), "value": value}


_TRANSLATORS: dict[Any, tuple[str, Callable[[tuple[Any, ...], torch.Tensor], _Translated]]] = {
    _aten.convolution: ("convolution", _convolution),
    _aten.add: ("add", _add),
    _aten.add_: ("add", _add),
    _aten.cat: ("concatenate", _concatenate),
    _aten.relu: ("relu", _relu),
    _aten.relu_: ("relu", _relu),
    _aten.clamp_min: ("relu", _floor),
    _aten.clamp_min_: ("relu", _floor),
    _aten.hardtanh: ("clip", _hard_tanh),
    _aten.hardtanh_: ("clip", _hard_tanh),
    _aten.clamp: ("clip", _clamp),
    _aten.clamp_: ("clip", _clamp),
    _aten.upsample_nearest2d: ("resize", _resize("nearest")),
    _aten.upsample_bilinear2d: ("resize", _resize("linear")),
    _aten.constant_pad_nd: ("pad", _pad),
}


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().to(torch.float32).numpy())
