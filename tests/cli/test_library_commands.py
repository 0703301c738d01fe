"""A library with a case that cannot be read: one bad case never ends a command, nor hides."""

import csv
import json

import pytest
from cli.test_cohort_commands import assert_told, run
from files.records.conftest import close_folder, make_record  # noqa: F401 -- a fixture
from made_up_library import make_library

from ubereport.files.names import folder_name
from ubereport.files.records.store import write_case

CLOSED = "The case folder cannot be read (Permission denied)."
REFUSED = "1 case folder could not be read and is left out."


@pytest.fixture
def library(tmp_path, make_record):  # noqa: F811 -- the fixture
    """Three cases with a printed report."""
    for case_id in ("a", "b", "c"):
        record = make_record(case_id=case_id)
        files = {p: b"picture" for f in record.key_frames for p in (f.raw_path, f.overlay_path)}
        write_case(record, tmp_path / "library" / case_id, files | {"report.pdf": b"%PDF-1.7"})
    return tmp_path / "library"


def exported(capsys, library, *forms, more=()):
    out = library.parent / "tables"
    options = [word for form in forms for word in ("--as", form)]
    return (out, *run(capsys, "library", "export", library, "--out", out, *options, *more))


def case_ids(out):
    with (out / "cases.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["case_id"] for row in csv.DictReader(file)]


def test_a_closed_case_folder_is_listed_and_shown_as_unreadable(capsys, library, monkeypatch):
    close_folder(monkeypatch, library / "b")
    code, printed, _ = run(capsys, "library", "list", library)
    assert code == 0
    assert f"b: {CLOSED}" in printed
    assert run(capsys, "library", "show", library, "a")[0] == 0
    assert_told(run(capsys, "library", "show", library, "b"), 4, "cannot be read")


def test_a_closed_case_folder_ends_no_comparison_and_no_audit(capsys, tmp_path, monkeypatch):
    library = tmp_path / "library"
    make_library(library, {"wax": [0.01, 0.02, 0.03], "RF": [0.1, 0.2, 0.3]})
    close_folder(monkeypatch, library / "case-000")
    for words in (("compare", library, "--by", "technique"), ("audit", library)):
        out = tmp_path / words[0]
        code, printed, _ = run(capsys, *words, "--out", out, "--pdf", "never", "--json")
        assert (code, json.loads(printed)["n_cases"], json.loads(printed)["n_unread"]) == (0, 5, 1)


def test_an_export_says_how_many_cases_it_leaves_out(capsys, library, monkeypatch):
    (library / "a" / "case.json").write_text("{")
    out, code, printed, _ = exported(capsys, library, "csv", "fhir")
    assert (code, case_ids(out)) == (0, ["b", "c"])
    assert REFUSED in printed
    assert "\na: case.json" in printed
    close_folder(monkeypatch, library / "b")
    out, code, printed, _ = exported(capsys, library, "csv")
    assert "2 case folders could not be read and are left out." in printed
    _, code, printed, _ = exported(capsys, library, "csv", more=("--json",))
    told = json.loads(printed)
    assert (code, told["n_unread"], told["n_without_fhir"]) == (0, 2, 0)
    assert [case["folder"] for case in told["unread"]] == ["a", "b"]
    assert told["unread"][1]["reason"].startswith(CLOSED)


def test_one_case_without_a_fhir_report_keeps_no_other_from_being_written(capsys, library):
    (library / "b" / "series.parquet").write_bytes(b"no table")
    (library / "c" / "report.pdf").unlink()
    out, code, printed, err = exported(capsys, library, "csv", "fhir")
    assert code == 3
    assert [path.name for path in (out / "fhir").iterdir()] == ["a.json"]
    # The tables rest on the records, which are whole.
    assert case_ids(out) == ["a", "b", "c"]
    assert "b: series.parquet cannot be read" in printed
    assert "c: The case in c has no report.pdf." in printed
    assert "2 of 3 FHIR reports could not be written; the reasons are listed." in err
    _, code, printed, _ = exported(capsys, library, "csv", "fhir", more=("--json",))
    told = json.loads(printed)
    assert (code, told["n_unread"], told["n_without_fhir"]) == (3, 0, 2)
    assert [case["folder"] for case in told["without_fhir"]] == ["b", "c"]


def test_a_case_without_its_series_stands_in_the_tables_alone(capsys, library):
    for case_id in "abc":
        (library / case_id / "series.parquet").unlink()
    out, code, printed, _ = exported(capsys, library, "csv", "fhir", more=("--json",))
    told = json.loads(printed)
    assert (code, told["n_unread"], told["n_without_fhir"]) == (3, 0, 3)
    assert case_ids(out) == ["a", "b", "c"]


def test_an_export_that_writes_nothing_is_told(capsys, library):
    for case_id in "abc":
        (library / case_id / "report.pdf").unlink()
    out, code, _, err = exported(capsys, library, "fhir")
    assert (code, out.exists()) == (4, False)
    assert "No FHIR report could be written; the reasons are listed." in err
    for case_id in "abc":
        (library / case_id / "case.json").write_text("{")
    for form in ("csv", "fhir"):
        assert_told(exported(capsys, library, form)[1:], 2, "holds no readable case")


def test_a_dry_run_tells_a_closed_case_folder_as_a_case_that_would_fail(
    capsys, library, short_recording, bleeding_recording, monkeypatch
):
    manifest = library.parent / "cases.csv"
    manifest.write_text(f"case_id,files\na,{short_recording}\nb,{bleeding_recording}\n")
    (library / "a").rename(library / folder_name("a"))
    closed = library / folder_name("b")
    (library / "b").rename(closed)
    close_folder(monkeypatch, closed)
    words = ("batch", manifest, "--library", library, "--model", "hsv-red", "--dry-run", "--json")
    code, printed, _ = run(capsys, *words)
    told = json.loads(printed)
    assert (code, told["n_cases"], told["n_present"]) == (0, 2, 1)
    ((row, reason),) = told["unreadable"]
    assert row == 3
    assert reason.startswith(CLOSED)
