"""Stills with reference masks from folders, checked before any work is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.csv_rows import read_rows
from ubereport.laboratory.picture_files import (
    PICTURE_SUFFIXES,
    is_picture,
    pictures_below,
    read_rgb,
)

_MANIFEST = "MANIFEST.csv"
_TRAILING_NUMBER = re.compile(r"(?:[ _\-.]+[a-z]?)?\d+$", re.IGNORECASE)


class GroupRule(StrEnum):
    """What stills of one group share, where no list says so."""

    FOLDER = "folder"
    NAME = "name"
    STILL = "still"

    @property
    def words(self) -> str:
        """Say the rule."""
        return {
            GroupRule.FOLDER: "pictures of one folder are one group",
            GroupRule.NAME: "names that differ only by a number at their end are one group",
            GroupRule.STILL: "every still is a group of its own, so that intervals are too narrow "
            "where stills share a recording",
        }[self]


@dataclass(frozen=True, slots=True)
class ReferenceStill:
    """Where a still, its masks and its ignore masks lie; `annotators` and `masks` go together."""

    name: str
    group: str
    image: Path
    annotators: tuple[str, ...]
    masks: tuple[Path, ...]
    ignores: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class StillSet:
    """Stills that can be evaluated.

    Parameters
    ----------
    stills
        In the order of their names.
    annotators
        Names of the annotators' folders; one empty name where masks lie in the folder itself.
    n_without_mask
        Pictures left out because nobody annotated them.
    grouping
        One sentence: what stills of one group share.
    """

    stills: tuple[ReferenceStill, ...]
    annotators: tuple[str, ...]
    n_without_mask: int
    grouping: str


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStill:
    """A still in memory: (H, W, 3) uint8 picture, (k, H, W) masks, (H, W) decided pixels."""

    rgb: RgbArray
    masks: BoolArray
    is_decided: BoolArray


def load_stills(
    images: Path,
    masks: Path,
    ignore: Path | None = None,
    groups: Mapping[str, str] | GroupRule | None = None,
    only: frozenset[str] | None = None,
) -> StillSet:
    """Match pictures, masks and ignore masks by file stem, and check every one of them.

    Parameters
    ----------
    images
        Folder of pictures, or of folders of pictures (as `train frames` writes them).
    masks
        Folder of masks (0 and 255, or 0 and 1), or of one such folder per annotator.
    ignore
        Folder of masks whose set pixels are undecided, or of one such folder per annotator; a
        pixel that anyone left undecided counts for no one.
    groups
        Group by stem, or a rule. None takes the list ``MANIFEST.csv`` of a labelled folder that
        the masks lie in, else the folders of the pictures where there are any, else their names.
    only
        Stems to evaluate, such as those of a held-out set; None takes all.

    Raises
    ------
    AnnotationError
        If a folder is missing or empty, a stem occurs twice, a mask has no picture, another size
        or other values than two, a picture cannot be read, a still has no decided pixel, or a
        still is in no group.
    """
    pictures = _pictures(images)
    by_annotator = _annotations(masks, "masks")
    ignored = _annotations(ignore, "ignore masks") if ignore is not None else {}
    for files in (*by_annotator.values(), *ignored.values()):
        missing = sorted(set(files) - set(pictures))
        if missing:
            raise AnnotationError(
                f"{len(missing)} masks have no picture, such as {missing[0]}. "
                "Add the pictures or take the masks away."
            )
    annotated = {stem for files in by_annotator.values() for stem in files}
    names = sorted(annotated if only is None else annotated & only)
    if not names:
        raise AnnotationError("None of the stills to evaluate has a mask. Check the list of names.")
    group_of, grouping = _groups(groups, images, masks, {name: pictures[name] for name in names})
    stills = tuple(
        _reference(name, pictures[name], by_annotator, ignored, group_of[name]) for name in names
    )
    # Every file is read once before the first prediction: a broken mask is told at the start and
    # not in the middle of the scoring.
    for still in stills:
        read_still(still)
    return StillSet(
        stills,
        tuple(sorted(by_annotator)),
        len(set(pictures) - annotated),
        grouping,
    )


def find_groups(given: str | None) -> Mapping[str, str] | GroupRule | None:
    """Return the groups that a rule's name or the path of a CSV file stands for.

    Raises
    ------
    AnnotationError
        As `read_groups`.
    """
    if given is None or given in set(GroupRule):
        return None if given is None else GroupRule(given)
    return read_groups(Path(given))


def _groups(
    grouping: Mapping[str, str] | GroupRule | None,
    images: Path,
    masks: Path,
    pictures: Mapping[str, Path],
) -> tuple[Mapping[str, str], str]:
    """Return the group of each still and, in words, how groups were found."""
    words = "as listed"
    if grouping is None:
        listed = _manifest_beside(masks, frozenset(pictures))
        has_folders = any(path.parent != images for path in pictures.values())
        grouping = listed or (GroupRule.FOLDER if has_folders else GroupRule.NAME)
        words = f"as listed in {_MANIFEST} beside the masks"
    if isinstance(grouping, GroupRule):
        rule: dict[GroupRule, Callable[[str, Path], str]] = {
            GroupRule.FOLDER: lambda _name, path: path.parent.name,
            # Numbers at the end count pictures; a name of nothing but a number stays what it is.
            GroupRule.NAME: lambda name, _path: _TRAILING_NUMBER.sub("", name) or name,
            GroupRule.STILL: lambda name, _path: name,
        }
        return {name: rule[grouping](name, path) for name, path in pictures.items()}, grouping.words
    lacking = sorted(set(pictures) - set(grouping))
    if lacking:
        raise AnnotationError(
            f"{len(lacking)} stills are in no group, such as {lacking[0]}. Add them to the list of "
            "groups."
        )
    return grouping, words


def _manifest_beside(masks: Path, names: frozenset[str]) -> Mapping[str, str] | None:
    """Return the groups of a labelled folder that lists every one of the stills."""
    for folder in (masks.parent, masks.parent.parent):
        if (folder / _MANIFEST).is_file():
            listed = read_groups(folder / _MANIFEST)
            # A list that lacks a single still is not the list of these stills.
            return listed if names <= set(listed) else None
    return None


def read_groups(path: Path) -> dict[str, str]:
    """Read a CSV with the columns ``name`` and ``group``.

    Raises
    ------
    AnnotationError
        If it cannot be read or lacks a column.
    """
    rows = read_rows(path, "name", "group")
    return {row["name"].strip(): row["group"].strip() for row in rows}


def read_still(still: ReferenceStill) -> LoadedStill:
    """Read a still with its masks.

    Raises
    ------
    AnnotationError
        As `load_stills`.
    """
    rgb = read_rgb(still.image)
    shape = (rgb.shape[0], rgb.shape[1])
    masks = np.stack([read_mask(path, still.name, shape) for path in still.masks])
    is_decided = np.ones(shape, dtype=np.bool_)
    for path in still.ignores:
        is_decided &= ~read_mask(path, still.name, shape)
    if not is_decided.any():
        raise AnnotationError(
            f"Still {still.name} has no decided pixel. Take it out or mend its ignore mask."
        )
    return LoadedStill(rgb, masks, is_decided)


def _reference(
    name: str,
    image: Path,
    by_annotator: Mapping[str, Mapping[str, Path]],
    ignored: Mapping[str, Mapping[str, Path]],
    group: str,
) -> ReferenceStill:
    masks = [(who, files[name]) for who, files in sorted(by_annotator.items()) if name in files]
    return ReferenceStill(
        name,
        group,
        image,
        tuple(who for who, _ in masks),
        tuple(path for _, path in masks),
        tuple(files[name] for _, files in sorted(ignored.items()) if name in files),
    )


def _annotations(folder: Path, what: str) -> dict[str, dict[str, Path]]:
    """Return files by annotator and stem; the annotator is "" for a folder without folders."""
    _check_folder(folder, what)
    people = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not people:
        return {"": _files_by_stem(folder, what)}
    if any(is_picture(path) for path in folder.iterdir()):
        raise AnnotationError(
            f"The folder of {what} holds both pictures and folders. Keep one folder an annotator, "
            "or masks only."
        )
    return {person.name: _files_by_stem(person, what) for person in people}


def _pictures(folder: Path) -> dict[str, Path]:
    """Return pictures by stem: those in the folder, or else those in the folders inside it."""
    _check_folder(folder, "pictures")
    # Loose pictures or folders of them, never both: with both, a folder inside would quietly be
    # left out or doubled.
    if any(is_picture(path) for path in folder.iterdir()):
        return _files_by_stem(folder, "pictures")
    return _by_stem(pictures_below(folder), "pictures")


def _files_by_stem(folder: Path, what: str) -> dict[str, Path]:
    _check_folder(folder, what)
    return _by_stem(filter(is_picture, folder.iterdir()), what)


def _by_stem(paths: Iterable[Path], what: str) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for path in sorted(paths):
        if path.stem in by_stem:
            raise AnnotationError(
                f"{path.stem} occurs twice among the {what}, as {by_stem[path.stem].suffix} and "
                f"{path.suffix}. Keep one."
            )
        by_stem[path.stem] = path
    if not by_stem:
        raise AnnotationError(
            f"A folder of {what} is empty. Put files there that end in "
            f"{', '.join(PICTURE_SUFFIXES)}."
        )
    return by_stem


def _check_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise AnnotationError(f"The folder of {what} does not exist. Name an existing folder.")


def read_mask(path: Path, name: str, shape: tuple[int, int]) -> BoolArray:
    """Return the (H, W) mask of a still called `name`: 0 and 255, or 0 and 1, in shades of gray.

    Raises
    ------
    AnnotationError
        If the file is no picture, has colors, other values or another size.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None:
        raise AnnotationError(f"A mask of {name} cannot be read. Replace it by a PNG file.")
    # Many tools save gray as three equal channels: that is a mask; three different ones are a
    # picture.
    if mask.ndim == 3:
        colors = mask[..., :3]
        if np.any(colors != colors[..., :1]):
            raise AnnotationError(
                f"A mask of {name} is colored. A mask has 0 for background and 255 for blood."
            )
        mask = colors[..., 0]
    if mask.shape != shape:
        raise AnnotationError(
            f"A mask of {name} is {mask.shape[1]} × {mask.shape[0]} px, its still {shape[1]} × "
            f"{shape[0]} px. Export it at the size of its still."
        )
    values = np.unique(mask)
    if not (np.isin(values, (0, 255)).all() or np.isin(values, (0, 1)).all()):
        raise AnnotationError(
            f"A mask of {name} has values other than 0 and 255: {len(values)} different ones. "
            "Export it without smoothing, as PNG."
        )
    return np.asarray(mask > 0, dtype=np.bool_)
