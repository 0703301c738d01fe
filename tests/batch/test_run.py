"""A batch end to end: broken cases, resume, both engines, kills, the summary."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_support import copy_bytes

from ubereport.batch.engine.embedded import EmbeddedEngine
from ubereport.batch.manifest import read_manifest
from ubereport.batch.run import plan_batch, run_batch
from ubereport.core.config import AnalysisConfig, RecordsConfig, SamplingConfig, SegmentationConfig
from ubereport.documents.batch.results import result_table
from ubereport.documents.batch.summary import write_summary
from ubereport.files.records.listing import list_cases

pytestmark = pytest.mark.slow
CONFIG = AnalysisConfig(
    sampling=SamplingConfig(rate_hz=1.0),
    segmentation=SegmentationConfig(model="hsv-red", batch_size=4),
    records=RecordsConfig(is_frames_kept=False),
)
SETTINGS = """
[sampling]
rate_hz = 1.0
[segmentation]
model = "hsv-red"
batch_size = 4
[records]
is_frames_kept = false
"""


def make_department(folder: Path, recording: Path, n_good: int, n_broken: int) -> Path:
    """Write recordings (some of them text) and their manifest."""
    rows = ["case_id,files,date,surgeon,technique"]
    for i in range(n_good + n_broken):
        path = folder / f"SECRET-{i}.mp4"
        if i % 3 == 1 and n_broken > 0:
            path.write_text("broken")
            n_broken -= 1
        else:
            copy_bytes(recording, path)
            with path.open("ab") as file:
                file.write(b"\0\0\0\x10free" + i.to_bytes(8, "big"))
        rows.append(f"K{i},{path.name},2026-01-{i + 1:02d},Dr. SECRET,bone wax")
    manifest = folder / "cases.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def digests(library: Path) -> dict[str, str]:
    return {
        p.relative_to(library).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(library.rglob("*"))
        if p.is_file() and p.name != "run.json" and p.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def department(bleeding_recording, tmp_path_factory):
    return make_department(tmp_path_factory.mktemp("department"), bleeding_recording, 3, 1)


@pytest.fixture(scope="module")
def library(department, tmp_path_factory):
    """The library of an undisturbed run."""
    folder = tmp_path_factory.mktemp("libraries") / "undisturbed"
    keys = folder.parent / "keys.json"
    plan = plan_batch(read_manifest(department), folder, CONFIG, 1, keys=keys)
    write_summary(run_batch(plan, EmbeddedEngine(), lambda result: None), folder)
    return folder


def test_good_cases_are_done_and_the_broken_one_has_its_reason(library):
    content = json.loads((library / "batch.json").read_text())
    assert (content["n_done"], content["n_failed"]) == (3, 1)
    (failed,) = [c for c in content["cases"] if c["done"] is None]
    assert (failed["case_id"], failed["row"], failed["kind"]) == ("K1", 3, "RecordingFormatError")
    page = (library / "batch.html").read_text()
    assert failed["reason"] in page
    assert "3 of 4 cases are complete" in page
    assert not list((library / ".progress").iterdir())


def test_no_name_reaches_the_library(library):
    for path in library.rglob("*"):
        assert "SECRET" not in path.name
        if path.is_file():
            assert b"SECRET" not in path.read_bytes(), path.name


def test_the_manifest_row_lies_with_the_case(library):
    (folder,) = library.glob("k0-*")
    assert json.loads((folder / "manifest.json").read_text())["technique"] == "bone wax"


def test_a_second_run_reuses_what_is_done(department, library):
    before = digests(library)
    keys = library.parent / "keys.json"
    plan = plan_batch(read_manifest(department), library, CONFIG, 1, keys=keys)
    result = run_batch(plan, EmbeddedEngine(), lambda r: None)
    assert [c.done.is_reused for c in result.cases if c.done] == [True, True, True]
    write_summary(result, library)
    assert digests(library) == before


def test_the_library_is_listed(library):
    rows = list_cases(library)
    assert [row.case_id for row in rows] == ["K0", "K2", "K3"]
    assert rows[0].impaired_share_20 == pytest.approx(8 / 24, abs=0.05)


def test_a_batch_killed_at_random_ends_byte_identical(department, library, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    mine = tmp_path / "library"
    argv = [
        sys.executable, "-m", "ubereport", "batch", str(department), "--library", str(mine),
        "--config", str(settings), "--quiet", "--keys", str(tmp_path / "keys.json"), "--jobs", "2",
    ]  # fmt: skip
    rng = random.Random(7)
    for _ in range(3):
        started = time.time()
        running = subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True)
        while not any(path.stat().st_mtime > started for path in mine.glob("**/*")):
            assert running.poll() is None
            time.sleep(0.1)
        time.sleep(rng.uniform(0.0, 3.0))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3, done.stderr
    assert "K1" in done.stdout
    undisturbed, disturbed = digests(library), digests(mine)
    different = {n for n in undisturbed | disturbed if undisturbed.get(n) != disturbed.get(n)}
    assert different == set()


def test_the_table_of_a_batch_is_safe_and_complete(library, department):
    keys = library.parent / "keys.json"
    plan = plan_batch(read_manifest(department), library, CONFIG, 1, keys=keys)
    result = run_batch(plan, EmbeddedEngine(), lambda r: None)
    header, rows = result_table(result.cases)
    assert {len(row) for row in rows} == {len(header)}
    assert [row[header.index("state")] for row in rows] == ["done", "failed", "done", "done"]
