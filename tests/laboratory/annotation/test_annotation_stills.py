from __future__ import annotations

import csv
import gzip
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.coco import read_coco
from ubereport.laboratory.annotation.folders import (
    read_manifest_folder,
    without_annotators,
    write_manifest_folder,
)
from ubereport.laboratory.annotation.still_index import (
    index_stills,
    join_stills,
    still_folders,
    still_size,
)
from ubereport.laboratory.annotation.types import Annotation, AnnotationKind
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, read_label, read_manifest

ROOT = Path(__file__).resolve().parents[3]
HANDMADE = ROOT / "examples" / "annotations" / "handmade.json.gz"
SHARED = ROOT.parent / "shared" / "data"


def _still(path: Path, level: int = 90) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 8, 3), level, np.uint8))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _annotation(still: str, **more: str | None) -> Annotation:
    blood = np.zeros((6, 8), dtype=bool)
    blood[1:3, 2:5] = True
    return Annotation.from_masks(still, blood, np.flipud(blood), **more)  # type: ignore[arg-type]


def test_stills_are_found_by_content_even_when_renamed(tmp_path: Path) -> None:
    digest = _still(tmp_path / "renamed.png")
    _still(tmp_path / "other.png", 10)
    annotation = _annotation("a.png", sha256=digest)
    joined = join_stills([annotation], index_stills(tmp_path))
    assert joined.pairs == ((annotation, tmp_path / "renamed.png"),)
    assert joined.missing == ()


def test_without_a_digest_the_name_or_the_only_stem_counts(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "b.bmp"):
        _still(tmp_path / name)
    index = index_stills(tmp_path)
    assert index.named("a.png") == index.named("a") == tmp_path / "a.png"
    assert index.named("b.bmp") == tmp_path / "b.bmp"
    assert index.named("b") is None, "two stills have this stem"
    assert join_stills([_annotation("a")], index).pairs[0][1] == tmp_path / "a.png"


def test_a_missing_still_is_named_or_counted(tmp_path: Path) -> None:
    _still(tmp_path / "a.png")
    annotations = [_annotation("a.png"), _annotation("gone.png"), _annotation("x", sha256="0" * 64)]
    index = index_stills(tmp_path)
    with pytest.raises(AnnotationError, match=r"2 annotated stills .* such as gone\.png"):
        join_stills(annotations, index)
    joined = join_stills(annotations, index, is_missing_allowed=True)
    assert joined.missing == ("gone.png", "x")
    assert len(joined.pairs) == 1


def test_another_picture_under_the_same_name_is_refused(tmp_path: Path) -> None:
    _still(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match="not the one that was annotated"):
        join_stills(
            [_annotation("a.png", sha256="0" * 64)], index_stills(tmp_path), is_missing_allowed=True
        )


def test_masks_of_another_size_than_the_still_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(AnnotationError, match="is 8 × 6 px, the still 9 × 6 px"):
        join_stills([_annotation("a.png")], index_stills(tmp_path))


def test_folders_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no folder of stills"):
        index_stills(tmp_path / "absent")
    _still(tmp_path / "one" / "a.png", 1)
    _still(tmp_path / "two" / "a.png", 2)
    with pytest.raises(AnnotationError, match=r"Two different stills are called a\.png"):
        index_stills(tmp_path / "one", tmp_path / "two")
    (tmp_path / "one" / "b.png").write_text("no picture")
    with pytest.raises(AnnotationError, match="no picture that can be read"):
        still_size(tmp_path / "one" / "b.png")


def test_training_reads_what_is_written_for_it(tmp_path: Path) -> None:
    _still(tmp_path / "stills" / "a.png", 1)
    _still(tmp_path / "stills" / "b.png", 2)
    _still(tmp_path / "stills" / "c.png", 3)
    none, everything = np.zeros((6, 8), dtype=bool), np.ones((6, 8), dtype=bool)
    annotations = [
        _annotation("a.png", group="g1", annotator="ann"),
        Annotation.from_masks("b.png", none, annotator="ann"),
        Annotation.from_masks("c.png", none, everything, annotator="ann"),
    ]
    joined = join_stills(annotations, index_stills(tmp_path / "stills"))
    manifest = write_manifest_folder(joined, tmp_path / "set")
    stills = read_manifest(manifest)
    assert [(s.name, s.group, s.kind) for s in stills] == [
        ("a", "g1", "blood"),
        ("b", "b", "zero"),
        ("c", "c", "unlabelled"),
    ]
    label = read_label(stills[0], 6, 8)
    np.testing.assert_array_equal(label == BLOOD, annotations[0].blood)
    np.testing.assert_array_equal(label == IGNORE, annotations[0].ignore)
    assert not read_label(stills[1], 6, 8).any()
    back = read_manifest_folder(tmp_path / "set")
    assert [a.kind for a in back] == [a.kind for a in annotations]
    assert [a.blood_runs for a in back] == [a.blood_runs for a in annotations]


def test_training_takes_one_annotation_a_still(tmp_path: Path) -> None:
    _still(tmp_path / "a.png")
    both = [_annotation("a.png", annotator="ann"), _annotation("a.png", annotator="bob")]
    joined = join_stills(both, index_stills(tmp_path))
    with pytest.raises(AnnotationError, match="Choose one annotator"):
        write_manifest_folder(joined, tmp_path / "set")
    assert without_annotators(both, ["bob"]) == (both[0],)


def _manifest_folder(folder: Path) -> None:
    _still(folder / "images" / "a.png")
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4] = 255
    for name in ("masks", "second/masks"):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "s1.png"), mask)
    with (folder / "MANIFEST.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("name", "image", "group", "annotator", "second"))
        rows.writerow(("s1", "images/a.png", "g", "ann", "bob"))


def test_a_manifest_with_a_second_annotator_is_read(tmp_path: Path) -> None:
    _manifest_folder(tmp_path)
    made = read_manifest_folder(tmp_path)
    assert [(a.still, a.annotator, a.group) for a in made] == [
        ("a.png", "ann", "g"),
        ("a.png", "bob", "g"),
    ]
    assert made[0].sha256 == hashlib.sha256((tmp_path / "images/a.png").read_bytes()).hexdigest()
    assert made[0].blood_runs.area_px == 16
    assert made[0].ignore_runs.area_px == 0


@pytest.mark.parametrize("broken", ["still", "mask", "size", "columns", "text", "rows"])
def test_a_broken_manifest_folder_is_refused(tmp_path: Path, broken: str) -> None:
    _manifest_folder(tmp_path)
    manifest = tmp_path / "MANIFEST.csv"
    if broken == "still":
        (tmp_path / "images" / "a.png").unlink()
    elif broken == "mask":
        shutil.rmtree(tmp_path / "second")
    elif broken == "size":
        cv2.imwrite(str(tmp_path / "masks" / "s1.png"), np.zeros((5, 8), np.uint8))
    elif broken == "columns":
        manifest.write_text(manifest.read_text().replace("group", "team"))
    elif broken == "text":
        manifest.write_bytes(b"\xff\xfe\xff")
    else:
        manifest.write_text("name,image,group,annotator,second\n")
    words = {
        "still": "s1 is missing",
        "mask": r"no annotation file 's1\.png'",
        "size": "differ in size",
        "columns": "columns",
        "text": "UTF-8",
        "rows": "columns",
    }
    with pytest.raises(AnnotationError, match=words[broken]):
        read_manifest_folder(tmp_path)


def test_the_committed_masks_are_whole_and_say_who_drew_them() -> None:
    info = json.loads(gzip.decompress(HANDMADE.read_bytes()))["info"]
    assert "None of the annotators is a clinician" in info["how"]
    assert "MIT" in info["licence"]
    annotations = read_coco(HANDMADE)
    stills = {a.still for a in annotations}
    assert len(annotations) == 1062
    assert len(stills) == 1014
    first = without_annotators(annotations, ["b"])
    kinds = [a.kind for a in first]
    assert kinds.count(AnnotationKind.BLOOD) == 391
    assert kinds.count(AnnotationKind.ZERO) == 623
    # Counted in the PNG files themselves: zero masks with no undecided pixel.
    undecided = [a.ignore_runs.area_px for a in first if a.kind is AnnotationKind.ZERO]
    assert undecided.count(0) == 367
    assert len({a.group for a in first}) == 48
    assert all(a.sha256 for a in annotations)


@pytest.mark.shared_data
def test_the_committed_masks_are_those_that_were_drawn() -> None:
    folder = SHARED / "labelled" / "handmade"
    if not folder.is_dir():
        pytest.skip("the hand-drawn masks are not beside this checkout")
    by_key = {(a.still, a.annotator): a for a in read_coco(HANDMADE)}
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows[::40]:
        annotation = by_key[Path(row["image"]).name, row["annotator"]]
        still = folder / row["image"]
        assert annotation.sha256 == hashlib.sha256(still.read_bytes()).hexdigest()
        for name, mask in (("masks", annotation.blood), ("ignore", annotation.ignore)):
            drawn = cv2.imread(str(folder / name / f"{row['name']}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(drawn == 255, mask)


def test_folders_of_masks_and_hidden_ones_hold_no_stills(tmp_path):
    for name in ("C1", "C2/late", "masks/a", "ignore", ".C3.partial", "drawn/masks"):
        (tmp_path / name).mkdir(parents=True)
    found = [path.relative_to(tmp_path).as_posix() for path in still_folders(tmp_path)]
    assert found == [".", "C1", "C2", "C2/late", "drawn"]
    with pytest.raises(AnnotationError, match="no folder of stills"):
        still_folders(tmp_path / "absent")
