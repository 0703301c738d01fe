"""Bad input: one clear sentence, the documented exit code, nothing half-written, no names."""

import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import scene, write_recording
from tests_support import PLAIN_PDF

from ubereport.batch.case import CaseRequest, rerender_case, run_case
from ubereport.cli.main import main
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, SegmentationConfig
from ubereport.core.errors import UsageError
from ubereport.core.progress import silent
from ubereport.files.records.store import write_case

pytestmark = pytest.mark.slow
SECRET = "SECRET-Jane-Doe"


def run(capsys, *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(argv))
    out, err = capsys.readouterr()
    code = end.value.code
    return (0 if code is None else code), out, err


def analyze(capsys, parts, out: Path, *options: str) -> tuple[int, str, str]:
    named = [str(p) for p in parts]
    return run(
        capsys, "analyze", *named, "--out", str(out), "--model", "hsv-red", "--quiet", *options
    )


def png_header(width_px: int, height_px: int) -> bytes:
    body = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + body
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def make_zero_bytes(folder):
    path = folder / f"{SECRET}.mp4"
    path.write_bytes(b"")
    return path


def make_text(folder):
    path = folder / f"{SECRET}.mp4"
    path.write_text("this is not a recording\n" * 100)
    return path


def make_png(folder):
    path = folder / f"{SECRET}.mp4"
    encoded = cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1]
    path.write_bytes(bytes(encoded))
    return path


def make_huge_png(folder):
    path = folder / f"{SECRET}.mp4"
    path.write_bytes(png_header(16384, 16384) + b"\0" * 100)
    return path


def make_one_frame(folder):
    return write_recording(folder / f"{SECRET}.mp4", [scene(0)])


def make_random(folder):
    path = folder / f"{SECRET}.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(20_000))
    return path


def make_fifo(folder):
    path = folder / f"{SECRET}.mp4"
    os.mkfifo(path)
    return path


def make_missing(folder):
    return folder / f"{SECRET}.mp4"


def make_empty_folder(folder):
    (folder / SECRET).mkdir()
    return folder / SECRET


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (make_zero_bytes, 4),
        (make_text, 4),
        (make_png, 4),
        (make_huge_png, 4),
        (make_one_frame, 4),
        (make_random, 4),
        (make_fifo, 2),
        (make_missing, 2),
        (make_empty_folder, 2),
    ],
)
def test_what_is_no_recording_ends_with_one_sentence(tmp_path, capsys, make, code):
    out = tmp_path / "out"
    given, _, told = analyze(capsys, [make(tmp_path)], out)
    assert given == code
    assert told.startswith("ubereport: ")
    assert told.count("\n") == 1
    assert SECRET not in told
    assert str(tmp_path) not in told
    assert not out.exists() or not list(out.glob("*/case.json"))


def test_an_unknown_configuration_key_is_met_with_the_near_one(
    tmp_path, capsys, bleeding_recording
):
    settings = tmp_path / "settings.toml"
    settings.write_text("[events]\nonset_fraq = 0.1\n")
    code, _, told = analyze(
        capsys, [bleeding_recording], tmp_path / "out", "--config", str(settings)
    )
    assert code == 2
    assert "did you mean events.onset_frac?" in told


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rate", "0"), ("--rate", "nan"), ("--device", "abacus"), ("--sampling", "sometimes")],
)
def test_an_option_out_of_range_is_refused(tmp_path, capsys, bleeding_recording, option, value):
    code, _, _ = analyze(capsys, [bleeding_recording], tmp_path / "out", option, value)
    assert code == 2


def test_an_unknown_model_is_met_with_those_there_are(tmp_path, capsys, bleeding_recording):
    code, _, told = run(
        capsys, "analyze", str(bleeding_recording), "--out", str(tmp_path), "--model", "hsv-rad"
    )
    assert code == 4
    assert "hsv-red" in told


def test_an_output_that_is_a_file_is_refused(tmp_path, capsys, bleeding_recording):
    (tmp_path / "out").write_text("mine")
    code, _, told = analyze(capsys, [bleeding_recording], tmp_path / "out")
    assert code == 4
    assert told.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"


HOSTILE_IDS = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "{{7*7}}",
    "../../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "a\u202etxt.exe",
    "C:\\CON",
    "x" * 120,
]


@pytest.fixture(scope="module")
def analyzed(bleeding_recording, tmp_path_factory):
    config = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red"))
    out = tmp_path_factory.mktemp("hostile")
    request = CaseRequest((bleeding_recording,), out, HOSTILE_IDS[0], config, pdf=PdfChoice.NEVER)
    return run_case(request, silent)


@pytest.mark.parametrize("case_id", HOSTILE_IDS)
def test_a_hostile_case_id_does_no_harm(tmp_path, analyzed, case_id, monkeypatch):
    monkeypatch.setattr(
        "ubereport.documents.case.rendering.render_pdf", lambda view, choice: PLAIN_PDF
    )
    record = replace(analyzed.record, case_id=case_id, key_frames=())
    if "\u202e" in case_id:
        with pytest.raises(UsageError, match=r"^[^\n]+$"):
            write_case(record, tmp_path / "C")
        return
    write_case(record, tmp_path / "C")
    rendered = rerender_case(tmp_path / "C", lambda events: events, tmp_path / "out")
    assert rendered.folder.parent == tmp_path / "out"
    assert re.fullmatch("[a-z0-9-]+", rendered.folder.name)
    html = rendered.report_html.read_text(encoding="utf-8")
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "49" not in html.split("<title>")[1].split("</title>")[0]


def test_a_case_id_of_three_hundred_characters_is_handled(tmp_path, capsys, bleeding_recording):
    code, _, told = analyze(
        capsys, [bleeding_recording], tmp_path / "out", "--case-id", "y" * 300, "--rate", "0.5"
    )
    assert code in (0, 2)
    assert "Traceback" not in told


def test_a_full_output_is_told_and_publishes_nothing(tmp_path, bleeding_recording):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    out = tmp_path / "out"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ubereport",
            "analyze",
            str(bleeding_recording),
            "--out",
            str(out),
            "--model",
            "hsv-red",
            "--quiet",
            "--rate",
            "0.5",
        ],
        capture_output=True,
        text=True,
        preexec_fn=small_files,
        timeout=120,
    )
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(out.glob("*/case.json"))


def test_an_interrupt_ends_with_130_and_the_rerun_goes_on(tmp_path, bleeding_recording):
    long = write_recording(tmp_path / "long.mp4", (scene(i % 240) for i in range(600)))
    argv = [
        sys.executable,
        "-m",
        "ubereport",
        "analyze",
        str(long),
        "--out",
        str(tmp_path / "out"),
        "--model",
        "hsv-red",
        "--rate",
        "10",
        "--no-frames",
        "--pdf",
        "never",
        "--json",
    ]
    # A test run in the background inherits an ignored SIGINT; a terminal's program does not.
    running = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 240
    while not list((tmp_path / "out").glob(".*work/*.npz")) and time.monotonic() < deadline:
        if running.poll() is not None:
            pytest.skip("the machine measured the recording faster than it could be interrupted")
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert "interrupted" in told
    again = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["metrics"]["event_count"] >= 1


def test_a_damaged_bundle_is_refused(tmp_path, capsys, bleeding_recording):
    bundle = tmp_path / "mine"
    bundle.mkdir()
    (bundle / "metadata.json").write_text("{}")
    code, _, told = run(
        capsys,
        "analyze",
        str(bleeding_recording),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(bundle),
        "--quiet",
    )
    assert code == 4
    assert told.count("\n") == 1
