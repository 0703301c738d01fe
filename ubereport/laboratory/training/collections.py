"""Sets of labelled stills that are learned from together: where they lie, whose terms, what share.

A TOML file lists them; a set that can only be used for academic work says so, and a bundle that
was trained on it must say so too.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.csv_rows import read_rows
from ubereport.laboratory.training.capsule import capsule_stills
from ubereport.laboratory.training.labelled_stills import Collection, Still, read_manifest

_OWN_KEYS = {"path", "layout", "instruments", "doubtful"}
_LAYOUTS = ("manifest", "capsule")


def read_collections(path: Path, root: Path | None = None) -> tuple[Still, ...]:
    """Read the stills of a manifest (CSV), or of all sets that a TOML file lists.

    Each ``[[collections]]`` has ``name``, ``path`` (of a manifest, or of a folder laid out as
    WCEBleedGen is where ``layout = "capsule"``; relative to `root`, or to the file), ``licence``,
    ``use`` ("any" or "academic") and may have the other fields of `Collection` and
    ``instruments``, a folder of masks of instruments (255) that share the names of the pictures,
    and ``doubtful``, a CSV beside the TOML file that lists stills (``name``, ``why``) whose label
    is not to be learned from; where they are held out they are looked at as all others are.

    Raises
    ------
    AnnotationError
        If the file cannot be read, an entry lacks its name or path or has a key that is not known,
        two sets share a name, a group or a still, or a set cannot be used, or a doubtful still is
        not in its set.
    """
    if path.suffix.lower() != ".toml":
        return read_manifest(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AnnotationError(
            f"The list of sets {path.name!r} cannot be read ({type(error).__name__}). Name a TOML "
            "file with [[collections]]."
        ) from None
    entries = table.get("collections", [])
    if not entries:
        raise AnnotationError(f"{path.name} lists no [[collections]]. Add one or more.")
    sets = [_without_doubt(_stills_of(e, root or path.parent), e, path.parent) for e in entries]
    _check_apart(sets)
    return tuple(still for stills in sets for still in stills)


def by_collection(stills: Sequence[Still]) -> dict[Collection, tuple[Still, ...]]:
    """Return the stills of each set, in the order in which sets first occur."""
    return {c: tuple(s for s in stills if s.collection == c) for c in collections_of(stills)}


def collections_of(stills: Sequence[Still]) -> tuple[Collection, ...]:
    """Return the sets that stills belong to, in the order in which they first occur."""
    return tuple(dict.fromkeys(still.collection for still in stills))


def _stills_of(entry: dict[str, Any], folder: Path) -> tuple[Still, ...]:
    fields = {f.name for f in dataclasses.fields(Collection)}
    unknown = sorted(set(entry) - fields - _OWN_KEYS)
    layout = entry.get("layout", "manifest")
    lacking = sorted({"name", "path"} - set(entry))
    if unknown or lacking or layout not in _LAYOUTS:
        raise AnnotationError(
            f"A set of stills has the unknown keys {unknown}, lacks {lacking} and has the layout "
            f"{layout!r}; it needs name and path, the layout is one of {', '.join(_LAYOUTS)}, and "
            f"it may have {', '.join(sorted(fields | _OWN_KEYS))}."
        )
    try:
        collection = Collection(**{k: v for k, v in entry.items() if k in fields})
    except TypeError as error:
        raise AnnotationError(
            f"The set {entry['name']!r} cannot be used: {error}. Mend its entry."
        ) from None
    place = folder / entry["path"]
    stills = capsule_stills(place) if layout == "capsule" else read_manifest(place)
    marks = folder / entry["instruments"] if "instruments" in entry else None
    return tuple(
        dataclasses.replace(
            still, collection=collection, instrument_path=_instruments(still, marks)
        )
        for still in stills
    )


def _without_doubt(
    stills: tuple[Still, ...], entry: dict[str, Any], folder: Path
) -> tuple[Still, ...]:
    """Mark the stills that the list of doubtful labels names."""
    if "doubtful" not in entry:
        return stills
    named = {row["name"] for row in read_rows(folder / entry["doubtful"], "name")}
    strangers = sorted(named - {still.name for still in stills})
    if strangers:
        raise AnnotationError(
            f"The list of doubtful labels names {', '.join(strangers[:3])}, which "
            f"{entry['name']!r} does not hold. Mend the list."
        )
    return tuple(dataclasses.replace(s, is_doubtful=s.name in named) for s in stills)


def _instruments(still: Still, folder: Path | None) -> Path | None:
    mask = None if folder is None else folder / f"{still.image_path.stem}.png"
    return mask if mask is not None and mask.is_file() else None


def _check_apart(sets: Sequence[tuple[Still, ...]]) -> None:
    for what in ("collection", "group", "name"):
        set_of: dict[object, int] = {}
        for i, stills in enumerate(sets):
            for value in {getattr(still, what) for still in stills}:
                key = value.name if isinstance(value, Collection) else value
                if set_of.setdefault(key, i) != i:
                    raise AnnotationError(
                        f"Two sets of stills hold the {what} {key!r}. Rename one, so that a split "
                        "keeps together what belongs together."
                    )
