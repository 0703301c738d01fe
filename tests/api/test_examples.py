"""The script that shows a researcher the way runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "python" / "first_steps.py"


@pytest.mark.slow
def test_first_steps_in_python(short_recording, tmp_path):
    argv = [sys.executable, str(SCRIPT), str(short_recording), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "<Case 'case-" in done.stdout
    assert "view obscured >= 20 %: 0." in done.stdout
    assert "peak_area_frac" in done.stdout
    assert "<Model ube-blood" in done.stdout
