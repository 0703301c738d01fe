"""The built wheel carries templates, models and schemas, and runs without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Build the wheel offline and unpack it as an installer would."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)],
        cwd=CHECKOUT, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def run(installed: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = (
        "import sys, ubereport; "
        "assert ubereport.__file__.startswith(sys.argv.pop(1)), ubereport.__file__; "
        "from ubereport.cli.main import main; main(sys.argv[1:])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(installed), *argv],
        cwd=installed, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_wheel_holds_what_the_program_reads(installed):
    resources = installed / "ubereport" / "_resources"
    assert (resources / "templates" / "case.html").is_file()
    assert (resources / "models" / "hsv-red" / "metadata.json").is_file()
    assert list(resources.glob("models/*/weights.safetensors"))
    assert list((installed / "ubereport").rglob("case.schema.json"))
    assert not list(installed.rglob("tests"))


def test_the_installed_program_finds_its_models(installed):
    done = run(installed, "models", "verify")
    assert done.returncode == 0, done.stderr
    assert "hsv-red: sound" in done.stdout


def test_the_installed_program_analyzes_a_recording(installed, bleeding_recording, tmp_path):
    done = run(
        installed, "analyze", str(bleeding_recording), "--out", str(tmp_path), "--model",
        "hsv-red", "--rate", "0.5", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("*/report.html")
    assert "View obscured" in page.read_text(encoding="utf-8")
