"""Times on the case clock as people write them."""

from __future__ import annotations

import math


def parse_times(text: str) -> tuple[float, ...]:
    """Read times on the case clock: seconds, m:ss or h:mm:ss, several with semicolons.

    >>> parse_times("90; 0:12:30")
    (90.0, 750.0)

    Raises
    ------
    ValueError
        If one is no time, negative, or not later than the one before it.
    """
    times: list[float] = []
    # Many countries' spreadsheets write a comma for the point, which is why semicolons part the
    # times.
    for word in str(text).replace(",", ".").split(";"):
        if not word.strip():
            continue
        parts = [float(part) for part in word.strip().split(":")]
        if len(parts) > 3 or any(not 0 <= part < 60 for part in parts[1:]):
            raise ValueError(f"{word.strip()!r} is no time")
        time_s = sum(part * 60**power for power, part in enumerate(reversed(parts)))
        # "-0:30" has a first part of minus zero.
        if not math.isfinite(time_s) or math.copysign(1, parts[0]) < 0:
            raise ValueError(f"{word.strip()!r} is no time")
        if times and time_s <= times[-1]:
            raise ValueError(f"{word.strip()!r} is not later than the time before it")
        times.append(time_s)
    return tuple(times)
