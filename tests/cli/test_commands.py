"""Commands on good input: what they print, and that help costs nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ubereport.cli.main import main
from ubereport.files.resources import models_dir


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main(list(argv))
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


@pytest.mark.quiet
def test_help_answers_at_once_and_without_torch():
    argv = [sys.executable, "-m", "ubereport", "--help"]
    wall_s = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        wall_s.append(time.perf_counter() - started)
    assert "analyze" in done.stdout
    # Half a second on an idle machine; a shared one may be four times as slow.
    assert min(wall_s) < 2.0


@pytest.mark.parametrize(
    "command",
    [
        "analyze",
        "report",
        "demo",
        "simulate",
        "doctor",
        "models",
        "models list",
        "batch",
        "library",
        "library export",
        "train",
        "train frames",
        "train export",
    ],
)
def test_every_command_explains_itself(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    assert "Usage: ubereport" in out


def test_version(capsys):
    code, out, _ = run(capsys, "--version")
    assert (code, out.split()[0]) == (0, "ubereport")


def test_models_are_listed_and_sound(capsys):
    code, out, _ = run(capsys, "models", "list", "--json")
    assert code == 0
    names = [m["name"] for m in json.loads(out)["models"]]
    assert "hsv-red" in names
    assert all(m["licence"] for m in json.loads(out)["models"])
    code, out, _ = run(capsys, "models", "list")
    assert "(licence MIT)" in out
    code, out, _ = run(capsys, "models", "verify", "--json")
    assert code == 0
    assert json.loads(out)["is_sound"]


def test_an_altered_bundle_is_found(capsys, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.json").write_text("{")
    code, _, told = run(capsys, "models", "verify", "--models", str(tmp_path))
    assert code == 4
    assert "altered or incomplete" in told


def test_simulate_writes_recording_and_truth(capsys, tmp_path):
    code, out, _ = run(
        capsys, "simulate", "--seed", "3", "--minutes", "0.1", "--out", str(tmp_path), "--json"
    )
    assert code == 0
    assert json.loads(out)["parts"]
    assert {p.name for p in (tmp_path / "truth").iterdir()} >= {
        "area.csv",
        "events.csv",
        "validity.csv",
    }


def test_doctor_says_what_is_there(capsys, monkeypatch):
    monkeypatch.setattr("ubereport.laboratory.route_speeds.N_STILLS", 2)
    code, out, _ = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["is_ready"] else 4)
    what = {f["what"]: f for f in found["findings"]}
    assert what["torch"]["is_good"]
    assert what["WeasyPrint"]["is_good"]
    assert what["models"]["is_good"]
    routes = [f["found"] for name, f in what.items() if name.startswith("inference, ")]
    assert sum("auto takes this" in found for found in routes) == 1
    assert sum("recommended" in found for found in routes) == 1
    for finding in found["findings"]:
        assert finding["is_good"] or finding["mend"]
    assert what["decoding, processor"]["found"].startswith("ten pictures in ")
    assert "cuda" in what["decoding"]["found"]


def test_doctor_names_a_missing_library(monkeypatch):
    from ubereport.laboratory import installation as doctor

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("ubereport.laboratory.route_speeds.measure_shipped", lambda: ())
    monkeypatch.setattr(doctor.importlib, "import_module", absent)
    monkeypatch.setenv("PATH", "")  # no browser that could print instead
    findings = {f.what: f for f in doctor.examine()}
    assert not findings["WeasyPrint"].is_good
    assert "libpango" in findings["WeasyPrint"].mend
    assert not findings["inference"].is_good, "nothing measured is not called good"


def test_doctor_says_what_it_found_before_it_measures(monkeypatch, capsys):
    said = []
    measured = "ubereport.laboratory.route_speeds.measure_shipped"
    monkeypatch.setattr(measured, lambda: said.append(capsys.readouterr().out) or ())
    run(capsys, "doctor")
    assert len(said) == 1
    assert "Python: " in said[0]
    assert "disk: " in said[0]


@pytest.mark.slow
def test_adaptive_sampling_is_the_default_and_says_what_it_looked_at(
    capsys, tmp_path, bleeding_recording
):
    parts = ["analyze", str(bleeding_recording), "--model", "hsv-red", "--quiet", "--json"]
    parts += ["--pdf", "never"]
    code, _, _ = run(capsys, *parts, "--out", str(tmp_path / "default"))
    assert code == 0
    code, _, _ = run(capsys, *parts, "--out", str(tmp_path / "named"), "--sampling", "adaptive")
    assert code == 0
    default, named = (
        next((tmp_path / name).glob("*/case.json")).read_bytes() for name in ("default", "named")
    )
    assert default == named
    assert b"adaptive: " in default


def test_an_older_bundle_is_prepared(capsys, tmp_path):
    """What has no network has nothing to prepare; what has one gets a graph (test_export)."""
    code, _, told = run(capsys, "models", "prepare", str(models_dir() / "hsv-red"))
    assert (code, "holds no network" in told) == (4, True), told
    code, _, told = run(capsys, "models", "prepare", str(tmp_path / "nothing"))
    assert "There is no bundle folder 'nothing'" in told


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_folder_without_bundles_is_told(capsys, tmp_path, command):
    code, out, err = run(capsys, "models", command, "--models", str(tmp_path / "absent"))
    assert (code, out) == (2, "")
    assert "There is no folder where --models says. Name the folder" in err
    code, out, err = run(capsys, "models", command, "--models", str(tmp_path), "--json")
    assert (code, out) == (2, "")
    assert "holds no bundle" in err


@pytest.mark.parametrize("command", ["list", "verify"])
def test_an_installation_without_bundles_blames_no_option(capsys, tmp_path, monkeypatch, command):
    monkeypatch.setattr("ubereport.segmentation.bundle.models_dir", lambda: tmp_path)
    code, out, err = run(capsys, "models", command)
    assert (code, out) == (2, "")
    assert "No bundle came with this installation. Install ubereport again" in err
    assert "folder of --models" not in err


def test_the_reference_prints_defaults_as_they_are_typed():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert "| `--as` | Formats; may be given several times. | `csv` |" in page
    # A test of the documentation holds the page against the program.
    assert "Enum" not in page
    assert "ExportFormat" not in page
