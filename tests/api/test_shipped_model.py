"""What the shipped bundles mark in the simulated example, whose truth is exact."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

import ubereport

CASE = Path(__file__).resolve().parents[2] / "examples" / "simulated_case"
TOP, BOTTOM, LEFT, RIGHT = 6, 354, 146, 494
FLOODED_S = (128.0, 129.0, 130.0, 131.0, 132.0, 134.0, 136.0, 137.0)
CLEAR_S = (58.0, 124.0, 160.0)
HAZE_LEVEL = 200.0
BLEEDING_S = (65.0, 69.0, 73.0, 77.0, 141.0)


def _measured_and_true(
    name: str, times_s: tuple[float, ...], brightness: float = 1.0, haze: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return both areas, as shares of the round view.

    `brightness` dims what is looked at; `haze` is the share of its light that a veil sends.
    """
    recording = cv2.VideoCapture(str(CASE / "recording.mp4"))
    pictures = []
    for time_s in times_s:
        recording.set(cv2.CAP_PROP_POS_MSEC, 1000 * time_s)
        picture = recording.read()[1][TOP:BOTTOM, LEFT:RIGHT]
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    rows, columns = np.mgrid[0 : BOTTOM - TOP, 0 : RIGHT - LEFT] - (BOTTOM - TOP - 1) / 2
    view = rows**2 + columns**2 <= ((BOTTOM - TOP) / 2) ** 2
    model = ubereport.load_model(name)
    veil = np.where(view, HAZE_LEVEL * haze, 0)[:, :, None]
    shown = np.round(np.stack(pictures) * brightness * (1 - haze) + veil).astype(np.uint8)
    blood = model.predict(shown) >= model.thresholds[1]
    with (CASE / "truth" / "area.csv").open(encoding="utf-8", newline="") as file:
        true = {float(row["time_s"]): row["area_frac"] for row in csv.DictReader(file)}
    return blood[:, view].mean(1), np.array([float(true[time_s]) for time_s in times_s])


@pytest.mark.parametrize(
    ("name", "least_frac", "bias_frac"),
    [("ube-blood", 0.5, 0.12), ("ube-blood-open", 0.4, 0.2)],
)
def test_a_flooded_view_is_measured_as_one(name, least_frac, bias_frac):
    measured, true = _measured_and_true(name, FLOODED_S)
    assert true.min() > 0.8
    assert measured.min() > least_frac
    assert (measured - true).mean() == pytest.approx(0, abs=bias_frac)


@pytest.mark.parametrize("name", ["ube-blood", "ube-blood-open"])
def test_a_clear_view_is_measured_as_one(name):
    measured, true = _measured_and_true(name, CLEAR_S)
    assert true.max() < 0.01
    assert measured == pytest.approx(true, abs=0.005)


@pytest.mark.parametrize("name", ["ube-blood", "ube-blood-open"])
def test_blood_in_a_dim_view_is_measured_as_in_a_lit_one(name):
    lit, true = _measured_and_true(name, BLEEDING_S)
    assert 0.2 < true.min() < true.max() < 0.5
    dim, _ = _measured_and_true(name, BLEEDING_S, 0.25)
    assert np.abs(dim - lit).mean() < 0.012  # without an exposure gain 0.022


@pytest.mark.parametrize("name", ["ube-blood", "ube-blood-open"])
def test_a_dim_flood_stays_a_flood_and_a_dim_clear_view_clear(name):
    dim, true = _measured_and_true(name, (*FLOODED_S, *CLEAR_S), 0.25)
    assert dim[: len(FLOODED_S)].min() > 0.4
    assert dim[len(FLOODED_S) :] == pytest.approx(true[len(FLOODED_S) :], abs=0.005)


@pytest.mark.parametrize("name", ["ube-blood", "ube-blood-open"])
def test_blood_behind_a_veil_is_measured_as_in_a_clear_view(name):
    clear, _ = _measured_and_true(name, BLEEDING_S)
    hazy, true = _measured_and_true(name, (*BLEEDING_S, *FLOODED_S, *CLEAR_S), haze=0.5)
    bleeding, flooded, calm = np.split(hazy, np.cumsum([len(BLEEDING_S), len(FLOODED_S)]))
    assert np.abs(bleeding - clear).mean() < 0.03  # without haze removal 0.12, 0.05
    assert flooded.min() > 0.5  # without haze removal 0
    assert calm == pytest.approx(true[-len(CLEAR_S) :], abs=0.005)
