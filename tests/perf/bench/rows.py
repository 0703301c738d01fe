"""One row of the table each: run it, check what came out, keep what it cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from tests.perf.bench.process import Cost, FailedRunError, run
from tests.perf.bench.recordings import BenchRecording, repeat

HEADLINES = ("impaired_share_5", "impaired_share_20", "area_mean_frac", "event_count")
SAME_EVENT_S = 5.0
VERIFIED_S = 10.0
MAX_MEAN_DIFFERENCE = 0.02
OURS = ("adaptive", "uniform", "keyframes")
REFERENCES = ("opencv", "ffmpeg", "decord", "hsv")
FLOORS = ("decode", "inference")


@dataclass
class Row:
    """A row; `note` says what is not as measured, such as a scaled time.

    Run several times, `wall_s` and `cpu_s` are medians and `each_wall_s` holds every run's.
    """

    recording: str
    name: str
    wall_s: float = 0.0
    each_wall_s: list[float] = field(default_factory=list)
    each_cpu_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    peak_mib: float = 0.0
    n_pictures: int = 0
    note: str = ""
    stage_s: dict[str, float] = field(default_factory=dict)
    headlines: dict[str, float | None] = field(default_factory=dict)
    events: list[tuple[float, float | None]] = field(default_factory=list)
    truth: dict[str, float | None] = field(default_factory=dict)

    def after(self, earlier: Row | None) -> Row:
        """Return this run joined with those that `earlier` holds."""
        before = ([], []) if earlier is None else (earlier.each_wall_s, earlier.each_cpu_s)
        self.each_wall_s = [*before[0], self.wall_s]
        self.each_cpu_s = [*before[1], self.cpu_s]
        self.wall_s, self.cpu_s = median(self.each_wall_s), median(self.each_cpu_s)
        self.peak_mib = max(self.peak_mib, earlier.peak_mib if earlier is not None else 0.0)
        return self

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def _case_id(recording: BenchRecording, sampling: str) -> str:
    return f"{recording.name}-{round(60 * recording.minutes)}s-{sampling}"


def case_folder(work: Path, recording: BenchRecording, sampling: str) -> Path:
    """Return the folder of an earlier row, or raise if there is none."""
    pointer = work / "cases" / f"{_case_id(recording, sampling)}.txt"
    if not pointer.is_file():
        raise RuntimeError(f"run the row {sampling} of {recording.name} first")
    return Path(pointer.read_text(encoding="utf-8"))


def ours_or_why_not(
    work: Path, recording: BenchRecording, sampling: str, model: str, options: str
) -> Row:
    """Run `ubereport analyze` with other options; a row that says why where it refuses them."""
    try:
        return ours(work, recording, sampling, model, options)
    except FailedRunError as failure:
        return Row(recording.name, f"{sampling} {options}", note=f"skipped: {failure.last_line}")


def ours(
    work: Path, recording: BenchRecording, sampling: str, model: str, options: str = ""
) -> Row:
    """Run `ubereport analyze` in full, report included; the note says who decoded."""
    name = f"{sampling} {options}".strip()
    case_id, cases = _case_id(recording, name.replace(" ", "").replace("--", "-")), work / "cases"
    argv = ["-m", "ubereport", "analyze", str(recording.path), "--case-id", case_id]
    argv += ["--out", str(cases), "--sampling", sampling, "--model", model, *options.split()]
    cost, told = run([*argv, "--force", "--quiet", "--json"])
    case = Path(json.loads(told)["case_folder"]).absolute()
    (cases / f"{case_id}.txt").write_text(str(case), encoding="utf-8")
    record = json.loads((case / "case.json").read_text(encoding="utf-8"))
    metrics = {m["key"]: m["value"] for m in record["metrics"]}
    if metrics["recorded_s"] is None or abs(metrics["recorded_s"] - 60 * recording.minutes) > 1:
        raise RuntimeError(f"{metrics['recorded_s']} s of {recording.minutes:g} minutes were seen")
    row = _costed(Row(recording.name, name), cost)
    row.n_pictures = _n_rows(case)
    how = record["provenance"]
    row.note = " ".join([how["device"], *dict.fromkeys(use["why"] for use in how["readers"])])
    row.stage_s = json.loads((case / "run.json").read_text(encoding="utf-8"))["stage_s"]
    row.headlines = {key: metrics.get(key) for key in HEADLINES}
    row.events = [(event["onset_s"], event["clear_s"]) for event in record["events"]]
    if recording.truth_dir is not None:
        argv = ["-m", "ubereport", "evaluate", "recording", "--case", str(case)]
        row.truth = json.loads(run([*argv, "--truth", str(recording.truth_dir), "--json"])[1])
    return row


def second_run(work: Path, recording: BenchRecording) -> Row:
    """Derive everything again under another threshold from the stored series."""
    case = case_folder(work, recording, "adaptive")
    argv = ["-m", "ubereport", "report", str(case), "--onset-frac", "0.08"]
    cost, _ = run([*argv, "--out", str(work / "again"), "--json"])
    return _costed(Row(recording.name, "again, other thresholds"), cost)


def reference(
    work: Path, recording: BenchRecording, name: str, model: str, slice_s: float | None
) -> Row:
    """Run what a user would write; over the first `slice_s` seconds, scaled up, where given."""
    if name == "ffmpeg" and shutil.which(name) is None:
        return Row(recording.name, name, note="skipped: no ffmpeg program is installed")
    total_s = 60 * recording.minutes
    seconds = total_s if slice_s is None else min(slice_s, total_s)
    out = work / f"{recording.name}-{name}.npz"
    argv = ["-m", "tests.perf.bench.references", name, str(recording.path), "--model", model]
    cost, told = run([*argv, "--seconds", str(seconds), "--out", str(out)])
    done = json.loads(told)
    rate_hz = 5.0 if name == "hsv" else 2.0
    if abs(done["n"] - rate_hz * seconds) > 2:
        raise RuntimeError(f"{name} looked at {done['n']} pictures of {rate_hz * seconds:g}")
    row = _costed(Row(recording.name, name), cost)
    row.n_pictures = round(rate_hz * total_s)
    if seconds < total_s:
        factor = total_s / seconds
        start_s = cost.wall_s - done["loop_s"]
        row.wall_s = start_s + factor * done["loop_s"]
        row.cpu_s = cost.cpu_s + (factor - 1) * done["loop_s"] / cost.wall_s * cost.cpu_s
        row.note = f"loop of {seconds:g} s scaled to {total_s:g} s"
    row.headlines = {"area_mean_frac": float(np.load(out)["area_frac"].mean())}
    return row


def floor(work: Path, recording: BenchRecording, name: str, model: str, sampling: str) -> Row:
    """Decode the samples of our case and nothing else, or infer as many pictures."""
    case = case_folder(work, recording, sampling)
    argv = ["-m", "tests.perf.bench.references", name, str(recording.path), "--model", model]
    cost, told = run([*argv, "--case", str(case)])
    done = json.loads(told)
    row = _costed(Row(recording.name, f"floor: {name} only, as {sampling}"), cost)
    row.wall_s, row.n_pictures = done["loop_s"], done["n"]
    row.note = "the loop alone; processor seconds include the start"
    return row


def verify(work: Path, recording: BenchRecording, model: str) -> str:
    """Check on ten seconds that references and ours see the same before anything is timed.

    Only on a picture without surround: elsewhere we look at the field of view and they at all.
    """
    short = BenchRecording(f"{recording.name}-verify", work / "verify.mp4", VERIFIED_S / 60, None)
    repeat(recording.path, short.path, VERIFIED_S)
    found = ours(work, short, "uniform", model)
    mean = found.headlines["area_mean_frac"] or 0.0
    told = []
    names = ["opencv", "decord", *(["ffmpeg"] if shutil.which("ffmpeg") else [])]
    for name in ["hsv"] if model.startswith("hsv") else names:
        headlines = reference(work, short, name, model, None).headlines
        apart = abs(mean - (headlines["area_mean_frac"] or 0.0))
        told.append(f"{name} {100 * apart:.2f}")
        if recording.truth_dir is None and apart > MAX_MEAN_DIFFERENCE:
            raise RuntimeError(f"{name} finds a mean area that is {apart:.3f} from ours")
    return f"mean area of {recording.name}, points from ours on 10 s: {', '.join(told)}"


def event_differences(row: Row, base: Row) -> str:
    """Say how the events of `row` differ from those of `base`, which are taken as right."""
    onsets, clears, n_found = [0.0], [0.0], 0
    for onset_s, clear_s in base.events:
        near = [event for event in row.events if abs(event[0] - onset_s) <= SAME_EVENT_S]
        if not near:
            continue
        n_found += 1
        found = min(near, key=lambda event: abs(event[0] - onset_s))
        onsets.append(abs(found[0] - onset_s))
        if clear_s is not None and found[1] is not None:
            clears.append(abs(found[1] - clear_s))
    return (
        f"{n_found} of {len(base.events)} (+{len(row.events) - n_found}), onset ≤ "
        f"{max(onsets):.2f} s, clear ≤ {max(clears):.2f} s"
    )


def _costed(row: Row, cost: Cost) -> Row:
    row.wall_s, row.cpu_s, row.peak_mib = cost.wall_s, cost.cpu_s, cost.peak_mib
    return row


def _n_rows(case: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(case / "series.parquet").num_rows)
