"""`compare` and `audit` on the command line: what they print, and bad input in one sentence."""

import errno
import json
import os
from pathlib import Path

import pytest
from made_up_library import MODEL_2, add_case, make_library
from tests_support import PLAIN_PDF

from ubereport.cli.main import main

LOW = [0.010, 0.021, 0.032, 0.043, 0.054, 0.065]
HIGH = [0.110, 0.121, 0.132, 0.143, 0.154, 0.165]


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


def assert_told(done, code, said):
    found, out, err = done
    assert found == code
    assert out == ""
    assert err.startswith("ubereport: ")
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Two techniques, one of them with two cases, one surgeon, two models, a half-written case."""
    folder = tmp_path_factory.mktemp("department") / "library"
    make_library(folder, {"wax": LOW, "RF": HIGH[:2]}, n_surgeons=1, clear_s=(-40.0,))
    add_case(folder, 90, 0.3, {"technique": "RF", "date": "2026-06-01"}, model_sha256=MODEL_2)
    (folder / "half").mkdir()
    (folder / "half" / "series.parquet").write_bytes(b"")
    return folder


def test_compare_lives_with_everything_that_can_be_thin(capsys, library):
    out = library.parent / "comparison"
    code, printed, _ = run(capsys, "compare", library, "--by", "technique", "--out", out, "--json")
    assert code == 0
    told = json.loads(printed)
    assert (told["n_cases"], told["n_left_out"], told["n_unread"]) == (8, 1, 1)
    assert told["contrasts"][0]["p_value"] is None
    assert told["contrasts"][0]["reason"]
    assert {p.name for p in out.iterdir()} >= {"comparison.html", "comparison.pdf"}
    assert Path(told["report_html"]).samefile(out / "comparison.html")


def test_what_a_comparison_sets_aside_is_told_on_the_terminal_too(capsys, library):
    out = library.parent / "told"
    argv = ("compare", library, "--by", "technique", "--out", out, "--pdf", "never")
    code, printed, _ = run(capsys, *argv)
    assert code == 0
    assert "1 case was measured with another model or other settings and is left out" in printed
    assert "1 case folder could not be read and is left out." in printed
    # What every comparison prints stands in the report alone.
    assert "Immortal time" not in printed
    assert "Immortal time" in (out / "comparison.html").read_text()


def test_audit_flags_mixed_models(capsys, library):
    out = library.parent / "audit"
    code, printed, _ = run(capsys, "audit", library, "--out", out)
    assert code == 0
    assert "mixes 2 ways of measuring (model or settings). 1 case measured" in printed
    assert "could not be read" in printed
    assert "audit.html" in printed
    assert "mixes 2 ways of measuring" in (out / "audit.html").read_text()


def test_no_cases(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in (
        ["compare", tmp_path / "empty", "--by", "technique"],
        ["audit", tmp_path / "empty"],
    ):
        done = run(capsys, *command, "--out", tmp_path / "out")
        assert_told(done, 2, "holds no readable case")
    assert not (tmp_path / "out").exists()


def test_unknown_names_are_answered_with_the_nearest(capsys, library, tmp_path):
    out = tmp_path / "out"
    compare = ["compare", library, "--out", out, "--by"]
    assert_told(run(capsys, *compare, "tecnique"), 2, "Did you mean technique?")
    assert_told(
        run(capsys, *compare, "technique", "--primary", "impaired_shre_20"),
        2,
        "Did you mean impaired_share_20?",
    )
    assert_told(run(capsys, *compare, "technique", "--covariate", "agee"), 2, "Did you mean age?")
    assert_told(run(capsys, *compare, "technique", "--reference", "Wax"), 2, "wax")
    audit = run(capsys, "audit", library, "--out", out, "--metric", "coverage")
    assert_told(audit, 2, "Did you mean coverage_frac?")
    assert not out.exists()


def test_one_group_only_cannot_be_compared(capsys, tmp_path):
    make_library(tmp_path / "l", {"wax": LOW})
    done = run(capsys, "compare", tmp_path / "l", "--by", "technique", "--out", tmp_path / "out")
    assert done[0] == 2
    assert done[2].count("\n") == 1


def test_out_that_cannot_be_written(capsys, library, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("x")
    done = run(capsys, "audit", library, "--out", taken)
    assert_told(done, 4, "another --out")
    assert taken.read_text() == "x"


def test_read_only_out(capsys, library, tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(
        "ubereport.documents.cohort.reports.render_document_pdf", lambda _, choice: PLAIN_PDF
    )
    monkeypatch.setattr("ubereport.files.atomic._write_folder", refuse)
    done = run(capsys, "audit", library, "--out", tmp_path / "out")
    assert_told(done, 4, "may write to")
    assert not (tmp_path / "out").exists()


def test_missing_options_are_usage(capsys, library):
    assert run(capsys, "compare", library)[0] == 2
    assert run(capsys, "audit", library)[0] == 2


def test_a_manifest_is_checked_without_a_library_and_run_with_one(capsys, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a")
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case_id,files\nC1,a.mp4\n")
    code, out, _ = run(capsys, "batch", manifest, "--check")
    assert (code, out) == (0, "The manifest is good: 1 case.\n")
    assert_told(run(capsys, "batch", manifest), 2, "--library DIR")
