"""The steps of `gpu_checks` that measure; each prints what it found as one line of JSON.

    python -m tests.perf.gpu_steps NAME --work DIR --device cuda|cpu --minutes M [--rehearsal]

A step prints after every figure, so that one that is ended at its limit keeps what it has.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tests.perf.bench.recordings import simulated_recording
from ubereport.core.choices import DecodeDevice
from ubereport.core.config import DecodeConfig, Device, Route, SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle

STILLS_BESIDE = Path(__file__).resolve().parents[2].parent / "shared/data/labelled/handmade/images"
MAX_DEVIATION_FRAC = 0.002
PIECE_S = 60.0


class Findings:
    """What a step found so far, and what does not hold; printed anew at every change."""

    def __init__(self) -> None:
        self.found: dict[str, object] = {}
        self.failures: list[str] = []

    def note(self, key: str, value: object) -> None:
        self.found[key] = value
        print(json.dumps({**self.found, "failures": self.failures}), flush=True)

    def row(self, key: str, value: object) -> None:
        rows = self.found.get(key, [])
        self.note(key, [*rows, value])  # type: ignore[misc]

    def check(self, is_good: bool, sentence: str) -> None:
        if not is_good:
            self.failures.append(sentence)


def machine(findings: Findings, given: argparse.Namespace) -> None:
    """Name what decides speed and answers; CUDA must be there where it is asked for."""
    import torch

    findings.note("system", f"{platform.platform()}, Python {platform.python_version()}")
    findings.note("cores", len(os.sched_getaffinity(0)))
    names = ("torch", "av", "openvino", "onnxruntime", "weasyprint")
    for name in names:
        try:
            findings.note(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            findings.note(name, "not installed")
    try:
        import weasyprint  # noqa: F401

        findings.note("pango", "here")
    except OSError:
        findings.note("pango", "absent: no PDF, HTML only")
    has_cuda = torch.cuda.is_available()
    findings.note("cuda", torch.cuda.get_device_name() if has_cuda else "none")
    findings.check(has_cuda or given.device == "cpu", "torch sees no CUDA device")
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"]
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
        findings.note("nvidia-smi", done.stdout.splitlines()[1:])
    if shutil.which("git") is None:
        return
    commit = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(commit, capture_output=True, text=True, check=False)
    findings.note("commit", done.stdout.strip() or "unknown")


def recordings(findings: Findings, given: argparse.Namespace) -> None:
    """Make the recordings, so that no step that measures has to."""
    findings.note("whole", _megabytes(_whole_recording(given)))
    findings.note("short", _megabytes(_short_recording(given)))


def areas_on_stills(findings: Findings, given: argparse.Namespace) -> None:
    """Compare areas with the processor's fp32 in torch on 96 stills, at all thresholds."""
    bundle = load_bundle(find_bundle("ube-blood", models_dir()))
    size = (bundle.metadata.input_height_px, bundle.metadata.input_width_px)
    n = 12 if given.rehearsal else 96
    rgb = _stills(given.stills, n, *size)
    findings.note("stills", f"{len(rgb)}, {'real' if given.stills else 'simulated'}")
    field = np.ones(size, dtype=bool)
    exact = _opened(Device.CPU, is_low=False).areas(rgb, field)[:, :3]
    findings.note("with blood", int((exact[:, 1] > 0.01).sum()))
    findings.check(bool((exact[:, 1] > 0.01).any()), "no still shows blood: nothing was compared")
    for is_low in (False, True):
        predictor = _opened(Device(given.device), is_low=is_low)
        apart = np.abs(predictor.areas(rgb, field)[:, :3] - exact)
        where = f"{predictor.precision} on {predictor.device}"
        points = 100 * float(apart.max())
        findings.note(where, {"max points": points, "mean points": 100 * float(apart.mean())})
        findings.check(apart.max() <= MAX_DEVIATION_FRAC, f"{where}: {points:.3f} points")
        findings.check("failed" not in where, where)
    with _tf32():
        apart = np.abs(_opened(Device(given.device), is_low=False).areas(rgb, field)[:, :3] - exact)
    findings.note("with TF32, for comparison, max points", 100 * float(apart.max()))


def areas_on_a_recording(findings: Findings, given: argparse.Namespace) -> None:
    """Analyze one recording in fp32 on the processor and as shipped on the device."""
    exact = given.work / "exact.toml"
    exact.write_text('[segmentation]\nroute = "torch"\nis_low_precision_allowed = false\n')
    plain = given.work / "plain.toml"
    plain.write_text('[segmentation]\nroute = "torch"\n')
    cases = {}
    for name, device, settings in (("exact", "cpu", exact), ("device", given.device, plain)):
        options = ["--device", device, "--config", str(settings), "--sampling", "uniform"]
        case, wall_s = _analyzed(given, _short_recording(given), f"areas-{name}", options)
        cases[name] = case
        findings.note(f"{name}, s", wall_s)
    series = {name: _areas(case) for name, case in cases.items()}
    apart = np.abs(series["exact"] - series["device"])
    findings.check(bool((np.isnan(series["exact"]) == np.isnan(series["device"])).all()), "losses")
    findings.note("pictures", int(np.isfinite(apart).sum()))
    points = 100 * float(np.nanmax(apart))
    findings.note("max points", points)
    findings.check(points <= 100 * MAX_DEVIATION_FRAC, f"areas are {points:.3f} points apart")
    events = {name: _record(case)["events"] for name, case in cases.items()}
    times = {name: [(e["onset_s"], e["clear_s"]) for e in e_] for name, e_ in events.items()}
    findings.note("events", len(times["exact"]))
    findings.check(len(times["exact"]) > 0, "the recording has no event: nothing was compared")
    findings.check(times["exact"] == times["device"], f"events differ: {times}")
    device = _record(cases["device"])["provenance"]["device"]
    findings.note("device", device)
    findings.check(device.startswith(given.device) and "failed" not in device, device)


def network_speed(findings: Findings, given: argparse.Namespace) -> None:
    """Time `areas` by batch and precision, and the convolutions with and without TF32."""
    batches = (8, 16) if given.rehearsal else (8, 16, 64, 256)
    size_px = load_bundle(find_bundle("ube-blood", models_dir())).metadata.input_height_px
    rng = np.random.default_rng(1)
    for is_low in (False, True):
        for batch_size in batches:
            rate = _pictures_per_s(given, size_px, batch_size, is_low, rng)
            precision = "late bf16" if is_low else "fp32"
            findings.row("rows", {"precision": precision, "batch": batch_size, "pictures/s": rate})
    batch_size = batches[-2]
    with _tf32():
        rate = _pictures_per_s(given, size_px, batch_size, False, rng)
    findings.row("rows", {"precision": "TF32", "batch": batch_size, "pictures/s": rate})


def decoding_speed(findings: Findings, given: argparse.Namespace) -> None:
    """Decode every picture of a minute by each decoder with more and more processes."""
    from ubereport.video.decode import DecodeRequest, decode
    from ubereport.video.index import index_recording
    from ubereport.video.reader import device_reader

    recording = _whole_recording(given)
    part = index_recording([recording], DecodeConfig()).parts[0]
    n = 60 if given.rehearsal else 1800
    frames = np.arange(min(n, part.n_frames))
    request = DecodeRequest(part, 0, frames, frames, part.time_s[frames], None, 320, 320)
    kinds = [DecodeDevice.CPU] + [DecodeDevice.CUDA] * (given.device == "cuda")
    for kind in kinds:
        for n_processes in (1, 2) if given.rehearsal else (1, 2, 4, 7):
            config = DecodeConfig(device=kind, n_threads=n_processes)
            started = time.perf_counter()
            with decode(request, config, 16) as decoding:
                n_seen = len(next(decoding))
                first = time.perf_counter()
                n_seen += sum(len(batch) for batch in decoding)
            ended = time.perf_counter()
            readers = {use.reader for use in decoding.outcome.uses}
            row = {
                "decoder": str(kind),
                "processes": n_processes,
                "pictures/s": (n_seen - 16) / (ended - first),
                "pictures/s with start": n_seen / (ended - started),
            }
            findings.row("rows", row)
            if kind is DecodeDevice.CUDA:
                why = "; ".join(use.why for use in decoding.outcome.uses)
                findings.check(readers == {device_reader("cuda:0")}, f"{n_processes}: {why}")
    findings.note("pictures", len(frames))


def whole_case(findings: Findings, given: argparse.Namespace) -> None:
    """Analyze the long recording in full; the first row is the one of the target of 20 s."""
    recording = _whole_recording(given)
    decoders = ("cuda", "cpu", "auto") if given.device == "cuda" else ("cpu",)
    for decoder in decoders:
        for sampling in ("adaptive", "uniform") if decoder != "auto" else ("adaptive",):
            options = ["--decode", decoder, "--device", given.device, "--sampling", sampling]
            case, wall_s = _analyzed(given, recording, f"whole-{decoder}-{sampling}", options)
            record = _record(case)
            stages = json.loads((case / "run.json").read_text(encoding="utf-8"))["stage_s"]
            row = {
                "decode": decoder,
                "sampling": sampling,
                "wall s": wall_s,
                "x real time": 60 * given.minutes / wall_s,
                "events": len(record["events"]),
                "reader": " ".join({use["reader"] for use in record["provenance"]["readers"]}),
                **{f"{name} s": value for name, value in stages.items()},
            }
            findings.row("rows", row)
            is_by_device = decoder != "cuda" or "cuda" in row["reader"]
            findings.check(is_by_device, f"{sampling}: decoded by {row['reader']}, not cuda")


def training_speed(findings: Findings, given: argparse.Namespace) -> None:
    """Train a few steps at 320 px as `finetune` does; crops a second after a warm-up."""
    from ubereport.laboratory.training.batches import Batches, pool_of
    from ubereport.laboratory.training.config import DataConfig, TrainConfig
    from ubereport.laboratory.training.loop import train, training_device
    from ubereport.laboratory.training.made_stills import simulated_stills

    side_px = 96 if given.rehearsal else 320
    n_steps, batch_size = (20, 4) if given.rehearsal else (120, 32)
    config = TrainConfig(
        steps=n_steps,
        batch_size=batch_size,
        side_px=side_px,
        input_px=side_px,
        initial="random",
        device=Device(given.device),
        checkpoint_every=n_steps,
        data=DataConfig(cache_side_px=side_px + 32),
    )
    cache = simulated_stills(5, 24 if given.rehearsal else 64, side_px + 32, given.work / "stills")
    index = np.arange(len(cache.stills), dtype=np.int64)
    device = training_device(config.device)
    batches = Batches([pool_of(1.0, cache, index, config, device)], config)
    seen: list[tuple[int, float]] = []
    folder = given.work / "training"
    shutil.rmtree(folder, ignore_errors=True)
    train(config, batches, None, folder, lambda p: seen.append((p.step, p.elapsed_s)))
    (first, first_s), (last, last_s) = seen[len(seen) // 3], seen[-1]
    findings.note("crops/s", batch_size * (last - first) / (last_s - first_s))
    findings.note("batch", batch_size)
    findings.note("side px", side_px)


def _opened(device: Device, *, is_low: bool, batch_size: int = 16):
    from ubereport.segmentation.predictor import open_predictor

    config = SegmentationConfig(
        device=device,
        route=Route.TORCH,
        is_low_precision_allowed=is_low,
        batch_size=batch_size,
    )
    return open_predictor(load_bundle(find_bundle("ube-blood", models_dir())), config)


def _stills(folder: Path | None, n: int, height_px: int, width_px: int) -> np.ndarray:
    if folder is None:
        from ubereport.laboratory.simulation.simulated_stills import simulate_stills

        return np.stack([rgb for rgb, _, _ in simulate_stills(4711, n, height_px, width_px)])
    import cv2

    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, n).astype(int)]
    read = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in chosen]
    size = (width_px, height_px)
    return np.stack([cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) for rgb in read])


def _tf32():
    """Count convolutions in TF32, as torch does where it is not told; a context manager."""
    from unittest.mock import patch

    from ubereport.segmentation import network_predictor

    return patch.object(network_predictor, "_ieee_convolutions", nullcontext)


def _pictures_per_s(
    given: argparse.Namespace, size_px: int, batch_size: int, is_low: bool, rng: np.random.Generator
) -> float:
    predictor = _opened(Device(given.device), is_low=is_low, batch_size=batch_size)
    n = 16 if given.rehearsal else 2048
    rgb = rng.integers(0, 256, (min(n, 512), size_px, size_px, 3), dtype=np.uint8)
    field = np.ones((size_px, size_px), dtype=bool)
    predictor.areas(rgb[:batch_size], field)
    started = time.perf_counter()
    for _ in range(max(1, n // len(rgb))):
        predictor.areas(rgb, field)
    return max(1, n // len(rgb)) * len(rgb) / (time.perf_counter() - started)


def _short_recording(given: argparse.Namespace) -> Path:
    return _whole_recording(argparse.Namespace(work=given.work, minutes=min(given.minutes, 2.0)))


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"


def _whole_recording(given: argparse.Namespace) -> Path:
    return simulated_recording(given.work, given.minutes, min(PIECE_S, 60 * given.minutes)).path


def _analyzed(
    given: argparse.Namespace, recording: Path, case_id: str, options: list[str]
) -> tuple[Path, float]:
    argv = [sys.executable, "-m", "ubereport", "analyze", str(recording), "--case-id", case_id]
    argv += ["--out", str(given.work / "cases"), "--force", "--quiet", "--json", *options]
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    wall_s = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"analyze {' '.join(options)}: {done.stderr[-1000:]}")
    return Path(json.loads(done.stdout)["case_folder"]), wall_s


def _record(case: Path) -> dict:
    return json.loads((case / "case.json").read_text(encoding="utf-8"))


def _areas(case: Path) -> np.ndarray:
    import pyarrow.parquet as pq

    column = pq.read_table(case / "series.parquet")["area_frac"]
    return np.array([np.nan if v is None else v for v in column.to_pylist()], dtype=float)


STEPS: dict[str, Callable[[Findings, argparse.Namespace], None]] = {
    "machine": machine,
    "recordings": recordings,
    "areas-on-stills": areas_on_stills,
    "areas-on-a-recording": areas_on_a_recording,
    "network-speed": network_speed,
    "decoding-speed": decoding_speed,
    "whole-case": whole_case,
    "training-speed": training_speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(STEPS))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--device", choices=["cuda", "cpu"], required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--rehearsal", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    findings = Findings()
    STEPS[given.name](findings, given)
    findings.note("is_finished", True)
    raise SystemExit(1 if findings.failures else 0)


if __name__ == "__main__":
    main()
