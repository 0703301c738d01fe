"""Which library runs a network: told without loading any of them where no accelerator is here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import DependencyError
from ubereport.segmentation.bundle import Bundle, graph_of
from ubereport.segmentation.openvino import is_openvino_present, require_openvino

PROCESSOR_BATCH = 16
ACCELERATOR_BATCH = 64
"""Pictures at once. In fp32 an H200 looked at 1,334 a second by eights and at 5,091 by 64s."""

_DRIVERS = {
    "linux": ("dev/nvidiactl", "proc/driver/nvidia", "dev/dxg", "dev/kfd"),
    "win32": ("System32/nvcuda.dll",),
}


def takes_openvino(bundle: Bundle, config: SegmentationConfig) -> bool:
    """Whether OpenVINO runs a bundle: if asked for, or on a processor if installed, else torch.

    Nothing is measured, so that an installation always answers alike.

    Raises
    ------
    BundleError
        If OpenVINO is asked for and the bundle has no graph.
    DependencyError
        If OpenVINO is asked for and not installed, or asked for on another device.
    """
    if config.route is Route.TORCH:
        return False
    if config.route is Route.OPENVINO:
        require_openvino()
        graph_of(bundle)
        device = _device(config)
        if device != Device.CPU:
            raise DependencyError(
                f"segmentation.route = openvino runs on the processor; the device is {device}. "
                "Use --device cpu, or segmentation.route = auto."
            )
        return True
    is_possible = bundle.metadata.graph is not None and is_openvino_present()
    return is_possible and _device(config) == Device.CPU


def _device(config: SegmentationConfig) -> str:
    """Return the kind of device that counts; torch is asked only where there may be another."""
    if config.device is not Device.AUTO:
        return config.device
    if not is_accelerator_likely():
        return Device.CPU
    from ubereport.segmentation.devices import choose_device

    return choose_device(Device.AUTO, config.is_low_precision_allowed).device.type


def is_accelerator_likely(root: Path | None = None) -> bool:
    """Whether a driver is here that torch could use; only looks at files.

    Parameters
    ----------
    root
        Folder under which the system's files lie; the system's own unless given.
    """
    if sys.platform == "darwin":
        return True
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    root = _system_root() if root is None else root
    return any((root / driver).exists() for driver in _DRIVERS.get(sys.platform, ()))


def _system_root() -> Path:
    # Windows: a path without a drive lies on the drive of the current folder, and the system may be
    # on any.
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT") or "C:\\Windows")
    return Path("/")


def batch_size_for(config: SegmentationConfig) -> int:
    """Return how many pictures are looked at together: what is set, else by the likely device."""
    if config.batch_size is not None:
        return config.batch_size
    is_accelerated = config.device is not Device.CPU and (
        config.device is not Device.AUTO or is_accelerator_likely()
    )
    return ACCELERATOR_BATCH if is_accelerated else PROCESSOR_BATCH
