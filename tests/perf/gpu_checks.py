"""Every check and measurement that needs an NVIDIA GPU, in ten minutes, also without Pango.

    python -m tests.perf.gpu_checks --out DIR                              on a machine with a GPU
    python -m tests.perf.gpu_checks --out DIR --device cpu --rehearsal     the same steps, small

Each step runs as a process of its own with a time limit; one that fails or runs over is named, and
the next one goes on. DIR gets log.txt, results.json (rewritten after every step, so that a session
that is cut off keeps what it has) and the output of every step under steps/. Exit code 1 if a step
failed or did not find what it must. --steps names some; --minutes makes the whole case shorter;
--budget is how long all steps together may take.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.perf import gpu_steps

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Step:
    """A name, what it is for, seconds at most, and what runs: one of `gpu_steps`, or a program."""

    name: str
    about: str
    limit_s: float
    argv: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


@dataclass
class Result:
    """How a step ended; `failures` is empty where all that it checks holds."""

    name: str
    wall_s: float
    failures: list[str]
    found: dict[str, object]

    @property
    def verdict(self) -> str:
        return "FAILED" if self.failures else "ok"


def steps(given: argparse.Namespace) -> list[Step]:
    """Return all steps in order: what is cheap and decides most first."""
    is_cuda = given.device == "cuda"
    decoders = (("UBEREPORT_REQUIRE", "decode-cuda"),) if is_cuda else ()
    pytest = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs")
    return [
        Step("machine", "what is here", 60),
        Step("doctor", "what doctor says", 90, ("-m", "ubereport", "doctor")),
        Step(
            "decoder-tests",
            "devices decode the contract suite byte for byte as the processor",
            150,
            (*pytest, "tests/contract/test_decode_devices.py", "tests/video/test_devices.py"),
            decoders,
        ),
        Step(
            "network-tests",
            "predictor, devices, uploads and the shared network",
            150,
            (
                *pytest,
                "tests/segmentation/test_predictor.py",
                "tests/segmentation/test_devices.py",
                "tests/segmentation/test_uploads.py",
                "tests/segmentation/test_shared.py",
            ),
        ),
        Step("recordings", "the recordings that follow are made", 120),
        Step("areas-on-stills", "areas against fp32 on the processor, rule of 0.2 points", 90),
        Step("areas-on-a-recording", "the same over a whole recording, and the same events", 150),
        Step("network-speed", "pictures/s by batch, precision and TF32", 90),
        Step("decoding-speed", "pictures/s by decoder and number of processes", 120),
        Step("training-speed", "training crops/s at 320 px", 60),
        Step("whole-case", "a whole case: adaptive and uniform, by decoder", 240),
    ]


def run(step: Step, given: argparse.Namespace, folder: Path, left_s: float) -> Result:
    """Run one step in a process group of its own, ended at its limit with all its children."""
    limit_s = min(step.limit_s, left_s)
    if limit_s < 1:
        return Result(step.name, 0.0, ["not begun: the time for all steps is over"], {})
    argv = [sys.executable, *(step.argv or _measuring(step, given))]
    environment = {**os.environ, **dict(step.environment), "PYTHONPATH": str(ROOT)}
    output = folder / f"{step.name}.txt"
    started = time.perf_counter()
    failures: list[str] = []
    with output.open("w", encoding="utf-8") as stream:
        child = subprocess.Popen(
            argv,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            failures.append(f"ran over {limit_s:.0f} s and was ended")
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    told = output.read_text(encoding="utf-8", errors="replace")
    found: dict[str, object] = {}
    if step.argv:
        failures += [] if failures or child.returncode == 0 else [_last_line(told)]
        found = {"told": told.splitlines()[-40:]}
    else:
        # What was measured before a step broke off is kept: the last line that is JSON.
        lines = [line for line in told.splitlines() if line.startswith("{")]
        found = json.loads(lines[-1]) if lines else {}
        failures += [str(f) for f in found.pop("failures", [])]
        failures += [] if failures or child.returncode == 0 else [_last_line(told)]
    if given.device == "cuda" and "no CUDA device here" in told:
        failures.append("a test was skipped because it saw no CUDA device")
    return Result(step.name, time.perf_counter() - started, failures, found)


def _measuring(step: Step, given: argparse.Namespace) -> list[str]:
    options = ["-m", "tests.perf.gpu_steps", step.name]
    options += ["--work", str(given.out / "work"), "--device", given.device]
    options += ["--minutes", str(given.minutes)]
    options += ["--stills", str(given.stills)] if given.stills else []
    return options + (["--rehearsal"] if given.rehearsal else [])


def _last_line(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "ended without a word"


def as_text(result: Result) -> str:
    """Return a result as a reader of the log wants it."""
    lines = [f"{result.verdict:6} {result.name} ({result.wall_s:.0f} s)"]
    lines += [f"       ! {failure}" for failure in result.failures]
    for key, value in result.found.items():
        if isinstance(value, list):
            lines += [f"       {key}:", *(f"         {_short(row)}" for row in value)]
        else:
            lines.append(f"       {key}: {_short(value)}")
    return "\n".join(lines)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    given = _options()
    folder = given.out / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    started = time.perf_counter()
    with (given.out / "log.txt").open("w", encoding="utf-8") as log:
        for step in [s for s in steps(given) if not given.steps or s.name in given.steps]:
            print(f"...    {step.name}: {step.about}", flush=True)
            left_s = given.budget - (time.perf_counter() - started)
            results.append(run(step, given, folder, left_s))
            text = as_text(results[-1])
            print(text, flush=True)
            log.write(text + "\n")
            log.flush()
            rows = [{**asdict(r), "is_good": not r.failures} for r in results]
            (given.out / "results.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
        failed = [r.name for r in results if r.failures]
        whole_s = sum(r.wall_s for r in results)
        last = f"{len(results)} steps in {whole_s:.0f} s; failed: {', '.join(failed) or 'none'}"
        print(last)
        log.write(last + "\n")
    raise SystemExit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, help="of the whole case; 30, in a rehearsal 0.5")
    parser.add_argument("--stills", type=Path, help="folder of real stills; else simulated ones")
    parser.add_argument("--steps", nargs="+", choices=list(gpu_steps.STEPS) + _PROGRAMS)
    parser.add_argument("--rehearsal", action="store_true", help="small sizes, for a processor")
    parser.add_argument("--budget", type=float, default=600.0, help="seconds for all steps")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.minutes = given.minutes or (0.5 if given.rehearsal else 30.0)
    if given.stills is None and gpu_steps.STILLS_BESIDE.is_dir():
        given.stills = gpu_steps.STILLS_BESIDE
    return given


_PROGRAMS = ["doctor", "decoder-tests", "network-tests"]


if __name__ == "__main__":
    main()
