"""What a user would write instead, and the floors; each runs as a process of its own.

    python -m tests.perf.bench.references NAME RECORDING --seconds S --out areas.npz [...]

Every one looks at the first `--seconds` of the recording and writes the times it looked at and the
area it found there.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

RATE_HZ = 2.0
HSV_RATE_HZ = 5.0


def opencv_loop(path: str, seconds: float, model: str) -> tuple[list[float], list[float]]:
    """Read every frame with VideoCapture; every half second one, alone, in fp32."""
    import cv2

    network = _Fp32(model)
    capture = cv2.VideoCapture(path)
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    times, areas, frame_number = [], [], 0
    while True:
        is_read, frame = capture.read()
        if not is_read or frame_number / rate_hz >= seconds:
            break
        if frame_number % round(rate_hz / RATE_HZ) == 0:
            rgb = cv2.cvtColor(cv2.resize(frame, network.size_px), cv2.COLOR_BGR2RGB)
            areas.extend(network.areas(rgb[None]))
            times.append(frame_number / rate_hz)
        frame_number += 1
    capture.release()
    return times, areas


def ffmpeg_pipe(path: str, seconds: float, model: str) -> tuple[list[float], list[float]]:
    """Let the ffmpeg program pick and scale two frames a second; take them from a pipe."""
    network = _Fp32(model)
    width_px, height_px = network.size_px
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path]
    if np.isfinite(seconds):
        command += ["-t", f"{seconds:g}"]
    command += ["-vf", f"fps={RATE_HZ:g}:round=down,scale={width_px}:{height_px}:flags=area"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    n_bytes = height_px * width_px * 3
    areas: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as ffmpeg:
        while content := ffmpeg.stdout.read(8 * n_bytes):
            rgb = np.frombuffer(content, np.uint8).reshape(-1, height_px, width_px, 3)
            areas.extend(network.areas(rgb))
    if ffmpeg.returncode != 0:
        raise RuntimeError(f"ffmpeg ended with {ffmpeg.returncode}")
    return [number / RATE_HZ for number in range(len(areas))], areas


def decord_batches(path: str, seconds: float, model: str) -> tuple[list[float], list[float]]:
    """Take the same frames with get_batch, eight at a time, in fp32."""
    import decord

    network = _Fp32(model)
    width_px, height_px = network.size_px
    reader = decord.VideoReader(path, width=width_px, height=height_px)
    rate_hz = reader.get_avg_fps()
    end = min(len(reader), round(seconds * rate_hz))
    wanted = list(range(0, end, round(rate_hz / RATE_HZ)))
    areas: list[float] = []
    for start in range(0, len(wanted), 8):
        areas.extend(network.areas(reader.get_batch(wanted[start : start + 8]).asnumpy()))
    return [number / rate_hz for number in wanted], areas


def hsv_at_5_hz(path: str, seconds: float, _: str) -> tuple[list[float], list[float]]:
    """Decode everything with PyAV; five pictures a second by red in HSV."""
    import av
    import cv2

    times, areas, next_s = [], [], 0.0
    with av.open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if frame.time >= seconds:
                break
            if frame.time >= next_s - 1e-6:
                hsv = cv2.cvtColor(frame.to_ndarray(format="rgb24"), cv2.COLOR_RGB2HSV)
                low = cv2.inRange(hsv, (0, 60, 40), (10, 255, 255))
                high = cv2.inRange(hsv, (170, 60, 40), (179, 255, 255))
                areas.append(float(np.count_nonzero(low | high)) / low.size)
                times.append(float(frame.time))
                next_s += 1 / HSV_RATE_HZ
    return times, areas


def decode_floor(case: Path, path: str) -> tuple[int, float]:
    """Decode the samples of a finished case, and nothing else."""
    from ubereport.core.config import AnalysisConfig, SamplingMode
    from ubereport.video.decode import DecodeRequest, decode
    from ubereport.video.index import index_recording

    config = AnalysisConfig()
    part = index_recording([Path(path)], config.decode).parts[0]
    frames = np.searchsorted(part.time_s, _looked_at_s(case) - 1e-4)
    frames = np.unique(np.minimum(frames, part.n_frames - 1))
    rows, time_s = np.arange(len(frames)), part.time_s[frames]
    mode = SamplingMode.ADAPTIVE
    size = json.loads((case / "case.json").read_text(encoding="utf-8"))["provenance"]["model"]
    height_px, width_px = size["input_height_px"], size["input_width_px"]
    request = DecodeRequest(part, 0, frames, rows, time_s, None, height_px, width_px, mode)
    started = time.perf_counter()
    n = sum(len(batch) for batch in decode(request, config.decode, 16))
    return n, time.perf_counter() - started


def inference_floor(case: Path, model: str) -> tuple[int, float]:
    """Run the network as `analyze` does over as many pictures as a finished case looked at."""
    from ubereport.core.config import SegmentationConfig
    from ubereport.files.resources import models_dir
    from ubereport.segmentation.bundle import find_bundle, load_bundle
    from ubereport.segmentation.predictor import open_predictor

    bundle = load_bundle(find_bundle(model, models_dir()))
    predictor = open_predictor(bundle, SegmentationConfig())
    shape = (16, predictor.input_height_px, predictor.input_width_px, 3)
    rgb = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    field = np.ones(shape[1:3], dtype=bool)
    predictor.areas(rgb, field)
    n = len(_looked_at_s(case))
    started = time.perf_counter()
    for start in range(0, n, 16):
        predictor.areas(rgb[: min(16, n - start)], field)
    return n, time.perf_counter() - started


def _looked_at_s(case: Path) -> np.ndarray:
    import pyarrow.parquet as pq

    return np.asarray(pq.read_table(case / "series.parquet")["time_s"])


class _Fp32:
    """The bundle's network as loaded, in fp32, as a user's own script would run it."""

    def __init__(self, model: str) -> None:
        import torch

        from ubereport.files.resources import models_dir
        from ubereport.segmentation.bundle import find_bundle, load_bundle
        from ubereport.segmentation.network import load_network

        bundle = load_bundle(find_bundle(model, models_dir()))
        self._torch, self._metadata = torch, bundle.metadata
        self._network = load_network(bundle)
        self.size_px = (bundle.metadata.input_width_px, bundle.metadata.input_height_px)

    def areas(self, rgb: np.ndarray) -> Iterator[float]:
        torch, metadata = self._torch, self._metadata
        with torch.inference_mode():
            planes = (rgb - np.array(metadata.input_mean)) / np.array(metadata.input_scale)
            planes = torch.from_numpy(planes.astype(np.float32)).permute(0, 3, 1, 2)
            probability = torch.sigmoid(self._network(planes))[:, 0]
            yield from (probability >= metadata.thresholds[1]).float().mean(dim=(1, 2)).tolist()


LOOPS = {
    "opencv": opencv_loop,
    "ffmpeg": ffmpeg_pipe,
    "decord": decord_batches,
    "hsv": hsv_at_5_hz,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*LOOPS, "decode", "inference"])
    parser.add_argument("recording")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--model", default="ube-blood")
    parser.add_argument("--case", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.name in LOOPS:
        started = time.perf_counter()
        times, areas = LOOPS[given.name](given.recording, given.seconds, given.model)
        wall_s = time.perf_counter() - started
        np.savez(given.out, time_s=times, area_frac=areas)
        print(json.dumps({"n": len(times), "loop_s": wall_s}))
    elif given.name == "decode":
        n, loop_s = decode_floor(given.case, given.recording)
        print(json.dumps({"n": n, "loop_s": loop_s}))
    else:
        n, loop_s = inference_floor(given.case, given.model)
        print(json.dumps({"n": n, "loop_s": loop_s}))


if __name__ == "__main__":
    main()
