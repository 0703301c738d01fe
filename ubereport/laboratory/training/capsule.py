"""WCEBleedGen, stills of capsule endoscopy: its masks, its boxes, and what a box makes sure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    LabelArray,
    Still,
    StillCache,
    stacked,
)

# Stills are numbered: those up to this one bleed.
_N_BLEEDING = 1309
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


def capsule_stills(folder: Path) -> tuple[Still, ...]:
    """Read stills with the masks in ``masks_full/``, grouped by near duplicates, without the test.

    Raises
    ------
    AnnotationError
        If the clusters of near duplicates cannot be read, or nothing is left.
    """
    stills = []
    for path, is_bleeding, cluster in _outside_test(folder):
        mask = folder / "masks_full" / f"{path.stem}.png" if is_bleeding else None
        if mask is None or mask.is_file():
            kind = "blood" if is_bleeding else "zero"
            name, group = f"capsule_{path.stem}", f"capsule_{cluster}"
            stills.append(Still(name, path, mask, None, group, kind))
    _check_some(stills, folder)
    return tuple(stills)


def boxed_stills(folder: Path) -> tuple[BoxedStill, ...]:
    """Read stills with the boxes in ``boxes_multi.json``, without the test.

    One that bleeds and has no box is left out.

    Raises
    ------
    AnnotationError
        If boxes or clusters cannot be read, or nothing is left.
    """
    table = _json(folder / "boxes_multi.json")
    if "boxes" not in table:
        raise AnnotationError("The boxes cannot be read (no 'boxes'). Check the folder.")
    stills = []
    for path, is_bleeding, cluster in _outside_test(folder):
        boxes = tuple((x, y, w, h) for x, y, w, h in table["boxes"].get(str(_number(path)), ()))
        if boxes or not is_bleeding:
            stills.append(BoxedStill(path.stem, path, boxes, f"wce_{cluster}"))
    _check_some(stills, folder)
    return tuple(stills)


def _outside_test(folder: Path) -> Iterator[tuple[Path, bool, str]]:
    """Yield path, whether it bleeds, and cluster of the stills that may be trained on.

    The test are the stills in ``masks/`` and all of their clusters of near duplicates.
    """
    clusters = _json(folder / "near_duplicate_clusters.json")
    cluster_of = {int(number): key for key, members in clusters.items() for number in members}
    test = {path.stem for path in (folder / "masks").glob("*.png")}
    test_clusters = {cluster_of.get(_number(Path(name))) for name in test} - {None}
    for path in sorted((folder / "images").glob("*.*"), key=_number):
        cluster = cluster_of.get(_number(path))
        if path.stem not in test and cluster not in test_clusters:
            yield path, _number(path) <= _N_BLEEDING, path.stem if cluster is None else cluster


def _json(path: Path) -> Any:  # noqa: ANN401 -- JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnnotationError(
            f"{path.name} cannot be read ({type(error).__name__}). Check the folder."
        ) from None


def _check_some(stills: Sequence[object], folder: Path) -> None:
    if not stills:
        raise AnnotationError(
            f"{folder.name} holds no capsule still that may be trained on. Check the folder."
        )


def _number(path: Path) -> int:
    digits = "".join(c for c in path.stem if c.isdigit())
    return int(digits) if digits else -1


def possibly_bloody(rgb: RgbArray) -> BoolArray:
    """Return where an unlabelled frame might show blood: a broad rule, red or dark, grown.

    Teaching real blood as background is what ruins a model, so the rule errs wide.
    """
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.int16)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    red = ((hue <= 12) | (hue >= 160)) & (saturation >= 70)
    dark = (value < 60) & (value > 12)
    grown = cv2.dilate((red | dark).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(grown > 0)


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
    # After the boxes, whose corners may reach beyond the round view into the black around it.
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
    rgb, label = stacked((_boxed(still, side_px) for still in stills), len(stills), side_px)
    kinds = ("blood" if (mask == BLOOD).any() else "zero" for mask in label)
    entries = (
        Still(still.name, still.image_path, None, None, still.group, kind)
        for still, kind in zip(stills, kinds, strict=True)
    )
    return StillCache(tuple(entries), rgb, label)


def _boxed(still: BoxedStill, side_px: int) -> tuple[RgbArray, LabelArray]:
    picture = read_rgb(still.image_path)
    shown = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    rgb = np.asarray(shown, np.uint8)
    return rgb, box_label(rgb, still)
