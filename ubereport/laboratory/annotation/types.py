"""One still as one annotator saw it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.run_lengths import RunLengths

UNKNOWN_ANNOTATOR = "unknown"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_NAME = 200


class AnnotationKind(StrEnum):
    """What an annotation says of its still."""

    BLOOD = "blood"
    ZERO = "zero"
    UNDECIDED = "undecided"


class Role(StrEnum):
    """What a drawn shape means."""

    BLOOD = "blood"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One still as one annotator saw it.

    Parameters
    ----------
    still
        File name of the still, without folders.
    sha256
        Hex digest of the still's file; None where the format does not know it.
    annotator
        Who drew it; a pseudonym is enough.
    blood_runs
        Where blood is.
    ignore_runs
        Where the annotator is undecided: these pixels count neither way.
    group
        The recording or run of one operation that the still is from, where known.

    Raises
    ------
    AnnotationError
        If a name or digest cannot be used, the masks differ in size, or a pixel is both blood
        and undecided.
    """

    still: str
    sha256: str | None
    annotator: str
    blood_runs: RunLengths
    ignore_runs: RunLengths
    group: str | None = None

    def __post_init__(self) -> None:
        if still_name(self.still) != self.still:
            raise AnnotationError(f"Still {self.still!r} is a path; give its file name alone.")
        _check_plain(self.annotator, "annotator")
        if self.group is not None:
            _check_plain(self.group, "group")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise AnnotationError(
                f"The sha256 of still {self.still} is {self.sha256!r}; it has 64 hex digits."
            )
        sizes = {(r.height_px, r.width_px) for r in (self.blood_runs, self.ignore_runs)}
        if len(sizes) != 1:
            raise AnnotationError(
                f"The blood and ignore masks of {self.still} differ in size: {sorted(sizes)}."
            )
        # Refused and not settled: which of the two was meant only the annotator knows.
        if self.blood_runs.overlaps(self.ignore_runs):
            raise AnnotationError(
                f"Pixels of {self.still} are both blood and undecided; a pixel is one of them."
            )

    @classmethod
    def from_masks(
        cls,
        still: str,
        blood: BoolArray,
        ignore: BoolArray | None = None,
        *,
        annotator: str = UNKNOWN_ANNOTATOR,
        sha256: str | None = None,
        group: str | None = None,
    ) -> Annotation:
        """Make an annotation of (H, W) bool masks; no ignore mask means nothing is undecided."""
        undecided = np.zeros_like(blood) if ignore is None else ignore
        return cls(
            still,
            sha256,
            annotator,
            RunLengths.from_mask(blood),
            RunLengths.from_mask(undecided),
            group,
        )

    @property
    def blood(self) -> BoolArray:
        """(H, W) bool mask of blood, read-only."""
        return self.blood_runs.decode()

    @property
    def ignore(self) -> BoolArray:
        """(H, W) bool mask of undecided pixels, read-only."""
        return self.ignore_runs.decode()

    @property
    def layers(self) -> tuple[tuple[Role, BoolArray], ...]:
        """What was drawn, blood before undecided; a layer without a pixel is left out."""
        runs = {Role.BLOOD: self.blood_runs, Role.IGNORE: self.ignore_runs}
        return tuple((role, layer.decode()) for role, layer in runs.items() if layer.area_px)

    @property
    def height_px(self) -> int:
        """Height of the still."""
        return self.blood_runs.height_px

    @property
    def width_px(self) -> int:
        """Width of the still."""
        return self.blood_runs.width_px

    @property
    def kind(self) -> AnnotationKind:
        """Blood seen; none seen (a zero mask); or the whole still undecided."""
        if self.blood_runs.area_px:
            return AnnotationKind.BLOOD
        if self.ignore_runs.area_px == self.height_px * self.width_px:
            return AnnotationKind.UNDECIDED
        return AnnotationKind.ZERO


@dataclass(frozen=True, slots=True)
class LabelNames:
    """Which labels of a tool mean blood and which mean undecided; case does not matter."""

    blood: tuple[str, ...] = ("blood", "bleeding")
    ignore: tuple[str, ...] = ("ignore", "undecided")

    def role(self, label: str) -> Role:
        """Return what `label` means.

        Raises
        ------
        AnnotationError
            If it is none of the known labels: an unknown shape is never dropped silently.
        """
        folded = label.casefold()
        if folded in map(str.casefold, self.blood):
            return Role.BLOOD
        if folded in map(str.casefold, self.ignore):
            return Role.IGNORE
        known = ", ".join((*self.blood, *self.ignore))
        raise AnnotationError(f"Label {label!r} is unknown; known: {known}. Rename it or name it.")


DEFAULT_LABELS = LabelNames()


def label_names(text: str) -> LabelNames:
    """Return what "blood,bleeding;ignore,undecided" means: labels of blood; of undecided regions.

    Raises
    ------
    AnnotationError
        If there is no label of blood, or a label means both.
    """
    blood, _, ignore = text.partition(";")
    names = [tuple(n.strip() for n in part.split(",") if n.strip()) for part in (blood, ignore)]
    both = {n.casefold() for n in names[0]} & {n.casefold() for n in names[1]}
    if not names[0] or both:
        raise AnnotationError(
            f"Labels {text!r} cannot be used. Give those of blood, then ; and those of undecided "
            "regions, such as 'blood,clot;unsure'."
        )
    return LabelNames(*names)


def still_name(text: str) -> str:
    """Return the file name in a still's name, path or folder-relative path.

    Raises
    ------
    AnnotationError
        If it climbs (``..``), is absolute, or has characters that no file name has.
    """
    parts = re.split(r"[/\\]", text)
    is_climbing = ".." in parts or text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", text)
    if is_climbing or parts[-1] in ("", "."):
        raise AnnotationError(
            f"Still {text[:_MAX_NAME]!r} points outside its folder. Use plain file names."
        )
    _check_plain(parts[-1], "still")
    return parts[-1]


def check_no_repeats(annotations: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    """Return `annotations`; raise AnnotationError where an annotator has one still twice."""
    keys: set[tuple[str, str]] = set()
    for annotation in annotations:
        key = (annotation.still, annotation.annotator)
        if key in keys:
            raise AnnotationError(
                f"Still {key[0]} is annotated twice by {key[1]}. Keep one of the two."
            )
        keys.add(key)
    return annotations


def check_writable(annotations: Sequence[Annotation]) -> None:
    """Raise AnnotationError where an annotator has a still twice, or its sizes differ."""
    check_no_repeats(tuple(annotations))
    size_of: dict[str, tuple[int, int]] = {}
    for a in annotations:
        if size_of.setdefault(a.still, (a.height_px, a.width_px)) != (a.height_px, a.width_px):
            raise AnnotationError(f"Annotations of {a.still} differ in size.")


def by_file(annotations: Sequence[Annotation], suffix: str) -> dict[str, Annotation]:
    """Return annotations by the file that each gets; several annotators get a folder each.

    Raises
    ------
    AnnotationError
        If two stills differ only in their suffix, or an annotator has a still twice.
    """
    check_no_repeats(tuple(annotations))
    is_one = len({annotation.annotator for annotation in annotations}) < 2
    files = {
        ("" if is_one else f"{a.annotator}/") + f"{Path(a.still).stem}{suffix}": a
        for a in annotations
    }
    if len(files) != len(annotations):
        raise AnnotationError("Two stills differ only in their suffix. Rename one of them.")
    return files


def _check_plain(name: str, what: str) -> None:
    is_plain = (
        0 < len(name) <= _MAX_NAME
        and name.isprintable()
        and name == name.strip()
        and name not in (".", "..")
        and not re.search(r"[/\\:*?\"<>|]", name)
    )
    if not is_plain:
        raise AnnotationError(
            f"The name of the {what} is {name[:_MAX_NAME]!r}; it needs 1 to {_MAX_NAME} printable "
            'characters without / \\ : * ? " < > |. Rename it.'
        )
