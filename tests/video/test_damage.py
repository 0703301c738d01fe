"""Bit rot: no crash, no hang, and damage that FFmpeg notices is flagged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import reader_recordings as made

TRIAL = Path(__file__).with_name("damage_trial.py")
# Visible damage that goes unnoticed, at most, of all visible damage. HEVC is left out: its decoder
# passes over most bit errors in silence; and AV1, whose decoder drops whole pictures instead.
UNNOTICED = {
    "faststart_mp4": 0.2,
    "open_gop_ts": 0.2,
    "variable_rate_mkv": 0.2,
    "mpeg4_avi": 0.2,
    "wmv": 0.2,
    "mpeg2_ps": 0.2,
}


def _trial(source: Path, kind: str, n_seeds: int) -> dict[str, int]:
    scratch = source.with_name(f"{kind}_{source.name}")
    done = subprocess.run(
        [sys.executable, str(TRIAL), str(source), str(scratch), kind, str(n_seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tally: dict[str, int] = json.loads(done.stdout)
    return tally


@pytest.mark.parametrize("name", UNNOTICED)
def test_flipped_bits_neither_crash_nor_pass_unnoticed(name: str, tmp_path: Path) -> None:
    spec = made.SPECS[name]
    tally = _trial(made.make(spec, tmp_path / f"sound{spec.suffix}"), "flip", 34)
    visible = tally.get("visible_flagged", 0) + tally.get("visible_unflagged", 0)
    assert sum(tally.values()) > 100
    assert tally["sound_unflagged"] > 0
    assert tally.get("visible_unflagged", 0) <= UNNOTICED[name] * visible


@pytest.mark.parametrize("name", ["faststart_mp4", "open_gop_ts", "variable_rate_mkv", "mpeg2_ps"])
def test_hole_of_zeros_costs_its_surroundings_only(name: str, tmp_path: Path) -> None:
    spec = made.SPECS[name]
    tally = _trial(made.make(spec, tmp_path / f"sound{spec.suffix}"), "hole", 8)
    flagged = tally.get("visible_flagged", 0) + tally.get("undecoded", 0)
    assert tally["sound_unflagged"] > 8 * 10
    assert tally.get("visible_unflagged", 0) <= 0.1 * max(1, flagged)
