"""Stills from recordings: sampled, cropped to the field of view, without what shows nothing."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.analysis.view.field import fit_field_of_view
from ubereport.analysis.view.validity import ViewMemory, assess
from ubereport.core.arrays import RgbArray
from ubereport.core.config import DecodeConfig, ValidityConfig, ViewConfig, config_sha256
from ubereport.core.errors import OutputError
from ubereport.core.frames import FieldOfView, FrameBatch, SamplingPlan
from ubereport.core.recording import RecordingIndex
from ubereport.core.series import LossReason
from ubereport.files.atomic import write_file
from ubereport.laboratory.training.config import FramesConfig
from ubereport.video.decode import DecodeRequest, decode, decode_stills
from ubereport.video.index import index_recording
from ubereport.video.plan import plan_uniform, probe_frames
from ubereport.video.reader import upright_size
from ubereport.video.timeline import place_parts

__all__ = ["ExtractedStills", "ExtractionConfig", "extract_stills", "is_new_view"]

_THUMBNAIL_PX = 16
_PROBE_WIDTH_PX = 320
_BATCH = 16
_WORK = "work.npz"


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
    Interrupted, the same call goes on where it stopped.

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
    partial = folder / f".{group}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    key = " ".join([config_sha256(config), *(part.sha256 for part in index.parts)])
    work = _Work.resumed(partial / _WORK, key)
    wanted = set(_spread_rows(len(plan), config.frames.max_stills))
    if on_progress is not None:
        on_progress(work.next_row, len(plan))
    for batch, view, reasons, memory in _judged(index, plan, config, work):
        for i, reason in enumerate(reasons):
            row = int(batch.sample_index[i])
            rgb = np.where(view.mask[..., None], batch.rgb[i], 0).astype(np.uint8)
            if work.is_kept(rgb, reason, config.frames.min_difference) and row in wanted:
                work.keep(rgb, f"{group}_{row:06d}", float(batch.time_s[i]), partial)
            work.next_row = row + 1
        work.memory = memory
        work.save(partial / _WORK, key)
        if on_progress is not None:
            on_progress(work.next_row, len(plan))
    _write_list(partial / "stills.csv", work.rows, group)
    (partial / _WORK).unlink(missing_ok=True)
    partial.rename(target)
    lost = tuple(sorted((LossReason(name), n) for name, n in work.lost.items()))
    return ExtractedStills(len(work.rows), len(plan), work.n_same, lost)


@dataclass(slots=True)
class _Work:
    """What was extracted so far, kept on disk so that an interrupted recording goes on."""

    next_row: int = 0
    n_same: int = 0
    rows: list[tuple[str, str]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    last: NDArray[np.float32] | None = None
    memory: ViewMemory = field(default_factory=ViewMemory)
    now: NDArray[np.float32] | None = None

    def is_kept(self, rgb: RgbArray, reason: LossReason, min_difference: float) -> bool:
        """Judge a picture: lost, nearly equal to the last one kept, or worth keeping."""
        if reason is not LossReason.NONE:
            self.lost[reason.value] = self.lost.get(reason.value, 0) + 1
            return False
        self.now = _thumbnail(rgb)
        if self.last is not None and not is_new_view(self.now, self.last, min_difference):
            self.n_same += 1
            return False
        return True

    def keep(self, rgb: RgbArray, name: str, time_s: float, folder: Path) -> None:
        """Write the picture that was judged last."""
        self.last = self.now
        is_written = cv2.imwrite(str(folder / f"{name}.png"), np.ascontiguousarray(rgb[..., ::-1]))
        if not is_written:
            raise OutputError("A still cannot be written. Free space or choose another folder.")
        self.rows.append((name, f"{time_s:.3f}"))

    def save(self, path: Path, key: str) -> None:
        """Replace the file of former work by this."""
        counts = {"key": key, "next_row": self.next_row, "n_same": self.n_same,
                  "rows": self.rows, "lost": self.lost}  # fmt: skip
        arrays = {f"memory_{k}": v for k, v in self.memory.to_arrays().items()}
        if self.last is not None:
            arrays["last"] = self.last
        buffer = io.BytesIO()
        np.savez(buffer, counts=np.array(json.dumps(counts)), **arrays)  # type: ignore[arg-type]
        write_file(path, buffer.getvalue())

    @classmethod
    def resumed(cls, path: Path, key: str) -> _Work:
        """Return the work in `path` if it is of the same recording and settings, else none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = dict(arrays)
            counts = json.loads(str(found["counts"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return cls()
        if counts["key"] != key:
            return cls()
        memory = {k.removeprefix("memory_"): v for k, v in found.items() if k.startswith("memory_")}
        return cls(
            counts["next_row"],
            counts["n_same"],
            [(name, time_s) for name, time_s in counts["rows"]],
            counts["lost"],
            found.get("last"),
            ViewMemory.from_arrays(memory),
        )


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
    index: RecordingIndex, plan: SamplingPlan, config: ExtractionConfig, work: _Work
) -> Iterator[tuple[FrameBatch, FieldOfView, tuple[LossReason, ...], ViewMemory]]:
    side = config.frames.side_px
    for part_index, part in enumerate(index.parts):
        is_left = (plan.part_index == part_index) & (np.arange(len(plan)) >= work.next_row)
        rows = np.flatnonzero(is_left)
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
        # A picture that a part before left behind is no evidence that this one stands still.
        memory = work.memory if _goes_on(plan, int(rows[0])) else ViewMemory()
        with decode(request, config.decode, _BATCH) as batches:
            for batch in batches:
                found, memory = assess(batch, view, config.validity, memory)
                yield batch, view, found.reason, memory


def _goes_on(plan: SamplingPlan, row: int) -> bool:
    """Return whether the sample before lies in the same part."""
    return row > 0 and bool(plan.part_index[row] == plan.part_index[row - 1])


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
