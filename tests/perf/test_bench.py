"""The benchmark itself: two seconds, the rows that need no network; and its small parts."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.perf import simulated_cores
from tests.perf.bench import chart, recordings, rows, table
from ubereport.core.choices import SamplingMode
from ubereport.video.pool import DecoderPool

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_seconds_give_a_table_and_json(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.perf.bench", "--minutes", str(1 / 30), "--unverified"]
    argv += ["--work", str(tmp_path), "--recordings", "simulated", "--model", "hsv-red"]
    done = subprocess.run(
        [*argv, "--options", "--rows", "uniform", "adaptive", "hsv", "decode"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(next(tmp_path.glob("results-*.json")).read_text(encoding="utf-8"))
    found = {row["name"]: row for row in results["rows"]}
    assert list(found) == ["uniform", "adaptive", "hsv", "floor: decode only, as adaptive"]
    assert found["uniform"]["n_pictures"] == 4
    assert 0 < found["adaptive"]["n_pictures"] <= 4
    assert found["hsv"]["n_pictures"] == 10
    assert all(row["wall_s"] > 0 and row["cpu_s"] > 0 for row in found.values())
    assert all(row["peak_mib"] > 20 for row in found.values())
    assert found["uniform"]["stage_s"]
    assert found["adaptive"]["truth"]["area_mae_frac"] is not None
    assert "simulated   adaptive" in done.stdout


def test_rows_that_cannot_be_run_here_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recordings.BenchRecording("none", tmp_path / "none.mp4", 1.0, None)
    refused = rows.ours_or_why_not(tmp_path, recording, "adaptive", "hsv-red", "--device cuba")
    assert refused.name == "adaptive --device cuba"
    assert refused.note.startswith("skipped: ")
    assert "cuba" in refused.note
    monkeypatch.setenv("PATH", str(tmp_path))
    row = rows.reference(tmp_path, recording, "ffmpeg", "hsv-red", 10.0)
    assert row.note == "skipped: no ffmpeg program is installed"


@pytest.mark.quiet
@pytest.mark.slow
def test_adaptive_sampling_does_not_lose_where_there_are_many_cores() -> None:
    """Sixteen decoding processes and a network that sleep as long as they would work."""
    index, warm = simulated_cores.recording(3.0), simulated_cores.recording(0.5)
    uniform, adaptive = SamplingMode.UNIFORM, SamplingMode.ADAPTIVE
    with DecoderPool(60.0) as pool:
        simulated_cores.measured(warm, "quiet", uniform, 16, pool)
        uniform_s, whole = simulated_cores.measured(index, "quiet", uniform, 16, pool)
        adaptive_s, found = simulated_cores.measured(index, "quiet", adaptive, 16, pool)
    assert len(found.plan) < len(whole.plan)
    assert not any(found.measurement.reason)
    assert adaptive_s < uniform_s


def test_a_piece_is_repeated_without_a_seam(bleeding_recording: Path, tmp_path: Path) -> None:
    with av.open(str(bleeding_recording)) as container:
        n_frames = sum(1 for packet in container.demux(video=0) if packet.dts is not None)
        rate_hz = container.streams.video[0].average_rate
    seconds = 2.5 * n_frames / rate_hz
    longer = tmp_path / "longer.mp4"
    recordings.repeat(bleeding_recording, longer, float(seconds), rate_hz)
    with av.open(str(longer)) as container:
        times = sorted(frame.time for frame in container.decode(video=0))
    assert len(times) == round(2.5 * n_frames)
    period_s = float(1 / Fraction(rate_hz))
    assert max(abs(time_s - number * period_s) for number, time_s in enumerate(times)) < 1e-3


def test_truth_is_repeated_with_the_piece(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "area.csv").write_text("time_s,area_frac\n0.0,0.1\n5.0,\n")
    (source / "events.csv").write_text("onset_s,clear_s,peak\n2.000,,0.5\n1.000,4.000,0.2\n")
    (source / "validity.csv").write_text("start_s,end_s,reason\n0.000,10.000,none\n")
    recordings.write_repeated_truth(source, tmp_path / "target", 10.0, 21.5)
    lines = {p.name: p.read_text().splitlines() for p in (tmp_path / "target").iterdir()}
    assert lines["area.csv"][1:] == [
        "0.000,0.1", "5.000,", "10.000,0.1", "15.000,", "20.000,0.1",
    ]  # fmt: skip
    assert lines["events.csv"][3:] == ["12.000,,0.5", "11.000,14.000,0.2", "21.000,24.000,0.2"]
    assert lines["validity.csv"][-1] == "20.000,30.000,none"


def test_events_are_held_against_those_of_the_uniform_row() -> None:
    base = rows.Row("real", "uniform", events=[(10.0, 20.0), (50.0, None), (90.0, 99.0)])
    row = rows.Row("real", "adaptive", events=[(10.5, 19.75), (51.0, 60.0), (70.0, 80.0)])
    told = rows.event_differences(row, base)
    assert told == "2 of 3 (+1), onset ≤ 1.00 s, clear ≤ 0.25 s"


def test_runs_are_told_as_their_median_and_spread() -> None:
    row = None
    for wall_s in (5.0, 9.0, 6.0):
        row = rows.Row("real", "adaptive", wall_s=wall_s, cpu_s=2 * wall_s).after(row)
    assert (row.wall_s, row.cpu_s) == (6.0, 12.0)
    loop = rows.Row("real", "opencv", wall_s=72.0)
    told = table.text([row, loop], minutes=1.0).splitlines()
    assert told[1].split()[2:6] == ["6.0", "5.0-9.0", "10.0", "1.00"]
    assert told[2].split()[2:7] == ["72.0", "one", "run", "0.8", "12.00"]


def test_the_chart_stacks_the_stages_and_marks_the_floors() -> None:
    row = rows.Row("real", "adaptive", wall_s=12.0, stage_s={"index": 2.0, "measuring": 9.0})
    floor = rows.Row("real", "floor: decode only, as adaptive", wall_s=5.0)
    axes = chart.draw([row, floor], 1.0).axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0.0, 2.0), (2.0, 9.0)]
    assert [line.get_xdata()[0] for line in axes.lines] == [5.0]
    assert axes.texts[0].get_text().strip() == "5 × real time"


def test_the_table_gives_differences_to_uniform(tmp_path: Path) -> None:
    base = rows.Row("real", "uniform", wall_s=20.0, headlines={"impaired_share_5": 0.25})
    row = rows.Row(
        "real", "adaptive", wall_s=4.0, stage_s={"measuring": 3.0}, note="scaled",
        headlines={"impaired_share_5": 0.2},
    )  # fmt: skip
    told = table.text([base, row], minutes=1.0)
    assert "15.0" in told, "60 s in 4 s"
    assert "impaired_share_5 0.2000 (-0.0500)" in told
    assert "scaled" in told
    table.save(tmp_path / "results.json", [base, row], 1.0)
    assert table.load(tmp_path / "results.json") == [base, row]
    assert table.load(tmp_path / "absent.json") == []
