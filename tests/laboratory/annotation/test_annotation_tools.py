"""Files as the tools themselves write them, masks counted by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.coco import read_coco
from ubereport.laboratory.annotation.cvat import read_cvat
from ubereport.laboratory.annotation.label_studio import read_label_studio
from ubereport.laboratory.annotation.labelme import read_labelme
from ubereport.laboratory.annotation.png import read_png
from ubereport.laboratory.annotation.still_index import index_stills
from ubereport.laboratory.annotation.types import Annotation, AnnotationKind, LabelNames


def _box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((10, 12), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def _by_key(annotations: tuple[Annotation, ...]) -> dict[tuple[str, str], Annotation]:
    return {(a.still, a.annotator): a for a in annotations}


def test_coco_with_polygons_and_both_kinds_of_runs(tmp_path: Path) -> None:
    images = [
        {"id": 7, "file_name": "val/a.jpg", "height": 10, "width": 12, "license": 1},
        {"id": 9, "file_name": "b.jpg", "height": 10, "width": 12},
    ]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0,
         "segmentation": [[2, 1, 6, 1, 6, 4, 2, 4], [8.0, 6.0, 10.0, 6.0, 10.0, 8.0, 8.0, 8.0]]},
        {"id": 2, "image_id": 7, "category_id": 4, "iscrowd": 1,
         "segmentation": {"size": [10, 12], "counts": [100, 20]}},
        {"id": 3, "image_id": 7, "category_id": 3, "iscrowd": 1,
         "segmentation": {"size": [10, 12], "counts": [0, 5, 115]}},
    ]  # fmt: skip
    categories = [{"id": 3, "name": "Bleeding"}, {"id": 4, "name": "ignore"}]
    path = tmp_path / "coco.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    made = _by_key(read_coco(path))
    blood = made["a.jpg", "unknown"]
    expected = _box(1, 4, 2, 6) | _box(6, 8, 8, 10) | _box(0, 5, 0, 1)
    np.testing.assert_array_equal(blood.blood, expected)
    np.testing.assert_array_equal(blood.ignore, _box(0, 10, 10, 12))
    assert made["b.jpg", "unknown"].kind is AnnotationKind.ZERO


def _labelme(shapes: list[dict[str, object]], **more: object) -> str:
    table = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": "..\\stills\\a.jpg",
        "imageData": "iVBORw0KGgo=",
        "imageHeight": 10,
        "imageWidth": 12,
    }
    return json.dumps(table | more)


def test_labelme_with_every_kind_of_area(tmp_path: Path) -> None:
    _, content = cv2.imencode(".png", np.array([[0, 1], [1, 1]], dtype=np.uint8))
    mask = base64.b64encode(content.tobytes()).decode()
    shapes = [
        {"label": "blood", "points": [[0, 0], [4, 0], [4, 4], [0, 4]], "shape_type": "polygon"},
        {"label": "blood", "points": [[11, 9], [8, 8]], "shape_type": "rectangle"},
        {"label": "ignore", "points": [[2, 8], [2, 9.4]], "shape_type": "circle"},
        {"label": "blood", "points": [[6, 1], [7, 2]], "shape_type": "mask", "mask": mask},
    ]
    (tmp_path / "a.json").write_text(_labelme(shapes))
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "a.json").write_text(_labelme([]))
    made = _by_key(read_labelme(tmp_path))
    one = made["a.jpg", "unknown"]
    drawn = _box(0, 4, 0, 4) | _box(8, 9, 8, 11) | _box(1, 3, 6, 8)
    drawn[1, 6] = False
    np.testing.assert_array_equal(one.blood, drawn)
    y, x = np.mgrid[:10, :12] + 0.5
    np.testing.assert_array_equal(one.ignore, np.hypot(x - 2, y - 8) < 1.4)
    assert made["a.jpg", "bob"].kind is AnnotationKind.ZERO
    assert read_labelme(tmp_path / "a.json") == (one,)


def test_labels_of_another_language_are_named_by_the_caller(tmp_path: Path) -> None:
    shape = {"label": "Blut", "points": [[0, 0], [4, 0], [4, 4]], "shape_type": "polygon"}
    path = tmp_path / "a.json"
    path.write_text(_labelme([shape]))
    with pytest.raises(AnnotationError, match="'Blut' is unknown; known: blood"):
        read_labelme(path)
    (made,) = read_labelme(path, LabelNames(blood=("blut",)))
    assert made.kind is AnnotationKind.BLOOD


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>4</id><labels><label><name>blood</name></label></labels></job></meta>
  <image id="0" name="set1/a.jpg" width="12" height="10">
    <polygon label="blood" source="manual" occluded="0" points="0.0,0.0;4.0,0.0;4.0,4.0;0.0,4.0"
      z_order="0"></polygon>
    <mask label="blood" source="manual" occluded="0" rle="1, 2, 3" left="9" top="8" width="3"
      height="2" z_order="0"></mask>
    <box label="undecided" source="manual" occluded="0" xtl="6.0" ytl="0.0" xbr="8.0" ybr="2.0"
      z_order="0"></box>
    <tag label="nice picture" source="manual"></tag>
  </image>
  <image id="1" name="b.jpg" width="12" height="10"></image>
</annotations>
"""


def test_cvat_with_polygon_box_and_mask(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT)
    made = _by_key(read_cvat(path))
    np.testing.assert_array_equal(
        made["a.jpg", "unknown"].blood, _box(0, 4, 0, 4) | _box(8, 9, 10, 12)
    )
    np.testing.assert_array_equal(made["a.jpg", "unknown"].ignore, _box(0, 2, 6, 8))
    assert made["b.jpg", "unknown"].kind is AnnotationKind.ZERO


def _task(image: str, *annotations: dict[str, object]) -> dict[str, object]:
    return {"id": 1, "data": {"image": image}, "annotations": list(annotations)}


def _shape(kind: str, **value: object) -> dict[str, object]:
    return {
        "type": kind,
        "original_width": 12,
        "original_height": 10,
        "image_rotation": 0,
        "value": {kind: ["blood"], **value},
    }


def _still(path: Path, height_px: int = 10, width_px: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height_px, width_px, 3), 90, np.uint8))


def test_label_studio_with_two_people_and_a_skipped_task(tmp_path: Path) -> None:
    stroke = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 252, 96, 17, 255, 225, 48, 0]
    brush = _shape("brushlabels", format="rle", rle=stroke)
    brush |= {"original_width": 6, "original_height": 4}
    polygon = _shape("polygonlabels", points=[[0, 0], [50, 0], [50, 40], [0, 40]], closed=True)
    rectangle = _shape("rectanglelabels", x=75.0, y=80.0, width=25.0, height=20.0, rotation=0)
    tasks = [
        _task(
            "/data/upload/3/0a1b2c3d-a%20b.jpg",
            {"completed_by": 5, "result": [polygon, rectangle]},
            {"completed_by": {"id": 6, "email": "x@y.org"}, "result": []},
            {"completed_by": 7, "was_cancelled": True, "result": []},
        ),
        _task("s3://bucket/c.jpg?token=1", {"completed_by": None, "result": [brush]}),
        _task("d.jpg"),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    _still(tmp_path / "stills" / "a b.jpg")
    made = _by_key(read_label_studio(path, index_stills(tmp_path / "stills")))
    assert set(made) == {("a b.jpg", "5"), ("a b.jpg", "x@y.org"), ("c.jpg", "unknown")}
    np.testing.assert_array_equal(made["a b.jpg", "5"].blood, _box(0, 4, 0, 6) | _box(8, 10, 9, 12))
    assert made["a b.jpg", "x@y.org"].kind is AnnotationKind.ZERO
    assert made["c.jpg", "unknown"].blood_runs.area_px == 7


def test_a_zero_mask_of_unknown_size_needs_the_stills(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([_task("a.jpg", {"completed_by": 1, "result": []})]))
    with pytest.raises(AnnotationError, match="Give the folder of stills"):
        read_label_studio(path)
    _still(tmp_path / "stills" / "a.jpg", 10, 12)
    (made,) = read_label_studio(path, index_stills(tmp_path / "stills"))
    assert (made.height_px, made.width_px) == (10, 12)


def test_png_folders_without_a_list_go_by_stem_and_folder(tmp_path: Path) -> None:
    for name, mask in (
        ("masks/ann/a.png", _box(0, 4, 0, 4)),
        ("masks/bob/a.png", _box(0, 0, 0, 0)),
        ("ignore/ann/a.png", _box(3, 5, 0, 4)),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), mask.astype(np.uint8) * 255)
    made = _by_key(read_png(tmp_path))
    np.testing.assert_array_equal(made["a", "ann"].blood, _box(0, 3, 0, 4))
    np.testing.assert_array_equal(made["a", "ann"].ignore, _box(3, 5, 0, 4))
    assert made["a", "bob"].kind is AnnotationKind.ZERO
