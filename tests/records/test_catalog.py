"""The catalog is a cache: deleted, damaged, locked, read-only, it never costs a case."""

import sqlite3
from contextlib import closing

import pytest

from ubereport.core.errors import UsageError
from ubereport.records import catalog
from ubereport.records.catalog import CATALOG_NAME, list_cases, rebuild_catalog
from ubereport.records.store import write_case


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


def test_a_deleted_catalog_comes_back(library):
    rows = list_cases(library)
    assert ids(rows) == ["a", "b"]
    (library / CATALOG_NAME).unlink()
    assert list_cases(library) == rows
    assert (library / CATALOG_NAME).is_file()


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(500)])
def test_a_damaged_catalog_is_made_anew(library, content):
    rows = list_cases(library)
    (library / CATALOG_NAME).write_bytes(content)
    assert list_cases(library) == rows
    with closing(sqlite3.connect(library / CATALOG_NAME)) as stored:
        assert stored.execute("SELECT count(*) FROM cases").fetchone() == (2,)


def test_a_catalog_of_another_program_is_made_anew(library):
    with closing(sqlite3.connect(library / CATALOG_NAME)) as stored, stored:
        stored.execute("CREATE TABLE cases (something INTEGER)")
    assert ids(list_cases(library)) == ["a", "b"]
    assert ids(rebuild_catalog(library)) == ["a", "b"]


def test_a_locked_catalog_is_waited_for_then_passed_by(library, monkeypatch):
    monkeypatch.setattr(catalog, "BUSY_TIMEOUT_S", 0.05)
    rows = list_cases(library)
    with closing(sqlite3.connect(library / CATALOG_NAME)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert list_cases(library) == rows
        assert rebuild_catalog(library) == rows
    # Nobody threw away what the other run was writing.
    with closing(sqlite3.connect(library / CATALOG_NAME)) as stored:
        assert stored.execute("SELECT count(*) FROM cases").fetchone() == (2,)


@pytest.mark.parametrize("name", ["SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_LOCK"])
def test_a_library_that_cannot_be_written_is_listed_all_the_same(library, monkeypatch, name):
    rows = list_cases(library)

    def refuse(*_args):
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorname = name
        raise error

    (library / CATALOG_NAME).unlink()
    monkeypatch.setattr(catalog, "_fill", refuse)
    assert list_cases(library) == rows
    assert not (library / CATALOG_NAME).exists()


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
