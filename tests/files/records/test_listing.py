"""What a list of a library says, and how soon."""

import errno
import json
import os
import shutil
import time

import pytest
from files.records.conftest import close_folder

from ubereport.core.errors import UsageError
from ubereport.files.records.listing import list_cases
from ubereport.files.records.store import write_case


@pytest.fixture
def library(tmp_path, make_record):
    for case_id in ("a", "b"):
        record = make_record(case_id=case_id)
        files = {
            path: b"picture" for f in record.key_frames for path in (f.raw_path, f.overlay_path)
        }
        write_case(record, tmp_path / case_id, files)
    return tmp_path


def ids(rows):
    return [row.case_id for row in rows]


def test_a_list_shows_what_the_records_say(library, make_record):
    record = make_record(case_id="a")
    values = {metric.key: metric.value for metric in record.metrics}
    row = list_cases(library)[0]
    assert row.recorded_s == values.get("recorded_s")
    assert row.impaired_share_20 == values.get("impaired_share_20")
    assert row.event_count == values.get("event_count")
    model = record.provenance.model
    assert (row.case_id, row.model) == ("a", f"{model.name} {model.version}")
    assert row.n_warnings == sum(flag.level == "warning" for flag in record.flags)


def test_a_list_leaves_nothing_in_the_library(library):
    before = sorted(library.rglob("*"))
    list_cases(library)
    assert sorted(library.rglob("*")) == before


def test_a_record_without_what_a_list_shows_is_told(library):
    path = library / "a" / "case.json"
    tree = json.loads(path.read_bytes())
    del tree["provenance"]["model"]
    path.write_text(json.dumps(tree))
    assert "lacks what a list shows" in list_cases(library)[0].problem


@pytest.mark.quiet
def test_two_thousand_cases_are_listed_in_two_seconds(library):
    for number in range(2000):
        (library / f"case-{number}").mkdir()
        for name in ("case.json", "series.parquet"):
            (library / f"case-{number}" / name).hardlink_to(library / "a" / name)
    begun_s = time.process_time()
    assert len(list_cases(library)) == 2002
    assert time.process_time() - begun_s < 2


def test_a_changed_case_is_read_again_and_a_removed_one_is_gone(library, make_record):
    list_cases(library)
    (library / "a" / "case.json").write_text("{")
    first, second = list_cases(library)
    assert "case.json" in first.problem
    assert second.problem == ""
    for path in sorted((library / "b").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (library / "b").rmdir()
    assert [row.folder for row in list_cases(library)] == ["a"]


def test_a_half_written_case_is_listed_with_its_problem(library):
    (library / "b" / "case.json").unlink()
    assert [bool(row.problem) for row in list_cases(library)] == [False, True]


def test_links_out_of_the_library_are_no_cases(library, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "c"
    (library / "b").rename(elsewhere)
    (library / "linked").symlink_to(elsewhere)
    assert ids(list_cases(library)) == ["a"]


def test_a_library_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list_cases(tmp_path / "none")


def test_a_list_is_in_the_order_that_people_expect(library):
    folders = [row.folder for row in list_cases(library)]
    for name in ("c10-a", "c2-a"):
        shutil.copytree(library / folders[0], library / name)
    listed = [row.folder for row in list_cases(library) if row.folder in {"c10-a", "c2-a"}]
    assert listed == ["c2-a", "c10-a"]


def test_a_case_folder_that_nobody_may_look_into_is_one_unreadable_case(library, monkeypatch):
    close_folder(monkeypatch, library / "a")
    closed, other = list_cases(library)
    assert (closed.folder, closed.case_id) == ("a", "")
    assert closed.problem.startswith("The case folder cannot be read (Permission denied). Let this")
    assert (other.case_id, other.problem) == ("b", "")


def test_a_library_that_nobody_may_look_into_is_told(library, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"library folder cannot be read \(Permission denied\)"):
        list_cases(library)
