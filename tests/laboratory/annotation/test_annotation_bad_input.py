from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation import files
from ubereport.laboratory.annotation.coco import read_coco, write_coco
from ubereport.laboratory.annotation.cvat import read_cvat, write_cvat
from ubereport.laboratory.annotation.formats import read_annotations
from ubereport.laboratory.annotation.label_studio import read_label_studio, write_label_studio
from ubereport.laboratory.annotation.labelme import read_labelme, write_labelme
from ubereport.laboratory.annotation.png import read_png, write_png
from ubereport.laboratory.annotation.run_lengths import RunLengths
from ubereport.laboratory.annotation.types import Annotation, still_name

READERS: dict[str, Callable[[Path], object]] = {
    "coco": read_coco,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "label studio": read_label_studio,
}
HOSTILE = [
    "../a.jpg", "a/../../b.jpg", "/etc/passwd", "\\\\host\\a.jpg", "C:\\a.jpg", "..\\a.jpg", "",
    ".", "..", "a/", "a\0.jpg", "a\n.jpg", "x" * 300, " a.jpg", "a?.jpg",
]  # fmt: skip


@pytest.fixture
def drawn() -> Annotation:
    blood = np.zeros((8, 9), dtype=bool)
    blood[2:5, 3:8] = True
    return Annotation.from_masks("a.png", blood, annotator="ann", sha256="ab" * 32, group="g")


def _edit(path: Path, edit: Callable[[object], None]) -> Path:
    table = json.loads(path.read_text())
    edit(table)
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"null", b"[[[", b"{}", b"<a/>", b"3"])
def test_what_is_no_such_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError):
        READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"absent\.json"):
        READERS[name](tmp_path / "absent.json")


@pytest.mark.parametrize("name", READERS)
def test_a_file_larger_than_the_bound_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    path = tmp_path / "set.json"
    path.write_bytes(b" " * 101)
    with pytest.raises(AnnotationError, match="more than 100 bytes"):
        READERS[name](path)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(AnnotationError):
        still_name(name)


@pytest.mark.parametrize("name", ["../../a.png", "/a.png", "C:\\a.png"])
def test_no_reader_takes_a_name_that_climbs(name: str, drawn: Annotation, tmp_path: Path) -> None:
    write_coco([drawn], tmp_path / "coco.json")
    _edit(tmp_path / "coco.json", lambda t: t["images"][0].update(file_name=name))
    write_cvat([drawn], tmp_path / "cvat.xml")
    text = (tmp_path / "cvat.xml").read_text()
    (tmp_path / "cvat.xml").write_text(text.replace('name="a.png"', f'name="{name}"'))
    write_png([drawn], tmp_path / "png")
    listed = (tmp_path / "png" / "stills.csv").read_text()
    (tmp_path / "png" / "stills.csv").write_text(listed.replace(",a.png,", f",{name},"))
    for read, file in (
        (read_coco, "coco.json"),
        (read_cvat, "cvat.xml"),
        (read_png, "png"),
    ):
        with pytest.raises(AnnotationError, match="points outside its folder"):
            read(tmp_path / file)


def test_tools_that_keep_paths_give_the_file_name_only(drawn: Annotation, tmp_path: Path) -> None:
    write_labelme([drawn], tmp_path / "labelme")
    _edit(tmp_path / "labelme" / "a.json", lambda t: t.update(imagePath="../../../etc/b.png"))
    assert read_labelme(tmp_path / "labelme")[0].still == "b.png"
    write_label_studio([drawn], tmp_path / "ls.json")
    _edit(tmp_path / "ls.json", lambda t: t[0]["data"].update(image="file:///x/%2e%2e%2fc.png"))
    assert read_label_studio(tmp_path / "ls.json")[0].still == "c.png"
    _edit(tmp_path / "ls.json", lambda t: t[0]["data"].update(image="http://x/.."))
    with pytest.raises(AnnotationError, match="points outside"):
        read_label_studio(tmp_path / "ls.json")


@pytest.mark.parametrize("annotator", ["", "..", "a/b", "a\\b", "a\nb", "x" * 300, " a"])
def test_annotators_that_are_no_plain_names_are_refused(annotator: str) -> None:
    with pytest.raises(AnnotationError, match="annotator"):
        Annotation.from_masks("a.png", np.zeros((2, 2), dtype=bool), annotator=annotator)


def test_an_annotation_that_contradicts_itself_is_refused(drawn: Annotation) -> None:
    with pytest.raises(AnnotationError, match="both blood and undecided"):
        Annotation.from_masks("a.png", drawn.blood, drawn.blood)
    with pytest.raises(AnnotationError, match="differ in size"):
        Annotation.from_masks("a.png", drawn.blood, drawn.blood[1:])
    with pytest.raises(AnnotationError, match="64 hex digits"):
        Annotation.from_masks("a.png", drawn.blood, sha256="abc")
    with pytest.raises(AnnotationError, match="file name alone"):
        Annotation.from_masks("b/a.png", drawn.blood)
    with pytest.raises(AnnotationError, match="group"):
        Annotation.from_masks("a.png", drawn.blood, group="")


BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotations><image id="0" name="&b;" width="4" height="4"/></annotations>"""
READS_A_FILE = """<?xml version="1.0"?>
<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<annotations><image id="0" name="&x;" width="4" height="4"/></annotations>"""
ELSEWHERE = """<?xml version="1.0"?>
<!DOCTYPE annotations SYSTEM "http://192.0.2.1/a.dtd"><annotations/>"""


@pytest.mark.parametrize("text", [BOMB, READS_A_FILE, ELSEWHERE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_dtd_is_refused(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(AnnotationError, match="declares a DTD"):
        read_cvat(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('label="blood"', 'label="smoke"', "unknown"),
        ("mask", "points", "allowed: polygon, box, mask"),
        ('rle="15"', 'rle="14"', "add up"),
        ('rle="15"', 'rle="-1, 16"', "add up"),
        ('rle="15"', 'rle="7.5, 7.5"', "add up"),
        ('rle="15"', 'rle="x"', "where a number belongs"),
        ('rle="15"', 'rle="nan"', "where a number belongs"),
        ('left="3"', 'left="7"', "reaches beyond"),
        ('left="3"', 'left="-1"', "reaches beyond"),
        ('top="2"', 'top="2.5"', "whole number"),
        ('height="8"', 'height="100000000"', "cannot be used"),
        ('height="8"', "", "where a number belongs"),
        ("</annotations>", "", "no valid XML"),
        ("annotations>", "data>", "no CVAT file"),
        ("encoding='utf-8'", "encoding='klingon'", "no valid XML"),
    ],
)
def test_cvat_files_that_lie_are_refused(
    old: str, new: str, words: str, drawn: Annotation, tmp_path: Path
) -> None:
    path = tmp_path / "a.xml"
    write_cvat([drawn], path)
    text = path.read_text().replace('rle="0, 15"', 'rle="15"')
    assert old in text
    path.write_text(re.sub(re.escape(old), new, text))
    with pytest.raises(AnnotationError, match=words):
        read_cvat(path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t["images"].clear(), "not listed"),
        (lambda t: t["images"][0].update(height=9), "Masks have the size of their still"),
        (lambda t: t["images"][0].update(height=10**9), "cannot be used"),
        (lambda t: t["images"][0].update(height="8"), "whole number"),
        (lambda t: t["images"][0].update(height=True), "whole number"),
        (lambda t: t["images"][0].update(file_name=3), "needs text"),
        (lambda t: t["images"][0].update(ubereport={"sha256": 3}), "no text"),
        (lambda t: t["annotations"][0].update(category_id=5), "category 5"),
        (lambda t: t["annotations"][0].update(image_id=5), "not listed"),
        (lambda t: t["annotations"][0].update(segmentation=None), "no JSON object"),
        (lambda t: t["annotations"][0].update(segmentation=[[1, 2, 3]]), "odd number"),
        (lambda t: t["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "polygon"),
        (lambda t: t["annotations"][0]["segmentation"].update(counts=[3]), "add up"),
        (lambda t: t["annotations"][0]["segmentation"].update(counts=None), "no list"),
        (lambda t: t["categories"][0].update(name="smoke"), "unknown"),
        (lambda t: t.pop("categories"), "no list"),
    ],
)
def test_coco_files_that_lie_are_refused(
    edit: Callable[[object], None], words: str, drawn: Annotation, tmp_path: Path
) -> None:
    write_coco([drawn], tmp_path / "a.json")
    with pytest.raises(AnnotationError, match=words):
        read_coco(_edit(tmp_path / "a.json", edit))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: s.update(shape_type="line"), "allowed: polygon"),
        (lambda s: s.update(mask="%%%"), "base64"),
        (lambda s: s.update(mask="AAAA"), "no PNG"),
        (lambda s: s.update(points=[[8, 7], [9, 8]]), "reaches beyond"),
        (lambda s: s.update(points=[[0, 0]]), "2 pairs"),
        (lambda s: s.update(shape_type="circle", points=[[0, 1e99], [1, 1]]), "2 pairs"),
        (lambda s: s.update(shape_type="rectangle", points=[["a", 1], [1, 1]]), "2 pairs"),
        (lambda s: s.update(label="bone"), "unknown"),
    ],
)
def test_labelme_files_that_lie_are_refused(
    edit: Callable[[dict[str, object]], None], words: str, drawn: Annotation, tmp_path: Path
) -> None:
    write_labelme([drawn], tmp_path)
    with pytest.raises(AnnotationError, match=words):
        read_labelme(_edit(tmp_path / "a.json", lambda t: edit(t["shapes"][0])))


def test_a_folder_without_labelme_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match="empty holds no labelme files"):
        read_labelme(tmp_path / "empty")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda r: r.update(image_rotation=90), "Turn it back"),
        (lambda r: r.update(type="keypointlabels"), "allowed: brushlabels"),
        (lambda r: r["value"].update(rle=[1, 2, 3]), "too early"),
        (lambda r: r["value"].update(rle="abc"), "no list"),
        (lambda r: r.update(original_width=5), "another size"),
        (lambda r: r.update(original_width=None), "whole number"),
        (lambda r: r["value"].update(brushlabels=["bone"]), "unknown"),
        (
            lambda r: r.update(
                type="polygonlabels", value={"polygonlabels": ["blood"], "points": [["x", 1]]}
            ),
            "no pairs",
        ),
        (
            lambda r: r.update(
                type="rectanglelabels", value={"rectanglelabels": ["blood"], "x": 1}
            ),
            "incomplete",
        ),
    ],
)
def test_label_studio_files_that_lie_are_refused(
    edit: Callable[[dict[str, object]], None], words: str, drawn: Annotation, tmp_path: Path
) -> None:
    write_label_studio([drawn], tmp_path / "a.json")
    with pytest.raises(AnnotationError, match=words):
        read_label_studio(
            _edit(tmp_path / "a.json", lambda t: edit(t[0]["annotations"][0]["result"][0]))
        )


def test_shapes_of_one_still_have_one_size(drawn: Annotation, tmp_path: Path) -> None:
    write_label_studio([drawn], tmp_path / "a.json")

    def edit(tasks: list[dict[str, list[dict[str, list[dict[str, object]]]]]]) -> None:
        results = tasks[0]["annotations"][0]["result"]
        results.append(results[0] | {"original_width": 99})

    with pytest.raises(AnnotationError, match="different sizes"):
        read_label_studio(_edit(tmp_path / "a.json", edit))  # type: ignore[arg-type]


def test_a_file_of_our_former_packed_format_says_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"schema": "ubereport-annotations/1", "annotations": []}')
    with pytest.raises(AnnotationError, match=r"Convert it to coco with ubereport 0\.1\.0"):
        read_annotations(path)


def test_damaged_and_exploding_gzip_files_are_refused(
    tmp_path: Path, drawn: Annotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json.gz"
    write_coco([drawn], path)
    whole = path.read_bytes()
    for damaged in (b"no gzip", whole[:-9], whole[:20] + b"\0\0\0\0" + whole[24:]):
        path.write_bytes(damaged)
        with pytest.raises(AnnotationError):
            read_coco(path)
    monkeypatch.setattr(files, "MAX_BYTES", 10_000)
    path.write_bytes(gzip.compress(b" " * 10_001))
    with pytest.raises(AnnotationError, match="holds more than"):
        read_coco(path)


def _png(levels: np.ndarray) -> bytes:
    return cv2.imencode(".png", levels)[1].tobytes()


def _huge_png() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_png(np.full((4, 4), 128, np.uint8)), "values such as 128"),
        (_png(np.full((4, 4), 1, np.uint8)), "values such as 1;"),
        (_png(np.full((4, 4), 255, np.uint16)), "more than 8 bits"),
        (_png(np.zeros((4, 4, 3), np.uint8)), "has colors"),
        (cv2.imencode(".jpg", np.zeros((4, 4), np.uint8))[1].tobytes(), "no PNG"),
        (b"\x89PNG\r\n\x1a\n", "no PNG"),
        (_png(np.zeros((4, 4), np.uint8))[:-30], "damaged"),
        (_huge_png(), "cannot be used"),
    ],
)  # fmt: skip
def test_masks_that_are_not_binary_gray_png_are_refused(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes(content)
    with pytest.raises(AnnotationError, match=words):
        read_png(tmp_path)


def test_png_folders_that_do_not_fit_are_refused(tmp_path: Path, drawn: Annotation) -> None:
    with pytest.raises(AnnotationError, match="has no masks"):
        read_png(tmp_path)
    write_png([drawn], tmp_path)
    listed = tmp_path / "stills.csv"
    text = listed.read_text()
    for new, words in (
        (text.replace("a.png,a.png", "b.png,a.png"), "which is missing"),
        (text.replace("group", "team"), "needs the columns"),
        (text.replace(",g", ""), "needs the columns"),
    ):
        listed.write_text(new)
        with pytest.raises(AnnotationError, match=words):
            read_png(tmp_path)
    listed.write_bytes(b"\xff\xfe")
    with pytest.raises(AnnotationError, match="UTF-8"):
        read_png(tmp_path)
    listed.unlink()
    (tmp_path / "ignore" / "a.png").write_bytes(_png(np.zeros((3, 3), np.uint8)))
    with pytest.raises(AnnotationError, match=r"ignore mask a\.png is 3 × 3"):
        read_png(tmp_path)
    (tmp_path / "ignore" / "z.png").write_bytes(_png(np.zeros((3, 3), np.uint8)))
    with pytest.raises(AnnotationError, match="none of that name"):
        read_png(tmp_path)


def test_masks_of_another_size_than_the_sheet_are_refused() -> None:
    runs = RunLengths.from_mask(np.zeros((3, 3), dtype=bool))
    other = RunLengths.from_mask(np.zeros((3, 4), dtype=bool))
    with pytest.raises(AnnotationError, match="differ in size"):
        Annotation("a.png", None, "ann", runs, other)
