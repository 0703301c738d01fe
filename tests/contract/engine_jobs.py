"""Functions that the engine contract suite runs in other processes."""

import os
import signal
import time
from pathlib import Path

from ubereport.core.errors import RecordingFormatError


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    return os.getpid()


def refuse_odd(number: int) -> int:
    if number % 2:
        raise RecordingFormatError(f"Part {number} is odd.")
    return number


def crash_with_a_name(number: int) -> int:
    raise KeyError(f"/patients/SECRET/{number}")


def die_once(marker: str) -> str:
    path = Path(marker)
    if not path.exists():
        path.write_text("died", encoding="ascii")
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def die_always(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def thread_limits(_: int) -> str:
    return os.environ.get("OMP_NUM_THREADS", "")


def say_where_and_wait(marker: str) -> str:
    Path(marker).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(600)
    return "waited"
