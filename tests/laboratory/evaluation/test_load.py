"""Folders of stills and masks: what is read, and what is refused with a clear sentence."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.evaluation.load import (
    GroupRule,
    find_groups,
    load_stills,
    read_groups,
    read_still,
)


@pytest.fixture
def small(tmp_path, write_still, box):
    """Three stills of two recordings, one annotator, one ignore mask."""
    write_still("a_01", box(0, 0, 9, 9), {"": box(0, 0, 9, 9)}, ignore=box(0, 0, 3, 3))
    write_still("a_02", box(0, 0, 9, 9), {"": box(0, 0, 0, 0)})
    write_still("b7", box(0, 0, 9, 9), {"": box(5, 5, 9, 9)})
    return tmp_path


def put(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def test_stills_are_matched_by_stem_and_grouped_without_their_number(small, box):
    found = load_stills(small / "images", small / "masks", small / "ignore")
    assert [s.name for s in found.stills] == ["a_01", "a_02", "b7"]
    assert [s.group for s in found.stills] == ["a", "a", "b"]
    assert found.annotators == ("",)
    first = read_still(found.stills[0])
    assert (first.masks[0] == box(0, 0, 9, 9)).all()
    assert (first.is_decided == ~box(0, 0, 3, 3)).all()
    assert first.rgb[0, 0].tolist() == [250, 20, 10]


def test_groups_can_be_listed(small):
    path = small / "groups.csv"
    path.write_text("name,group\na_01,x\na_02,y\nb7,y\n")
    found = load_stills(small / "images", small / "masks", groups=read_groups(path))
    assert [s.group for s in found.stills] == ["x", "y", "y"]
    assert found.grouping == "as listed"


@pytest.mark.parametrize(
    ("rule", "groups"),
    [("still", ["a_01", "a_02", "b7"]), ("name", ["a", "a", "b"]), ("folder", ["images"] * 3)],
)
def test_groups_by_a_rule_say_so(small, rule, groups):
    found = load_stills(small / "images", small / "masks", groups=find_groups(rule))
    assert [s.group for s in found.stills] == groups
    assert found.grouping == GroupRule(rule).words


def test_pictures_in_folders_are_grouped_by_them(small):
    for name, folder in (("a_01", "C1"), ("a_02", "C2"), ("b7", "C2")):
        (small / "images" / folder).mkdir(exist_ok=True)
        (small / "images" / f"{name}.png").rename(small / "images" / folder / f"{name}.png")
    hidden = small / "images" / ".C3.partial"
    put(hidden / "a_01.png", np.zeros((8, 8, 3), np.uint8))
    found = load_stills(small / "images", small / "masks")
    assert [s.group for s in found.stills] == ["C1", "C2", "C2"]
    assert found.grouping == GroupRule.FOLDER.words


def test_a_labelled_folder_groups_its_masks_if_it_lists_them_all(small):
    listed = small / "MANIFEST.csv"
    listed.write_text("name,group\na_01,x\na_02,y\nb7,y\n")
    found = load_stills(small / "images", small / "masks")
    assert [s.group for s in found.stills] == ["x", "y", "y"]
    assert "MANIFEST.csv" in found.grouping
    listed.write_text("name,group\na_01,x\n")
    assert load_stills(small / "images", small / "masks").grouping == GroupRule.NAME.words


def test_pictures_without_a_mask_are_counted(small):
    put(small / "images" / "c1.png", np.zeros((8, 8, 3), np.uint8))
    assert load_stills(small / "images", small / "masks").n_without_mask == 1


def test_one_folder_an_annotator(tmp_path, write_still, box):
    write_still("a1", box(0, 0, 9, 9), {"p": box(0, 0, 9, 9), "q": box(0, 0, 5, 9)})
    write_still("a2", box(0, 0, 9, 9), {"q": box(0, 0, 5, 9)})
    found = load_stills(tmp_path / "images", tmp_path / "masks")
    assert found.annotators == ("p", "q")
    assert [s.annotators for s in found.stills] == [("p", "q"), ("q",)]
    assert read_still(found.stills[0]).masks.sum(axis=(1, 2)).tolist() == [81, 45]


def test_zero_and_one_or_three_equal_channels_are_masks_too(small, box):
    put(small / "masks" / "a_01.png", box(0, 0, 4, 4).astype(np.uint8))
    gray = box(0, 0, 4, 4).astype(np.uint8)[..., None] * np.full(3, 255, np.uint8)
    put(small / "masks" / "b7.png", gray)
    found = load_stills(small / "images", small / "masks")
    assert [int(read_still(s).masks.sum()) for s in found.stills] == [16, 0, 16]


def no_images(root):
    for path in (root / "images").iterdir():
        path.unlink()


def no_folder(root):
    no_images(root)
    (root / "images").rmdir()


def other_size(root):
    put(root / "masks" / "b7.png", np.zeros((32, 64), np.uint8))


def smooth_mask(root):
    put(root / "masks" / "b7.png", np.tile(np.arange(64, dtype=np.uint8), (64, 1)))


def colored_mask(root):
    mask = np.zeros((64, 64, 3), np.uint8)
    mask[..., 2] = 255
    put(root / "masks" / "b7.png", mask)


def mask_without_picture(root):
    put(root / "masks" / "z9.png", np.zeros((64, 64), np.uint8))


def ignore_without_picture(root):
    put(root / "ignore" / "z9.png", np.zeros((64, 64), np.uint8))


def broken_picture(root):
    (root / "images" / "b7.png").write_bytes(b"no picture")


def broken_mask(root):
    (root / "masks" / "b7.png").write_bytes(b"")


def twice(root):
    put(root / "images" / "b7.jpg", np.zeros((64, 64, 3), np.uint8))


def all_ignored(root):
    put(root / "ignore" / "b7.png", np.full((64, 64), 255, np.uint8))


def mixed(root):
    put(root / "masks" / "someone" / "b7.png", np.zeros((64, 64), np.uint8))


def empty_annotator(root):
    for path in (root / "masks").iterdir():
        path.unlink()
    (root / "masks" / "p").mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_images, "empty"),
        (no_folder, "does not exist"),
        (other_size, "64 × 32 px"),
        (smooth_mask, "64 different ones"),
        (colored_mask, "colored"),
        (mask_without_picture, "z9"),
        (ignore_without_picture, "z9"),
        (broken_picture, "no picture that can be read"),
        (broken_mask, "cannot be read"),
        (twice, "occurs twice"),
        (all_ignored, "no decided pixel"),
        (mixed, "both pictures and folders"),
        (empty_annotator, "empty"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_folders_are_refused_before_any_work(small, spoil, message):
    spoil(small)
    with pytest.raises(AnnotationError, match=message) as caught:
        load_stills(small / "images", small / "masks", small / "ignore")
    assert str(small) not in str(caught.value)


def test_a_still_in_no_group_is_refused(small):
    with pytest.raises(AnnotationError, match="in no group"):
        load_stills(small / "images", small / "masks", groups={"a_01": "x"})


@pytest.mark.parametrize("text", [None, "name\na_01\n", "name,group\n"])
def test_a_bad_list_of_groups_is_refused(tmp_path, text):
    path = tmp_path / "groups.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AnnotationError, match=r"name(,| and) group"):
        read_groups(path)
