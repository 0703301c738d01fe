"""What the nouns refuse to be: a value that cannot be is told where it is made."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.frames import FieldOfView, FieldShape, FrameBatch, PixelBox, SamplingPlan
from ubereport.core.metrics import MetricValue
from ubereport.core.recording import PartIndex, PlacedPart, RecordingIndex, Timeline, VideoFormat
from ubereport.core.series import AreaSeries, LossReason

EVENT = HemostasisEvent(
    onset_s=1.0, is_onset_observed=True, peak_s=2.0, peak_area_frac=0.3, end_s=4.0, clear_s=4.0,
    censor_reason=CensorReason.NONE, mean_area_frac=0.2, area_time_frac_s=0.6, is_rebleed=False,
    severity=Severity.MODERATE,
)  # fmt: skip
VIDEO = VideoFormat(
    "mp4", "h264", "yuv420p", 64, 48, 8, 0, False, "bt709", "limited", Fraction(1), Fraction(25),
)  # fmt: skip
PART = PartIndex(
    Path("a.mp4"), "0" * 64, 10, VIDEO, Fraction(1, 25), np.array([0, 1, 2]),
    np.array([0.0, 0.04, 0.08]), np.array([True, False, False]), 0.12, None, None, (),
)  # fmt: skip
PLAN = SamplingPlan([0, 0], [0, 5], [0.0, 0.5], [0.5, 0.5], "because")
SERIES = AreaSeries(
    time_s=[0.0, 0.5], duration_s=[0.5, 0.5], part_index=[0, 0], area_frac=[0.1, np.nan],
    area_frac_lenient=[0.2, np.nan], area_frac_strict=[0.0, np.nan], is_valid=[True, False],
    reason=(LossReason.NONE, LossReason.BLACK),
)  # fmt: skip
BOX = PixelBox(0, 0, 4, 4)
FIELD = FieldOfView(FieldShape.FULL, BOX, 4, 4, np.ones((2, 2), bool), 1.0)
BATCH = FrameBatch(
    np.zeros((2, 4, 4, 3), np.uint8), np.arange(2), np.arange(2.0), np.zeros(2, int),
    np.ones(2, bool), np.zeros(2, bool),
)  # fmt: skip
METRIC = MetricValue("area_mean_frac", "1", 0.1, "", 10, 1.0)

IMPOSSIBLE = [
    (EVENT, {"peak_s": 5.0}, "onset ≤ peak ≤ end"),
    (EVENT, {"onset_s": 2.5}, "onset ≤ peak ≤ end"),
    (EVENT, {"clear_s": None}, "censored"),
    (EVENT, {"censor_reason": CensorReason.VIEW_LOST}, "censored"),
    (EVENT, {"clear_s": 3.0}, "ends at its clearing"),
    (VIDEO, {"width_px": 0}, "0 × 48"),
    (VIDEO, {"rotation_deg": 45}, "45°"),
    (PART, {"time_s": np.array([0.0, 0.04])}, "one common length"),
    (PART, {"pts": np.array([0, 2, 2])}, "increase strictly"),
    (PART, {"time_s": np.array([0.0, 0.08, 0.04])}, "increase strictly"),
    (PART, {"duration_s": 0.08}, "longer than its last"),
    (PLAN, {"time_s": [0.0]}, "differ in length"),
    (PLAN, {"time_s": [0.5, 0.5]}, "must increase"),
    (PLAN, {"duration_s": [0.5, 0.0]}, "must be positive"),
    (SERIES, {"part_index": [0]}, "part_index has 1 entries"),
    (SERIES, {"duration_s": [0.5, 0.0]}, "positive and finite"),
    (SERIES, {"duration_s": [0.5, np.inf]}, "positive and finite"),
    (SERIES, {"duration_s": [0.6, 0.5]}, "row 0 ends at 0.6"),
    (SERIES, {"is_valid": [True, True]}, "loss reason exactly where"),
    (SERIES, {"area_frac": [0.1, 0.2]}, "NaN exactly where"),
    (SERIES, {"area_frac_strict": [np.nan, np.nan]}, "NaN exactly where"),
    (SERIES, {"area_frac": [10.0, np.nan]}, "not percent"),
    (SERIES, {"area_frac_of_tissue": [10.0, np.nan]}, "not percent"),
    (SERIES, {"area_frac_of_tissue": [0.1, 0.1]}, "NaN where a row is not valid"),
    (SERIES, {"area_frac_of_tissue": [0.1]}, "area_frac_of_tissue has 1 entries"),
    (BOX, {"right_px": 0}, "pixel box"),
    (BOX, {"top_px": -1}, "pixel box"),
    (FIELD, {"mask": np.zeros((2, 2), bool)}, "at least one pixel"),
    (FIELD, {"crop": PixelBox(0, 0, 5, 4)}, "beyond the picture"),
    (BATCH, {"rgb": np.zeros((2, 4, 4, 3), np.float32)}, "uint8"),
    (BATCH, {"rgb": np.zeros((2, 4, 4, 1), np.uint8)}, "uint8"),
    (BATCH, {"time_s": np.arange(3.0)}, "time_s needs shape"),
    (METRIC, {"value": None}, "exactly where it has no value"),
    (METRIC, {"reason": "no event"}, "exactly where it has no value"),
    (METRIC, {"value": float("nan")}, "NaN is no value"),
]


@pytest.mark.parametrize(("sound", "change", "words"), IMPOSSIBLE)
def test_what_cannot_be_is_refused(sound, change, words):
    with pytest.raises(ValueError, match=words):
        replace(sound, **change)


def test_parts_are_in_order_and_at_least_one():
    with pytest.raises(ValueError, match="at least one part"):
        RecordingIndex(())
    with pytest.raises(ValueError, match="part 2 starts before"):
        Timeline((PlacedPart(0, 0.0, 10.0), PlacedPart(1, 9.0, 5.0)))
    assert Timeline((PlacedPart(0, 0.0, 10.0), PlacedPart(1, 12.0, 5.0))).end_s == 17.0


def test_arrays_cannot_be_written_to():
    for array in (SERIES.area_frac, PLAN.time_s, PART.pts, FIELD.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_missing_tail_is_what_was_declared_and_not_found():
    assert PART.missing_tail_s == 0.0
    assert replace(PART, declared_duration_s=10.0).missing_tail_s == pytest.approx(9.88)
    assert replace(PART, declared_duration_s=0.05).missing_tail_s == 0.0


@pytest.mark.parametrize("times_s", [[0.0, np.nan], [0.0, np.inf], [0.0, 0.0]])
def test_times_of_a_series_are_finite_and_increase(times_s):
    zeros = np.zeros(2)
    with pytest.raises(ValueError, match="finite and increase strictly"):
        AreaSeries(
            np.array(times_s), np.full(2, 5e-7), np.zeros(2, int), zeros, zeros, zeros,
            np.ones(2, bool), (LossReason.NONE,) * 2,
        )  # fmt: skip
