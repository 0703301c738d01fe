"""Stills with manual masks: a manifest read, checked before any work, split by group, cached."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import staged_for
from ubereport.laboratory.csv_rows import read_rows
from ubereport.laboratory.evaluation.load import read_mask
from ubereport.laboratory.picture_files import read_rgb

CLEAN, BLOOD, IGNORE = 0, 1, 255
LabelArray = NDArray[np.uint8]
_FRAME = re.compile(r"(.+)_\d{6}")


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of stills, its terms and its part in training.

    Parameters
    ----------
    name, licence
        As the card of a bundle names them; a bundle is not exported without a licence.
    use
        "any", or "academic" where the terms allow no other.
    role
        What the set is for, in words for the card.
    share
        Of the draws of manual masks, relative to the other sets.
    is_split
        Whether its groups are dealt to folds, one of which can be held out.
    is_ground
        Whether blood is composited onto its zero masks.
    is_foreign
        Whether it shows another kind of view, learned from for contrast: recordings of that kind
        are still flagged as unlike the operations that the network knows.
    is_trained
        False for a set that is only looked at: where a fold is held out, all of it is.
    """

    name: str = "stills"
    licence: str = ""
    use: str = "any"
    role: str = ""
    share: float = 1.0
    is_split: bool = True
    is_ground: bool = True
    is_foreign: bool = False
    is_trained: bool = True

    def __post_init__(self) -> None:
        if self.use not in ("any", "academic"):
            raise AnnotationError(
                f"The set {self.name!r} has use {self.use!r}; allowed: any, academic."
            )
        if not 0 < self.share <= 1000:
            raise AnnotationError(
                f"The set {self.name!r} has the share {self.share}; allowed: above 0."
            )


@dataclass(frozen=True, slots=True)
class Still:
    """One still and where its masks lie.

    Parameters
    ----------
    name
        Unique in its set.
    image_path, mask_path, ignore_path
        The mask is 0 and 255; none means a zero mask, or of an unlabelled still that nothing is
        known. Where the ignore mask is 255 a pixel is undecided.
    group
        One recording, or one run of one operation: what a split keeps together.
    kind
        "blood", "zero" (looked at, no blood) or "unlabelled".
    collection
        The set it belongs to.
    instrument_path
        Mask of instruments (255), where there is one: what is trained as never blood.
    is_doubtful
        Whether the label is doubted: such a still is never trained on.
    """

    name: str
    image_path: Path
    mask_path: Path | None
    ignore_path: Path | None
    group: str
    kind: str
    collection: Collection = Collection()
    instrument_path: Path | None = None
    is_doubtful: bool = False


def read_manifest(path: Path) -> tuple[Still, ...]:
    """Read a CSV with the columns name, image, group and kind; masks lie in masks/ and ignore/.

    ``image`` is relative to the manifest; ``masks/<name>.png`` and ``ignore/<name>.png`` lie
    beside it.

    Raises
    ------
    AnnotationError
        If the manifest cannot be read, has no rows, lacks a column, repeats a name, or names a
        still or mask that is missing.
    """
    rows = read_rows(path, "name", "image", "group", "kind")
    stills = tuple(_still(row, path.parent) for row in rows)
    names = [still.name for still in stills]
    twice = sorted({name for name in names if names.count(name) > 1})[:3]
    if twice:
        raise AnnotationError(f"{path.name} lists {', '.join(twice)} twice. Keep one row of each.")
    return stills


def _still(row: dict[str, str], folder: Path) -> Still:
    name, kind = row["name"], row["kind"]
    if kind not in ("blood", "zero", "unlabelled"):
        raise AnnotationError(f"Still {name}: kind {kind!r}; allowed: blood, zero, unlabelled.")
    image = folder / row["image"]
    mask = folder / "masks" / f"{name}.png"
    ignore = folder / "ignore" / f"{name}.png"
    for what, file in (("picture", image), ("mask", mask)):
        if not file.is_file() and not (what == "mask" and kind != "blood"):
            raise AnnotationError(
                f"Still {name} has no {what}. Add the file or take the row out of the manifest."
            )
    return Still(
        name,
        image,
        mask if kind != "unlabelled" and mask.is_file() else None,
        ignore if ignore.is_file() else None,
        row["group"],
        kind,
    )


def read_label(still: Still, height_px: int, width_px: int) -> LabelArray:
    """Return (H, W) uint8 of `CLEAN`, `BLOOD` and `IGNORE` for a still of that size.

    Raises
    ------
    AnnotationError
        If a mask has another size than the still or other values than 0 and 255, or the kind
        says "zero" and the mask shows blood, or the other way round.
    """
    if still.mask_path is None:
        level = CLEAN if still.kind == "zero" else IGNORE
        return np.full((height_px, width_px), level, np.uint8)
    mask = read_mask(still.mask_path, still.name, (height_px, width_px))
    label = np.where(mask, BLOOD, CLEAN).astype(np.uint8)
    # A list and its masks that disagree were mixed up somewhere; which of them is right only a
    # person knows.
    if mask.any() != (still.kind == "blood"):
        raise AnnotationError(
            f"Still {still.name} is listed as {still.kind!r}, but its mask has "
            f"{int(mask.sum())} pixels of blood. Mend the list or the mask."
        )
    if still.ignore_path is not None:
        label[read_mask(still.ignore_path, still.name, (height_px, width_px))] = IGNORE
    return label


def fold_of_groups(stills: Sequence[Still], n_folds: int, seed: int) -> dict[str, int]:
    """Deal groups to folds so that stills with and without blood are spread evenly.

    Groups are shuffled with `seed`, then the largest goes first to the fold that has the least;
    the same stills, number and seed give the same folds on every machine.

    Raises
    ------
    AnnotationError
        If there are fewer groups than folds.
    """
    groups = sorted({still.group for still in stills})
    if len(groups) < n_folds:
        raise AnnotationError(
            f"{len(groups)} groups cannot fill {n_folds} folds. Use fewer folds or more groups."
        )
    kinds = ("blood", "zero")
    counts = {
        g: np.array([sum(s.group == g and s.kind == k for s in stills) for k in kinds], float)
        for g in groups
    }
    total = np.maximum(sum(counts.values()), 1.0)
    shuffled = [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    load = np.zeros((n_folds, len(kinds)))
    folds: dict[str, int] = {}
    # Largest groups first, each to the fold whose squared load grows least: the classic greedy way
    # to fill bins evenly, in stills with and without blood at once.
    for group in sorted(shuffled, key=lambda g: -float((counts[g] / total).sum())):
        gain = ((load + counts[group]) / total) ** 2 - (load / total) ** 2
        fold = int(np.argmin(gain.sum(axis=1)))
        folds[group] = fold
        load[fold] += counts[group]
    return folds


def check_split(
    train: Sequence[Still], held_out: Sequence[Still], *, needs_zero: bool = False
) -> None:
    """Check that two sets can be trained on and validated with.

    Parameters
    ----------
    needs_zero
        Whether training asks for zero masks.

    Raises
    ------
    AnnotationError
        If a group is in both, the training set lacks stills with or without blood that it needs,
        or the held-out set, where there is one, lacks either: its figures would be empty.
    """
    both = sorted({s.group for s in train} & {s.group for s in held_out})
    if both:
        raise AnnotationError(
            f"{', '.join(both[:3])} is in the training set and in the held-out set. "
            "Stills of one recording belong to one of them."
        )
    if not any(s.kind == "blood" for s in train):
        raise AnnotationError("No training still shows blood. Add stills with blood masks.")
    if needs_zero and not any(s.kind == "zero" for s in train):
        raise AnnotationError(
            "No training still is a zero mask (looked at, no blood). Add some, best of red tissue "
            "without blood, or set data.has_zero_masks = false."
        )
    lacking = [kind for kind in ("blood", "zero") if not any(s.kind == kind for s in held_out)]
    if held_out and lacking:
        names = ", ".join(sorted({s.group for s in held_out})[:3])
        raise AnnotationError(
            f"The held-out groups ({names}) have no still of the kind {lacking[0]!r}. Hold another "
            "fold out (data.fold), or change data.split_seed or data.n_folds."
        )


def check_recordings(stills: Sequence[Still]) -> None:
    """Check that no recording is listed under two groups, so that no split can tear it apart.

    Raises
    ------
    AnnotationError
        If stills that `train frames` took from one recording (C007_000120, C007_000480) have
        different groups.
    """
    groups: dict[str, str] = {}
    for still in stills:
        recording = _FRAME.fullmatch(still.name)
        if recording is None:
            continue
        other = groups.setdefault(recording[1], still.group)
        if other != still.group:
            raise AnnotationError(
                f"Stills of recording {recording[1]} are listed under two groups, {other} and "
                f"{still.group}: a split would put one recording on both sides. Give them one."
            )


def check_twins(cache: StillCache, train: NDArray[np.int64], held_out: NDArray[np.int64]) -> None:
    """Check that no picture is both trained on and held out, under whatever name.

    Raises
    ------
    AnnotationError
        If one is.
    """
    index_of = {_digest(cache.rgb[i]): int(i) for i in train} if len(held_out) else {}
    for i in held_out:
        # By pixels and not by name or file: the same picture comes from two exports under two
        # names.
        twin = index_of.get(_digest(cache.rgb[i]))
        if twin is not None:
            one, other = cache.stills[twin], cache.stills[int(i)]
            raise AnnotationError(
                f"{one.name} (group {one.group}) and {other.name} (group {other.group}) are the "
                "same picture, one trained on and one held out. Take one out or give them one "
                "group."
            )


def _digest(rgb: RgbArray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(rgb).tobytes(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, eq=False)
class StillCache:
    """Decoded stills: `rgb` (n, S, S, 3) and `label` (n, S, S) uint8, memory-mapped."""

    stills: tuple[Still, ...]
    rgb: RgbArray
    label: LabelArray

    def resized(self, index: Sequence[int] | NDArray[np.int64], side_px: int) -> StillCache:
        """Return the stills `index` as squares of another side."""
        size = (side_px, side_px)
        # A picture is averaged down; a label is a class, of which a mean would be another class,
        # and takes the nearest.
        pairs = (
            (
                np.asarray(cv2.resize(self.rgb[i], size, interpolation=cv2.INTER_AREA), np.uint8),
                self._label_at(int(i), side_px),
            )
            for i in index
        )
        stills = tuple(self.stills[int(i)] for i in index)
        return StillCache(stills, *stacked(pairs, len(stills), side_px))

    def decided(self, index: NDArray[np.int64], side_px: int) -> NDArray[np.int64]:
        """Return those of the stills `index` that have a decided pixel as squares of that side.

        The others say nothing: taken for clean, an unlabelled still would count as one that was
        called clean.
        """
        is_decided = [bool((self._label_at(int(i), side_px) != IGNORE).any()) for i in index]
        return np.asarray(index[np.array(is_decided, bool)], np.int64)

    def _label_at(self, number: int, side_px: int) -> LabelArray:
        size = (side_px, side_px)
        label = cv2.resize(self.label[number], size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(label, np.uint8)


def stacked(
    pictures: Iterable[tuple[RgbArray, LabelArray]], n: int, side_px: int
) -> tuple[RgbArray, LabelArray]:
    """Return (n, S, S, 3) pictures and (n, S, S) labels, filled in as they come."""
    # Made whole at first: a list of thousands of pictures and its stack would be twice the memory.
    rgb = np.empty((n, side_px, side_px, 3), np.uint8)
    label = np.empty((n, side_px, side_px), np.uint8)
    for i, (picture, mask) in enumerate(pictures):
        rgb[i], label[i] = picture, mask
    return rgb, label


def cache_stills(stills: Sequence[Still], side_px: int, folder: Path) -> StillCache:
    """Decode stills once to `side_px` squares under `folder` and map them into memory.

    The key covers names, paths, sizes and times of the files: a changed mask is decoded again.

    Raises
    ------
    AnnotationError
        As `read_rgb` and `read_label`.
    """
    digest = hashlib.sha256(str(side_px).encode())
    for still in stills:
        for path in (still.image_path, still.mask_path, still.ignore_path):
            if path is not None:
                # Sizes and times, since hashing thousands of pictures would take as long as
                # decoding them.
                digest.update(f"{still.name}|{still.kind}|{_stamp(path)}".encode())
    stem = folder / digest.hexdigest()[:20]
    decoded = (_decoded(still, side_px) for still in stills)
    return StillCache(tuple(stills), *mapped(stem, lambda: stacked(decoded, len(stills), side_px)))


def mapped(
    stem: Path, make: Callable[[], tuple[RgbArray, LabelArray]]
) -> tuple[RgbArray, LabelArray]:
    """Map (n, S, S, 3) pictures and (n, S, S) labels from files at `stem`; make them if absent.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    rgb_path, label_path = stem.with_suffix(".rgb.npy"), stem.with_suffix(".label.npy")
    if not label_path.is_file():
        rgb, label = make()
        # Both are there once the labels have their name.
        for path, array in ((rgb_path, rgb), (label_path, label)):
            with staged_for(path) as staged, staged.open("wb") as stream:
                np.save(stream, array)
    # Copied on write, though nobody writes: tensors cannot share memory that is read-only.
    return np.load(rgb_path, mmap_mode="c"), np.load(label_path, mmap_mode="c")


def never_on_instruments(cache: StillCache, index: NDArray[np.int64]) -> StillCache:
    """Return a cache in which no pixel well inside an instrument is blood, for training.

    Where blood was drawn over an instrument's edge, it is undecided within a hundredth of the side
    of that edge: both were drawn by hand. What is held out is scored as it was drawn.

    Raises
    ------
    AnnotationError
        If a mask cannot be read or has another size than its still.
    """
    marked = [int(i) for i in index if cache.stills[int(i)].instrument_path is not None]
    if not marked:
        return cache
    label = np.array(cache.label)
    side = label.shape[1]
    rim = np.ones((2 * (side // 100) + 1,) * 2, np.uint8)
    for i in marked:
        still = cache.stills[i]
        height, width = read_rgb(still.image_path).shape[:2]
        path = Path(str(still.instrument_path))
        instrument = read_mask(path, still.name, (height, width)).astype(np.uint8)
        metal = cv2.resize(instrument, (side, side), interpolation=cv2.INTER_NEAREST)
        # Near its edge either outline may be right, well inside of it there is no blood.
        inside = cv2.erode(metal, rim) > 0
        label[i][(metal > 0) & (label[i] == BLOOD)] = IGNORE
        label[i][inside] = CLEAN
    return StillCache(cache.stills, cache.rgb, label)


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _decoded(still: Still, side_px: int) -> tuple[RgbArray, LabelArray]:
    picture = read_rgb(still.image_path)
    label = read_label(still, *picture.shape[:2])
    label = np.asarray(cv2.resize(label, (side_px, side_px), interpolation=cv2.INTER_NEAREST))
    return squared(picture, side_px), label.astype(np.uint8)


def squared(rgb: RgbArray, side_px: int) -> RgbArray:
    """Stretch a picture to a square."""
    how = cv2.INTER_AREA if rgb.shape[0] >= side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (side_px, side_px), interpolation=how), np.uint8)
