"""What every reader is asked and answers, and which reader suits which recording."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, IntArray, RgbArray
from ubereport.core.choices import DecodeDevice, ReaderChoice, SamplingMode
from ubereport.core.frames import PixelBox
from ubereport.core.recording import PartIndex, VideoFormat
from ubereport.video.packets import is_counted

if TYPE_CHECKING:
    # A decoding process is started for every part; records of cases would be a third of its start.
    from ubereport.core.case import PartSummary

READERS = {
    "pyav": "ubereport.video.pyav_reader:read_pictures",
    "decord": "ubereport.video.decord:read_pictures",
    **{
        f"pyav-{device}": "ubereport.video.pyav_reader:read_on_device"
        for device in DecodeDevice
        if device not in (DecodeDevice.AUTO, DecodeDevice.CPU)
    },
}
_HD_HEIGHT_PX = 720
_HD_WIDTH_PX = 1280
# Where the contract suite found decord's seeking exact to the picture.
_EXACT_CONTAINERS = ("mov,mp4", "matroska")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded picture: (height_px, width_px, 3) uint8 RGB, upright, cropped and scaled."""

    rgb: RgbArray
    is_corrupt: bool


@dataclass(frozen=True, slots=True, eq=False)
class ReadRequest:
    """Everything a reader needs to know; made of plain values, so that it can be sent.

    Parameters
    ----------
    path
        The recording.
    stream_index
        Which stream of the file.
    is_counted, has_resets
        Whether pictures are found by counting, or the clock is set back somewhere: then only
        reading from the start finds them.
    color_matrix, color_range
        As `color_rule` says.
    rotation_deg
        Counterclockwise rotation that makes pictures upright.
    source_width_px, source_height_px
        Size of an upright picture, to which `crop` refers.
    crop
        (left, top, right, bottom) in upright source pixels.
    width_px, height_px
        Size to scale the crop to.
    n_threads, max_pixels
        Bounds for the decoder.
    time_base
        (numerator, denominator) seconds of a tick.
    pts, is_key
        (n,) the part's whole index.
    wanted
        (m,) frame indices to read, strictly increasing.
    device
        Which graphics device decodes, such as "cuda:1"; the processor if None.
    """

    path: str
    stream_index: int
    is_counted: bool
    has_resets: bool
    color_matrix: str
    color_range: str
    rotation_deg: int
    source_width_px: int
    source_height_px: int
    crop: tuple[int, int, int, int]
    width_px: int
    height_px: int
    n_threads: int
    max_pixels: int
    time_base: tuple[int, int]
    pts: IntArray
    is_key: BoolArray
    wanted: IntArray
    device: str | None = None

    def to_message(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain values and arrays, for `ubereport.video.process_messages.pack`."""
        arrays = {name: getattr(self, name) for name in ("pts", "is_key", "wanted")}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in arrays}
        return plain, arrays

    @classmethod
    def from_message(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Undo `to_message`."""
        tuples: dict[str, Any] = {name: tuple(plain[name]) for name in ("crop", "time_base")}
        return cls(**{**plain, **arrays, **tuples})

    @property
    def time_base_s(self) -> Fraction:
        """Seconds of one tick."""
        return Fraction(*self.time_base)


def device_reader(device: str) -> str:
    """Return the key of `READERS` for a device such as "cuda:1"."""
    return f"pyav-{device.partition(':')[0]}"


class PictureReader(Protocol):
    """A reader is one function."""

    def __call__(
        self,
        request: ReadRequest,
        take_complaints: Callable[[], int],
        on_progress: Callable[[], None],
    ) -> Iterator[Picture | None]:
        """Yield a `Picture`, or None where it cannot be decoded, for each one wanted, in order.

        What is loaded before the iterator is returned does not count as memory that decoding takes.
        `take_complaints` returns how many errors FFmpeg reported since it was last called;
        `on_progress` must be called at least every few seconds. A reader raises where it cannot
        go on at all.
        """


def upright_size(video: VideoFormat | PartSummary) -> tuple[int, int]:
    """Return (width, height) in pixels of the picture as displayed.

    The rotation is applied, the sample aspect ratio is not: pixels stay as stored.
    """
    if video.rotation_deg in (90, 270):
        return video.height_px, video.width_px
    return video.width_px, video.height_px


def color_rule(video: VideoFormat | PartSummary) -> tuple[str, str]:
    """Return (matrix, range) by which pictures become RGB, the one rule of all readers.

    What the stream says is taken. Where it says nothing: BT.709 from 1280 × 720 on, BT.601
    below; limited range unless flagged full.
    """
    is_hd = video.height_px >= _HD_HEIGHT_PX or video.width_px >= _HD_WIDTH_PX
    matrix = video.color_matrix
    if matrix not in ("bt601", "bt709", "bt2020", "rgb"):
        matrix = "bt709" if is_hd else "bt601"
    return matrix, "full" if video.color_range == "full" else "limited"


def read_request(
    part: PartIndex,
    wanted: IntArray,
    crop: PixelBox | None,
    size_px: tuple[int, int],
    n_threads: int,
    max_pixels: int,
) -> ReadRequest:
    """Build the request for frames `wanted` of `part`, scaled to `size_px` (height, width).

    Raises
    ------
    ValueError
        If `wanted` does not increase or reaches beyond the part, or the crop beyond the picture.
    """
    width_px, height_px = upright_size(part.video)
    box = PixelBox(0, 0, width_px, height_px) if crop is None else crop
    if box.right_px > width_px or box.bottom_px > height_px:
        raise ValueError(f"{box} reaches beyond the picture of {width_px} × {height_px} px")
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= part.n_frames):
        raise ValueError(f"frames {wanted[0]} to {wanted[-1]} of a part with {part.n_frames}")
    if np.any(np.diff(wanted) <= 0):
        raise ValueError("frame indices must increase")
    matrix, color_range = color_rule(part.video)
    return ReadRequest(
        path=str(part.path),
        stream_index=part.stream_index,
        is_counted=is_counted(part.video.container, part.video.codec),
        has_resets=part.n_clock_resets > 0,
        color_matrix=matrix,
        color_range=color_range,
        rotation_deg=part.video.rotation_deg,
        source_width_px=width_px,
        source_height_px=height_px,
        crop=(box.left_px, box.top_px, box.right_px, box.bottom_px),
        width_px=size_px[1],
        height_px=size_px[0],
        n_threads=n_threads,
        max_pixels=max_pixels,
        time_base=(part.time_base_s.numerator, part.time_base_s.denominator),
        pts=part.pts,
        is_key=part.is_key,
        wanted=wanted,
    )


def why_not_decord(part: PartIndex) -> str | None:
    """Say why decord must not read `part`, or None if it reads it exactly.

    The conditions are those under which decord gave the same pictures and colors as PyAV in the
    contract suite (``tests/contract``).
    """
    video = part.video
    is_hd = video.height_px >= _HD_HEIGHT_PX or video.width_px >= _HD_WIDTH_PX
    is_tagged = video.color_matrix in ("bt601", "bt709") and video.color_range != "unspecified"
    is_sd_default = (video.color_matrix, is_hd, video.color_range) in (
        ("unspecified", False, "unspecified"),
        ("unspecified", False, "limited"),
    )
    obstacles = (
        (video.codec != "h264", f"{video.codec} video"),
        (video.rotation_deg != 0, "rotated pictures"),
        (not bool(part.is_key[0]), "a start without a keyframe"),
        (not video.container.startswith(_EXACT_CONTAINERS), "this container"),
        (video.bit_depth != 8, f"{video.bit_depth}-bit pictures"),
        (video.pixel_format not in ("yuv420p", "yuvj420p"), f"{video.pixel_format} pictures"),
        (video.is_interlaced, "interlaced pictures"),
        (not (is_tagged or is_sd_default), "colors without a tag at this size"),
        (part.n_clock_jumps > 0 or part.n_dropped_packets > 0, "an irregular clock"),
        (part.missing_tail_s > 0 or bool(part.gaps), "an incomplete recording"),
        (part.has_open_gops, "open groups of pictures"),
        (any("video streams" in note for note in part.notes), "several video streams"),
    )
    obstacle = next((what for is_found, what in obstacles if is_found), None)
    return None if obstacle is None else f"decord is not exact on {obstacle}"


def is_decord_usable(part: PartIndex) -> bool:
    """Whether decord is installed and reads `part` exactly."""
    return why_not_decord(part) is None and importlib.util.find_spec("decord") is not None


def choose_reader(part: PartIndex, mode: SamplingMode, choice: ReaderChoice) -> tuple[str, str]:
    """Choose who decodes a part.

    Left to itself the choice is PyAV. Measured on 60 s of 1280 × 720 H.264 at 30 Hz and 8 Mb/s,
    keyframes 2 s apart, three runs in turn on two threads: two pictures a second took PyAV
    13.7–13.9 s of processor time and decord 16.2–16.8 s, keyframes 1.9–2.2 s and 3.9–4.2 s; PyAV
    skips what lies behind the last picture wanted of a group. PyAV's memory is flat, decord's
    grows to several groups of decoded pictures when the network is slower than the decoder, and
    PyAV tells which pictures are damaged. decord reads on request, and goes on where PyAV fails.

    Parameters
    ----------
    part
        Index of the part.
    mode
        How pictures are chosen.
    choice
        What was asked for.

    Returns
    -------
    name : str
        A key of `READERS`.
    why : str
        One sentence for the record.
    """
    if choice is ReaderChoice.PYAV:
        return "pyav", "PyAV was asked for."
    obstacle = why_not_decord(part)
    if obstacle is None and importlib.util.find_spec("decord") is None:
        obstacle = "decord is not installed"
    if choice is not ReaderChoice.AUTO:
        if obstacle is None:
            return choice.value, f"{choice.value} was asked for."
        return "pyav", f"{choice.value} was asked for, but {obstacle}; PyAV reads it."
    if obstacle is not None:
        return "pyav", f"PyAV, because {obstacle}."
    if mode is SamplingMode.UNIFORM:
        return "pyav", "PyAV, because it takes a sixth less processor time than decord here."
    return "pyav", "PyAV, because it decodes keyframes in half the processor time of decord."
