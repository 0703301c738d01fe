"""Many annotations in one small text file without any picture: what is committed and shared.

Masks are COCO's compressed run lengths; stills are named by file name and sha256, so that the
stills themselves stay where their licence lets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubereport.core.errors import AnnotationError
from ubereport.files.atomic import write_file
from ubereport.laboratory.annotation.files import (
    list_of,
    number_of,
    read_bytes,
    read_json,
    table_of,
    text_of,
    to_json,
    unzipped,
    zipped,
)
from ubereport.laboratory.annotation.run_lengths import RunLengths
from ubereport.laboratory.annotation.types import Annotation, check_no_repeats, still_name

PACKED_SCHEMA = "ubereport-annotations/1"


@dataclass(frozen=True, slots=True)
class Packed:
    """A set of annotations with who drew them, how, and under which licence they may be used."""

    title: str
    how: str
    licence: str
    annotations: tuple[Annotation, ...]

    def __post_init__(self) -> None:
        for key in ("title", "how", "licence"):
            if not getattr(self, key).strip():
                raise AnnotationError(f"A set of annotations needs a {key}. Say it in a sentence.")
        check_no_repeats(self.annotations)


def read_packed(path: Path) -> Packed:
    """Read a ``.json`` or ``.json.gz`` file of `write_packed`.

    Raises
    ------
    AnnotationError
        If the file is damaged, of another schema, a mask does not fit its size, or a name is a
        path.
    """
    content = read_bytes(path)
    if path.suffix == ".gz":
        content = unzipped(content, path.name)
    table = table_of(read_json(content, path.name), path.name)
    if table.get("schema") != PACKED_SCHEMA:
        raise AnnotationError(
            f"{path.name} has schema {table.get('schema')!r}; allowed: {PACKED_SCHEMA!r}."
        )
    items = list_of(table.get("annotations"), f"annotations of {path.name}")
    return Packed(
        text_of(table, "title", path.name),
        text_of(table, "how", path.name),
        text_of(table, "licence", path.name),
        tuple(_from_table(table_of(item, "An annotation")) for item in items),
    )


def write_packed(packed: Packed, path: Path) -> None:
    """Write a set as ``.json`` or ``.json.gz``: sorted, the same bytes every time.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    ordered = sorted(packed.annotations, key=lambda a: (a.still, a.annotator))
    table = {
        "schema": PACKED_SCHEMA,
        "title": packed.title,
        "how": packed.how,
        "licence": packed.licence,
        "annotations": [_to_table(annotation) for annotation in ordered],
    }
    content = to_json(table)
    write_file(path, zipped(content) if path.suffix == ".gz" else content)


def _to_table(annotation: Annotation) -> dict[str, Any]:
    return {
        "still": annotation.still,
        "sha256": annotation.sha256,
        "group": annotation.group,
        "annotator": annotation.annotator,
        "kind": annotation.kind.value,
        "height_px": annotation.height_px,
        "width_px": annotation.width_px,
        "blood": annotation.blood_runs.to_string(),
        "ignore": annotation.ignore_runs.to_string(),
    }


def _from_table(table: Mapping[str, Any]) -> Annotation:
    still = still_name(text_of(table, "still", "An annotation"))
    what = f"The annotation of {still}"
    size = (number_of(table, "height_px", what), number_of(table, "width_px", what))
    annotation = Annotation(
        still,
        None if table.get("sha256") is None else text_of(table, "sha256", what),
        text_of(table, "annotator", what),
        RunLengths.from_string(*size, text_of(table, "blood", what)),
        RunLengths.from_string(*size, text_of(table, "ignore", what)),
        None if table.get("group") is None else text_of(table, "group", what),
    )
    if table.get("kind") != annotation.kind.value:
        raise AnnotationError(
            f"{what} is listed as {table.get('kind')!r}, its masks say {annotation.kind.value!r}. "
            "Mend one of them."
        )
    return annotation
