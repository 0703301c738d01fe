"""Which graphics device decodes a part, if any: tried on its own first pictures, never believed.

A device is taken where all of this holds: its driver is here, the stream is of a kind that such
devices decode, the recording shows no damage, and the first pictures asked for come out byte for
byte as from the processor. `auto` wants it to have been faster with them, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubereport.core.arrays import BoolArray, IntArray, RgbArray
from ubereport.core.choices import DecodeDevice
from ubereport.core.recording import PartIndex
from ubereport.video.packets import is_counted
from ubereport.video.process_shares import groups_of

DAMAGE_SEEN = "it met damage, which a graphics device hides"
_MAX_CARDS = 4
# `auto` changes to a device for a clear gain alone: a trial of some pictures has noise, and a
# device has risks that the processor has not.
_MIN_GAIN = 1.25
# Below, starting a device costs more than it can win: a hundred seconds at 30 Hz.
_MIN_DECODED = 3000
# Keyframes alone are single pictures between seeks: there the processor starts faster than any
# device.
_MAX_KEY_SHARE = 0.5
_FORMATS = {
    "h264": ("yuv420p", "yuvj420p"),
    "hevc": ("yuv420p", "yuvj420p", "yuv420p10le"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What became of some pictures: (n, height, width, 3), how long they took, what failed.

    `duration_s` is from the first picture to the last: starting is paid once.
    """

    rgb: RgbArray
    is_sound: bool
    duration_s: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device that decodes, None for the processor, and why; `why` is empty if none was asked.

    `refuse` is told where the device failed.
    """

    device: str | None
    why: str
    refuse: Callable[[str], None]


def devices_here(offered: tuple[str, ...], root: Path = Path("/")) -> tuple[str, ...]:
    """Return the devices whose drivers this system has, such as "cuda:0" and "cuda:1".

    Only looks at files: whether a device decodes shows when it is tried.

    Parameters
    ----------
    offered
        Kinds that the decoder was built for, see `ubereport.video.pyav.devices_offered`.
    root
        Folder under which the system's files lie.
    """
    # Files are looked at: asking the driver would load it, also for all cases that need none.
    n_cards = len(list(root.glob("proc/driver/nvidia/gpus/*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        n_cards = min(n_cards, len([name for name in visible.split(",") if name.strip()]))
    is_rendering = any(root.glob("dev/dri/renderD*"))
    present = {
        DecodeDevice.CUDA: [f"cuda:{n}" for n in range(min(n_cards, _MAX_CARDS))],
        DecodeDevice.QSV: ["qsv"] * is_rendering,
        DecodeDevice.VAAPI: ["vaapi"] * is_rendering,
        DecodeDevice.VIDEOTOOLBOX: ["videotoolbox"] * (sys.platform == "darwin"),
        DecodeDevice.D3D11VA: ["d3d11va"] * (sys.platform == "win32"),
    }
    return tuple(name for kind, names in present.items() if kind in offered for name in names)


def why_no_device(part: PartIndex) -> str | None:
    """Say why no graphics device may decode `part`; None if one may try.

    A device hides damage, so that a recording with any sign of it is the processor's. Interlaced
    pictures come out of devices in more than one way, 4:2:2 and H.264 of 10 bits out of few.
    """
    video = part.video
    obstacles = (
        (video.codec not in _FORMATS, f"{video.codec} video"),
        (
            video.pixel_format not in _FORMATS.get(video.codec, (video.pixel_format,)),
            f"{video.codec} video in {video.pixel_format}",
        ),
        (video.is_interlaced, "interlaced pictures"),
        (is_counted(video.container, video.codec), "pictures without a clock"),
        (part.n_clock_jumps > 0 or part.n_dropped_packets > 0, "an irregular clock"),
        (part.missing_tail_s > 0 or bool(part.gaps), "an incomplete recording"),
        (any("damaged places" in note for note in part.notes), "a damaged recording"),
    )
    obstacle = next((what for is_found, what in obstacles if is_found), None)
    return None if obstacle is None else f"graphics devices are not trusted with {obstacle}"


def n_decoded(is_key: BoolArray, wanted: IntArray) -> int:
    """Return how many pictures have to be decoded to see those `wanted` (n,) of a part."""
    groups = groups_of(is_key, wanted)
    last = np.flatnonzero(np.diff(groups, append=-1))
    starts = np.concatenate([[0], np.flatnonzero(is_key)])
    return int(np.sum(wanted[last] - starts[groups[last]] + 1))


class CaseDevices:
    """Remembers for one case which device may decode which part, and that one failed.

    Parameters
    ----------
    offered
        Names the kinds of devices that the decoder was built for.
    here
        Names the devices whose drivers are here, of those.
    """

    def __init__(
        self,
        offered: Callable[[], tuple[str, ...]],
        here: Callable[[tuple[str, ...]], tuple[str, ...]] = devices_here,
    ) -> None:
        self._offered = offered
        self._here = here
        self._failure: str | None = None
        self._verdicts: dict[str, tuple[str | None, str]] = {}

    def choose(
        self,
        part: PartIndex,
        wanted: IntArray,
        asked: DecodeDevice,
        trial: Callable[[str | None], Trial],
    ) -> DeviceChoice:
        """Choose what decodes the pictures `wanted` (n,) of a part.

        Parameters
        ----------
        asked
            What the settings say.
        trial
            Decodes the first pictures wanted on a device, or on the processor if None.
        """
        device, why = self._chosen(part, wanted, asked, trial)
        return DeviceChoice(device, why, self.refuse)

    def refuse(self, failure: str) -> None:
        """Leave everything that follows in this case to the processor; the first reason is kept."""
        self._failure = self._failure or failure

    def _chosen(
        self,
        part: PartIndex,
        wanted: IntArray,
        asked: DecodeDevice,
        trial: Callable[[str | None], Trial],
    ) -> tuple[str | None, str]:
        if asked is DecodeDevice.CPU or len(wanted) == 0:
            return None, ""
        offered = self._offered()
        here = self._here(offered)
        if asked is DecodeDevice.AUTO:
            is_worth_it = n_decoded(part.is_key, wanted) >= _MIN_DECODED
            if not here or not is_worth_it:
                return None, ""
        else:
            here = tuple(name for name in here if name.partition(":")[0] == asked)
        # Cheapest questions first: did a device fail in this case, may one be trusted with such a
        # part, is there one, would it pay. Only then pictures are decoded twice to compare them.
        obstacle = self._failure or why_no_device(part) or _absence(asked, offered, here)
        if obstacle is None and np.mean(part.is_key[wanted]) > _MAX_KEY_SHARE:
            obstacle = "keyframes cost it less than starting a device"
        if obstacle is not None:
            return None, f"PyAV on the processor, because {obstacle}."
        # Once a recording and not once a request: adaptive sampling asks many times for the same
        # part.
        if part.sha256 not in self._verdicts:
            self._verdicts[part.sha256] = _tried(here, asked, trial)
        return self._verdicts[part.sha256]


def _absence(asked: DecodeDevice, offered: tuple[str, ...], here: tuple[str, ...]) -> str | None:
    if here:
        return None
    if asked not in offered:
        return f"{asked} was asked for and the installed PyAV offers {_listed(offered)}"
    return f"{asked} was asked for and no driver for it is here"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "no device"


def _tried(
    here: tuple[str, ...], asked: DecodeDevice, trial: Callable[[str | None], Trial]
) -> tuple[str | None, str]:
    """Decode the first pictures on every device and on the processor, and compare."""
    # The processor goes first: where it sees damage no device is tried, since equal pictures would
    # then prove nothing.
    truth = trial(None)
    if not truth.is_sound:
        return None, f"PyAV on the processor, because {DAMAGE_SEEN}."
    tried = [(name, trial(name)) for name in here]
    # A device is believed where its first pictures are the processor's own, byte for byte; unasked
    # it is taken only where it is clearly faster, since timings of a moment waver.
    good = [
        (run.duration_s, name)
        for name, run in tried
        if run.failure is None and np.array_equal(run.rgb, truth.rgb)
    ]
    if not good:
        name, run = tried[0]
        what = run.failure or f"the pictures of {_kind(name)} differ from its own"
        return None, f"PyAV on the processor, because {what}."
    duration_s, name = min(good)
    if asked is not DecodeDevice.AUTO:
        return name, f"PyAV on {_kind(name)}, which was asked for."
    if duration_s * _MIN_GAIN > truth.duration_s:
        return None, f"PyAV on the processor, which measured no slower here than {_kind(name)}."
    return name, f"PyAV on {_kind(name)}, which measured faster here than the processor."


def _kind(device: str) -> str:
    return device.partition(":")[0]
