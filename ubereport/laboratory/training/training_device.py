"""Where a run is computed, whether in low precision, and what is said when a device gives up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ubereport.core.config import Device
from ubereport.core.errors import ConfigError
from ubereport.segmentation.devices import choose_device, cpu_gains_from_bf16


def training_device(name: str) -> torch.device:
    """Return the device that a configuration names; "auto" is a CUDA GPU where there is one.

    Raises
    ------
    DependencyError
        If CUDA or MPS is named and absent.
    """
    if name == Device.AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return choose_device(Device(name), is_low_precision_allowed=False).device


def gains_from_bf16(device: torch.device) -> bool:
    """Return whether a step on `device` is faster in bf16.

    A card that only imitates bf16 counts in fp32: fp16, which a look takes there, would need its
    losses scaled, or small gradients become nothing.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_gains_from_bf16()


@contextmanager
def told_of(device: torch.device, what: str, setting: str) -> Iterator[None]:
    """Say in words that a device was lost or is too small for `what`, and how to go on.

    `setting` is the one to lower, which makes another run of it.

    Raises
    ------
    ConfigError
        If it is either.
    """
    try:
        yield
        return
    except torch.OutOfMemoryError:
        why = f"has too little memory for {what}"
    except torch.AcceleratorError:
        why = "was lost"
    raise ConfigError(
        f"The device {device.type} {why}. Start the same command again, with a smaller {setting} "
        'under another name, or with device = "cpu" under the same: the run goes on from its '
        "checkpoint."
    )
