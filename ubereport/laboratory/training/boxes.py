"""Stills whose blood is known by boxes alone: what is sure inside and outside, the rest ignored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.composite import possibly_bloody
from ubereport.laboratory.training.stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    LabelArray,
    Still,
    StillCache,
    read_rgb,
)

_MARGIN = 6
_MIN_CONTRAST = 12
_MIN_REDNESS, _MAX_CLEAN_REDNESS = 158, 146


@dataclass(frozen=True, slots=True)
class BoxedStill:
    """A still and its boxes (center x, center y, width, height as shares); none means no blood."""

    name: str
    image_path: Path
    boxes: tuple[tuple[float, float, float, float], ...]
    group: str


def read_boxed_stills(
    folder: Path, *, n_bleeding: int = 1309, kept_out: Sequence[str] = ()
) -> tuple[BoxedStill, ...]:
    """Read WCEBleedGen as it lies in `folder`, without the clusters that touch `kept_out`.

    Parameters
    ----------
    folder
        With images/, boxes_multi.json and near_duplicate_clusters.json.
    n_bleeding
        Stills up to this number bleed, those above do not; one that bleeds without a box is
        left out.
    kept_out
        Names of test stills; whole clusters of near duplicates around them are left out.

    Raises
    ------
    AnnotationError
        If the boxes or clusters cannot be read.
    """
    try:
        boxes = json.loads((folder / "boxes_multi.json").read_text(encoding="utf-8"))["boxes"]
        clusters = json.loads((folder / "near_duplicate_clusters.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise AnnotationError(f"The boxes cannot be read ({error}). Check the folder.") from None
    cluster_of = {int(n): key for key, members in clusters.items() for n in members}
    held = {cluster_of.get(_number(name)) for name in kept_out}
    stills = []
    for path in sorted((folder / "images").glob("*.*"), key=lambda p: _number(p.stem)):
        number = _number(path.stem)
        found = tuple((b[0], b[1], b[2], b[3]) for b in boxes.get(str(number), ()))
        is_usable = bool(found) or number > n_bleeding
        if is_usable and path.stem not in kept_out and cluster_of.get(number) not in held - {None}:
            group = f"wce_{cluster_of.get(number, path.stem)}"
            stills.append(BoxedStill(path.stem, path, found, group))
    return tuple(stills)


def boxes_for_training(folder: Path) -> tuple[BoxedStill, ...]:
    """Read boxed stills without the clusters of those that have masks: these are a test set.

    Parameters
    ----------
    folder
        As for `read_boxed_stills`, with ``masks/`` where there are test masks.

    Raises
    ------
    AnnotationError
        If the boxes, clusters or pictures cannot be read, or no still is left.
    """
    kept_out = [path.stem for path in (folder / "masks").glob("*.png")]
    stills = read_boxed_stills(folder, kept_out=kept_out)
    if not stills:
        raise AnnotationError(
            f"{folder.name} holds no still with boxes that may be trained on. Check the folder."
        )
    return stills


def _number(name: str) -> int:
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) if digits else -1


def box_label(rgb: RgbArray, still: BoxedStill) -> LabelArray:
    """Return what boxes tell of an (H, W, 3) still.

    Inside a box, pixels above Otsu's threshold on Lab a* that are also saturated red are blood,
    clearly paler ones clean, all others ignored: some boxes hold diffuse redness. Outside, what
    might be blood is ignored.
    """
    height, width = rgb.shape[:2]
    if not still.boxes:
        return np.full((height, width), CLEAN, np.uint8)
    label = np.where(possibly_bloody(rgb), IGNORE, CLEAN).astype(np.uint8)
    redness = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 1]
    redness = np.asarray(cv2.GaussianBlur(redness, (5, 5), 0), np.uint8)
    for x, y, w, h in still.boxes:
        left, top = max(0, int((x - w / 2) * width)), max(0, int((y - h / 2) * height))
        right, bottom = int((x + w / 2) * width) + 1, int((y + h / 2) * height) + 1
        part: LabelArray = np.asarray(redness[top:bottom, left:right], np.uint8).copy()
        if part.size == 0:
            continue
        label[top:bottom, left:right] = _split_by_redness(part)
    label[rgb.max(axis=-1) <= 10] = CLEAN
    return label


def _split_by_redness(part: LabelArray) -> LabelArray:
    level, _ = cv2.threshold(part, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    value = part.astype(np.float32)
    low, high = np.percentile(part, (10, 90))
    is_flat = high - low < _MIN_CONTRAST
    is_blood = (value >= _MIN_REDNESS) & ((value > level + _MARGIN / 2) | is_flat)
    is_clean = (value < level - _MARGIN) & (value < _MAX_CLEAN_REDNESS) & (not is_flat)
    return np.asarray(np.where(is_blood, BLOOD, np.where(is_clean, CLEAN, IGNORE)), np.uint8)


def box_cache(stills: Sequence[BoxedStill], side_px: int) -> StillCache:
    """Decode boxed stills to `side_px` squares with their labels, in memory.

    Raises
    ------
    AnnotationError
        If a still cannot be read.
    """
    rgb = np.empty((len(stills), side_px, side_px, 3), np.uint8)
    label = np.empty((len(stills), side_px, side_px), np.uint8)
    entries = []
    for i, still in enumerate(stills):
        picture = read_rgb(still.image_path)
        rgb[i] = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        label[i] = box_label(rgb[i], still)
        kind = "blood" if (label[i] == BLOOD).any() else "zero"
        entries.append(Still(still.name, still.image_path, None, None, still.group, kind))
    return StillCache(tuple(entries), rgb, label)
