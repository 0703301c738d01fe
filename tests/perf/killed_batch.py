"""A batch of 20 short recordings, 4 of them broken, killed at random: is anything lost?

    python -m tests.perf.killed_batch --out DIR [--kills 5] [--engine embedded|ray] [--jobs 2]

Runs the batch once undisturbed; then kills it (SIGKILL of the whole process group) at random, runs
it to its end, and compares every file but ``run.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import BLEED_START_S, DURATION_S, RATE_HZ, scene, write_recording

SETTINGS = """
[sampling]
rate_hz = 1.0
[segmentation]
model = "hsv-red"
batch_size = 4
[records]
is_frames_kept = false
"""
N_CASES, BROKEN = 20, {3: "text", 8: "empty", 13: "cut", 17: "picture"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000)


def make_department(folder: Path) -> Path:
    """Write recordings whose bleed starts at other times, broken ones, and their manifest."""
    rows = ["case_id,files,date,surgeon,technique"]
    folder.mkdir(parents=True)
    for i in range(N_CASES):
        path = folder / f"{i}.mp4"
        kind = BROKEN.get(i, "good")
        if kind in ("good", "cut"):
            shift = round((i % 5 - BLEED_START_S / 2) * RATE_HZ)
            pictures = (scene(max(k + shift, 0)) for k in range(DURATION_S * RATE_HZ))
            write_recording(path, pictures, options={"crf": "12", "g": "10"})
        if kind == "cut":  # the index lies at the end of the file
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif kind != "good":
            path.write_bytes({"text": b"no video\n" * 99, "empty": b"", "picture": PNG}[kind])
        rows.append(f"K{i:02d},{path.name},2026-01-{i + 1:02d},Dr. X,bone wax")
    manifest = folder / "cases.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def digests(library: Path) -> dict[str, str]:
    skipped = ("run.json",)
    return {
        p.relative_to(library).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(library.rglob("*"))
        if p.is_file() and p.name not in skipped and p.suffix != ".lock"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--engine", default="embedded")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--longest-s", type=float, default=20.0)
    options = parser.parse_args()
    manifest = make_department(options.out / "department")
    settings = options.out / "settings.toml"
    settings.write_text(SETTINGS)

    def command(library: str, engine: str) -> list[str]:
        return [
            sys.executable, "-m", "ubereport", "batch", str(manifest), "--library",
            str(options.out / library), "--config", str(settings), "--jobs", options.jobs,
            "--engine", engine, "--keys", str(options.out / f"{library}.keys"), "--quiet",
        ]  # fmt: skip

    started = time.monotonic()
    done = subprocess.run(command("undisturbed", "embedded"), capture_output=True, text=True)
    print(f"undisturbed: exit {done.returncode}, {time.monotonic() - started:.0f} s")
    print(done.stdout)
    rng = random.Random(5)
    for number in range(options.kills):
        running = subprocess.Popen(
            command("killed", options.engine), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_s = rng.uniform(3.0, options.longest_s)
        time.sleep(wait_s)
        os.killpg(running.pid, signal.SIGKILL)
        code = running.wait()
        n_done = len(list((options.out / "killed").glob("*/case.json")))
        print(f"kill {number + 1} after {wait_s:.1f} s (exit {code}): {n_done} cases complete")
    started = time.monotonic()
    done = subprocess.run(command("killed", options.engine), capture_output=True, text=True)
    print(f"resumed: exit {done.returncode}, {time.monotonic() - started:.0f} s")
    print(done.stdout.splitlines()[-2:])
    one, other = digests(options.out / "undisturbed"), digests(options.out / "killed")
    different = sorted(n for n in one | other if one.get(n) != other.get(n))
    n_reports = sum(name.endswith("report.html") for name in other)
    print(f"{len(one)} files, {n_reports} reports, {len(different)} differ: {different[:5]}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
