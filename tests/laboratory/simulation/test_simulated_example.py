"""The committed example is what its script describes."""

from __future__ import annotations

import csv
import runpy
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.core.config import DecodeConfig
from ubereport.laboratory.simulation.render import Renderer
from ubereport.laboratory.simulation.scenario import Scenario
from ubereport.video.index import index_part

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
CASE = EXAMPLES / "simulated_case"


def _rows(name: str) -> list[dict[str, str]]:
    with (CASE / "truth" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    example = runpy.run_path(str(EXAMPLES / "make_simulated_case.py"))["EXAMPLE"]
    assert isinstance(example, Scenario)
    return example


def test_it_is_small_and_three_minutes_long():
    path = CASE / "recording.mp4"
    assert path.stat().st_size <= 4_000_000
    part = index_part(path, DecodeConfig())
    assert part.n_frames == 4500
    assert part.duration_s == pytest.approx(180.0)


def test_it_holds_what_a_first_look_needs():
    events = _rows("events.csv")
    peaks = [float(row["peak_area_frac"]) for row in events]
    assert 4 <= len(events) <= 6
    assert max(peaks) >= 0.5
    assert min(peaks) < 0.2
    pauses_s = [
        float(later["onset_s"]) - float(earlier["clear_s"]) for earlier, later in pairwise(events)
    ]
    assert min(pauses_s) < 60  # a re-bleed
    reasons = {row["reason"] for row in _rows("validity.csv")}
    assert reasons == {"", "out_of_body", "black", "blurred"}
    closing = [float(row["area_frac"]) for row in _rows("area.csv") if float(row["time_s"]) > 165]
    assert max(closing) < 0.02


@pytest.mark.parametrize("time_s", [24.0, 50.0, 132.0])
def test_its_truth_and_pictures_are_those_of_the_script(scenario: Scenario, time_s: float):
    frame = Renderer(scenario).frame(time_s)
    row = _rows("area.csv")[round(time_s * 10)]
    # Machines round differently in the last bit, which moves a few pixels over the threshold.
    assert float(row["area_frac"]) == pytest.approx(frame.area_frac, abs=0.003)
    capture = cv2.VideoCapture(str(CASE / "recording.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, round(time_s * 25))
    is_read, bgr = capture.read()
    capture.release()
    assert is_read
    assert np.abs(bgr[:, :, ::-1].astype(int) - frame.rgb).mean() < 5
