"""Adaptive sampling against the uniform plan, on series whose every picture is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.analysis.refine import N_PLAIN_PASSES, coarse_gap_s, next_looks
from ubereport.core.config import EventConfig, SamplingConfig
from ubereport.core.recording import PartIndex, RecordingIndex, VideoFormat
from ubereport.core.series import AreaSeries, LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.scenario import plan_scenario
from ubereport.metrics.event_detection import detect_events
from ubereport.video.candidates import Candidates, adaptive_candidates, uniform_candidates
from ubereport.video.timeline import place_parts

EVENTS, SAMPLING = EventConfig(), SamplingConfig()
GAP_S = coarse_gap_s(EVENTS, SAMPLING)
RATE_HZ = 8  # pictures a second of the made-up recordings: most keyframes lie off the 2 Hz grid
VIDEO = VideoFormat(
    "mov,mp4", "h264", "yuv420p", 64, 48, 8, 0, False, "bt709", "limited", Fraction(1), None
)


@dataclass(frozen=True)
class Known:
    """A recording whose area (NaN: lost for being blurred) is known of every picture."""

    area: np.ndarray
    is_key: np.ndarray

    @property
    def index(self) -> RecordingIndex:
        n = len(self.area)
        part = PartIndex(
            path=Path("known.mp4"), sha256="0" * 64, size_bytes=1, video=VIDEO,
            time_base_s=Fraction(1, RATE_HZ), pts=np.arange(n), time_s=np.arange(n) / RATE_HZ,
            is_key=self.is_key, duration_s=n / RATE_HZ, declared_duration_s=None,
            declared_n_frames=None, gaps=(),
        )  # fmt: skip
        return RecordingIndex((part,))

    def series(self, candidates: Candidates, rows: np.ndarray) -> AreaSeries:
        area = self.area[candidates.frame_index[rows]]
        is_valid = ~np.isnan(area)
        reason = tuple(LossReason.NONE if v else LossReason.BLURRED for v in is_valid)
        return AreaSeries(
            candidates.time_s[rows], candidates.durations_s(rows), candidates.part_index[rows],
            area, area, area, is_valid, reason,
        )  # fmt: skip

    def uniform(self) -> AreaSeries:
        index = self.index
        candidates = uniform_candidates(index, place_parts(index), SAMPLING.rate_hz)
        return self.series(candidates, np.arange(len(candidates)))

    def adaptive(self, events: EventConfig = EVENTS) -> tuple[AreaSeries, int, float]:
        """Look pass by pass; return the series, the passes, and the share of the grid seen."""
        index = self.index
        candidates = adaptive_candidates(index, place_parts(index), SAMPLING.rate_hz, GAP_S)
        is_seen = candidates.is_first.copy()
        for n_passes in range(1, 100):
            rows = candidates.chosen(is_seen)
            series = self.series(candidates, rows)
            looks = next_looks(candidates, rows, series, events, SAMPLING, n_passes)
            if not len(looks):
                return series, n_passes, float(is_seen[candidates.is_full_rate].mean())
            assert not is_seen[looks].any(), "a picture was asked for twice"
            is_seen[looks] = True
        raise AssertionError("the passes do not end")


@st.composite
def keyframes(draw: st.DrawFn, n: int) -> np.ndarray:
    """Regular, irregular, too rare (only the first) or too dense (every picture)."""
    spacing = draw(st.sampled_from([1, 3, 8, 12, 16, 20, 80, 10**6]) | st.none())
    is_key = np.zeros(n, dtype=bool)
    if spacing is None:
        steps = draw(st.lists(st.integers(1, 60), min_size=1, max_size=40))
        keys = np.cumsum(steps)
        is_key[keys[keys < n]] = True
    else:
        is_key[::spacing] = True
    is_key[0] = True
    return is_key


_BANDS = {
    "clear": (0.0, EVENTS.offset_frac - 1e-6),
    "between": (EVENTS.offset_frac, EVENTS.onset_frac - 1e-6),
    "bleeding": (EVENTS.onset_frac, 1.0),
}


@st.composite
def steady_recordings(draw: st.DrawFn) -> Known:
    """The class of the guarantee: on no side of a threshold, and lost or not, for less than 3 s.

    Within its side the area does what it likes, picture by picture.
    """
    shortest = math.ceil(GAP_S * RATE_HZ)
    bands = st.sampled_from([*_BANDS, *_BANDS, "lost"])
    stretches = draw(
        st.lists(st.tuples(bands, st.integers(shortest, 160)), min_size=1, max_size=12)
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    is_wild = draw(st.booleans())
    pieces = []
    for band, n in stretches:
        low, high = _BANDS.get(band, (math.nan, math.nan))
        unit = rng.random(n) if is_wild else np.full(n, rng.random())
        pieces.append(low + unit * (high - low))
    area = np.concatenate(pieces)
    return Known(area, draw(keyframes(len(area))))


@st.composite
def arbitrary_recordings(draw: st.DrawFn) -> Known:
    """Steps of any length between any areas, lost stretches among them."""
    areas = st.sampled_from([0.0, 0.01, 0.024, 0.026, 0.046, 0.05, 0.06, 0.2, 0.7, math.nan])
    steps = draw(st.lists(st.tuples(areas, st.integers(1, 60)), min_size=1, max_size=60))
    area = np.concatenate([np.full(n, level) for level, n in steps])
    return Known(area, draw(keyframes(len(area))))


@st.composite
def gridded_recordings(draw: st.DrawFn, shortest_steps: int) -> Known:
    """Any areas, each for some steps of the full-rate grid, keyframes on that grid, no loss."""
    step = round(RATE_HZ / SAMPLING.rate_hz)
    areas = st.sampled_from([0.0, 0.01, 0.024, 0.026, 0.04, 0.05, 0.06, 0.2, 0.7])
    lengths = st.integers(shortest_steps, shortest_steps + 8)
    levels = draw(st.lists(st.tuples(areas, lengths), min_size=1, max_size=60))
    area = np.concatenate([np.full(n * step, level) for level, n in levels])
    is_key = np.zeros(len(area), dtype=bool)
    is_key[:: step * draw(st.sampled_from([1, 2, 3, 4, 5, 6, 20, 10**5]))] = True
    return Known(area, is_key)


def _told(
    series: AreaSeries, events: EventConfig = EVENTS
) -> list[tuple[float, float | None, str, bool]]:
    return [
        (e.onset_s, e.clear_s, str(e.censor_reason), e.is_onset_observed)
        for e in detect_events(series, events)
    ]


@settings(max_examples=300, deadline=None)
@given(gridded_recordings(shortest_steps=1))
def test_without_smoothing_events_are_the_same_whatever_the_area_does(known: Known) -> None:
    """Flicker, failed onsets, broken clearings: what decides is looked at, so nothing differs."""
    plain = EventConfig(smoothing_s=0.0)
    assert _told(known.adaptive(plain)[0], plain) == _told(known.uniform(), plain)


@settings(max_examples=300, deadline=None)
@given(gridded_recordings(shortest_steps=2))
def test_with_smoothing_events_are_the_same_where_it_bridges_nothing(known: Known) -> None:
    """Two steps, 1 s, are more than half of the smoothing window: the median follows the area."""
    assert _told(known.adaptive()[0]) == _told(known.uniform())


@settings(max_examples=150, deadline=None)
@given(steady_recordings())
def test_events_of_steady_recordings_are_those_of_the_uniform_plan(known: Known) -> None:
    """Every event, its onset and its clearing, exactly: well within the half second asked for."""
    series, _, _ = known.adaptive()
    uniform = known.uniform()
    assert _told(series) == _told(uniform)
    assert series.evaluable_s == pytest.approx(uniform.evaluable_s, abs=1 / SAMPLING.rate_hz)


@settings(max_examples=200, deadline=None)
@given(arbitrary_recordings())
def test_no_event_hides_whatever_happens_around_it(known: Known) -> None:
    """An event whose opening stay nowhere falls below the threshold by its margin is found."""
    series, _, _ = known.adaptive()
    found = detect_events(series, EVENTS)
    for event in detect_events(known.uniform(), EVENTS):
        first = round(event.onset_s * RATE_HZ)
        stay = known.area[first : first + round(EVENTS.min_duration_s * RATE_HZ)]
        if not np.all(stay >= EVENTS.onset_frac * (1 - SAMPLING.near_frac)):
            continue
        confirmed_s = event.onset_s + EVENTS.min_duration_s
        assert any(e.onset_s < confirmed_s and e.end_s > event.onset_s for e in found)


@settings(max_examples=150, deadline=None)
@given(arbitrary_recordings())
def test_passes_end_soon_and_time_is_covered_without_overlap(known: Known) -> None:
    series, n_passes, _ = known.adaptive()
    longest_s = len(known.area) / RATE_HZ
    assert n_passes <= N_PLAIN_PASSES + 2 + math.log2(2 + longest_s / GAP_S)
    assert series.time_s[0] == 0
    np.testing.assert_allclose(series.end_time_s[:-1], series.time_s[1:])
    assert series.end_time_s[-1] == pytest.approx(longest_s)
    assert series.duration_s.max() <= GAP_S + 1e-9


def _simulated(seed: int) -> Known:
    """Fifteen minutes of a planned operation with the noise of a network's area, GOPs of 2 s."""
    scenario = plan_scenario(seed, 15, SimulationConfig())
    n = round(scenario.duration_s * RATE_HZ)
    rng = np.random.default_rng(seed)
    area = np.zeros(n)
    for i in range(n):
        time_s = i / RATE_HZ
        area[i] = sum(b.target_frac(time_s) + b.clot_target_frac(time_s) for b in scenario.bleeds)
        if scenario.loss_at(time_s) is not None:
            area[i] = math.nan
    noise = 1 + 0.04 * rng.standard_normal(n)
    area = np.clip(area * noise + 0.003 * np.abs(rng.standard_normal(n)), 0, 1)
    is_key = np.zeros(n, dtype=bool)
    is_key[:: 2 * RATE_HZ] = True
    return Known(area, is_key)


@pytest.mark.parametrize("seed", [101, 102, 103, 104])
def test_headline_metrics_of_planned_operations_stay_within_half_a_point(seed: int) -> None:
    known = _simulated(seed)
    adaptive, n_passes, seen_frac = known.adaptive()
    uniform = known.uniform()
    for level in (0.05, 0.20, 0.50):
        assert abs(_share(adaptive, level) - _share(uniform, level)) <= 0.005
    assert abs(_mean(adaptive) - _mean(uniform)) <= 0.005
    assert adaptive.coverage_frac == pytest.approx(uniform.coverage_frac, abs=0.005)
    assert _told(adaptive) == _told(uniform)
    assert seen_frac < 0.6
    assert n_passes <= N_PLAIN_PASSES


def _share(series: AreaSeries, level: float) -> float:
    is_above = series.is_valid & (np.nan_to_num(series.area_frac) >= level)
    return float(series.duration_s[is_above].sum() / series.evaluable_s)


def _mean(series: AreaSeries) -> float:
    is_valid = series.is_valid
    return float(np.average(series.area_frac[is_valid], weights=series.duration_s[is_valid]))


def test_a_quiet_recording_is_looked_at_only_coarsely() -> None:
    is_key = np.zeros(600 * RATE_HZ, dtype=bool)
    is_key[:: 2 * RATE_HZ] = True
    series, n_passes, seen_frac = Known(np.full(600 * RATE_HZ, 0.01), is_key).adaptive()
    assert n_passes == 1
    assert seen_frac < 0.27
    # A keyframe every 2 s, and the few pictures that are decoded on the way at both ends.
    assert len(series) == pytest.approx(300, abs=5)


def test_the_coarse_gap_follows_the_shortest_stay_that_counts() -> None:
    assert coarse_gap_s(EventConfig(min_duration_s=2.0), SAMPLING) == 2.0
    assert coarse_gap_s(EventConfig(clear_hold_s=1.0), SAMPLING) == 1.0
    assert coarse_gap_s(EventConfig(min_duration_s=60.0, clear_hold_s=60.0), SAMPLING) == 3.0
    assert coarse_gap_s(EventConfig(min_duration_s=0.0), SAMPLING) == 0.5
