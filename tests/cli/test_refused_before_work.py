"""What cannot be used as given is refused before any work is done, with the documented code."""

import json

import pytest
from cli.test_cohort_commands import assert_told, run
from files.records.conftest import close_folder, make_record  # noqa: F401 -- a fixture
from made_up_library import make_library

from ubereport.batch.case import CaseRequest, run_case
from ubereport.core.config import AnalysisConfig, SegmentationConfig
from ubereport.core.errors import CaseRecordError
from ubereport.core.progress import silent
from ubereport.files.names import folder_name
from ubereport.files.records.store import write_case

NO_BUNDLE = "There is no model bundle 'nomodel'."


@pytest.fixture
def no_reading(monkeypatch):
    """Fail where a recording is read."""

    def read(*_args):
        raise AssertionError("the recording was read")

    monkeypatch.setattr("ubereport.analysis.opened_case.index_recording", read)


@pytest.fixture
def manifest(tmp_path, bleeding_recording):
    path = tmp_path / "cases.csv"
    path.write_text(f"case_id,files,surgeon\nC1,{bleeding_recording},Dr. Ito\n")
    return path


def test_a_path_without_a_case_is_a_usage_error(capsys, tmp_path, make_record):  # noqa: F811 -- the fixture
    truth = ("--truth", tmp_path)
    for path in (tmp_path / "none", tmp_path):
        for words in (
            ("report", path, "--out", tmp_path / "x"),
            ("evaluate", "recording", "--case", path, *truth),
        ):
            assert_told(run(capsys, *words), 2, "The folder has no case record")
    assert not (tmp_path / "x").exists()
    # A damaged case is one, and stays an error of the case.
    record = make_record(case_id="a")
    files = {p: b"picture" for f in record.key_frames for p in (f.raw_path, f.overlay_path)}
    write_case(record, tmp_path / "a", files)
    (tmp_path / "a" / "case.json").write_text("{")
    assert run(capsys, "report", tmp_path / "a")[0] == 4
    assert run(capsys, "evaluate", "recording", "--case", tmp_path / "a", *truth)[0] == 4
    (tmp_path / "a" / "case.json").unlink()
    assert run(capsys, "report", tmp_path / "a")[0] == 4


def test_a_bundle_that_is_not_there_is_refused_before_any_work(
    capsys, tmp_path, bleeding_recording, manifest, no_reading
):
    library = tmp_path / "library"
    analyze = ("analyze", bleeding_recording, "--out", tmp_path / "out")
    batch = ("batch", manifest, "--library", library)
    for words in (analyze, batch, (*batch, "--dry-run"), (*batch, "--share-network")):
        # One line on standard error: not even the first stage was begun.
        assert_told(run(capsys, *words, "--model", "nomodel"), 4, NO_BUNDLE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest.name]


def test_an_out_that_is_a_file_is_told_as_such_before_any_work(
    capsys, tmp_path, bleeding_recording, manifest, no_reading
):
    taken = tmp_path / "taken"
    taken.write_text("x")
    for out in (taken, taken / "deeper"):
        words = ("analyze", bleeding_recording, "--out", out, "--model", "hsv-red", "--quiet")
        assert_told(run(capsys, *words), 4, "The output is a file where a folder is needed.")
    for more in ((), ("--dry-run",)):
        words = ("batch", manifest, "--library", taken, "--model", "hsv-red", "--quiet", *more)
        assert_told(run(capsys, *words), 4, "Name another folder with --library.")
    # Nobody got a pseudonym for a batch that never was.
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest.name, taken.name]


def test_a_case_folder_that_nobody_may_look_into_is_not_measured_anew(
    tmp_path, bleeding_recording, monkeypatch
):
    settings = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red"))
    request = CaseRequest((bleeding_recording,), tmp_path, "C1", settings)
    closed = tmp_path / folder_name("C1")
    closed.mkdir()
    close_folder(monkeypatch, closed)
    with pytest.raises(CaseRecordError, match=r"cannot be read \(Permission denied\)"):
        run_case(request, silent)
    assert [path.name for path in tmp_path.iterdir()] == [closed.name]


def test_a_plan_of_a_column_that_no_case_has_is_refused(capsys, tmp_path):
    library = tmp_path / "library"
    make_library(library, {"wax": [0.01, 0.02], "RF": [0.1, 0.2]})
    plan = ("plan", library, "--by")
    assert_told(run(capsys, *plan, "nonsense"), 2, "nonsense is no column of the manifest here.")
    assert not (library / "plan.json").exists()
    code, printed, _ = run(capsys, *plan, "technique")
    assert code == 0
    assert "No case is there yet" not in printed


def test_a_plan_before_the_first_case_says_so(capsys, tmp_path):
    code, printed, _ = run(capsys, "plan", tmp_path / "new", "--by", "technique")
    assert code == 0
    assert "The library is new and empty: its folder was made for this plan." in printed
    assert "No case is there yet to check the plan by" in printed
    words = ("plan", tmp_path / "new", "--by", "technique", "--amend")
    code, printed, _ = run(capsys, *words)
    assert "is new and empty" not in printed
    assert "the manifest must have the column technique." in printed
    told = json.loads(run(capsys, *words, "--json")[1])
    assert (told["n_measured"], told["is_new_library"]) == (0, False)
