from __future__ import annotations

import functools
import string
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ubereport.core.errors import AnnotationError, OutputError
from ubereport.laboratory.annotation.coco import read_coco, write_coco
from ubereport.laboratory.annotation.cvat import read_cvat, write_cvat
from ubereport.laboratory.annotation.label_studio import read_label_studio, write_label_studio
from ubereport.laboratory.annotation.labelme import read_labelme, write_labelme
from ubereport.laboratory.annotation.png import read_png, write_png
from ubereport.laboratory.annotation.types import Annotation, AnnotationKind

Write = Callable[[Sequence[Annotation], Path], None]
Read = Callable[[Path], tuple[Annotation, ...]]


FORMATS: dict[str, tuple[str, Write, Read]] = {
    "png": ("set", write_png, read_png),
    "coco": ("set.json", write_coco, read_coco),
    "labelme": ("set", write_labelme, read_labelme),
    "labelme polygons": ("set", functools.partial(write_labelme, is_polygon=True), read_labelme),
    "cvat": ("set.xml", write_cvat, read_cvat),
    "cvat polygons": ("set.xml", functools.partial(write_cvat, is_polygon=True), read_cvat),
    "label studio": ("set.json", write_label_studio, read_label_studio),
    "label studio polygons": (
        "set.json",
        functools.partial(write_label_studio, is_polygon=True),
        read_label_studio,
    ),
    "coco, zipped": ("set.json.gz", write_coco, read_coco),
}

NAMES = st.text(string.ascii_letters + string.digits + "_- äé漢&'", min_size=1, max_size=9).filter(
    lambda name: name == name.strip()
)


@st.composite
def annotation_sets(draw: st.DrawFn) -> tuple[Annotation, ...]:
    """One to three stills, each seen by one or two annotators: blood, zero, undecided, ignore."""
    people = draw(st.lists(NAMES, min_size=1, max_size=2, unique_by=str.casefold))
    stems = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    made = []
    for stem in stems:
        size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
        sha256 = draw(st.none() | st.just("ab" * 32))
        group = draw(st.none() | NAMES)
        for person in people:
            levels = draw(arrays(np.uint8, size, elements=st.sampled_from([0, 1, 2])))
            kind = draw(st.sampled_from(["drawn", "zero", "undecided"]))
            levels = {"drawn": levels, "zero": levels * 0, "undecided": levels * 0 + 2}[kind]
            made.append(
                Annotation.from_masks(
                    f"{stem}.jpg",
                    levels == 1,
                    levels == 2,
                    annotator=person,
                    sha256=sha256,
                    group=group,
                )
            )
    return tuple(made)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(annotations=annotation_sets())
def test_every_format_gives_back_what_was_written(
    name: str, annotations: tuple[Annotation, ...]
) -> None:
    file, write, read = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        write(annotations, Path(folder) / file)
        assert set(read(Path(folder) / file)) == set(annotations)


@pytest.fixture
def drawn() -> tuple[Annotation, ...]:
    blood = np.zeros((8, 9), dtype=bool)
    blood[2:5, 3:8] = True
    ignore = np.zeros((8, 9), dtype=bool)
    ignore[6:] = True
    return (
        Annotation.from_masks("a.png", blood, ignore, annotator="ann"),
        Annotation.from_masks("a.png", blood & False, annotator="bob"),
        Annotation.from_masks("b.png", blood, annotator="ann"),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_writing_twice_gives_the_same_bytes(
    name: str, drawn: tuple[Annotation, ...], tmp_path: Path
) -> None:
    file, write, _ = FORMATS[name]
    contents = []
    for folder in ("one", "two"):
        write(drawn, tmp_path / folder / file)
        root = tmp_path / folder
        contents.append(
            {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        )
    assert contents[0] == contents[1]
    assert len(contents[0]) >= 1


@pytest.mark.parametrize("name", FORMATS)
def test_one_annotator_has_a_still_once(
    name: str, drawn: tuple[Annotation, ...], tmp_path: Path
) -> None:
    file, write, _ = FORMATS[name]
    with pytest.raises(AnnotationError, match="twice"):
        write([drawn[0], drawn[0]], tmp_path / file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["coco", "cvat", "label studio"])
def test_annotators_of_a_still_agree_on_its_size(
    name: str, drawn: tuple[Annotation, ...], tmp_path: Path
) -> None:
    file, write, _ = FORMATS[name]
    other = Annotation.from_masks("a.png", np.zeros((3, 3), dtype=bool), annotator="bob")
    with pytest.raises(AnnotationError, match="differ in size"):
        write([drawn[0], other], tmp_path / file)


@pytest.mark.parametrize("name", ["png", "labelme"])
def test_stills_that_differ_in_suffix_only_are_refused(
    name: str, drawn: tuple[Annotation, ...], tmp_path: Path
) -> None:
    file, write, _ = FORMATS[name]
    twin = Annotation.from_masks("a.jpg", drawn[0].blood, annotator="ann")
    with pytest.raises(AnnotationError, match="suffix"):
        write([drawn[0], twin], tmp_path / file)


@pytest.mark.parametrize("name", FORMATS)
def test_what_cannot_be_written_is_said(
    name: str, drawn: tuple[Annotation, ...], tmp_path: Path
) -> None:
    file, write, _ = FORMATS[name]
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        write(drawn, tmp_path / "taken" / file)


def test_kinds_follow_from_the_masks(drawn: tuple[Annotation, ...]) -> None:
    everything = np.ones((2, 2), dtype=bool)
    unsure = Annotation.from_masks("c.png", ~everything, everything)
    kinds = [annotation.kind for annotation in (*drawn, unsure)]
    assert kinds == [
        AnnotationKind.BLOOD,
        AnnotationKind.ZERO,
        AnnotationKind.BLOOD,
        AnnotationKind.UNDECIDED,
    ]
