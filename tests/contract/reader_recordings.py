"""Recordings that show their own presentation time as a bar code, in every form there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from ubereport.video.pyav import ColorTag, EncoderSpec
from ubereport.video.writer import VideoWriter

WIDTH, HEIGHT = 160, 128
N_BITS = 20
_COLUMNS, _BLOCK = 10, 16
_GRID_HEIGHT = 2 * _BLOCK

CODE_SECONDS = 2 ** (N_BITS - 1) / 1000


def draw(time_s: float, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture with `time_s` in milliseconds as a bar code and a moving scene below it."""
    milliseconds = round(time_s * 1000)
    bits = [(milliseconds >> bit) & 1 for bit in range(N_BITS)]
    cells = np.array(bits, dtype=np.uint8).reshape(2, _COLUMNS) * 200 + 25
    code = np.kron(cells, np.ones((height // 8, width // _COLUMNS), dtype=np.uint8))
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    columns = np.arange(width)
    rows = np.arange(height)[:, None]
    rgb[..., 0] = (columns + 3 * rows + milliseconds // 7) % 200 + 20
    rgb[..., 1] = (2 * columns + milliseconds // 11) % 120
    rgb[..., 2] = (rows + milliseconds // 5) % 90
    rgb[: code.shape[0], : code.shape[1]] = code[..., None]
    return rgb


def read_code(rgb: np.ndarray) -> float:
    """Seconds shown by the bar code of a (H, W, 3) picture of any size; raise if unclear."""
    height, width = rgb.shape[:2]
    down, across = height / 8, width / _COLUMNS
    value = 0
    for bit in range(N_BITS):
        row, column = divmod(bit, _COLUMNS)
        y, x = int((row + 0.5) * down), int((column + 0.5) * across)
        reach = max(1, int(min(down, across) / 5))
        level = float(rgb[y - reach : y + reach, x - reach : x + reach].mean())
        if 90 < level < 160:
            raise ValueError(f"bit {bit} is neither black nor white: {level}")
        value |= (level > 125) << bit
    return value / 1000


@dataclass(frozen=True)
class Spec:
    """How to make one recording; `ticks` are PTS in `time_base_s`."""

    suffix: str
    codec: str = "libx264"
    ticks: Sequence[int] = tuple(range(60))
    time_base_s: Fraction = Fraction(1, 25)
    rate_hz: Fraction = Fraction(25)
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    rotation_deg: int = 0
    is_interlaced: bool = False
    n_hidden: int = 0
    color: ColorTag = field(default_factory=ColorTag)

    def time_s(self, number: int) -> float:
        """Seconds from the first visible picture."""
        return float((self.ticks[number] - self.ticks[self.n_hidden]) * self.time_base_s)


GOP = {"g": "12", "bf": "2"}
X264 = {**GOP, "preset": "veryfast"}
_rng = np.random.default_rng(7)
_VARIABLE_MS = tuple(int(t) for t in np.cumsum(_rng.integers(15, 180, size=60)))
_VARIABLE_90K = tuple(int(t) for t in np.cumsum(_rng.integers(1500, 12000, size=60)))
_X265 = {"x265-params": "log-level=none:pools=none:frame-threads=1:keyint=12:min-keyint=12"}

SPECS: dict[str, Spec] = {
    "constant_rate_mp4": Spec(".mp4", options=X264),
    "faststart_mp4": Spec(".mp4", options=X264, container_options={"movflags": "faststart"}),
    "rate_29_97_mp4": Spec(
        ".mp4", time_base_s=Fraction(1001, 30000), rate_hz=Fraction(30000, 1001), options=X264
    ),
    "variable_rate_mkv": Spec(
        ".mkv", ticks=_VARIABLE_MS, time_base_s=Fraction(1, 1000), options=X264
    ),
    "variable_rate_mp4": Spec(
        ".mp4", ticks=_VARIABLE_90K, time_base_s=Fraction(1, 90000), options=X264
    ),
    "offset_start_mp4": Spec(".mp4", ticks=tuple(range(100, 160)), options=X264),
    "offset_start_mkv": Spec(".mkv", ticks=tuple(range(175, 235)), options=X264),
    "edit_list_mp4": Spec(
        ".mp4",
        ticks=tuple(range(-5, 55)),
        options=X264,
        container_options={"avoid_negative_ts": "disabled"},
        n_hidden=5,
    ),
    "open_gop_mp4": Spec(
        ".mp4",
        options={**X264, "x264-params": "open-gop=1:b-pyramid=2:scenecut=0"},
    ),
    "open_gop_ts": Spec(
        ".ts",
        options={**X264, "x264-params": "open-gop=1:b-pyramid=2:scenecut=0"},
    ),
    "late_start_ts": Spec(".ts", ticks=tuple(range(3601 * 25, 3601 * 25 + 60)), options=X264),
    "open_gop_without_b_mp4": Spec(
        ".mp4",
        options={"preset": "veryfast", "g": "12", "bf": "0", "x264-params": "open-gop=1"},
    ),
    "intra_refresh_mp4": Spec(
        ".mp4", options={"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=20"}
    ),
    "mpeg4_avi": Spec(".avi", "mpeg4", options={**GOP, "b": "600k"}),
    "h264_b_frames_avi": Spec(".avi", options=X264),
    "mjpeg_avi": Spec(".avi", "mjpeg", pixel_format="yuvj420p", color=ColorTag("bt601", "full")),
    "wmv": Spec(".wmv", "wmv2", options={"g": "12", "b": "600k"}),
    "mpeg2_ps": Spec(".mpg", "mpeg2video", options={**GOP, "b": "900k"}),
    "mpeg2_interlaced_ts": Spec(
        ".ts",
        "mpeg2video",
        options={**GOP, "flags": "+ildct+ilme", "b": "2M"},
        is_interlaced=True,
    ),
    "h264_interlaced_mp4": Spec(
        ".mp4", options={**X264, "x264-params": "bff=1"}, is_interlaced=True
    ),
    "hevc_10_bit_mp4": Spec(".mp4", "libx265", pixel_format="yuv420p10le", options=_X265),
    "hevc_mp4": Spec(
        ".mp4", "libx265", options={"x265-params": _X265["x265-params"] + ":open-gop=0"}
    ),
    "prores_422_mov": Spec(".mov", "prores_ks", pixel_format="yuv422p10le"),
    "av1_mp4": Spec(
        ".mp4", "libsvtav1", options={"preset": "12", "g": "12", "svtav1-params": "lp=1"}
    ),
    "rotated_90_mov": Spec(".mov", options=X264, rotation_deg=90),
    "rotated_180_mov": Spec(".mov", options=X264, rotation_deg=180),
    "rotated_270_mov": Spec(".mov", options=X264, rotation_deg=270),
    "full_range_601_mp4": Spec(".mp4", options=X264, color=ColorTag("bt601", "full")),
}


def make(spec: Spec, path: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Write the recording of `spec`; a rotated one is stored turned, so that it shows upright."""
    turns = spec.rotation_deg // 90
    stored = (height, width) if turns % 2 else (width, height)
    with VideoWriter(
        path,
        EncoderSpec(
            *stored,
            spec.rate_hz,
            spec.codec,
            pixel_format=spec.pixel_format,
            options=spec.options,
            container_options=spec.container_options,
            time_base_s=spec.time_base_s,
            rotation_deg=spec.rotation_deg,
            color=spec.color,
        ),
    ) as writer:
        for number, tick in enumerate(spec.ticks):
            time_s = max(0.0, spec.time_s(number))
            rgb = draw(time_s, width, height)
            if spec.is_interlaced:
                later = draw(time_s + float(0.5 / spec.rate_hz), width, height)
                first = 1 if "bff" in str(spec.options) or spec.codec == "mpeg2video" else 0
                rgb[1 - first :: 2] = later[1 - first :: 2]
            writer.write(np.ascontiguousarray(np.rot90(rgb, -turns)), pts=tick)
    return path


def maker(folder: Path) -> Callable[[str], Path]:
    """Return a function that makes the recording of a name once and returns its path."""

    def recording(name: str) -> Path:
        path = folder / f"{name}{SPECS[name].suffix}"
        return path if path.exists() else make(SPECS[name], path)

    return recording
