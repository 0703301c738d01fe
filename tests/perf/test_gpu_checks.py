"""The GPU checks: bounded steps that go on after a failure, and an exit code that says so."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.perf.gpu_checks import Step, as_text, run

ROOT = Path(__file__).resolve().parents[2]

GIVEN = argparse.Namespace(device="cpu")


def test_a_step_that_hangs_is_ended_with_its_children_and_named(tmp_path: Path) -> None:
    """Its child would write a file if it lived on."""
    late = tmp_path / "late"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(late)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    result = run(Step("hangs", "", 1.0, ("-c", code)), GIVEN, tmp_path, 60.0)
    assert result.failures == ["ran over 1 s and was ended"]
    assert "FAILED hangs" in as_text(result)
    time.sleep(3)
    assert not late.exists()


def test_a_step_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    code = "print('a line'); raise SystemExit('no such decoder')"
    result = run(Step("fails", "", 30.0, ("-c", code)), GIVEN, tmp_path, 60.0)
    assert result.failures == ["no such decoder"]


def test_a_step_whose_time_is_over_is_not_begun(tmp_path: Path) -> None:
    result = run(Step("late", "", 30.0, ("-c", "")), GIVEN, tmp_path, 0.5)
    assert result.failures == ["not begun: the time for all steps is over"]


def test_a_skipped_check_of_cuda_is_no_success_on_a_gpu(tmp_path: Path) -> None:
    step = Step("skips", "", 30.0, ("-c", "print('SKIPPED [2]: no CUDA device here')"))
    assert run(step, GIVEN, tmp_path, 60.0).failures == []
    on_gpu = argparse.Namespace(device="cuda")
    assert "skipped" in run(step, on_gpu, tmp_path, 60.0).failures[0]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_gpu_the_checks_go_on_and_end_with_1(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.perf.gpu_checks", "--out", str(tmp_path)]
    argv += ["--rehearsal", "--minutes", "0.1", "--steps", "machine", "recordings"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    machine, recordings = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert machine["failures"] == ["torch sees no CUDA device"]
    assert machine["found"]["cuda"] == "none"
    assert (recordings["name"], recordings["is_good"]) == ("recordings", True)
    assert "failed: machine" in (tmp_path / "log.txt").read_text(encoding="utf-8")
