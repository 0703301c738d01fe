"""Read many damaged copies of one recording in this process; print what became of the pictures.

Run by `test_damage.py` as a program of its own: a crash of FFmpeg must show as an exit status.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np

from ubereport.core.errors import UbereportError
from ubereport.video.clock import build_clock
from ubereport.video.ffmpeg_complaints import ErrorLog
from ubereport.video.packets import is_counted
from ubereport.video.pyav_reader import read_pictures
from ubereport.video.reader import ReadRequest
from ubereport.video.scan import scan

MAX_PIXELS = 640 * 480


def flipped(data: bytes, seed: int) -> bytes:
    """Flip a share of 1e-6 to 1e-4 of all bits, at least one; leave no byte range out."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(data)
    n_flips = max(1, int(len(data) * 8 * 10 ** rng.uniform(-6, -4)))
    for bit in rng.integers(0, len(data) * 8, n_flips):
        damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)


def holed(data: bytes, seed: int) -> bytes:
    """Replace 2 to 10 % of the file by zeros."""
    rng = np.random.default_rng(seed)
    start, size = rng.uniform(0.1, 0.85), rng.uniform(0.02, 0.1)
    a, b = int(start * len(data)), int((start + size) * len(data))
    return data[:a] + bytes(b - a) + data[b:]


def read(path: Path, log: ErrorLog) -> tuple[list[float], list[object]]:
    """Times of every second picture, and the pictures."""
    facts, table = scan(str(path), MAX_PIXELS, lambda: None)
    time_base_s = Fraction(*facts.time_base)
    clock = build_clock(table, time_base_s, 3600)
    if clock is None or facts.width_px == 0:
        return [], []
    wanted = np.arange(0, len(clock.pts), 2)
    request = ReadRequest(
        path=str(path),
        stream_index=facts.stream_index,
        is_counted=is_counted(facts.container, facts.codec),
        has_resets=clock.n_clock_resets > 0,
        color_matrix="bt601",
        color_range="limited",
        rotation_deg=0,
        source_width_px=facts.width_px,
        source_height_px=facts.height_px,
        crop=(0, 0, facts.width_px, facts.height_px),
        width_px=40,
        height_px=32,
        n_threads=2,
        max_pixels=MAX_PIXELS,
        time_base=facts.time_base,
        pts=clock.pts,
        is_key=clock.is_key,
        wanted=wanted,
    )
    pictures = list(read_pictures(request, log.take, lambda: None))
    assert len(pictures) == len(wanted)
    return clock.time_s[wanted].tolist(), pictures


def judged(
    times_s: list[float], pictures: list[object], truth: dict[int, np.ndarray]
) -> Counter[str]:
    tally: Counter[str] = Counter()
    for time_s, picture in zip(times_s, pictures, strict=True):
        sound = truth.get(round(time_s * 1000))
        if picture is None:
            tally["undecoded"] += 1
        elif sound is None:
            tally["moved"] += 1
        else:
            error = np.abs(picture.rgb.astype(int) - sound).mean()
            visible = "visible" if error > 3 else "sound"
            tally[f"{visible}_{'flagged' if picture.is_corrupt else 'unflagged'}"] += 1
    return tally


def main() -> None:
    source, scratch, kind, n_seeds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    log = ErrorLog()
    times_s, pictures = read(source, log)
    truth = {round(t * 1000): p.rgb.astype(int) for t, p in zip(times_s, pictures, strict=True)}
    data = source.read_bytes()
    tally: Counter[str] = judged(times_s, pictures, truth)
    assert set(tally) == {"sound_unflagged"}
    tally.clear()
    for seed in range(int(n_seeds)):
        scratch.write_bytes((flipped if kind == "flip" else holed)(data, seed))
        try:
            tally += judged(*read(scratch, log), truth)
        except UbereportError:
            tally["refused"] += 1
    sys.stdout.write(json.dumps(tally))


if __name__ == "__main__":
    main()
