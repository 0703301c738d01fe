"""Whether the processor and each graphics device of this machine decode ten pictures alike."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubereport.core.config import DecodeConfig
from ubereport.video.decode import DecodeRequest, try_device
from ubereport.video.devices import devices_here
from ubereport.video.index import index_part
from ubereport.video.pyav import EncoderSpec, devices_offered
from ubereport.video.writer import VideoWriter

_N_PICTURES = 10
_WIDTH_PX, _HEIGHT_PX = 640, 480
_STALL_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class DeviceCheck:
    """How one device did: its name, seconds from the first picture to the last, what was wrong."""

    title: str
    duration_s: float
    problem: str | None


def check_devices() -> tuple[tuple[str, ...], tuple[DeviceCheck, ...]]:
    """Return the kinds of devices that PyAV offers, and a check of the processor and of each here.

    Raises
    ------
    UbereportError
        If ten pictures can be neither written nor read.
    """
    offered = devices_offered()
    with tempfile.TemporaryDirectory() as folder:
        request = _request(_recording(Path(folder) / "ten.mp4"))
        config = DecodeConfig(stall_timeout_s=_STALL_TIMEOUT_S)
        truth = try_device(request, config, None)
        checks = [DeviceCheck("processor", truth.duration_s, truth.failure)]
        for device in devices_here(offered):
            trial = try_device(request, config, device)
            is_equal = np.array_equal(trial.rgb, truth.rgb)
            problem = None if is_equal else "its pictures differ from the processor's"
            checks.append(DeviceCheck(device, trial.duration_s, trial.failure or problem))
    return offered, tuple(checks)


def _recording(path: Path) -> Path:
    """Write ten pictures in which everything moves."""
    rows, columns = np.mgrid[0:_HEIGHT_PX, 0:_WIDTH_PX]
    with VideoWriter(path, EncoderSpec(_WIDTH_PX, _HEIGHT_PX, 25, options={"bf": "2"})) as writer:
        for number in range(_N_PICTURES):
            levels = [columns + 20 * number, rows - 10 * number, rows + columns]
            writer.write(np.stack(levels, axis=2).astype(np.uint8))
    return path


def _request(path: Path) -> DecodeRequest:
    part = index_part(path, DecodeConfig())
    frames = np.arange(_N_PICTURES)
    return DecodeRequest(part, 0, frames, frames, part.time_s, None, _HEIGHT_PX, _WIDTH_PX)
