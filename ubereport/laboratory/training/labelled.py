"""From annotations of any tool to the labelled folder that training and evaluation read, and back.

A labelled folder holds ``MANIFEST.csv`` (name, image, group, annotator, second, kind), ``masks/``
and ``ignore/``: one annotation a still. Where several people annotated a still, that one is their
consensus, and ``annotators/masks/<name>/`` and ``annotators/ignore/<name>/`` keep what each drew.
Stills stay where they are; the manifest points to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ubereport.core.choices import LabelFormat
from ubereport.core.errors import AnnotationError, OutputError, UsageError
from ubereport.files.atomic import staged_for
from ubereport.laboratory.annotation.folders import (
    ANNOTATORS_DIR,
    without_annotators,
    write_manifest_folder,
)
from ubereport.laboratory.annotation.formats import read_annotations, write_annotations
from ubereport.laboratory.annotation.groups import with_groups
from ubereport.laboratory.annotation.png import write_png
from ubereport.laboratory.annotation.still_index import (
    Joined,
    StillIndex,
    index_stills,
    join_stills,
    still_folders,
)
from ubereport.laboratory.annotation.types import (
    DEFAULT_LABELS,
    UNKNOWN_ANNOTATOR,
    Annotation,
    AnnotationKind,
    LabelNames,
    check_no_repeats,
)
from ubereport.laboratory.evaluation.agreement import majority
from ubereport.laboratory.evaluation.load import read_groups
from ubereport.laboratory.training.answers import is_answers, settle_answers

CONSENSUS = "consensus"
_TO_DRAW = "to-draw"
_SUFFIXES = {
    LabelFormat.COCO: ".json",
    LabelFormat.CVAT: ".xml",
    LabelFormat.LABEL_STUDIO: ".json",
}


@dataclass(frozen=True, slots=True)
class LabelSources:
    """Where annotations come from and how they are read.

    Parameters
    ----------
    sources
        Files or folders of annotations, answers of a proposal sheet, labelled folders.
    stills
        Folder of the stills that were annotated, with or without folders inside.
    kind
        Format of all sources; None finds it.
    annotator
        Who drew what the files give no name for.
    only, without
        Annotators to take, none meaning all, and annotators to leave out. Where several are left
        for a still, their consensus is taken.
    groups
        CSV with name and group of every still; None finds them, see `with_groups`.
    proposal
        Folder of the proposal that answers belong to.
    labels
        What the tool's labels mean.
    is_missing_allowed
        Whether annotations whose still is not there are passed over.
    rejected_as
        Format in which rejected candidates are written for drawing by hand; None writes none.
    """

    sources: tuple[Path, ...]
    stills: Path
    kind: LabelFormat | None = None
    annotator: str = UNKNOWN_ANNOTATOR
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    groups: Path | None = None
    proposal: Path | None = None
    labels: LabelNames = DEFAULT_LABELS
    is_missing_allowed: bool = False
    rejected_as: LabelFormat | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What a labelled folder got: counts of stills by kind, and what is left to do.

    `grouping` says in words how the groups were found; `rejected` are stills to draw by hand and
    `to_draw` is the file or folder with their candidates.
    """

    manifest: Path
    n_blood: int
    n_zero: int
    n_undecided: int
    n_groups: int
    grouping: str
    annotators: tuple[str, ...]
    missing: tuple[str, ...]
    rejected: tuple[str, ...]
    to_draw: Path | None
    n_unanswered: int


@dataclass(frozen=True, slots=True)
class _Read:
    annotations: tuple[Annotation, ...]
    rejected: tuple[Annotation, ...]
    n_unanswered: int


def import_labels(origin: LabelSources, folder: Path) -> Imported:
    """Write a labelled folder whole or not at all.

    Raises
    ------
    UsageError
        If answers come without their proposal.
    AnnotationError
        If annotations cannot be used, their stills are missing or of another size, an annotator
        has a still twice, nobody annotated anything, or the group of a still is not known.
    OutputError
        If `folder` exists or cannot be written.
    """
    _check_new(folder)
    index = index_stills(*still_folders(origin.stills))
    read = _read_all(origin, index)
    everyone = check_no_repeats(read.annotations)
    annotations = without_annotators(everyone, origin.without)
    annotations = tuple(a for a in annotations if not origin.only or a.annotator in origin.only)
    if not annotations:
        people = ", ".join(sorted({a.annotator for a in everyone})) or "nobody"
        raise AnnotationError(
            f"There is no annotation to take; annotated by: {people}. Check the sources, "
            "--only and --without."
        )
    # Rejected candidates are joined with their stills and groups as all others, and set apart only
    # then: a person will draw them anew, on the same still, for the same group.
    joined = join_stills(
        (*annotations, *read.rejected),
        index,
        is_missing_allowed=origin.is_missing_allowed,
    )
    groups = None if origin.groups is None else read_groups(origin.groups)
    grouped, words = with_groups(joined, origin.stills, groups)
    # A rejected candidate is no annotation: it goes back to be drawn by hand, unless somebody drew
    # that still already.
    waiting = {(a.still, a.annotator) for a in read.rejected}
    pairs = [p for p in grouped.pairs if (p[0].still, p[0].annotator) not in waiting]
    rejected = [a for a, _ in grouped.pairs if (a.still, a.annotator) in waiting]
    one_each = _one_each(pairs)
    with staged_for(folder) as staged:
        write_manifest_folder(one_each, staged)
        # Only where a still has several: the consensus is what is learned from, who drew what is
        # kept for questions.
        if len(pairs) > len(one_each.pairs):
            write_png([a for a, _ in pairs], staged / ANNOTATORS_DIR)
        to_draw = _write_rejected(rejected, origin.rejected_as, staged)
    kinds = Counter(a.kind for a, _ in one_each.pairs)
    return Imported(
        manifest=folder / "MANIFEST.csv",
        n_blood=kinds[AnnotationKind.BLOOD],
        n_zero=kinds[AnnotationKind.ZERO],
        n_undecided=kinds[AnnotationKind.UNDECIDED],
        n_groups=len({a.group for a, _ in one_each.pairs}),
        grouping=words,
        annotators=tuple(sorted({a.annotator for a, _ in pairs})),
        missing=joined.missing,
        rejected=tuple(sorted(Path(a.still).stem for a in rejected)),
        to_draw=None if to_draw is None else folder / to_draw,
        n_unanswered=read.n_unanswered,
    )


def _check_new(out: Path) -> None:
    if out.exists():
        raise OutputError(f"{out.name} exists already. Choose another name with --out.")


def _read_all(origin: LabelSources, index: StillIndex) -> _Read:
    annotations: list[Annotation] = []
    rejected: list[Annotation] = []
    n_unanswered = 0
    for source in origin.sources:
        # Answers say yes or no to a proposal's masks and hold none themselves, so that the proposal
        # must be there.
        if origin.kind is None and is_answers(source):
            if origin.proposal is None:
                raise UsageError(
                    f"{source.name} holds answers of a sheet. Name the folder of its proposal "
                    "with --proposal."
                )
            settled = settle_answers(origin.proposal, source, origin.annotator)
            annotations += settled.annotations
            rejected += settled.rejected
            n_unanswered += settled.n_open
            continue
        annotations += read_annotations(source, origin.kind, origin.labels, index)
    named = tuple(
        replace(a, annotator=origin.annotator) if a.annotator == UNKNOWN_ANNOTATOR else a
        for a in annotations
    )
    stills = {a.still for a in named}
    return _Read(named, tuple(a for a in rejected if a.still not in stills), n_unanswered)


def _one_each(pairs: Sequence[tuple[Annotation, Path]]) -> Joined:
    """Return one annotation a still, in the order of names."""
    by_path: dict[Path, list[Annotation]] = {}
    for annotation, path in pairs:
        by_path.setdefault(path, []).append(annotation)
    merged = [(consensus_of(drawn), path) for path, drawn in by_path.items()]
    return Joined(tuple(sorted(merged, key=lambda pair: pair[1].name)), ())


def consensus_of(annotations: Sequence[Annotation]) -> Annotation:
    """Return the majority of the annotations of one still, as an evaluation counts it.

    A pixel that anyone left undecided, or on which the annotators split evenly, is undecided.

    Raises
    ------
    AnnotationError
        If they differ in size.
    """
    first = annotations[0]
    if len(annotations) == 1:
        return first
    # Masks of different sizes are of different pictures; scaling one would hide the mistake.
    sizes = {(a.width_px, a.height_px) for a in annotations}
    if len(sizes) != 1:
        raise AnnotationError(
            f"Annotations of {first.still} differ in size: {sorted(sizes)}. Masks have the size of "
            "their still."
        )
    blood, is_settled = majority(np.stack([a.blood for a in annotations]))
    is_open = ~is_settled | np.any([a.ignore for a in annotations], axis=0)
    return Annotation.from_masks(
        first.still,
        blood & ~is_open,
        is_open,
        annotator=CONSENSUS,
        sha256=first.sha256,
        group=first.group,
    )


def _write_rejected(
    rejected: Sequence[Annotation], kind: LabelFormat | None, folder: Path
) -> Path | None:
    if kind is None or not rejected:
        return None
    name = Path(f"{_TO_DRAW}{_SUFFIXES.get(kind, '')}")
    has_polygons = kind in (LabelFormat.LABELME, LabelFormat.CVAT, LabelFormat.LABEL_STUDIO)
    write_annotations(rejected, kind, folder / name, is_polygon=has_polygons)
    return name


def convert_labels(source: Path, kind: LabelFormat, out: Path, *, is_polygon: bool = False) -> int:
    """Write annotations, as of a labelled folder, in a tool's format; return how many.

    Raises
    ------
    UsageError
        If `kind` cannot be written.
    AnnotationError
        If `source` is of no known format or its masks cannot be used.
    OutputError
        If `out` exists or cannot be written.
    """
    _check_new(out)
    annotations = read_annotations(source)
    write_annotations(annotations, kind, out, is_polygon=is_polygon)
    return len(annotations)
