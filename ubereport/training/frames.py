"""Stills from recordings: sampled, cropped to the field of view, without what shows nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.config import DecodeConfig, ValidityConfig, ViewConfig
from ubereport.core.arrays import RgbArray
from ubereport.core.frames import FieldOfView, SamplingPlan
from ubereport.core.recording import RecordingIndex
from ubereport.core.series import LossReason
from ubereport.errors import OutputError
from ubereport.training.config import FramesConfig
from ubereport.video.decode import DecodeRequest, decode, decode_stills
from ubereport.video.index import index_recording
from ubereport.video.plan import plan_uniform, probe_frames
from ubereport.video.reader import upright_size
from ubereport.video.timeline import place_parts
from ubereport.view.field import fit_field_of_view
from ubereport.view.validity import ViewMemory, assess

__all__ = ["ExtractedStills", "ExtractionConfig", "extract_stills", "is_new_view"]

_THUMBNAIL_PX = 16
_PROBE_WIDTH_PX = 320
_BATCH = 16


@dataclass(frozen=True, slots=True)
class ExtractionConfig:
    """What `extract_stills` needs to read a recording and to choose stills from it."""

    frames: FramesConfig = field(default_factory=FramesConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    validity: ValidityConfig = field(default_factory=ValidityConfig)


@dataclass(frozen=True, slots=True)
class ExtractedStills:
    """How many stills were written, and how many pictures were left out for which reason."""

    n_written: int
    n_looked_at: int
    n_near_duplicates: int
    left_out: tuple[tuple[LossReason, int], ...]


def extract_stills(
    config: ExtractionConfig,
    parts: Sequence[Path],
    group: str,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExtractedStills:
    """Write PNG stills of one recording to ``folder/<group>/`` and list them in ``stills.csv``.

    Pictures that are black, blurred, frozen, out of the body or otherwise lost are left out, so
    are those nearly equal to the last one kept. No path or container metadata is written.

    Parameters
    ----------
    parts
        The recording's files in order.
    group
        What the stills are called: letters, digits, - and _.
    on_progress
        Called with pictures looked at and planned.

    Raises
    ------
    RecordingError
        If a part cannot be read.
    OutputError
        If `group` is no plain name or stills of it exist already.
    """
    if not group or not all(c.isalnum() or c in "-_" for c in group):
        raise OutputError(f"{group!r} cannot name a group. Use letters, digits, - and _.")
    target = folder / group
    if target.exists():
        raise OutputError(f"Stills of {group!r} exist already. Choose another name.")
    index = index_recording(parts, config.decode)
    plan = plan_uniform(index, place_parts(index), config.frames.rate_hz)
    target.mkdir(parents=True)
    counts: dict[LossReason, int] = {}
    rows: list[tuple[str, str]] = []
    n_same, last = 0, None
    wanted = set(_spread_rows(len(plan), config.frames.max_stills))
    for row, time_s, rgb, reason in _judged(index, plan, config):
        if on_progress is not None:
            on_progress(row + 1, len(plan))
        if reason is not LossReason.NONE:
            counts[reason] = counts.get(reason, 0) + 1
            continue
        thumbnail = _thumbnail(rgb)
        if last is not None and not is_new_view(thumbnail, last, config.frames.min_difference):
            n_same += 1
            continue
        if row in wanted:
            last = thumbnail
            name = f"{group}_{row:06d}"
            cv2.imwrite(str(target / f"{name}.png"), np.ascontiguousarray(rgb[..., ::-1]))
            rows.append((name, f"{time_s:.3f}"))
    _write_list(target / "stills.csv", rows, group)
    return ExtractedStills(len(rows), len(plan), n_same, tuple(sorted(counts.items())))


def is_new_view(now: NDArray[np.float32], last: NDArray[np.float32], min_difference: float) -> bool:
    """Return whether two (16, 16) thumbnails differ by at least `min_difference` levels."""
    return bool(np.abs(now - last).mean() >= min_difference)


def _thumbnail(rgb: RgbArray) -> NDArray[np.float32]:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)


def _spread_rows(n: int, n_max: int) -> list[int]:
    if n <= n_max:
        return list(range(n))
    return [int(i) for i in np.linspace(0, n - 1, n_max)]


def _judged(
    index: RecordingIndex, plan: SamplingPlan, config: ExtractionConfig
) -> Iterator[tuple[int, float, RgbArray, LossReason]]:
    side = config.frames.side_px
    for part_index, part in enumerate(index.parts):
        rows = np.flatnonzero(plan.part_index == part_index)
        if len(rows) == 0:
            continue
        view = _field_of_view(index, part_index, config)
        request = DecodeRequest(
            part=part,
            part_index=part_index,
            frame_index=plan.frame_index[rows],
            sample_index=rows,
            time_s=plan.time_s[rows],
            crop=view.crop,
            height_px=side,
            width_px=side,
        )
        memory = ViewMemory()
        with decode(request, config.decode, _BATCH) as batches:
            for batch in batches:
                found, memory = assess(batch, view, config.validity, memory)
                for i, reason in enumerate(found.reason):
                    rgb = np.where(view.mask[..., None], batch.rgb[i], 0).astype(np.uint8)
                    yield int(batch.sample_index[i]), float(batch.time_s[i]), rgb, reason


def _field_of_view(index: RecordingIndex, part_index: int, config: ExtractionConfig) -> FieldOfView:
    part = index.parts[part_index]
    width, height = upright_size(part.video)
    probe_height = max(2, round(_PROBE_WIDTH_PX * height / width))
    probes = decode_stills(
        part,
        probe_frames(part, config.view.n_probe_frames),
        config.decode,
        height_px=probe_height,
        width_px=_PROBE_WIDTH_PX,
    )
    side = config.frames.side_px
    return fit_field_of_view(
        probes.rgb[probes.is_decoded] if probes.is_decoded.any() else probes.rgb,
        width,
        height,
        side,
        side,
        config.view,
    )


def _write_list(path: Path, rows: Sequence[tuple[str, str]], group: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "image", "group", "kind", "time_s"])
        for name, time_s in rows:
            writer.writerow([name, f"{name}.png", group, "unlabelled", time_s])
