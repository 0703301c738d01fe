"""The rows as one table and as JSON."""

import json
import os
import platform
from pathlib import Path

from tests.perf.bench.rows import HEADLINES, Row, event_differences

COLUMNS = (
    "recording",
    "what",
    "wall s",
    "spread",
    "x real time",
    "x adaptive",
    "CPU s",
    "peak MiB",
    "pictures",
)


def load(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def minutes_of(path: Path) -> float:
    return float(json.loads(path.read_text(encoding="utf-8"))["minutes"])


def save(path: Path, rows: list[Row], minutes: float) -> None:
    content = {
        "minutes": minutes,
        "processor": platform.processor() or platform.machine(),
        "n_cores": os.cpu_count(),
        "rows": [row.to_json() for row in rows],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def text(rows: list[Row], minutes: float) -> str:
    """Lay the rows out; every difference is to our uniform row of the same recording."""
    lines = ["  ".join(_cells(*COLUMNS))]
    for row in rows:
        speed = 60 * minutes / row.wall_s if row.wall_s else 0.0
        numbers = (
            f"{row.wall_s:.1f}",
            _spread(row),
            f"{speed:.1f}",
            _times_adaptive(row, rows),
            f"{row.cpu_s:.1f}",
        )
        cells = _cells(row.recording, row.name, *numbers, f"{row.peak_mib:.0f}", row.n_pictures)
        lines.append("  ".join([*cells, row.note]).rstrip())
    for row in rows:
        lines.extend(_details(row, rows))
    return "\n".join(lines)


def _spread(row: Row) -> str:
    if len(row.each_wall_s) < 2:
        return "one run"
    return f"{min(row.each_wall_s):.1f}-{max(row.each_wall_s):.1f}"


def _times_adaptive(row: Row, rows: list[Row]) -> str:
    """Say how many times as long as our adaptive row of the same recording it took."""
    same = [r for r in rows if r.recording == row.recording and r.name == "adaptive"]
    return f"{row.wall_s / same[0].wall_s:.2f}" if same and same[0].wall_s else ""


def _cells(*values: object) -> list[str]:
    widths = (10, 34, 8, 13, 12, 10, 8, 9, 9)
    return [
        str(value).ljust(width) if i < 2 else str(value).rjust(width)
        for i, (value, width) in enumerate(zip(values, widths, strict=True))
    ]


def _details(row: Row, rows: list[Row]) -> list[str]:
    base = next((r for r in rows if r.recording == row.recording and r.name == "uniform"), None)
    lines = []
    if row.stage_s:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in row.stage_s.items())
        lines.append(f"{row.recording}, {row.name}: stages in s: {stages}")
    if row.headlines:
        told = ", ".join(f"{key} {_headline(row, base, key)}" for key in HEADLINES
                         if row.headlines.get(key) is not None)  # fmt: skip
        lines.append(f"{row.recording}, {row.name}: {told}")
    if row.stage_s and base is not None and base is not row:
        lines.append(f"{row.recording}, {row.name}: events {event_differences(row, base)}")
    if row.truth:
        told = ", ".join(f"{key} {_short(value)}" for key, value in row.truth.items())
        lines.append(f"{row.recording}, {row.name}: to truth: {told}")
    return lines


def _headline(row: Row, base: Row | None, key: str) -> str:
    value = row.headlines[key]
    if base is None or base is row or base.headlines.get(key) is None or value is None:
        return _short(value)
    return f"{_short(value)} ({value - (base.headlines[key] or 0.0):+.4f})"


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
