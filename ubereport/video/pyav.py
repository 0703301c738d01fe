"""The only door to PyAV: packets, pictures by presentation time stamp, and encoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
from av.codec.context import Flags as CodecFlags
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container.input import InputContainer
from av.packet import Packet as Packet  # others name it from here: this is the only door
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame as VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream as VideoStream

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import DecodeError, RecordingFormatError

FfmpegError = av.FFmpegError
Source = str | IO[bytes]
Decoded = tuple[list[VideoFrame], bool]

_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# ISO/IEC 23091-2 code points by the names used in `VideoFormat.color_matrix`.
_MATRIX_CODES = {"bt709": 1, "bt601": 6, "bt2020": 9, "unspecified": 2}
_SWS_MATRICES = {
    "bt709": Colorspace.ITU709,
    "bt601": Colorspace.ITU601,
    "bt2020": Colorspace.BT2020,
}
# What devices hand back, and the processor's layout of the same numbers. They are put into that
# layout first: FFmpeg's converters to RGB differ by layout, by up to 137 levels at chroma edges.
_PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
_RANGES = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}
# Containers of recordings. Play lists, image sequences and devices, which reach beyond the file
# itself, are left out on purpose.
_CONTAINERS = (
    "mov,mp4,matroska,webm,mpegts,mpegtsraw,mpeg,avi,asf,flv,mpegvideo,h264,hevc,m4v,mxf,ogg,"
    "dv,obu,ivf,av1"
)
_BOTTOM_FIRST = (3, 4)  # AV_FIELD_BB, AV_FIELD_TB
_SINGLE_PICTURES = ("h264", "hevc")
_MAX_READ_ERRORS = 32
# Without these MPEG-4 and WMV decoders pass over most bit errors in silence.
_STRICT = "crccheck+bitstream+buffer+careful+compliant"


def speak_on_stderr() -> None:
    """Let FFmpeg write its errors to standard error; for the decoding process only."""
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)


class OpenStream:
    """One video stream of one file, opened with every door but the file itself shut.

    Parameters
    ----------
    source
        Path or open binary file.
    stream_index
        Which stream of the file; the largest one unless given.
    max_pixels
        Pictures with more pixels are refused before memory is taken for them.
    n_threads
        Decoder threads.
    device
        Which graphics device decodes, such as "cuda" or "cuda:1"; the processor if None.

    Raises
    ------
    RecordingFormatError
        If the file is no recording that FFmpeg reads or holds no video.
    DecodeError
        If the device cannot be opened or does not decode such a stream.
    """

    def __init__(
        self,
        source: Source,
        stream_index: int | None,
        max_pixels: int,
        n_threads: int,
        device: str | None = None,
    ) -> None:
        options = {"max_pixels": str(max_pixels), "err_detect": _STRICT}
        # DICOM and other wrapped files come as an open file whose position somebody may have moved.
        if not isinstance(source, str):
            source.seek(0)
        try:
            self._container: InputContainer = av.open(
                # The prefix keeps FFmpeg from reading a protocol out of a file name such as
                # http:case.mp4.
                f"file:{source}" if isinstance(source, str) else source,
                mode="r",
                options=options,
                container_options={
                    "format_whitelist": _CONTAINERS,
                    "protocol_whitelist": "file",
                },
                # Tags of recorders are in any encoding; they are never read, so they must not stop
                # anybody.
                metadata_errors="ignore",
                hwaccel=None if device is None else _acceleration(device),
            )
        except RuntimeError:
            raise DecodeError(f"does not decode such a stream on {device}") from None
        except (FfmpegError, OSError, ValueError) as error:
            if device is not None:  # the file has been indexed: it is the device
                raise DecodeError(f"cannot open {device} ({_reason(error)})") from None
            raise RecordingFormatError(
                f"is no recording that can be read ({_reason(error)}). "
                "Give a video file; if its end is missing, ask the recorder for a repaired copy."
            ) from None
        self.stream = _pick(self._container, stream_index)
        for other in self._container.streams:
            if other.index != self.stream.index:
                # Sound and second streams are not even parsed: their damage is nobody's business
                # here, and skipping them saves reading.
                other.discard = Discard.all
        context = self.stream.codec_context
        if device is not None and not context.is_hwaccel:
            raise DecodeError(f"does not decode such a stream on {device}")
        context.options = options
        context.thread_count = n_threads
        # Frame threads hand pictures out late and are used for long groups alone, see
        # `share_pictures`.
        context.thread_type = "FRAME" if n_threads > 1 else "SLICE"
        self.container_name = self._container.format.name
        self.time_base_s = Fraction(self.stream.time_base or Fraction(1, 90000))
        self.n_read_errors = 0
        self._device = device

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    @property
    def n_moving_streams(self) -> int:
        """How many video streams the file holds, attached pictures not counted."""
        return sum(1 for stream in self._container.streams.video if _is_moving(stream))

    def container_duration_s(self) -> float | None:
        """Length that the container's header claims for everything in it."""
        return None if self._container.duration is None else self._container.duration / 1e6

    def seek(self, pts: int) -> bool:
        """Go near the keyframe at or before `pts`; return whether that could be done."""
        try:
            # A container without an index, a time beyond it, a number too large: all mean the same
            # here. It cannot be done, and whoever asked reads on from the start.
            self._container.seek(pts, stream=self.stream, backward=True)
        except (FfmpegError, OSError, OverflowError):
            return False
        return True

    def flush(self) -> None:
        """Make the decoder forget what it holds."""
        self.stream.codec_context.flush_buffers()

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield packets in file order; go on over damaged places, end after too many at once."""
        n_errors = 0
        while n_errors < _MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self.stream):
                    n_errors = 0
                    if packet.size > 0:
                        yield packet
                return
            except EOFError:
                return
            except FfmpegError:
                n_errors += 1
                self.n_read_errors += 1

    def decode(self, packet: Packet[VideoStream] | None, is_wanted: bool = True) -> Decoded:
        """Decode a packet, or what is held back if None.

        A picture that is not wanted, and that no other one builds on, is left out.

        Returns
        -------
        frames : list
            Pictures that are ready, in presentation order.
        is_damaged : bool
            Whether the decoder refused the packet.

        Raises
        ------
        MemoryError
            If memory ran out.
        DecodeError
            If a graphics device refused the packet.
        """
        self.stream.codec_context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
        try:
            return list(self.stream.decode(packet)), False
        except EOFError:
            return [], False
        except FfmpegError as error:
            if self._device is not None:
                raise DecodeError(f"lost {self._device} ({_reason(error)})") from None
            if isinstance(error, MemoryError):
                raise MemoryError("the decoder ran out of memory") from None
            return [], True

    @property
    def has_single_pictures(self) -> bool:
        """Whether each packet is one whole picture for certain, so that it can be left out."""
        coded = self.stream.codec_context
        return coded.name in _SINGLE_PICTURES and coded.field_order < 2

    @property
    def is_bottom_first(self) -> bool:
        """Whether the bottom field of an interlaced picture is shown first."""
        return self.stream.codec_context.field_order in _BOTTOM_FIRST


def devices_offered() -> tuple[str, ...]:
    """Return the kinds of graphics devices that this FFmpeg was built to decode on."""
    return tuple(hwdevices_available())


def _acceleration(device: str) -> HWAccel:
    kind, _, number = device.partition(":")
    return HWAccel(kind, number or None, allow_software_fallback=False)


def _pick(container: InputContainer, stream_index: int | None) -> VideoStream:
    candidates = [s for s in container.streams.video if _is_moving(s)]
    if stream_index is not None:
        candidates = [s for s in candidates if s.index == stream_index]
    if not candidates:
        kinds = sorted({s.type for s in container.streams})
        held = " and ".join(kinds) if kinds else "nothing"
        raise RecordingFormatError(
            f"holds no video stream that can be decoded, only {held}. "
            "Give the file with the pictures."
        )
    # The largest picture is the endoscope's; of equal ones the first in the file, so that the
    # choice is the same on every machine.
    return max(candidates, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))


def _is_moving(stream: VideoStream) -> bool:
    # A cover picture or a thumbnail is a video stream to FFmpeg, sometimes the largest of the file.
    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return stream.codec_context is not None and not stream.disposition & still


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def to_rgb(frame: VideoFrame, color_matrix: str, color_range: str) -> RgbArray:
    """Convert a picture to (H, W, 3) uint8 full-range RGB.

    Parameters
    ----------
    frame
        Picture of any pixel format.
    color_matrix
        "bt601", "bt709", "bt2020" or "rgb" for pictures stored as RGB.
    color_range
        "limited" or "full".
    """
    is_rgb = frame.format.is_rgb
    planar = _PLANAR.get(frame.format.name)
    if planar is not None:
        frame = frame.reformat(format=planar, threads=1)
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=None if is_rgb else _SWS_MATRICES.get(color_matrix, Colorspace.ITU709),
        src_color_range=None if is_rgb else _RANGES[color_range],
        dst_color_range=ColorRange.JPEG,
        # The plain converter: decord uses the same, so that both readers agree byte for byte;
        # exact rounding would cost five times as much and move colors by one level.
        interpolation=Interpolation.BILINEAR,
        threads=1,
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)


class FieldPicker:
    """Take the field that is shown first out of interlaced pictures.

    The picture then shows one moment, the one that its time stamp names, at half the lines.
    Blending both fields would smear a moving edge over two moments, and conversion of the whole
    picture would mix their colors, since 4:2:0 chroma lines belong to fields.
    """

    def __init__(self, is_bottom_first: bool) -> None:
        self._kind = "bottom" if is_bottom_first else "top"
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def first_field(self, frame: VideoFrame) -> VideoFrame:
        """Return the field shown first as a picture of half the height."""
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 90000),
            )
            picker = graph.add("field", f"type={self._kind}")
            sink = graph.add("buffersink")
            source.link_to(picker)
            picker.link_to(sink)
            graph.configure()
            self._graph, self._shape = graph, shape
        self._graph.push(frame)
        field_frame = self._graph.pull()
        if not isinstance(field_frame, VideoFrame):
            raise TypeError("the field filter gave no picture")
        return field_frame


@dataclass(frozen=True, slots=True)
class ColorTag:
    """How RGB becomes YUV, and whether the file says so.

    `matrix` is "bt709" or "bt601"; `color_range` is "limited" or "full".
    """

    matrix: str = "bt709"
    color_range: str = "limited"
    is_tagged: bool = True


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """How pictures are stored, as FFmpeg names it.

    Parameters
    ----------
    width_px, height_px
        Size of every picture; both even unless `pixel_format` keeps full chroma.
    rate_hz
        Nominal frame rate.
    codec
        Encoder, such as "libx264", "libx265", "mpeg2video", "mpeg4", "wmv2", "libsvtav1".
    pixel_format
        Such as "yuv420p", "yuv422p", "yuv420p10le".
    options
        Encoder options, such as ``{"crf": "20", "g": "30", "bf": "2"}``.
    container_options
        Muxer options, such as ``{"movflags": "faststart"}``.
    time_base_s
        Seconds of one PTS tick; one frame period unless given.
    rotation_deg
        Counterclockwise rotation that a player must apply, written as a display matrix.

    Raises
    ------
    ValueError
        If the frame rate is not positive.
    """

    width_px: int
    height_px: int
    rate_hz: Fraction | int
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    color: ColorTag = ColorTag()
    rotation_deg: int = 0
    sample_aspect_ratio: Fraction = Fraction(1)
    n_threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    time_base_s: Fraction | None = None

    def __post_init__(self) -> None:
        if self.rate_hz <= 0:
            raise ValueError(f"frame rate of {self.rate_hz}; it must be positive")

    @property
    def tick_s(self) -> Fraction:
        """Seconds of one PTS tick."""
        return self.time_base_s or 1 / Fraction(self.rate_hz)


class Encoder:
    """One video stream into one file, without metadata, the same bytes for the same pictures.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the codec or the container is unknown.
    FfmpegError
        If the encoder refuses the size, the pixel format or an option.
    """

    def __init__(self, path: Path, spec: EncoderSpec) -> None:
        self._spec = spec
        path.open("wb").close()  # FFmpeg would report an unwritable place only at the first packet
        self._container = av.open(
            str(path), mode="w", container_options={"fflags": "+bitexact", **spec.container_options}
        )
        try:
            stream = self._container.add_stream(
                spec.codec, rate=Fraction(spec.rate_hz), options=dict(spec.options)
            )
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{spec.codec} encodes no pictures")
            self._stream = stream
            self._configure()
        except BaseException:
            self._container.close()
            raise

    def _configure(self) -> None:
        spec, context = self._spec, self._stream.codec_context
        context.width, context.height = spec.width_px, spec.height_px
        context.pix_fmt = spec.pixel_format
        context.time_base = spec.tick_s
        context.sample_aspect_ratio = spec.sample_aspect_ratio
        context.thread_count = spec.n_threads
        context.flags |= CodecFlags.bitexact.value
        self._stream.time_base = spec.tick_s
        if spec.color.is_tagged:
            code = _MATRIX_CODES[spec.color.matrix]
            context.colorspace = context.color_primaries = context.color_trc = code
            context.color_range = _RANGES[spec.color.color_range]
        if spec.rotation_deg:
            self._stream.set_display_rotation(spec.rotation_deg)

    def write(self, rgb: RgbArray, pts: int) -> None:
        """Encode one (H, W, 3) uint8 full-range RGB picture shown at tick `pts`."""
        spec = self._spec
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format=spec.pixel_format,
            dst_colorspace=_SWS_MATRICES[spec.color.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=_RANGES[spec.color.color_range],
            interpolation=_EXACT,
            threads=1,
        )
        frame.pts, frame.time_base = pts, spec.tick_s
        frame.pict_type = 0
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is still held back and the end of the file."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def abort(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()


def repeat_packets(path: Path, target: Path, n_times: int, period_s: Fraction) -> None:
    """Write a recording `n_times` in a row without encoding it again: hours cost minutes.

    Parameters
    ----------
    path, target
        A recording without reordered pictures, and the MP4 file to write.
    period_s
        Its length, after which its pictures start again.

    Raises
    ------
    ValueError
        If `period_s` is no whole number of its ticks.
    OSError
        If a file cannot be read or written.
    """
    with (
        av.open(str(path)) as recording,
        av.open(str(target), mode="w", container_options={"fflags": "+bitexact"}) as output,
    ):
        source = recording.streams.video[0]
        stream = output.add_stream_from_template(source)
        period = period_s / (source.time_base or Fraction(1))
        if period.denominator != 1:
            raise ValueError(f"{period_s} s is no whole number of the recording's ticks")
        packets = [packet for packet in recording.demux(source) if packet.size > 0]
        for shift in range(0, n_times * int(period), int(period)):
            for packet in packets:
                # Muxing takes a packet over, so that each turn gets a copy.
                copied = Packet(bytes(packet))
                copied.pts, copied.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
                copied.duration, copied.time_base = packet.duration, packet.time_base
                copied.is_keyframe, copied.stream = packet.is_keyframe, stream
                output.mux(copied)
