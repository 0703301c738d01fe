import os
from pathlib import Path

import pytest

from ubereport.batch.parts import doubts_about_parts, resolve_parts
from ubereport.core.errors import UsageError


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def test_folder_gives_recordings_in_natural_order(tmp_path):
    touch(tmp_path, "part10.mp4", "part2.MP4", "part1.mp4", "notes.txt", ".hidden.mp4")
    assert [p.name for p in resolve_parts([str(tmp_path)])] == [
        "part1.mp4",
        "part2.MP4",
        "part10.mp4",
    ]


def test_files_keep_the_order_given(tmp_path):
    touch(tmp_path, "b.mp4", "a.mp4")
    named = [str(tmp_path / "b.mp4"), str(tmp_path / "a.mp4")]
    assert [p.name for p in resolve_parts(named)] == ["b.mp4", "a.mp4"]


def test_glob_is_expanded(tmp_path):
    touch(tmp_path, "c_2.ts", "c_11.ts", "d.ts")
    assert [p.name for p in resolve_parts([str(tmp_path / "c_*.ts")])] == ["c_2.ts", "c_11.ts"]


def test_a_file_named_like_a_glob_is_a_file(tmp_path):
    touch(tmp_path, "case[1].mp4", "case1.mp4")
    assert [p.name for p in resolve_parts([str(tmp_path / "case[1].mp4")])] == ["case[1].mp4"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: [], "No recording was given"),
        (lambda d: [str(d / "SECRET.mp4")], "names no existing file"),
        (lambda d: [str(d / "*.mkv")], "names no existing file"),
        (lambda d: [str(d)], "folder without recordings"),
        (lambda d: ["a\0b"], "NUL"),
        (lambda d: [str(d / "fifo")], "pipe"),
        (lambda d: [str(d / "x.txt"), str(d / "x.txt")], "twice"),
        (lambda d: [str(d / "x.txt"), str(d / "link.mp4")], "twice"),
    ],
)
def test_unusable_arguments_are_refused_without_repeating_names(tmp_path, make, message):
    empty = tmp_path / "SECRET"
    empty.mkdir()
    touch(empty, "x.txt")
    os.mkfifo(empty / "fifo")
    named = make(empty)
    if any("link" in n for n in named):
        (empty / "link.mp4").symlink_to(empty / "x.txt")
    with pytest.raises(UsageError, match=message) as refusal:
        resolve_parts(named)
    assert "SECRET" not in str(refusal.value)


def denied(*args, **options):
    raise PermissionError(13, "Permission denied", "SECRET")


@pytest.mark.parametrize(
    "method",
    [
        "iterdir",  # a folder that may be entered and not listed
        "is_file",  # one that may be listed and not entered
        "stat",  # one within a folder that may not be entered
    ],
)
def test_a_folder_that_may_not_be_read_is_refused_with_whom_to_ask(tmp_path, monkeypatch, method):
    touch(tmp_path, "a.mp4")
    with monkeypatch.context() as patched:
        patched.setattr(Path, method, denied)
        with pytest.raises(UsageError) as refusal:
            resolve_parts([str(tmp_path)])
    said = str(refusal.value)
    assert said.startswith("Argument 1 may not be read by you. Ask whoever owns it for access")
    assert "SECRET" not in said


def test_a_folder_that_cannot_be_listed_for_another_reason_is_told(tmp_path, monkeypatch):
    def broken(*args):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", broken)
        with pytest.raises(UsageError, match=r"Argument 1 cannot be opened \(Input/output error\)"):
            resolve_parts([str(tmp_path)])


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["a_001.mp4", "a_002.mp4", "a_004.mp4"], "skip 3"),
        (["VID1.mkv", "VID4.mkv"], "skip 2, 3"),
        (["a2.mp4", "a1.mp4"], "do not rise"),
        (["a1.mp4", "a2.mp4"], None),
        (["a7.mp4"], None),
        (["080100.mp4", "084500.mp4"], None),  # times of day
        (["a1b2.mp4", "a2b4.mp4"], None),  # two numbers differ
        (["left.mp4", "right.mp4"], None),
        ([], None),
    ],
)
def test_numbers_in_names_raise_doubts(names, word):
    doubts = doubts_about_parts([Path(name) for name in names])
    assert [word in doubt for doubt in doubts] == ([True] if word else [])
