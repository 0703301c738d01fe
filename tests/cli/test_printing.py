"""`--pdf` on every command that renders, on a machine that can print and on one that cannot."""

import json
import sys

import pytest
from cli.test_evaluate_commands import run, write_stills
from tests_support import copy_bytes

from ubereport.core.errors import DependencyError

pytestmark = pytest.mark.slow
EXIT = DependencyError.exit_code


@pytest.fixture
def no_printer(monkeypatch, tmp_path):
    """WeasyPrint without Pango and no browser, for this process and for those that it starts."""
    broken = tmp_path / "broken" / "weasyprint"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(
        "print('WeasyPrint could not import some external libraries.')\n"
        "raise OSError(\"cannot load library 'libpango-1.0-0'\")\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(broken.parent))
    monkeypatch.setenv("PATH", str(tmp_path))


def hsv_settings(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('[segmentation]\nmodel = "hsv-red"\n[records]\nis_frames_kept = false\n')
    return path


def batch_of(recording, tmp_path):
    manifest = tmp_path / "cases.csv"
    copies = [copy_bytes(recording, tmp_path / f"{k}.mp4") for k in range(2)]
    rows = [
        f"C{k},{copy},{name}" for k, copy, name in zip("01", copies, ("wax", "RF"), strict=True)
    ]
    manifest.write_text("\n".join(["case_id,files,technique", *rows]) + "\n")
    return manifest


def assert_html_alone(done, folder, stem, code=0):
    """The command ends as it should, says one sentence, and there is HTML and no PDF."""
    found, out, err = done
    assert found == code
    sentences = [line for line in err.splitlines() if "No PDF was printed" in line]
    assert len(sentences) == 1
    assert sentences[0].startswith("ubereport: " if code else "warning: ")
    for system in ("Debian", "Fedora", "macOS", "Windows"):
        assert system in sentences[0]
    told = json.loads(out)
    assert told.get("report_pdf") is None
    assert told["pdf_problem"] in sentences[0]
    assert (folder / f"{stem}.html").stat().st_size > 10_000
    assert not (folder / f"{stem}.pdf").exists()


def test_every_command_goes_on_without_a_printer(short_recording, tmp_path, capsys, no_printer):
    out, library = tmp_path / "out", tmp_path / "library"
    settings = ("--config", hsv_settings(tmp_path), "--quiet", "--json")
    analyze = ("analyze", short_recording, "--out", out, "--case-id", "C1", *settings)
    done = run(capsys, *analyze)
    (case,) = (path for path in out.iterdir() if not path.name.startswith("."))
    assert_html_alone(done, case, "report")
    assert "Pango" in json.loads((case / "run.json").read_text())["pdf"]["problem"]
    # Asked for in earnest: the case of the first run is reused, and the exit code is another.
    done = run(capsys, *analyze, "--pdf", "always")
    assert_html_alone(done, case, "report", EXIT)
    assert json.loads(done[1])["is_reused"]
    assert run(capsys, *analyze, "--pdf", "never")[2] == ""

    report = ("report", case, "--out", tmp_path / "again", "--json")
    assert_html_alone(run(capsys, *report), tmp_path / "again" / case.name, "report")
    done = run(capsys, *report, "--pdf", "always")
    assert_html_alone(done, tmp_path / "again" / case.name, "report", EXIT)

    manifest = batch_of(short_recording, tmp_path)
    code, printed, err = run(
        capsys, "batch", manifest, "--library", library, "--pdf", "always", *settings
    )
    assert (code, json.loads(printed)["n_done"]) == (EXIT, 2)
    assert err.count("No PDF was printed") == 1
    assert len(list(library.glob("*/report.html"))) == 2

    for stem, words in (("comparison", ("compare", library, "--by", "technique")),
                        ("audit", ("audit", library))):  # fmt: skip
        done = run(capsys, *words, "--out", tmp_path / stem, "--json")
        assert_html_alone(done, tmp_path / stem, stem)
        done = run(capsys, *words, "--out", tmp_path / stem, "--json", "--pdf", "always")
        assert_html_alone(done, tmp_path / stem, stem, EXIT)

    images, masks = write_stills(tmp_path)
    stills = ("evaluate", "stills", "--images", images, "--masks", masks, "--model", "hsv-red",
              "--out", tmp_path / "evaluation", "--quiet", "--json")  # fmt: skip
    assert_html_alone(run(capsys, *stills), tmp_path / "evaluation", "evaluation")
    done = run(capsys, *stills, "--pdf", "always")
    assert_html_alone(done, tmp_path / "evaluation", "evaluation", EXIT)

    code, printed, _ = run(capsys, "library", "export", library, "--as", "fhir", "--out", out)
    assert code == EXIT


def test_a_pdf_comes_when_it_is_wanted_and_goes_with_its_numbers(short_recording, tmp_path, capsys):
    out = tmp_path / "out"
    analyze = ("analyze", short_recording, "--out", out, "--case-id", "C1", "--quiet", "--json",
               "--config", hsv_settings(tmp_path), "--pdf")  # fmt: skip
    code, printed, _ = run(capsys, *analyze, "never")
    told = json.loads(printed)
    assert (code, told["report_pdf"], told["pdf_problem"]) == (0, None, None)
    (case,) = (path for path in out.iterdir() if not path.name.startswith("."))
    files = {p.name: p.read_bytes() for p in case.iterdir() if p.name != "run.json"}
    assert "report.pdf" not in files

    code, printed, _ = run(capsys, *analyze, "always")
    told = json.loads(printed)
    assert (code, told["is_reused"]) == (0, True)
    assert (case / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "WeasyPrint" in json.loads((case / "run.json").read_text())["pdf"]["printer"]
    for name, content in files.items():
        assert (case / name).read_bytes() == content

    # Rendered again under other thresholds without a PDF: the old one would show other numbers.
    code, _, _ = run(capsys, "report", case, "--onset-frac", "0.2", "--pdf", "never", "--json")
    assert code == 0
    assert not (case / "report.pdf").exists()


def test_doctor_tells_of_both_printers(capsys, no_printer, monkeypatch):
    monkeypatch.setattr("ubereport.laboratory.installation._inference", tuple)
    _, printed, _ = run(capsys, "doctor", "--json")
    findings = {f["what"]: f for f in json.loads(printed)["findings"]}
    for what in ("WeasyPrint", "printing browser"):
        assert not findings[what]["is_good"]
        assert not findings[what]["is_needed"]
        assert "brew install pango" in findings[what]["mend"]
