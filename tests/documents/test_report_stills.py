"""Key frames: only JPEGs inside the case folder get into a report."""

import base64

import pytest

from ubereport.documents.case.stills import MAX_STILL_BYTES, load_still

JPEG = b"\xff\xd8\xff\xe0 a still"


@pytest.fixture
def case_folder(tmp_path):
    folder = tmp_path / "case"
    (folder / "frames").mkdir(parents=True)
    (folder / "frames" / "a.jpg").write_bytes(JPEG)
    (folder / "frames" / "text.jpg").write_text("no picture")
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    return folder


def test_a_still_becomes_a_data_uri(case_folder):
    image = load_still(case_folder, "frames/a.jpg", "what it shows")
    head, content = image.uri.split(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(content) == JPEG
    assert image.alt == "what it shows"


def test_the_frames_folder_itself_may_be_given(case_folder):
    assert load_still(case_folder / "frames", "frames/a.jpg", "").uri


@pytest.mark.parametrize(
    "path",
    [
        "../outside.jpg",
        "frames/../../outside.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "C:\\a.jpg",
        "frames\\a.jpg",
        "frames/\0.jpg",
        "frames",
        "frames/none.jpg",
        "x" * 5000,
    ],
)
def test_other_paths_are_not_read(case_folder, path):
    image = load_still(case_folder, path, "alt")
    assert image.uri == ""
    assert image.missing


def test_links_out_of_the_folder_are_not_followed(case_folder):
    (case_folder / "frames" / "link.jpg").symlink_to(case_folder.parent / "outside.jpg")
    assert load_still(case_folder, "frames/link.jpg", "").uri == ""


def test_what_is_no_jpeg_or_too_large_is_left_out(case_folder):
    assert load_still(case_folder, "frames/text.jpg", "").missing == "the still is no JPEG"
    (case_folder / "frames" / "big.jpg").write_bytes(JPEG + bytes(MAX_STILL_BYTES))
    assert load_still(case_folder, "frames/big.jpg", "").missing == "the still is too large"
    assert load_still(None, "frames/a.jpg", "").missing == "no stills were kept"
