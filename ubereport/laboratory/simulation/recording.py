"""Simulated recordings: pictures of a scenario encoded, with their truth beside them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import ubereport
from ubereport.core.arrays import FloatArray
from ubereport.core.config import EventConfig
from ubereport.core.errors import OutputError, UsageError
from ubereport.core.events import HemostasisEvent
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.atomic import write_file
from ubereport.laboratory.csv_rows import rows_bytes
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.render import RenderedFrame, Renderer
from ubereport.laboratory.simulation.scenario import Scenario, plan_scenario
from ubereport.metrics.event_detection import detect_events
from ubereport.video.pyav import EncoderSpec, repeat_packets
from ubereport.video.writer import VideoWriter

TRUTH_RATE_HZ = 10
EXAMPLE = Path("examples") / "simulated_case" / "recording.mp4"
DEMO_SEED = 7
DEMO_MINUTES = 1.0


@dataclass(frozen=True, slots=True)
class LostStretch:
    """A stretch of the case clock and why its view is lost; `NONE` where it is valid."""

    interval: Interval
    reason: LossReason


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true about a recording.

    Parameters
    ----------
    series
        True area at 10 Hz. A row's area is that of the picture on display at its time.
    events
        Hemostasis events by the definitions, applied to `series` with the default thresholds.
    stretches
        Valid and lost stretches; they cover the case clock without overlap.
    """

    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    stretches: tuple[LostStretch, ...]

    @classmethod
    def of(
        cls,
        area_frac: FloatArray,
        reasons: Sequence[LossReason],
        duration_s: float,
        part_starts_s: Sequence[float],
        stretches: Sequence[LostStretch],
    ) -> Truth:
        """Build the truth from the areas at `truth_times(duration_s)`."""
        time_s = truth_times(duration_s)
        ends_s = np.append(time_s[1:], duration_s)
        part_index = np.searchsorted(np.asarray(part_starts_s), time_s + 1e-9, "right") - 1
        series = AreaSeries(
            time_s=time_s,
            duration_s=ends_s - time_s,
            part_index=part_index,
            area_frac=area_frac,
            area_frac_lenient=area_frac,
            area_frac_strict=area_frac,
            is_valid=np.array([reason is LossReason.NONE for reason in reasons]),
            reason=tuple(reasons),
        )
        # The same function that reads a measured case, on the true area: what is compared are areas
        # and not two definitions.
        return cls(series, detect_events(series, EventConfig()), tuple(stretches))


def truth_times(duration_s: float) -> FloatArray:
    """Return the times of the truth's rows: tenths of a second before the end."""
    n = math.ceil(duration_s * TRUTH_RATE_HZ - 1e-6)
    return np.arange(n, dtype=np.float64) / TRUTH_RATE_HZ


def write_truth(truth: Truth, folder: Path) -> None:
    """Write ``area.csv``, ``events.csv`` and ``validity.csv`` into `folder`, made if need be.

    Missing values are empty cells: the area where the view is lost, the clearing of an event
    that was not seen to clear.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    series = truth.series
    area_rows = (
        (f"{t:.1f}", f"{a:.6f}" if valid else "", int(valid), reason.value)
        for t, a, valid, reason in zip(
            series.time_s, series.area_frac, series.is_valid, series.reason, strict=True
        )
    )
    event_rows = (
        (_seconds(event.onset_s), _seconds(event.clear_s), f"{event.peak_area_frac:.6f}")
        for event in truth.events
    )
    validity_rows = (
        (_seconds(s.interval.start_s), _seconds(s.interval.end_s), s.reason.value)
        for s in truth.stretches
    )
    tables = {
        "area.csv": (("time_s", "area_frac", "is_valid", "reason"), area_rows),
        "events.csv": (("onset_s", "clear_s", "peak_area_frac"), event_rows),
        "validity.csv": (("start_s", "end_s", "reason"), validity_rows),
    }
    for name, (header, rows) in tables.items():
        write_file(folder / name, rows_bytes(header, rows))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


_CRF_CODECS = ("libx264", "libx265", "libsvtav1", "libvpx-vp9")
_PRESET_CODECS = ("libx264", "libx265")


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedRecording:
    """A recording on disk and what is true about it.

    Parameters
    ----------
    parts
        Files of the recording, in order.
    truth_dir
        Folder with ``area.csv``, ``events.csv``, ``validity.csv`` and, if asked for, ``masks/``.
    scenario
        What happens.
    truth
        What is true.
    n_frames
        Pictures written.
    """

    parts: tuple[Path, ...]
    truth_dir: Path
    scenario: Scenario
    truth: Truth
    n_frames: int


def simulate(
    seed: int,
    minutes: float,
    out_dir: Path,
    config: SimulationConfig | None = None,
    *,
    mask_times_s: Sequence[float] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedRecording:
    """Invent a case and write its recording and truth.

    The same arguments give the same bytes on the same machine.

    Parameters
    ----------
    seed
        Decides everything that happens and how it looks; from 0.
    minutes
        Length of the recording; rounded up to whole loops where the configuration loops.
    out_dir
        Folder for ``recording.mp4`` (or ``recording_part1.mp4``, …) and ``truth/``.
    config
        How it looks and what may happen; the defaults unless given.
    mask_times_s
        Times for which ``truth/masks/<milliseconds>.png`` keeps the exact mask of the picture on
        display: 255 blood, 0 none.
    on_progress
        Called with pictures drawn and pictures to draw in all.

    Raises
    ------
    UsageError
        If the seed, the length or a mask time cannot be used.
    OutputError
        If the recording cannot be written.
    """
    config = SimulationConfig() if config is None else config
    n_times = 1
    # Whole loops only: packets are repeated as they are, and half a loop would have to be encoded
    # anew.
    if config.loop_s and config.loop_s < minutes * 60:
        n_times = math.ceil(minutes * 60 / config.loop_s - 1e-9)
        minutes = config.loop_s / 60
    return simulate_scenario(
        plan_scenario(seed, minutes, config),
        out_dir,
        n_times=n_times,
        mask_times_s=mask_times_s,
        on_progress=on_progress,
    )


def simulate_scenario(
    scenario: Scenario,
    out_dir: Path,
    *,
    n_times: int = 1,
    mask_times_s: Sequence[float] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedRecording:
    """Write the recording and truth of a scenario made by hand; see `simulate`.

    The scenario is shown `n_times` in a row; it is drawn and encoded once.
    """
    clock = _Clock(scenario, n_times)
    for time_s in mask_times_s:
        if not 0 <= time_s < clock.duration_s:
            raise UsageError(
                f"Mask time {time_s} s lies outside the recording of {clock.duration_s:g} s. "
                "Change it."
            )
    out_dir = Path(out_dir)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The recording cannot be written ({error.strerror}). Name a folder that can be "
            "written."
        ) from None
    recorder = _Recorder(clock, out_dir, mask_times_s)
    parts = recorder.write(on_progress)
    truth = recorder.truth()
    write_truth(truth, out_dir / "truth")
    return SimulatedRecording(parts, out_dir / "truth", scenario, truth, clock.n_written)


class _Clock:
    """Frames of the recording on the case clock: which are written, and what each one shows."""

    def __init__(self, scenario: Scenario, n_times: int) -> None:
        config = scenario.config
        if n_times < 1 or (n_times > 1 and not config.is_repeatable):
            raise UsageError(
                f"The scenario cannot be shown {n_times} times; only one of one part, without gap "
                "and with the codec libx264 can be shown more than once. Change its configuration."
            )
        self.scenario = scenario
        self.n_times = n_times
        self.rate_hz = Fraction(config.rate_hz)
        self.n_drawn = max(1, math.floor(scenario.duration_s * float(self.rate_hz) + 1e-6))
        self.n_frames = self.n_drawn * n_times
        self.duration_s = float(self.n_frames / self.rate_hz)
        self.n_parts = config.n_parts
        if self.n_frames < config.n_parts:
            raise UsageError(
                f"{config.n_parts} parts need at least as many frames; there are {self.n_frames}. "
                "Make the recording longer."
            )
        self.gap = self._gap(config.gap_s)
        self.n_written = self.n_frames - (self.gap[1] - self.gap[0])

    def _gap(self, gap_s: float) -> tuple[int, int]:
        """Frames left out, in the middle of the first part so that no part starts with them."""
        n_gap = round(gap_s * float(self.rate_hz))
        n_part = self.n_frames // self.n_parts
        if n_gap == 0:
            return (0, 0)
        if n_gap > n_part - 2:
            raise UsageError(
                f"A gap of {gap_s:g} s does not fit into a part of "
                f"{n_part / float(self.rate_hz):g} s. Shorten it or make the recording longer."
            )
        # Never at the very start or end of a part, where it would be no gap but a shorter part.
        first = (n_part - n_gap) // 2
        return (first, first + n_gap)

    def scene_s(self, frame: int) -> float:
        """Return the time of the scenario that a frame shows."""
        # Exact until the end: a time that fell a rounding short would show the picture before.
        return float(Fraction(frame % self.n_drawn) / self.rate_hz)

    def is_missing(self, frame: int) -> bool:
        return self.gap[0] <= frame < self.gap[1]

    def frame_on_display(self, time_s: float) -> int:
        return min(math.floor(time_s * float(self.rate_hz) + 1e-6), self.n_frames - 1)

    def part_starts(self) -> list[int]:
        return [part * self.n_frames // self.n_parts for part in range(self.n_parts)]

    def stretches(self) -> tuple[LostStretch, ...]:
        """Return runs of frames with one reason, on the case clock."""
        reasons = [self.reason(frame) for frame in range(self.n_frames)]
        starts = [0] + [
            frame for frame in range(1, self.n_frames) if reasons[frame] is not reasons[frame - 1]
        ]
        ends = [*starts[1:], self.n_frames]
        return tuple(
            LostStretch(
                Interval(float(start / self.rate_hz), float(end / self.rate_hz)), reasons[start]
            )
            for start, end in zip(starts, ends, strict=True)
        )

    def reason(self, frame: int) -> LossReason:
        if self.is_missing(frame):
            return LossReason.GAP
        loss = self.scenario.loss_at(self.scene_s(frame))
        return LossReason.NONE if loss is None else loss.reason


class _Recorder:
    """Draws, encodes and keeps the truth of the frames that truth rows ask for."""

    def __init__(self, clock: _Clock, out_dir: Path, mask_times_s: Sequence[float]) -> None:
        self._clock = clock
        self._out_dir = out_dir
        self._renderer = Renderer(clock.scenario)
        self._rows = [clock.frame_on_display(float(t)) for t in truth_times(clock.duration_s)]
        # The truth has ten rows a second: areas of the pictures between them are not kept.
        self._wanted = {frame % clock.n_drawn for frame in self._rows}
        self._area: dict[int, float] = {}
        self._masks: dict[int, list[float]] = {}
        for time_s in mask_times_s:
            frame = clock.frame_on_display(time_s) % clock.n_drawn
            self._masks.setdefault(frame, []).append(time_s)

    def write(self, on_progress: Callable[[int, int], None] | None) -> tuple[Path, ...]:
        clock = self._clock
        starts = clock.part_starts()
        paths = []
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], None], strict=True), 1):
            name = "recording.mp4" if clock.n_parts == 1 else f"recording_part{number}.mp4"
            paths.append(self._out_dir / name)
            self._write_part(paths[-1], start, clock.n_drawn if end is None else end, on_progress)
        if clock.n_times > 1:
            self._repeat(paths[0])
        return tuple(paths)

    def _write_part(
        self,
        path: Path,
        start: int,
        end: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        clock = self._clock
        with self._writer(path) as writer:
            for frame in range(start, end):
                if not clock.is_missing(frame):
                    writer.write(self._drawn(frame).rgb, frame - start)
                if on_progress is not None:
                    on_progress(frame + 1, clock.n_drawn)

    def _repeat(self, path: Path) -> None:
        once = path.with_name(f"once-{path.name}")
        try:
            path.rename(once)
            repeat_packets(
                once, path, self._clock.n_times, self._clock.n_drawn / self._clock.rate_hz
            )
            once.unlink()
        except OSError as error:
            raise OutputError(
                f"The recording cannot be repeated ({error.strerror}). Check free space."
            ) from None

    def truth(self) -> Truth:
        clock = self._clock
        stretches = clock.stretches()
        area = [self._area.get(frame % clock.n_drawn, math.nan) for frame in self._rows]
        reasons = [clock.reason(frame) for frame in self._rows]
        part_starts_s = [float(start / clock.rate_hz) for start in clock.part_starts()]
        return Truth.of(np.array(area), reasons, clock.duration_s, part_starts_s, stretches)

    def _drawn(self, frame: int) -> RenderedFrame:
        picture = self._renderer.frame(self._clock.scene_s(frame))
        if frame in self._wanted:
            self._area[frame] = picture.area_frac
        for time_s in self._masks.get(frame, ()):
            self._keep_mask(picture, time_s)
        return picture

    def _keep_mask(self, picture: RenderedFrame, time_s: float) -> None:
        folder = self._out_dir / "truth" / "masks"
        _, png = cv2.imencode(".png", picture.blood_mask.astype(np.uint8) * 255)
        write_file(folder / f"{round(time_s * 1000):09d}.png", png.tobytes())

    def _writer(self, path: Path) -> VideoWriter:
        config, clock = self._clock.scenario.config, self._clock
        # A keyframe every two seconds at any rate; x264's own 250 pictures would be eight seconds
        # at 30 Hz.
        options = {"g": str(max(1, round(2 * float(clock.rate_hz))))}
        if config.codec in _CRF_CODECS:
            options["crf"] = str(config.crf)
        if config.codec in _PRESET_CODECS:
            options["preset"] = config.preset
        if clock.n_times > 1:
            options["bf"] = "0"
        return VideoWriter(
            path,
            EncoderSpec(
                config.width_px,
                config.height_px,
                clock.rate_hz,
                config.codec,
                options=options,
                container_options={"movflags": "faststart"},
            ),
        )


@contextmanager
def demo_recording() -> Iterator[Path]:
    """Give the path of the example recording; an installed wheel simulates a short one."""
    committed = Path(ubereport.__file__).resolve().parents[1] / EXAMPLE
    if committed.is_file():
        yield committed
        return
    with tempfile.TemporaryDirectory(prefix="ubereport-demo-") as scratch:
        yield simulate(seed=DEMO_SEED, minutes=DEMO_MINUTES, out_dir=Path(scratch)).parts[0]
