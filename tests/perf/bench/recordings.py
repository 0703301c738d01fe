"""The recordings that are timed: real ones played one after the other, and a simulated operation.

All are 1080p30 H.264 at 10 Mb/s with a keyframe every 1.5 s and at every cut, enlarged, with film
grain. `real` plays whole recordings in turn, `shots` cuts to another one every 15 s, `simulated` is
an operation as the simulator draws it (few bleeds, long quiet stretches). One piece of some minutes
is encoded; its packets are then repeated with later times, which is quick, until the recording is
as long as asked for. Truth is repeated with it.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np

from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.recording import simulate

WIDTH_PX, HEIGHT_PX, RATE_HZ = 1920, 1080, 30
BIT_RATE = 10_000_000
KEYFRAME_SPACING = 45
GRAIN = "noise=alls=7:allf=t"
SHOTS_PIECE_S = 120
SIMULATED_PIECE_S = 240
SHOT_S = 15
SEED = 4008


@dataclass(frozen=True)
class BenchRecording:
    """A recording on disk; `truth_dir` where it is known what is true about it."""

    name: str
    path: Path
    minutes: float
    truth_dir: Path | None


def real_recording(work: Path, sources: list[Path], minutes: float) -> BenchRecording:
    """Make (or find) the recording that plays all of every source, in turn."""
    piece_s = min(sum(_length_s(source) for source in sources), minutes * 60)
    return _looped(work, "real", minutes, piece_s, in_turn(sources, piece_s))


def shots_recording(work: Path, sources: list[Path], minutes: float) -> BenchRecording:
    """Make (or find) the recording that cuts to another source every `SHOT_S`."""
    piece_s = min(SHOTS_PIECE_S, minutes * 60)
    return _looped(work, "shots", minutes, piece_s, shots(sources, piece_s))


def _looped(
    work: Path, name: str, minutes: float, piece_s: float, frames: Iterator[av.VideoFrame]
) -> BenchRecording:
    piece = work / f"{name}-piece-{piece_s:.0f}s.mp4"
    if not piece.exists():
        encode(frames, piece)
    path = work / f"{name}-{minutes:g}min.mp4"
    if not path.exists():
        repeat(piece, path, minutes * 60)
    return BenchRecording(name, path, minutes, None)


def simulated_recording(
    work: Path, minutes: float, piece_s: float = SIMULATED_PIECE_S
) -> BenchRecording:
    """Make (or find) the simulated recording and its truth: few bleeds, long quiet stretches."""
    piece_s = min(piece_s, minutes * 60)
    folder = work / f"simulated-{minutes:g}min"
    path = folder / "bench.mp4"
    if not path.exists():
        small = _simulated_small(work, piece_s)
        piece = work / f"simulated-piece-{piece_s:g}s.mp4"
        if not piece.exists():
            encode(pictures(small / "recording.mp4", 0.0, piece_s), piece)
        write_repeated_truth(small / "truth", folder / "truth", piece_s, minutes * 60)
        repeat(piece, path, minutes * 60)
    return BenchRecording("simulated", path, minutes, folder / "truth")


def _simulated_small(work: Path, piece_s: float) -> Path:
    small = work / f"simulated-small-{piece_s:g}s"
    if not (small / "done").exists():
        shutil.rmtree(small, ignore_errors=True)
        bleeds = 4.0 if piece_s >= 120 else 20.0
        config = SimulationConfig(
            rate_hz=RATE_HZ,
            bleeds_per_10min=bleeds,
            crf=14,
            losses=(LossReason.OUT_OF_BODY, LossReason.BLURRED),
            noise_level=1.0,
        )
        simulate(SEED, piece_s / 60, small, config)
        (small / "done").touch()
    return small


def in_turn(sources: list[Path], seconds: float) -> Iterator[av.VideoFrame]:
    """Yield all pictures of every source in turn, up to `seconds`."""
    left_s = seconds
    for source in sources:
        yield from pictures(source, 0.0, min(left_s, _length_s(source)))
        left_s -= _length_s(source)
        if left_s <= 0:
            return


def shots(sources: list[Path], seconds: float) -> Iterator[np.ndarray]:
    """Yield pictures of `SHOT_S` long shots, taken from the sources in turn."""
    done_s, number = 0.0, 0
    while done_s < seconds - 1e-6:
        source = sources[number % len(sources)]
        shot_s = min(SHOT_S, seconds - done_s, _length_s(source))
        room_s = max(0.0, _length_s(source) - shot_s)
        start_s = (number // len(sources)) * 37.0 % room_s if room_s else 0.0
        yield from pictures(source, start_s, shot_s)
        done_s += shot_s
        number += 1


def _length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / av.time_base


def pictures(path: Path, start_s: float, seconds: float) -> Iterator[av.VideoFrame]:
    """Yield `seconds` of pictures at `RATE_HZ`: at every tick the one on display."""
    n_wanted, n_given = round(seconds * RATE_HZ), 0
    shown = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            at_s = float(frame.time) - start_s
            while shown is not None and n_given < n_wanted and n_given / RATE_HZ < at_s - 1e-6:
                yield shown
                n_given += 1
            if n_given == n_wanted:
                return
            shown = frame
    for _ in range(n_wanted - n_given):
        yield shown


def encode(frames: Iterator[av.VideoFrame], path: Path) -> None:
    """Enlarge, add film grain and encode; complete under its name or not there at all."""
    growing = path.with_suffix(".partial.mp4")
    with av.open(str(growing), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.bit_rate = BIT_RATE
        stream.time_base = Fraction(1, RATE_HZ)
        stream.codec_context.thread_count = 2
        stream.options = {
            "preset": "superfast",
            "g": str(KEYFRAME_SPACING),
            "maxrate": str(BIT_RATE),
            "bufsize": str(BIT_RATE),
            "colormatrix": "bt709",
        }
        grain = None
        for number, frame in enumerate(frames):
            large = frame.reformat(WIDTH_PX, HEIGHT_PX, "yuv420p", interpolation="BICUBIC")
            large.pts, large.time_base = number, Fraction(1, RATE_HZ)
            if grain is None:
                grain = _grain_graph(large)
            grain.push(large)
            noisy = grain.pull()
            noisy.pts, noisy.time_base = number, Fraction(1, RATE_HZ)
            noisy.pict_type = 0
            container.mux(stream.encode(noisy))
        container.mux(stream.encode(None))
    growing.rename(path)


def _grain_graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=WIDTH_PX, height=HEIGHT_PX, format=frame.format, time_base=Fraction(1, RATE_HZ)
    )
    name, _, options = GRAIN.partition("=")
    noise, sink = graph.add(name, options), graph.add("buffersink")
    source.link_to(noise)
    noise.link_to(sink)
    graph.configure()
    return graph


def repeat(piece: Path, path: Path, seconds: float, rate_hz: Fraction | int = RATE_HZ) -> None:
    """Write the packets of `piece` again and again, later each time, until `seconds` are full."""
    growing = path.with_suffix(".partial.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(piece)) as source, av.open(str(growing), "w") as target:
        original = source.streams.video[0]
        stream = target.add_stream_from_template(original)
        packets = [p for p in source.demux(original) if p.dts is not None]
        contents = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        base = original.time_base
        period = round(len(contents) / Fraction(rate_hz) / base)
        end = round(seconds / base)
        for turn in range(-(-end // period)):
            for content, pts, dts, duration, is_key in contents:
                if pts + turn * period >= end:
                    continue
                packet = av.Packet(content)
                packet.stream, packet.time_base = stream, base
                packet.pts, packet.dts = pts + turn * period, dts + turn * period
                packet.duration, packet.is_keyframe = duration, is_key
                target.mux(packet)
    growing.rename(path)


def write_repeated_truth(source: Path, target: Path, piece_s: float, seconds: float) -> None:
    """Repeat the rows of every truth file; the first column (or two) are times."""
    target.mkdir(parents=True, exist_ok=True)
    n_turns = -(-round(seconds * 1000) // round(piece_s * 1000))
    for name, n_times in (("area.csv", 1), ("events.csv", 2), ("validity.csv", 2)):
        header, *rows = (source / name).read_text(encoding="utf-8").splitlines()
        lines = [header]
        for turn in range(n_turns):
            for row in rows:
                cells = row.split(",")
                later = [f"{float(c) + turn * piece_s:.3f}" if c else "" for c in cells[:n_times]]
                if later[0] and float(later[0]) < seconds:
                    lines.append(",".join([*later, *cells[n_times:]]))
        (target / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
