"""Commands in the reader's language, and files for machines that stay as they are."""

import json
import shutil

import pytest

from ubereport.cli.main import main


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main(list(argv))
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


def analyze(capsys, recording, out, *argv):
    code, told, err = run(
        capsys, "analyze", str(recording), "--out", str(out), "--model", "hsv-red", "--rate", "0.5",
        "--case-id", "C1", "--quiet", "--pdf", "never", *argv,
    )  # fmt: skip
    assert code == 0, err
    (folder,) = (path.parent for path in out.glob("*/case.json"))
    return folder, told


def machine_files(folder):
    """Return all files but the reports and what differs from run to run."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("report") and path.name != "run.json"
    }


@pytest.fixture(scope="module")
def english_case(bleeding_recording, tmp_path_factory):
    from ubereport.batch.case import CaseRequest, run_case
    from ubereport.core.choices import PdfChoice
    from ubereport.core.config import AnalysisConfig, SamplingConfig, SegmentationConfig

    settings = AnalysisConfig(
        sampling=SamplingConfig(rate_hz=0.5), segmentation=SegmentationConfig(model="hsv-red")
    )
    out = tmp_path_factory.mktemp("english")
    request = CaseRequest((bleeding_recording,), out, "C1", settings, pdf=PdfChoice.NEVER)
    return run_case(request, lambda _: None).folder


def test_files_for_machines_do_not_change_with_the_language(
    capsys, bleeding_recording, english_case, tmp_path, monkeypatch
):
    monkeypatch.setenv("UBEREPORT_LANGUAGE", "es")
    folder, _ = analyze(capsys, bleeding_recording, tmp_path, "--language", "de")
    assert machine_files(folder) == machine_files(english_case)
    assert len(machine_files(folder)) >= 4
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert '<html lang="de">' in html
    assert json.loads((folder / "run.json").read_text())["language"] == "de"


def test_a_case_holds_several_languages(capsys, english_case, tmp_path):
    folder = tmp_path / english_case.name
    shutil.copytree(english_case, folder)
    before = machine_files(folder)
    code, out, _ = run(capsys, "report", str(folder), "--language", "ja", "--pdf", "never")
    assert code == 0
    assert "report.ja.html" in out
    assert '<html lang="en">' in (folder / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in (folder / "report.ja.html").read_text(encoding="utf-8")
    assert machine_files(folder) == before


def test_reports_in_all_languages_of_a_case_tell_the_same_numbers(capsys, english_case, tmp_path):
    folder = tmp_path / english_case.name
    shutil.copytree(english_case, folder)
    run(capsys, "report", str(folder), "--language", "de", "--pdf", "never")
    run(capsys, "report", str(folder), "--onset-frac", "0.3", "--offset-frac", "0.28",
        "--pdf", "never", "--language", "en")  # fmt: skip
    german = (folder / "report.de.html").read_text(encoding="utf-8")
    english = (folder / "report.html").read_text(encoding="utf-8")
    assert "30\u00a0%" in english
    assert "30\u00a0%" in german


def test_a_case_elsewhere_is_in_the_language_asked_for(capsys, english_case, tmp_path):
    code, _, _ = run(
        capsys, "report", str(english_case), "--language", "es", "--out", str(tmp_path), "--pdf",
        "never",
    )  # fmt: skip
    assert code == 0
    folder = tmp_path / english_case.name
    assert sorted(p.name for p in folder.glob("report*")) == ["report.html"]
    assert '<html lang="es">' in (folder / "report.html").read_text(encoding="utf-8")


def test_a_case_that_is_reused_gets_the_language_it_lacks(
    capsys, bleeding_recording, english_case, tmp_path
):
    shutil.copytree(english_case, tmp_path / english_case.name)
    folder, _ = analyze(capsys, bleeding_recording, tmp_path, "--language", "es")
    assert '<html lang="es">' in (folder / "report.es.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command", ["analyze", "report", "batch", "compare", "audit", "library list"]
)
def test_every_command_takes_a_language(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    assert "--language" in out


def test_the_language_of_settings_is_spoken_and_recorded_nowhere(
    capsys, bleeding_recording, english_case, tmp_path, monkeypatch
):
    settings = tmp_path / "settings.toml"
    settings.write_text('language = "de"\n')
    folder, told = analyze(
        capsys, bleeding_recording, tmp_path / "out", "--config", str(settings)
    )  # fmt: skip
    assert machine_files(folder) == machine_files(english_case)
    assert '<html lang="de">' in (folder / "report.html").read_text(encoding="utf-8")
    assert "Bericht" in told
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ubereport.toml").write_text('language = "es"\n')
    assert "Cobertura" in run(capsys, "library", "list", str(folder.parent))[1]
    assert "Abdeckung" in run(capsys, "library", "list", str(folder.parent), "--language", "de")[1]
    (tmp_path / "ubereport.toml").write_text('language = "spanisch"\n')
    code, _, err = run(capsys, "library", "list", str(folder.parent))
    assert code == 2
    assert "There is no language 'spanisch'. Did you mean es?" in err


def test_an_unknown_language_ends_with_one_sentence(capsys, tmp_path):
    code, out, err = run(capsys, "library", "list", str(tmp_path), "--language", "jp")
    assert (code, out) == (2, "")
    assert "There is no language 'jp'. Did you mean ja?" in err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("library", "show", "LIBRARY", "C1", "--json"), 0),
        (("library", "list", "LIBRARY", "--json"), 0),
        (("models", "list", "--json"), 0),
        (("library", "show", "LIBRARY", "C2", "--json"), 2),
        (("compare", "LIBRARY", "--by", "technique", "--out", "OUT", "--json"), 2),
        (("report", "LIBRARY", "--json"), 2),
    ],
)
def test_json_and_exit_codes_are_the_same_in_every_language(
    capsys, english_case, tmp_path, argv, code
):
    given = {"LIBRARY": str(english_case.parent), "OUT": str(tmp_path / "out")}
    said = {
        language: run(capsys, *(given.get(a, a) for a in argv), "--language", language)
        for language in ("en", "ja", "de", "es")
    }
    assert {(shown[0], shown[1]) for shown in said.values()} == {(code, said["en"][1])}
    assert len({shown[2] for shown in said.values()}) == (1 if code == 0 else 4)


def test_a_damaged_catalog_is_told_and_english_spoken(capsys, tmp_path, monkeypatch):
    from ubereport.language import catalogs

    monkeypatch.setattr(catalogs, "FOLDER", tmp_path)
    _, _, err = run(capsys, "library", "list", str(tmp_path), "--language", "de")
    assert "warning: The catalog of Deutsch (de) cannot be read" in err
    assert "English is spoken instead" in err
