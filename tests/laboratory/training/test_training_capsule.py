import json

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training import capsule
from ubereport.laboratory.training.capsule import BoxedStill, box_cache, box_label, boxed_stills
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE
from ubereport.laboratory.training.made_stills import simulated_stills

PALE, RED = (210, 190, 150), (150, 15, 15)


def pale_with_red(top=20, bottom=44):
    rgb = np.full((64, 64, 3), PALE, np.uint8)
    rgb[top:bottom, 20:44] = RED
    return rgb


def boxed(*boxes):
    return BoxedStill("img1", None, boxes, "g")


def test_red_in_a_box_is_blood_and_pale_in_it_is_clean():
    label = box_label(pale_with_red(), boxed((0.5, 0.5, 0.6, 0.6)))
    assert np.all(label[24:40, 24:40] == BLOOD)
    assert np.all(label[14:16, 14:50] == CLEAN)


def test_red_outside_every_box_is_ignored_not_clean():
    label = box_label(pale_with_red(), boxed((0.1, 0.1, 0.1, 0.1)))
    assert np.all(label[24:40, 24:40] == IGNORE)
    assert label[60, 60] == CLEAN


def test_a_box_around_diffuse_pink_teaches_nothing():
    rgb = np.full((64, 64, 3), (200, 150, 140), np.uint8)
    label = box_label(rgb, boxed((0.5, 0.5, 0.5, 0.5)))
    assert np.all(label[20:44, 20:44] == IGNORE)


def test_a_still_without_boxes_is_clean():
    assert np.all(box_label(pale_with_red(), boxed()) == CLEAN)


def test_a_box_reaching_out_of_the_still_is_cut():
    label = box_label(pale_with_red(), boxed((1.0, 0.5, 1.0, 1.0)))
    assert np.all(label[24:40, 36:42] == BLOOD)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(capsule, "_N_BLEEDING", 4)
    (tmp_path / "images").mkdir()
    for i in range(1, 7):
        cv2.imwrite(str(tmp_path / "images" / f"img{i}.jpg"), pale_with_red()[..., ::-1])
    boxes = {str(i): [[0.5, 0.5, 0.6, 0.6]] for i in (1, 2, 3)}
    (tmp_path / "boxes_multi.json").write_text(json.dumps({"boxes": boxes}))
    clusters = {"0": [1, 2], "1": [3], "2": [4], "3": [5], "4": [6]}
    (tmp_path / "near_duplicate_clusters.json").write_text(json.dumps(clusters))
    return tmp_path


def test_near_duplicates_of_test_stills_are_left_out(folder):
    (folder / "masks").mkdir()
    (folder / "masks" / "img1.png").write_bytes(b"")
    stills = boxed_stills(folder)
    # 2 is a near duplicate of 1; 4 bleeds but has no box; 5 and 6 are clean.
    assert [s.name for s in stills] == ["img3", "img5", "img6"]
    assert stills[0].boxes
    assert not stills[1].boxes
    assert len({s.group for s in stills}) == 3


def test_boxed_stills_are_decoded_with_their_labels(folder):
    cache = box_cache(boxed_stills(folder), 32)
    assert cache.rgb.shape == (5, 32, 32, 3)
    assert [s.kind for s in cache.stills] == ["blood"] * 3 + ["zero"] * 2
    assert (cache.label[0] == BLOOD).any()


def test_boxes_that_cannot_be_read_are_refused(folder):
    (folder / "boxes_multi.json").write_text("{}")
    with pytest.raises(AnnotationError, match="boxes cannot be read"):
        boxed_stills(folder)


def test_simulated_stills_are_drawn_once_and_kept(tmp_path):
    first = simulated_stills(1, 2, 64, tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    again = simulated_stills(1, 2, 64, tmp_path)
    assert np.array_equal(first.rgb, again.rgb)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == times
    assert set(np.unique(first.label)) <= {CLEAN, BLOOD}
    kinds = [(label == BLOOD).any() for label in first.label]
    assert [s.kind == "blood" for s in first.stills] == kinds
