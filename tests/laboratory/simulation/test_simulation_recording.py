from __future__ import annotations

import csv
import dataclasses
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.core.config import DecodeConfig, EventConfig
from ubereport.core.errors import OutputError, UsageError
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.recording import (
    SimulatedRecording,
    simulate,
    simulate_scenario,
    truth_times,
)
from ubereport.laboratory.simulation.render import Renderer
from ubereport.laboratory.simulation.scenario import BleedKind, Loss
from ubereport.video.index import index_part
from ubereport.video.pyav import repeat_packets

TINY = SimulationConfig(width_px=96, height_px=64, rate_hz=10, noise_level=1.0)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> SimulatedRecording:
    """20 s at 12.5 Hz: a bleed that clears, then black; masks of three moments."""
    from ubereport.laboratory.simulation.scenario import Bleed, Scenario, Visit
    from ubereport.laboratory.simulation.site import Site

    scenario = Scenario(
        seed=1,
        duration_s=20.0,
        config=dataclasses.replace(TINY, rate_hz=Fraction(25, 2), crf=12),
        visits=(Visit(0.0, 20.0, Site.LAMINA, 2),),
        bleeds=(Bleed(BleedKind.POOL, 1.0, 2.0, 4.0, 2.0, 0.5, 0.0, 0.0, 0.5, 0.0, 3),),
        losses=(Loss(16.0, 18.0, LossReason.BLACK, 1),),
    )
    out_dir = tmp_path_factory.mktemp("simulated")
    return simulate_scenario(scenario, out_dir, mask_times_s=(0.5, 5.0, 17.0))


def test_the_recording_has_the_size_rate_and_length_asked_for(recorded):
    part = index_part(recorded.parts[0], DecodeConfig())
    assert recorded.parts[0].name == "recording.mp4"
    assert (part.video.width_px, part.video.height_px) == (96, 64)
    assert part.n_frames == recorded.n_frames == 250
    assert part.duration_s == pytest.approx(20.0)
    assert np.diff(part.time_s) == pytest.approx(0.08)


def test_area_is_that_of_the_picture_on_display(recorded):
    renderer = Renderer(recorded.scenario)
    rows = _rows(recorded.truth_dir / "area.csv")
    assert [row["time_s"] for row in rows] == [f"{k / 10:.1f}" for k in range(200)]
    for row in rows[5:160:13]:
        on_display_s = math.floor(float(row["time_s"]) * 12.5 + 1e-6) / 12.5
        frame = renderer.frame(on_display_s)
        area = frame.blood_mask.sum() / frame.field_mask.sum()
        assert float(row["area_frac"]) == pytest.approx(area, abs=1e-6)
        assert (row["is_valid"], row["reason"]) == ("1", "")


def test_lost_rows_have_a_reason_and_no_area(recorded):
    rows = _rows(recorded.truth_dir / "area.csv")
    lost = [row for row in rows if row["is_valid"] == "0"]
    assert {row["area_frac"] for row in lost} == {""}
    assert {row["reason"] for row in lost} == {"black"}
    assert (lost[0]["time_s"], lost[-1]["time_s"]) == ("16.0", "17.9")


def test_validity_tiles_the_case_clock(recorded):
    rows = _rows(recorded.truth_dir / "validity.csv")
    assert [(row["start_s"], row["end_s"], row["reason"]) for row in rows] == [
        ("0.000", "16.000", ""),
        ("16.000", "18.000", "black"),
        ("18.000", "20.000", ""),
    ]


def test_events_are_what_the_definitions_make_of_the_area(recorded):
    """A second reading of the definitions, on the written area, by hand."""
    (event,) = _rows(recorded.truth_dir / "events.csv")
    rows = _rows(recorded.truth_dir / "area.csv")[:160]
    area = np.array([float(row["area_frac"]) for row in rows])
    config = EventConfig()
    above = np.flatnonzero(area >= config.onset_frac)
    assert float(event["onset_s"]) == pytest.approx(above[0] / 10, abs=0.2)
    last_wet = np.flatnonzero(area >= config.offset_frac)[-1]
    assert float(event["clear_s"]) == pytest.approx((last_wet + 1) / 10, abs=0.2)
    assert float(event["peak_area_frac"]) == pytest.approx(area.max(), rel=0.1)


def test_masks_are_kept_for_the_moments_asked_for(recorded):
    folder = recorded.truth_dir / "masks"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["000000500.png", "000005000.png", "000017000.png"]
    calm, bleeding, black = (cv2.imread(str(folder / n), cv2.IMREAD_GRAYSCALE) for n in names)
    assert set(np.unique(bleeding)) == {0, 255}
    assert not calm.any()
    assert not black.any()
    field = Renderer(recorded.scenario).outline.mask
    row = _rows(recorded.truth_dir / "area.csv")[50]
    assert (bleeding > 0).sum() / field.sum() == pytest.approx(float(row["area_frac"]), abs=1e-6)


def test_the_encoded_pictures_are_the_drawn_ones(recorded):
    capture = cv2.VideoCapture(str(recorded.parts[0]))
    renderer = Renderer(recorded.scenario)
    for number in range(100):
        is_read, bgr = capture.read()
        assert is_read
        if number in (0, 60, 99):
            drawn = renderer.frame(number / 12.5).rgb.astype(int)
            assert np.abs(bgr[:, :, ::-1].astype(int) - drawn).mean() < 6
    capture.release()


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path):
    def written(seed: int, folder: str) -> dict[str, bytes]:
        simulate(seed, 0.1, tmp_path / folder, TINY, mask_times_s=(1.0,))
        files = sorted(p for p in (tmp_path / folder).rglob("*") if p.is_file())
        return {str(p.relative_to(tmp_path / folder)): p.read_bytes() for p in files}

    one, again, other = written(3, "a"), written(3, "b"), written(4, "c")
    assert one == again
    assert set(one) == {
        "recording.mp4",
        "truth/area.csv",
        "truth/events.csv",
        "truth/masks/000001000.png",
        "truth/validity.csv",
    }
    assert one["recording.mp4"] != other["recording.mp4"]


def test_a_planned_recording_is_whole(tmp_path):
    done: list[tuple[int, int]] = []
    recording = simulate(7, 0.5, tmp_path, TINY, on_progress=lambda n, of: done.append((n, of)))
    series = recording.truth.series
    assert recording.n_frames == 300
    assert done[-1] == (300, 300)
    assert len(series) == 300
    assert series.time_s[0] == 0
    assert series.end_time_s[-1] == pytest.approx(30.0)
    assert recording.scenario.bleeds
    stretches = recording.truth.stretches
    assert stretches[0].interval.start_s == 0
    assert stretches[-1].interval.end_s == 30.0
    for before, after in pairwise(stretches):
        assert before.interval.end_s == after.interval.start_s
        assert before.reason is not after.reason
    for row in range(0, 300, 7):
        inside = [s for s in stretches if s.interval.contains(series.time_s[row] + 1e-6)]
        assert [s.reason for s in inside] == [series.reason[row]]


def test_an_event_without_a_clearing_has_an_empty_cell(make_scenario, bleed, tmp_path):
    lasting = dataclasses.replace(bleed, plateau_s=60.0)
    scenario = make_scenario(bleeds=(lasting,), config_rate_hz=5, duration_s=10.0)
    recording = simulate_scenario(scenario, tmp_path)
    (event,) = _rows(recording.truth_dir / "events.csv")
    assert event["clear_s"] == ""
    assert recording.truth.events[0].is_censored


def test_a_gap_has_no_pictures_and_a_reason(make_scenario, tmp_path):
    scenario = make_scenario(duration_s=10.0, config_rate_hz=10, config_gap_s=3.0)
    recording = simulate_scenario(scenario, tmp_path)
    part = index_part(recording.parts[0], DecodeConfig())
    assert recording.n_frames == part.n_frames == 70
    assert [(gap.start_s, gap.end_s) for gap in part.gaps] == [
        (pytest.approx(3.5), pytest.approx(6.5))
    ]
    rows = _rows(recording.truth_dir / "validity.csv")
    assert [(row["start_s"], row["end_s"], row["reason"]) for row in rows] == [
        ("0.000", "3.500", ""),
        ("3.500", "6.500", "gap"),
        ("6.500", "10.000", ""),
    ]


def test_a_recording_can_be_cut_into_parts(make_scenario, tmp_path):
    scenario = make_scenario(duration_s=7.0, config_rate_hz=10, config_n_parts=2)
    recording = simulate_scenario(scenario, tmp_path)
    assert [p.name for p in recording.parts] == ["recording_part1.mp4", "recording_part2.mp4"]
    parts = [index_part(path, DecodeConfig()) for path in recording.parts]
    assert [part.n_frames for part in parts] == [35, 35]
    assert recording.truth.series.part_index.tolist() == [0] * 35 + [1] * 35


def test_a_loop_is_encoded_once_and_shown_many_times(tmp_path):
    config = dataclasses.replace(TINY, loop_s=4.0, bleeds_per_10min=60)
    single = simulate(2, 4 / 60, tmp_path / "single", dataclasses.replace(config, loop_s=0.0))
    looped = simulate(2, 0.3, tmp_path / "looped", config, mask_times_s=(9.0,))
    assert looped.n_frames == 5 * 40  # 18 s, rounded up to whole loops of 4 s
    part = index_part(looped.parts[0], DecodeConfig())
    assert part.n_frames == 200
    assert np.diff(part.time_s) == pytest.approx(0.1)
    assert part.duration_s == pytest.approx(20.0)
    area = looped.truth.series.area_frac.reshape(5, 40)
    once = single.truth.series.area_frac
    assert np.array_equal(area, np.broadcast_to(once, (5, 40)), equal_nan=True)
    capture = cv2.VideoCapture(str(looped.parts[0]))
    pictures = [capture.read()[1] for _ in range(200)]
    capture.release()
    assert np.array_equal(pictures[3], pictures[163])
    assert not np.array_equal(pictures[3], pictures[23])


def test_a_loop_must_be_whole_ticks_of_the_clock(make_scenario, tmp_path):
    recording = simulate_scenario(make_scenario(duration_s=1.0, config_rate_hz=10), tmp_path)
    with pytest.raises(ValueError, match="whole number"):
        repeat_packets(recording.parts[0], tmp_path / "long.mp4", 2, Fraction(1, 999983))


def test_the_same_loop_gives_the_same_bytes(make_scenario, tmp_path):
    recording = simulate_scenario(make_scenario(duration_s=1.0, config_rate_hz=10), tmp_path)
    for name in ("one.mp4", "other.mp4"):
        repeat_packets(recording.parts[0], tmp_path / name, 3, Fraction(1))
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()


@pytest.mark.parametrize("time_s", [-0.1, 20.0])
def test_a_mask_time_outside_the_recording_is_refused(make_scenario, tmp_path, time_s):
    with pytest.raises(UsageError, match="lies outside the recording of 20 s"):
        simulate_scenario(make_scenario(), tmp_path, mask_times_s=(time_s,))


@pytest.mark.parametrize(
    ("changes", "n_times", "message"),
    [
        ({"config_gap_s": 19.96}, 1, "A gap of 19.96 s does not fit"),
        ({"config_n_parts": 20, "config_rate_hz": 1, "duration_s": 10.0}, 1, "20 parts need"),
        ({"config_n_parts": 2}, 3, "cannot be shown 3 times"),
        ({}, 0, "cannot be shown 0 times"),
    ],
)
def test_recordings_that_cannot_be_are_refused(
    make_scenario, tmp_path, changes: dict, n_times: int, message: str
):
    with pytest.raises(UsageError, match=message):
        simulate_scenario(make_scenario(**changes), tmp_path, n_times=n_times)


def test_output_that_cannot_be_written_is_one_sentence(make_scenario, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written \(.*\). Name a folder"):
        simulate_scenario(make_scenario(duration_s=1.0), blocked)
    (tmp_path / "truth").write_text("in the way")
    scenario = make_scenario(duration_s=1.0, config_rate_hz=2)
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        simulate_scenario(scenario, tmp_path, mask_times_s=(0.5,))
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        simulate_scenario(scenario, tmp_path)


def test_an_unknown_codec_is_an_output_error(make_scenario, tmp_path):
    with pytest.raises(OutputError, match="codec"):
        simulate_scenario(make_scenario(duration_s=1.0, config_codec="no_such_codec"), tmp_path)


def test_other_codecs_are_written(make_scenario, tmp_path):
    scenario = make_scenario(duration_s=1.0, config_rate_hz=5, config_codec="mpeg4")
    recording = simulate_scenario(scenario, tmp_path)
    assert index_part(recording.parts[0], DecodeConfig()).video.codec == "mpeg4"


def test_truth_times_are_tenths_before_the_end():
    assert truth_times(0.35).tolist() == [0.0, 0.1, 0.2, 0.3]
    assert len(truth_times(60.0)) == 600
