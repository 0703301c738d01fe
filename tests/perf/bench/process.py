"""One command run as a child: wall, processor seconds and peak memory of its process tree."""

import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_SPACING_S = 0.25


@dataclass(frozen=True)
class Cost:
    """What a command cost; memory is proportional set size, so that shared pages count once."""

    wall_s: float
    cpu_s: float
    peak_mib: float

    def rounded(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


class FailedRunError(RuntimeError):
    """A command that did not end well, with what it said last."""

    def __init__(self, argv: list[str], code: int, errors: str) -> None:
        super().__init__(f"{' '.join(argv)} ended with {code}:\n{errors[-2000:]}")
        self.last_line = " ".join(errors.split("error:")[-1].split())[:200]


def run(argv: list[str]) -> tuple[Cost, str]:
    """Run `python ARGV...`; return its cost and standard output, raise if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    memory = _Memory(child.pid)
    memory.start()
    told, errors = child.communicate()
    wall_s = time.perf_counter() - started
    memory.stop()
    if child.returncode != 0:
        raise FailedRunError(argv, child.returncode, errors)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, memory.peak_mib), told


class _Memory(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_mib = 0.0
        self._pid = pid
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(SAMPLE_SPACING_S):
            self.peak_mib = max(self.peak_mib, tree_mib(self._pid))

    def stop(self) -> None:
        self._is_over.set()
        self.join()


def tree_mib(pid: int) -> float:
    """Return the proportional set size of a process and all below it, in MiB."""
    return sum(_pss_mib(each) for each in _tree(pid))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue  # the thread has just ended
        for child in children:
            found += _tree(int(child))
    return found


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # it has just ended
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
