"""Stills from recordings: sampled, cropped to the field of view, without what shows nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.analysis.view.validity import Look, ViewMemory, look_at, settle_frozen
from ubereport.analysis.view.view_changes import FieldStretch, fit_view_stretches
from ubereport.analysis.views import probe_part
from ubereport.core.arrays import RgbArray
from ubereport.core.config import DecodeConfig, ValidityConfig, ViewConfig, config_sha256
from ubereport.core.errors import OutputError
from ubereport.core.frames import FieldOfView, FrameBatch, SamplingPlan
from ubereport.core.recording import RecordingIndex, Timeline
from ubereport.core.series import LossReason
from ubereport.files.atomic import publish_staged, write_file
from ubereport.laboratory.csv_rows import rows_bytes
from ubereport.laboratory.training.config import FramesConfig
from ubereport.video.candidates import plan_uniform
from ubereport.video.decode import DecodeRequest, decode
from ubereport.video.index import index_recording
from ubereport.video.reader import upright_size
from ubereport.video.timeline import place_parts

_THUMBNAIL_PX = 16
_BATCH = 16
_WORK = "work.npz"
_COLUMNS = ("name", "image", "group", "kind", "time_s")


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
    timeline = place_parts(index)
    plan = plan_uniform(index, timeline, config.frames.rate_hz)
    partial = folder / f".{group}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    key = " ".join([config_sha256(config), *(part.sha256 for part in index.parts)])
    work = _Work.resumed(partial / _WORK, key)
    wanted = set(_spread_rows(len(plan), config.frames.max_stills))
    if on_progress is not None:
        on_progress(work.next_row, len(plan))
    stretches = _stretches(index, timeline, config)
    # A still is written as soon as it is kept, though it may turn out frozen: that is known only
    # once its neighbors were looked at, so that frozen ones are removed at the end.
    for batch, field_of_view, look, memory in _looked_at(index, plan, stretches, config, work):
        work.add(look)
        for i, reason in enumerate(look.reason):
            row = int(batch.sample_index[i])
            # What lies around the field (names, dates, another picture) is blackened before
            # anything is written.
            rgb = np.where(field_of_view.mask[..., None], batch.rgb[i], 0).astype(np.uint8)
            if work.is_kept(rgb, reason, config.frames.min_difference) and row in wanted:
                work.keep(rgb, f"{group}_{row:06d}", float(batch.time_s[i]), partial)
            # After the still is on disk: an interruption in between writes it once more, under the
            # same name.
            work.next_row = row + 1
        work.memory = memory
        work.save(partial / _WORK, key)
        if on_progress is not None:
            on_progress(work.next_row, len(plan))
    reasons = work.reasons(plan, config.validity)
    stills = _without_frozen(work.rows, reasons, partial)
    listed = ((name, f"{name}.png", group, "unlabelled", time_s) for name, time_s in stills)
    write_file(partial / "stills.csv", rows_bytes(_COLUMNS, listed))
    (partial / _WORK).unlink(missing_ok=True)
    publish_staged(partial, target)
    lost = Counter(reason for reason in reasons if reason is not LossReason.NONE)
    return ExtractedStills(len(stills), len(plan), work.n_same, tuple(sorted(lost.items())))


def _without_frozen(
    rows: Sequence[tuple[str, str]], reasons: Sequence[LossReason], folder: Path
) -> list[tuple[str, str]]:
    """Remove the stills that turned out to stand still; return the others."""
    moving = []
    for name, time_s in rows:
        if reasons[int(name.rpartition("_")[2])] is LossReason.NONE:
            moving.append((name, time_s))
        else:
            (folder / f"{name}.png").unlink(missing_ok=True)
    return moving


@dataclass(slots=True)
class _Work:
    """What was extracted so far, kept on disk so that an interrupted recording goes on."""

    next_row: int = 0
    n_same: int = 0
    rows: list[tuple[str, str]] = field(default_factory=list)
    reason: list[LossReason] = field(default_factory=list)
    moved_frac: list[float] = field(default_factory=list)
    moved_from_s: list[float] = field(default_factory=list)
    last: NDArray[np.float32] | None = None
    memory: ViewMemory = field(default_factory=ViewMemory)
    now: NDArray[np.float32] | None = None

    def add(self, look: Look) -> None:
        """Note what pictures showed: freezes are found from it once all are known."""
        self.reason += look.reason
        self.moved_frac += look.moved_frac.tolist()
        self.moved_from_s += look.moved_from_s.tolist()

    def reasons(self, plan: SamplingPlan, config: ValidityConfig) -> tuple[LossReason, ...]:
        """Return why each picture of the plan does not count, as an analysis would."""
        moved = np.array(self.moved_frac), np.array(self.moved_from_s)
        return settle_frozen(plan.time_s, self.reason, *moved, config)

    def is_kept(self, rgb: RgbArray, reason: LossReason, min_difference: float) -> bool:
        """Judge a picture: lost, nearly equal to the last one kept, or worth keeping."""
        if reason is not LossReason.NONE:
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
                  "rows": self.rows, "reason": self.reason}  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "moved_frac": np.array(self.moved_frac, dtype=np.float64),
            "moved_from_s": np.array(self.moved_from_s, dtype=np.float64),
        }
        arrays |= {f"memory_{k}": v for k, v in self.memory.to_arrays().items()}
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
                content = dict(arrays)
            counts = json.loads(str(content["counts"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return cls()
        if counts["key"] != key:
            return cls()
        memory = {
            k.removeprefix("memory_"): v for k, v in content.items() if k.startswith("memory_")
        }
        return cls(
            counts["next_row"],
            counts["n_same"],
            [(name, time_s) for name, time_s in counts["rows"]],
            [LossReason(name) for name in counts["reason"]],
            content["moved_frac"].tolist(),
            content["moved_from_s"].tolist(),
            content.get("last"),
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
    # Spread over the whole operation, not its first minutes.
    return [int(i) for i in np.linspace(0, n - 1, n_max)]


def _stretches(
    index: RecordingIndex, timeline: Timeline, config: ExtractionConfig
) -> list[FieldStretch]:
    """Return the fields of view that an analysis of the recording would fit."""
    size_px = (config.frames.side_px, config.frames.side_px)
    stretches: list[FieldStretch] = []
    for placed in timeline.parts:
        part = index.parts[placed.part_index]
        width_px, height_px = upright_size(part.video)
        probes = probe_part(part, placed, config.view, config.decode)
        stretches += fit_view_stretches(
            placed, *probes, (height_px, width_px), size_px, config.view
        )
    return stretches


def _looked_at(
    index: RecordingIndex,
    plan: SamplingPlan,
    stretches: Sequence[FieldStretch],
    config: ExtractionConfig,
    work: _Work,
) -> Iterator[tuple[FrameBatch, FieldOfView, Look, ViewMemory]]:
    side_px = config.frames.side_px
    for stretch in stretches:
        inside = np.flatnonzero(
            (plan.part_index == stretch.part_index)
            & (plan.time_s >= stretch.interval.start_s)
            & (plan.time_s < stretch.interval.end_s)
        )
        rows = inside[inside >= work.next_row]
        if len(rows) == 0:
            continue
        request = DecodeRequest(
            part=index.parts[stretch.part_index],
            part_index=stretch.part_index,
            frame_index=plan.frame_index[rows],
            sample_index=rows,
            time_s=plan.time_s[rows],
            crop=stretch.field.crop,
            height_px=side_px,
            width_px=side_px,
        )
        # A picture that the stretch before left behind is no evidence that this one stands still.
        memory = work.memory if rows[0] > inside[0] else ViewMemory()
        with decode(request, config.decode, _BATCH) as batches:
            for batch in batches:
                look, memory = look_at(batch, stretch.field, config.validity, memory)
                yield batch, stretch.field, look, memory
