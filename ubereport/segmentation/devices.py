"""Which device a network runs on, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ubereport.core.config import Device
from ubereport.core.errors import DependencyError
from ubereport.segmentation.openvino import is_held_to_older_instructions


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device, how it is named in the record, and the type of the late stages (None: fp32)."""

    device: torch.device
    title: str
    late_dtype: torch.dtype | None

    @property
    def precision(self) -> str:
        """``fp32``, or what the stages of `precision.late_stages` and the decoder count in."""
        names = {torch.bfloat16: "bf16", torch.float16: "fp16"}
        return f"fp32, late stages {names[self.late_dtype]}" if self.late_dtype else "fp32"


def choose_device(device: Device, is_low_precision_allowed: bool) -> DeviceChoice:
    """Choose where to run; low precision only where it is faster.

    Raises
    ------
    DependencyError
        If CUDA or MPS is asked for and absent.
    """
    if device is Device.AUTO:
        device = _best_device()
    if device is Device.CUDA:
        return _cuda(is_low_precision_allowed)
    if device is Device.MPS:
        return _mps()
    is_low = is_low_precision_allowed and cpu_gains_from_bf16()
    return DeviceChoice(torch.device("cpu"), "cpu", torch.bfloat16 if is_low else None)


def cpu_gains_from_bf16() -> bool:
    """Return whether this processor multiplies bf16 natively; elsewhere bf16 is slower."""
    if is_held_to_older_instructions():
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(key)) for key in ("avx512_bf16", "amx_bf16"))


def _best_device() -> Device:
    if torch.cuda.is_available():
        return Device.CUDA
    return Device.MPS if torch.backends.mps.is_available() else Device.CPU


def _cuda(is_low_precision_allowed: bool) -> DeviceChoice:
    if not torch.cuda.is_available():
        raise DependencyError(
            "--device cuda was asked for, but torch sees no CUDA device here. Check `nvidia-smi` "
            "and that torch was installed with CUDA, or use --device auto or --device cpu."
        )
    dtype = None
    if is_low_precision_allowed:
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return DeviceChoice(torch.device("cuda"), f"cuda ({torch.cuda.get_device_name()})", dtype)


def _mps() -> DeviceChoice:
    if not torch.backends.mps.is_available():
        raise DependencyError(
            "--device mps was asked for, but torch sees no Apple GPU here. Use --device auto or "
            "--device cpu."
        )
    return DeviceChoice(torch.device("mps"), "mps", None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread for work in small steps.

    Threads that share a step wait for each other by turning in circles. On a busy machine of two
    cores opening a network took 7 s of processor time by two threads and 0.8 s by one, drawing
    eight crops of 192 px 517 ms and 55 ms.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
