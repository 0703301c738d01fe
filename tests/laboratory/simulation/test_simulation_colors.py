"""Simulated blood has the color of blood in real operations (none of them a spine endoscopy)."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from ubereport.laboratory.simulation.simulated_stills import simulate_stills

LABELLED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "labelled" / "handmade"


def _measures(rgb: np.ndarray) -> np.ndarray:
    """Green over red, blue over red and value of pixels (n, 3)."""
    level = rgb.astype(float) + 1
    return np.stack([level[:, 1] / level[:, 0], level[:, 2] / level[:, 0], level.max(1)], 1)


def _real_blood() -> np.ndarray:
    with (LABELLED / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["blood_frac"] or 0) > 0.05]
    pixels = []
    for row in rows[::6]:
        bgr = cv2.imread(str(LABELLED / row["image"]))
        mask = cv2.imread(str(LABELLED / "masks" / f"{row['name']}.png"), cv2.IMREAD_GRAYSCALE)
        inside = cv2.erode(mask, np.ones((7, 7), np.uint8)) > 0
        pixels.append(bgr[inside][::97, ::-1])
    return np.concatenate(pixels)


@pytest.mark.shared_data
def test_typical_blood_lies_within_the_middle_of_real_blood():
    if not LABELLED.is_dir():
        pytest.skip("the hand-labelled stills are not beside this checkout")
    real = np.percentile(_measures(_real_blood()), (20, 80), axis=0)
    stills = [rgb[mask] for rgb, mask, _ in simulate_stills(3, 40, 96, 96)]
    simulated = np.median(_measures(np.concatenate(stills)), axis=0)
    assert (simulated > real[0]).all(), (simulated, real)
    assert (simulated < real[1]).all(), (simulated, real)
