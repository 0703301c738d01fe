"""Join annotations with a folder of stills, by content first and by name second."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.run_lengths import check_size
from ubereport.laboratory.annotation.types import Annotation
from ubereport.laboratory.picture_files import is_hidden, is_picture

_MASK_FOLDERS = ("masks", "ignore")


class StillIndex:
    """Stills by file name, and by sha256 where a name does not settle it.

    Files are read for their digest only when a digest is asked for: a folder may hold the stills
    of years.
    """

    def __init__(self, by_name: Mapping[str, Path]) -> None:
        self.by_name = by_name
        self._by_sha256: dict[str, Path] | None = None

    def named(self, name: str) -> Path | None:
        """Return the still of that file name, or of that stem when only one has it."""
        if name in self.by_name:
            return self.by_name[name]
        same = [path for key, path in self.by_name.items() if Path(key).stem == name]
        return same[0] if len(same) == 1 else None

    def with_content(self, sha256: str, name: str) -> Path | None:
        """Return the still with that digest; the one called `name` is looked at first."""
        likely = self.named(name)
        if likely is not None and _sha256(likely) == sha256:
            return likely
        if self._by_sha256 is None:
            self._by_sha256 = {}
            for path in self.by_name.values():
                self._by_sha256.setdefault(_sha256(path), path)
        return self._by_sha256.get(sha256)


@dataclass(frozen=True, slots=True)
class Joined:
    """Annotations with their stills, and the names of stills that are not there."""

    pairs: tuple[tuple[Annotation, Path], ...]
    missing: tuple[str, ...]


def index_stills(*folders: Path) -> StillIndex:
    """List the pictures directly in `folders`.

    Raises
    ------
    AnnotationError
        If a folder is missing or two different stills have one name.
    """
    by_name: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise AnnotationError(f"There is no folder of stills {folder.name!r}. Check the path.")
        for path in sorted(folder.iterdir()):
            if not is_picture(path):
                continue
            other = by_name.setdefault(path.name, path)
            if other != path and _sha256(other) != _sha256(path):
                raise AnnotationError(
                    f"Two different stills are called {path.name}. Rename one of them."
                )
    return StillIndex(by_name)


def still_folders(root: Path) -> tuple[Path, ...]:
    """Return `root` and the folders in it, for `index_stills`.

    Hidden ones are left out, and those that hold masks (``masks/``, ``ignore/``): a mask has the
    name of its still.

    Raises
    ------
    AnnotationError
        If it is missing.
    """
    if not root.is_dir():
        raise AnnotationError(f"There is no folder of stills {root.name!r}. Check the path.")
    inside = (path for path in root.rglob("*") if path.is_dir())
    pictures = (path for path in inside if not _is_left_out(path.relative_to(root)))
    return (root, *sorted(pictures))


def _is_left_out(path: Path) -> bool:
    return is_hidden(path) or any(part in _MASK_FOLDERS for part in path.parts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def join_stills(
    annotations: Iterable[Annotation], index: StillIndex, *, is_missing_allowed: bool = False
) -> Joined:
    """Find the still of each annotation: by sha256 where the annotation has one, else by name.

    Raises
    ------
    AnnotationError
        If a still is missing (unless that is allowed), has another content than the one that was
        annotated, or another size than its masks.
    """
    pairs, missing = [], []
    for annotation in annotations:
        path = _find(annotation, index)
        if path is None:
            missing.append(annotation.still)
            continue
        _check_still(annotation, path)
        pairs.append((annotation, path))
    if missing and not is_missing_allowed:
        raise AnnotationError(
            f"{len(missing)} annotated stills are not in the folder, such as {missing[0]}. "
            "Add them or take their annotations out."
        )
    return Joined(tuple(pairs), tuple(missing))


def still_size(path: Path) -> tuple[int, int]:
    """Return height and width of a still as stored, without turning it.

    Raises
    ------
    AnnotationError
        If it is no picture that can be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise AnnotationError(f"Still {path.name} is no picture that can be read. Replace it.")
    check_size(*picture.shape[:2])
    return picture.shape[0], picture.shape[1]


def _find(annotation: Annotation, index: StillIndex) -> Path | None:
    if annotation.sha256 is None:
        return index.named(annotation.still)
    path = index.with_content(annotation.sha256, annotation.still)
    if path is None and index.named(annotation.still) is not None:
        raise AnnotationError(
            f"Still {annotation.still} is there, but not the one that was annotated: its sha256 "
            "differs. Use the original file."
        )
    return path


def _check_still(annotation: Annotation, path: Path) -> None:
    height_px, width_px = still_size(path)
    if (height_px, width_px) != (annotation.height_px, annotation.width_px):
        raise AnnotationError(
            f"The mask of {annotation.still} is {annotation.width_px} × {annotation.height_px} px, "
            f"the still {width_px} × {height_px} px. Masks have the size of their still."
        )
