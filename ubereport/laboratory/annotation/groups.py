"""Which recording a still is from: what a split between training and validation keeps together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.still_index import Joined
from ubereport.laboratory.annotation.types import Annotation
from ubereport.laboratory.csv_rows import read_rows

STILLS_LIST = "stills.csv"
_FRAME = re.compile(r"(.+)_\d{6,}")

Grouped = tuple[Joined, str]


def with_groups(joined: Joined, root: Path, group_of: Mapping[str, str] | None) -> Grouped:
    """Give every annotation the group of its still; return how they were found as well.

    In this order: `group_of` (by stem, and then for every still), what the annotation says itself,
    ``stills.csv`` of `train frames` beside the still, the folder under `root` that the still lies
    in, and a name as `train frames` makes it (``C007_000120.png``).

    Raises
    ------
    AnnotationError
        If the group of a still is not known: a guess could put one recording on both sides of a
        split.
    """
    lists: dict[Path, Mapping[str, str]] = {}
    pairs, ways, unknown = [], Counter[str](), []
    for annotation, path in joined.pairs:
        group = _find(annotation, path, root, group_of, lists)
        if group is None:
            unknown.append(annotation.still)
            continue
        ways[group[1]] += 1
        pairs.append((replace(annotation, group=group[0]), path))
    if unknown:
        raise AnnotationError(
            f"The recordings of {len(unknown)} stills are not known, such as that of {unknown[0]}. "
            "Give --groups, a CSV file with the columns name and group, or put the stills of each "
            "recording into a folder of its own."
        )
    words = ", ".join(f"{n} by {way}" for way, n in ways.most_common())
    return Joined(tuple(pairs), joined.missing), words


def _find(
    annotation: Annotation,
    path: Path,
    root: Path,
    group_of: Mapping[str, str] | None,
    lists: dict[Path, Mapping[str, str]],
) -> tuple[str, str] | None:
    if group_of is not None:
        group = group_of.get(path.stem)
        return None if not group else (group, "the given list")
    if annotation.group is not None:
        return annotation.group, "the annotations"
    if path.parent not in lists:
        lists[path.parent] = _listed(path.parent / STILLS_LIST)
    if path.stem in lists[path.parent]:
        return lists[path.parent][path.stem], f"{STILLS_LIST} of their folder"
    inside = _parts_below(path.parent, root)
    if inside:
        return "-".join(inside), "their folder"
    named = _FRAME.fullmatch(path.stem)
    return None if named is None else (named[1], "their names")


def _parts_below(folder: Path, root: Path) -> Sequence[str]:
    below = folder.resolve()
    return below.relative_to(root.resolve()).parts if below.is_relative_to(root.resolve()) else ()


def _listed(path: Path) -> Mapping[str, str]:
    rows = read_rows(path, "name", "group", may_be_empty=True) if path.is_file() else []
    return {row["name"]: row["group"] for row in rows if row["group"]}
