"""The packet index: what is in a recording, before any picture is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubereport.core.config import DecodeConfig
from ubereport.core.errors import DecodeError, DependencyError, RecordingFormatError, UsageError
from ubereport.core.recording import PartIndex, RecordingIndex, VideoFormat
from ubereport.video.clock import PartClock, build_clock
from ubereport.video.guarded_child import ChildFailure, GuardedChild
from ubereport.video.packets import NO_PTS, PacketTable, StreamFacts, is_counted
from ubereport.video.source import check_source


def index_part(path: Path, config: DecodeConfig, part_index: int = 0) -> PartIndex:
    """Read every packet of one file's video stream, and its hash.

    The file is read in a process of its own with the memory and time limits of `config`.
    Messages call the file by its number, never by its name, which may hold patient data.

    Parameters
    ----------
    path
        The file.
    config
        Bounds for pictures, length, memory and silence.
    part_index
        0-based number of the part, for messages.

    Raises
    ------
    UsageError
        If the path is no file that can be opened: absent, a folder, a pipe, a device.
    RecordingFormatError
        If the file is empty, no video, a still image, without video stream, of fewer than two
        pictures, or beyond the bounds of `config`.
    DecodeError
        If reading stalled, ran out of memory or met an error of the disk.
    DependencyError
        If the file is DICOM and the extra ``dicom`` is not installed.
    """
    label = f"Part {part_index + 1} of the case"
    size_bytes = check_source(path, label)
    task = {
        "task": "scan",
        "path": str(path),
        "max_pixels": config.max_width_px * config.max_height_px,
        "memory_mib": config.memory_mib,
    }
    try:
        with GuardedChild(task, stall_timeout_s=config.stall_timeout_s) as child:
            header, arrays = child.receive()
    except ChildFailure as failure:
        raise _index_error(failure, label) from None
    facts = _facts(header["facts"])
    _check_size(facts, config, label)
    facts, table = _timed(facts, arrays)
    clock = build_clock(table, Fraction(*facts.time_base), config.max_gap_s)
    if clock is None:
        raise _too_few(table, label)
    return _part(path, size_bytes, header["sha256"], facts, clock, config, label)


def index_recording(paths: Sequence[Path], config: DecodeConfig) -> RecordingIndex:
    """Index the ordered parts of one case.

    Raises
    ------
    UsageError
        If there is no part, or the same recording is given twice.
    RecordingFormatError
        If a part is no recording, or all parts together are too long.
    DecodeError
        If reading a part stalled or ran out of memory.
    """
    if not paths:
        raise UsageError("The case has no part. Name at least one video file.")
    parts = tuple(index_part(path, config, number) for number, path in enumerate(paths))
    number_of: dict[str, int] = {}
    for number, part in enumerate(parts):
        # By content and not by name: a copy under another name would count its bleeding twice.
        if part.sha256 in number_of:
            raise UsageError(
                f"Parts {number_of[part.sha256] + 1} and {number + 1} of the case are the same "
                "recording. Name each part once."
            )
        number_of[part.sha256] = number
    total_s = sum(part.duration_s for part in parts)
    if total_s > config.max_recorded_s:
        raise _too_long("The case", total_s, config)
    return RecordingIndex(parts)


def _index_error(failure: ChildFailure, label: str) -> Exception:
    if failure.kind == "format":
        return RecordingFormatError(f"{label} {failure}")
    if failure.kind == "dependency":
        return DependencyError(f"{label} {failure}")
    if failure.kind == "disk":
        return DecodeError(
            f"Reading {label.lower()} failed ({failure}). Copy it again from the recorder."
        )
    return DecodeError(
        f"Reading {label.lower()} failed: the decoding process {failure}. "
        "Try a fresh copy of the recording or raise decode.memory_mib."
    )


def _facts(plain: Mapping[str, Any]) -> StreamFacts:
    ratios = {name: tuple(plain[name]) for name in ("sample_aspect_ratio", "time_base", "rate_hz")}
    return StreamFacts(**{**plain, **ratios})


def _check_size(facts: StreamFacts, config: DecodeConfig, label: str) -> None:
    width, height = facts.width_px, facts.height_px
    if width <= 0 or height <= 0:
        raise RecordingFormatError(
            f"{label} has no picture that can be decoded. Check it in a player."
        )
    if width > config.max_width_px or height > config.max_height_px:
        raise RecordingFormatError(
            f"{label} has pictures of {width} × {height} px; allowed are up to "
            f"{config.max_width_px} × {config.max_height_px}. Scale it down, or raise "
            "decode.max_width_px and decode.max_height_px."
        )


def _timed(
    facts: StreamFacts, arrays: Mapping[str, NDArray[Any]]
) -> tuple[StreamFacts, PacketTable]:
    """Give packets of an elementary stream, which has no clock, one frame period each."""
    # Nothing states when these pictures were taken, so that each lasts as long as the stream's rate
    # says.
    table = PacketTable(**{name: arrays[name] for name in PacketTable.__slots__})
    if not is_counted(facts.container, facts.codec) or np.any(table.pts != NO_PTS):
        return facts, table
    count = np.arange(len(table), dtype=np.int64)
    numerator, denominator = facts.rate_hz
    table = PacketTable(count, count, np.ones_like(count), table.is_key, table.is_shown)
    return replace(facts, time_base=(denominator, numerator)), table


def _too_few(table: PacketTable, label: str) -> RecordingFormatError:
    n_timed = int(np.sum((table.pts != NO_PTS) & table.is_shown))
    # Packets without times come first: there may be thousands of pictures, and to say there are too
    # few would mislead.
    if n_timed < len(table):
        return RecordingFormatError(
            f"{label} has no usable presentation times in its {len(table)} packets. "
            "Re-mux it (ffmpeg -fflags +genpts -i in -c copy out.mp4)."
        )
    pictures = "1 picture" if len(table) == 1 else f"{len(table)} pictures"
    return RecordingFormatError(
        f"{label} holds {pictures}; a recording needs at least 2 to have a length. Name the whole"
        " recording."
    )


def _too_long(what: str, length_s: float, config: DecodeConfig) -> RecordingFormatError:
    return RecordingFormatError(
        f"{what} is {length_s / 3600:.1f} hours long; allowed are up to "
        f"{config.max_recorded_s / 3600:.1f}. Cut it, or raise decode.max_recorded_s."
    )


def _part(
    path: Path,
    size_bytes: int,
    sha256: str,
    facts: StreamFacts,
    clock: PartClock,
    config: DecodeConfig,
    label: str,
) -> PartIndex:
    declared_s = _declared_s(facts, clock)
    longest_s = clock.duration_s if declared_s is None else max(clock.duration_s, declared_s)
    if longest_s > config.max_recorded_s:
        raise _too_long(label, longest_s, config)
    return PartIndex(
        path=path,
        sha256=sha256,
        size_bytes=size_bytes,
        video=_video(facts, clock),
        time_base_s=Fraction(*facts.time_base),
        declared_duration_s=declared_s,
        declared_n_frames=facts.declared_n_frames,
        stream_index=facts.stream_index,
        notes=_notes(facts),
        **{f.name: getattr(clock, f.name) for f in fields(clock) if f.name != "period_s"},
    )


def _declared_s(facts: StreamFacts, clock: PartClock) -> float | None:
    """Length that the header claims, from the first picture on.

    A claim within two periods of what was found is rounding, and one that the clock's jumps
    distort is no claim at all.
    """
    declared_s = facts.declared_duration_s
    if facts.declared_end_s is not None:
        start_s = float(int(clock.pts[0]) * Fraction(*facts.time_base))
        declared_s = facts.declared_end_s - max(0.0, start_s)
    if declared_s is None or declared_s <= 0 or clock.n_clock_jumps:
        return None
    is_same = abs(declared_s - clock.duration_s) <= max(0.1, 2 * clock.period_s)
    return clock.duration_s if is_same else declared_s


def _video(facts: StreamFacts, clock: PartClock) -> VideoFormat:
    numerator, denominator = facts.sample_aspect_ratio
    # Gaps hold no pictures: a recording with a pause is not a slower one.
    shown_s = clock.duration_s - sum(gap.duration_s for gap in clock.gaps)
    told = {"sample_aspect_ratio", "average_rate_hz"}
    names = [field.name for field in fields(VideoFormat) if field.name not in told]
    return VideoFormat(
        sample_aspect_ratio=Fraction(numerator, denominator) if numerator > 0 else Fraction(1),
        average_rate_hz=Fraction(len(clock.pts) / shown_s).limit_denominator(1001),
        **{name: getattr(facts, name) for name in names},
    )


def _notes(facts: StreamFacts) -> tuple[str, ...]:
    notes: list[str] = []
    if facts.n_video_streams > 1:
        notes.append(
            f"The file holds {facts.n_video_streams} video streams; the one of "
            f"{facts.width_px} × {facts.height_px} px was taken."
        )
    if facts.n_read_errors:
        notes.append(f"Reading the file met {facts.n_read_errors} damaged places.")
    return tuple(notes)
