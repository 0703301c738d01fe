from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from files.records.conftest import close_folder

from ubereport.analysis.derived_numbers import match_key_frames
from ubereport.core.case import CaseRecord, KeyFrame, KeyFrameKind
from ubereport.core.errors import CaseRecordError, OutputError, UsageError
from ubereport.core.series import AreaSeries
from ubereport.files import atomic
from ubereport.files.names import folder_name
from ubereport.files.records import store
from ubereport.files.records.store import (
    case_files,
    case_folders,
    holds_file,
    is_case_folder,
    read_case,
    read_frames,
    require_case,
    write_case,
    write_into_case,
)


def _content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def _assert_equal(first: CaseRecord, second: CaseRecord) -> None:
    for field in dataclasses.fields(CaseRecord):
        if field.name != "series":
            assert getattr(first, field.name) == getattr(second, field.name), field.name
    for name in AreaSeries.COLUMNS:
        a, b = getattr(first.series, name), getattr(second.series, name)
        assert a == b if name == "reason" else np.array_equal(a, b, equal_nan=name != "is_valid")


@pytest.fixture
def folder(tmp_path, record, frames):
    folder = tmp_path / "case"
    write_case(record, folder, frames | {"report.html": b"<p>", "report.pdf": b"%PDF"}, {"a": 1})
    return folder


def test_a_case_comes_back_exactly(folder, record):
    _assert_equal(read_case(folder), record)


def test_a_case_folder_has_what_others_rely_on(folder):
    assert set(_content(folder)) >= {
        "case.json",
        "series.parquet",
        "events.csv",
        "events.srt",
        "frames/001.png",
        "report.html",
        "report.pdf",
        "run.json",
    }
    assert is_case_folder(folder)
    assert not is_case_folder(folder.parent)


def test_what_differs_from_run_to_run_lies_in_its_own_file(folder, tmp_path, record, frames):
    write_case(record, tmp_path / "again", frames, {"stage_s": {"measuring": 12.5}})
    first, second = _content(folder), _content(tmp_path / "again")
    assert json.loads(second["run.json"]) == {"stage_s": {"measuring": 12.5}}
    assert first["run.json"] != second["run.json"]
    for name in case_files(record):
        assert first[name] == second[name], name


def test_no_run_no_file(tmp_path, make_record):
    write_case(make_record(key_frames=()), tmp_path / "case")
    assert "run.json" not in _content(tmp_path / "case")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"},
        {"LC_ALL": "C", "TZ": "America/New_York", "PYTHONHASHSEED": "2", "PYTHONUTF8": "0"},
    ],
)
def test_language_clock_and_umask_of_the_machine_change_no_byte(folder, tmp_path, environment):
    script = textwrap.dedent("""
        import locale, os, sys
        from pathlib import Path
        try:
            locale.setlocale(locale.LC_ALL, "")
        except locale.Error:
            pass
        os.umask(0o077)
        from ubereport.files.records.store import read_case, read_frames, write_case
        source, target = map(Path, sys.argv[1:])
        record = read_case(source)
        write_case(record, target, read_frames(source, record))
    """)
    subprocess.run(
        [sys.executable, "-c", script, str(folder), str(tmp_path / "again")],
        check=True,
        env=os.environ | environment,
    )
    again = _content(tmp_path / "again")
    assert again == {name: _content(folder)[name] for name in again}
    assert {"case.json", "series.parquet", "events.csv", "area.srt"} <= set(again)


def test_a_rerun_replaces_the_case_and_keeps_what_others_added(folder, make_record):
    (folder / "notes").mkdir()
    (folder / "notes" / "surgeon.txt").write_text("mine")
    (folder / "frames" / "099.png").write_bytes(b"stale")
    (folder / "link").symlink_to("/etc/passwd")
    fewer = make_record(events=(), key_frames=())
    write_case(fewer, folder)
    content = _content(folder)
    assert content["notes/surgeon.txt"] == b"mine"
    assert set(content) - {"link"} == {*case_files(fewer), "notes/surgeon.txt"}
    assert (folder / "link").is_symlink(), "a link stays a link"
    _assert_equal(read_case(folder), fewer)


def test_what_a_rerun_gives_wins_over_what_was_there(folder, record, frames):
    (folder / "manifest.json").write_bytes(b"old")
    write_case(record, folder, frames | {"manifest.json": b"new"})
    assert (folder / "manifest.json").read_bytes() == b"new"


def test_another_case_is_not_overwritten(folder, make_record, frames):
    before = _content(folder)
    with pytest.raises(OutputError, match="holds another case"):
        write_case(make_record(case_id="case-of-someone-else"), folder, frames)
    assert _content(folder) == before


def test_a_folder_of_other_things_is_not_overwritten(tmp_path, record, frames):
    (tmp_path / "thesis.docx").write_bytes(b"years of work")
    with pytest.raises(OutputError, match="is no case folder"):
        write_case(record, tmp_path, frames)
    assert _content(tmp_path) == {"thesis.docx": b"years of work"}


def test_an_empty_folder_will_do(tmp_path, record, frames):
    (tmp_path / "empty").mkdir()
    write_case(record, tmp_path / "empty", frames)
    assert is_case_folder(tmp_path / "empty")


def test_a_damaged_case_can_be_made_again(folder, record, frames):
    (folder / "case.json").write_bytes(b"{")
    write_case(record, folder, frames)
    _assert_equal(read_case(folder), record)


def test_a_full_disk_leaves_the_old_case(folder, record, frames, monkeypatch):
    before = _content(folder)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "_write_through", full)
    with pytest.raises(OutputError, match=r"bytes .* are needed"):
        write_case(record, folder, frames)
    assert _content(folder) == before


def test_a_key_frame_without_its_picture_is_refused(tmp_path, record, frames):
    with pytest.raises(ValueError, match=r"frames/001-o\.png, which is not given"):
        write_case(record, tmp_path / "case", {"frames/001.png": b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["case.json", "series.parquet", "events.srt", "run.json"])
def test_the_records_own_names_are_taken(tmp_path, record, frames, name):
    with pytest.raises(ValueError, match="written by the record itself"):
        write_case(record, tmp_path / "case", frames | {name: b""})


def test_names_that_lead_elsewhere_are_refused(tmp_path, record, frames):
    with pytest.raises(ValueError, match="no plain relative path"):
        write_case(record, tmp_path / "case", frames | {"../x": b""})


def test_an_id_that_cannot_be_shown_is_refused(tmp_path, make_record, frames):
    with pytest.raises(UsageError, match="case id"):
        write_case(make_record(case_id="a\0b"), tmp_path / "case", frames)


@pytest.mark.parametrize(
    "case_id", ["../../x", "C:\\x", "CON", "=1+1", "<script>alert(1)</script>", "患者"]
)
def test_hostile_ids_round_trip_in_harmless_folders(tmp_path, make_record, frames, case_id):
    folder = tmp_path / folder_name(case_id)
    write_case(make_record(case_id=case_id), folder, frames)
    assert read_case(folder).case_id == case_id
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_reports_are_written_into_a_case(folder):
    write_into_case(folder, {"report.html": b"new", "extra/table.csv": b"a\n"})
    assert (folder / "report.html").read_bytes() == b"new"
    assert (folder / "extra" / "table.csv").read_bytes() == b"a\n"


def test_nothing_is_written_into_what_is_no_case(folder, tmp_path):
    with pytest.raises(CaseRecordError, match="no case record"):
        write_into_case(tmp_path, {"report.html": b"new"})
    with pytest.raises(ValueError, match="written by the record itself"):
        write_into_case(folder, {"case.json": b"{}"})
    with pytest.raises(ValueError, match="no plain relative path"):
        write_into_case(folder, {"../report.html": b""})
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        write_into_case(folder, {"case.json/x": b""})


def test_pictures_are_read_to_be_written_again(folder, record, frames):
    assert read_frames(folder, record) == frames
    (folder / "frames" / "001.png").unlink()
    with pytest.raises(CaseRecordError, match=r"frames/001\.png .* it is missing"):
        read_frames(folder, record)


def test_a_folder_without_a_case_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CaseRecordError, match="Name a case folder"):
            read_case(folder)


def test_a_case_without_its_series_is_told(folder):
    (folder / "series.parquet").unlink()
    with pytest.raises(CaseRecordError, match=r"series\.parquet of the case .* missing"):
        read_case(folder)


@pytest.mark.parametrize("name", ["case.json", "series.parquet"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "link out", "link in", "huge"])
def test_only_plain_files_of_the_folder_are_read(folder, tmp_path, monkeypatch, name, kind):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        path.write_bytes(content)
        monkeypatch.setattr(store, "_MAX_JSON_BYTES", 10)
        monkeypatch.setattr(store, "_MAX_SERIES_BYTES", 10)
    else:
        target = (tmp_path if kind == "link out" else folder) / "target"
        target.write_bytes(content)
        path.symlink_to(target)
    with pytest.raises(CaseRecordError, match="cannot be read"):
        read_case(folder)


def test_pictures_behind_a_linked_folder_are_refused(folder, tmp_path, record):
    (folder / "frames").rename(tmp_path / "outside")
    (folder / "frames").symlink_to(tmp_path / "outside")
    with pytest.raises(CaseRecordError, match="outside the case folder"):
        read_frames(folder, record)


def test_key_frames_follow_their_moment_to_new_events(record):
    first, second = record.events
    frames = (
        KeyFrame(0, KeyFrameKind.ONSET, first.onset_s, 0.1, "a.png", "a-o.png"),
        KeyFrame(0, KeyFrameKind.CLEAR, first.end_s, 0.0, "b.png", "b-o.png"),
        KeyFrame(1, KeyFrameKind.PEAK, second.peak_s, 0.6, "c.png", "c-o.png"),
    )
    assert match_key_frames(frames, record.events) == frames
    near = dataclasses.replace(frames[2], time_s=second.peak_s + 0.5)
    assert match_key_frames([near], record.events) == (near,)
    far = dataclasses.replace(frames[2], time_s=second.peak_s + 1.5)
    assert match_key_frames([far], record.events) == ()
    later = dataclasses.replace(second, onset_s=41.0)
    assert match_key_frames(frames, [later]) == (dataclasses.replace(frames[2], event_index=0),)
    assert match_key_frames(frames, []) == ()
    moved = dataclasses.replace(first, onset_s=1.0)
    assert [f.kind for f in match_key_frames(frames, [moved])] == [KeyFrameKind.CLEAR]


def test_rooms_of_numbers_and_records_need_no_heavy_library():
    script = textwrap.dedent("""
        import sys
        for name in ("torch", "av", "decord", "ray", "cv2", "pandas", "scipy", "matplotlib"):
            sys.modules[name] = None
        import ubereport.metrics.event_detection, ubereport.metrics.registry
        import ubereport.metrics.flags, ubereport.metrics.strip, ubereport.statistics.survival
        import ubereport.files.records.store, ubereport.files.lock
        print("imported")
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "imported\n"


def test_a_folder_that_nobody_may_look_into_is_neither_read_nor_replaced(
    folder, record, frames, tmp_path, monkeypatch
):
    write_case(record, tmp_path / "open", frames)
    before = _content(folder)
    with monkeypatch.context() as closed:
        close_folder(closed, folder)
        for look in (is_case_folder, require_case, lambda f: write_case(record, f, frames)):
            with pytest.raises(CaseRecordError, match=r"cannot be read \(Permission denied\)"):
                look(folder)
        assert case_folders(tmp_path) == (tmp_path / "open",)
    assert _content(folder) == before


def test_a_link_that_leads_back_to_itself_is_no_file(tmp_path):
    (tmp_path / "case.json").symlink_to("case.json")
    assert not holds_file(tmp_path, "case.json")


def test_a_path_without_a_case_is_a_wrong_path_and_a_damaged_case_is_not(folder, tmp_path):
    for path in (tmp_path, tmp_path / "absent", folder / "case.json"):
        with pytest.raises(UsageError, match="Name a case folder"):
            require_case(path)
    (folder / "case.json").unlink()
    require_case(folder)
