"""Which moments of an event are kept as pictures."""

from dataclasses import replace

import numpy as np
import pytest

from ubereport.analysis import key_frames
from ubereport.analysis.key_frames import key_moments
from ubereport.batch.case import CaseRequest, run_case
from ubereport.core.case import KeyFrameKind
from ubereport.core.config import AnalysisConfig, EventConfig, RecordsConfig, SegmentationConfig
from ubereport.core.progress import silent
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records.store import read_case
from ubereport.metrics.event_detection import detect_events


def series_of(areas) -> AreaSeries:
    """Two samples a second; NaN where the view was lost."""
    area = np.array(areas)
    lost = np.isnan(area)
    return AreaSeries(
        time_s=np.arange(len(area)) * 0.5,
        duration_s=np.full(len(area), 0.5),
        part_index=np.zeros(len(area), int),
        area_frac=area,
        area_frac_lenient=area,
        area_frac_strict=area,
        is_valid=~lost,
        reason=tuple(LossReason.BLACK if one else LossReason.NONE for one in lost),
    )


def kept(areas, max_events=12):
    series = series_of(areas)
    events = detect_events(series, EventConfig())
    return events, key_moments(events, series, max_events), series


def test_onset_peak_and_clearing_are_measured_samples():
    events, moments, series = kept([0.0] * 20 + [0.3] * 20 + [0.0] * 40)
    assert [m.kind for m in moments] == list(KeyFrameKind)
    assert [m.time_s for m in moments] == [10.0, 10.0, 20.0]
    assert all(series.time_s[m.row] == m.time_s for m in moments)
    assert events[0].peak_s == 10.0


def test_the_peak_shows_the_area_of_the_peak_and_no_odd_sample():
    areas = [0.0] * 20 + [0.3] * 20 + [0.0] * 40
    # The smoothed area peaks first where the odd sample stands.
    areas[20] = 0.06
    events, moments, series = kept(areas)
    peak = next(m for m in moments if m.kind is KeyFrameKind.PEAK)
    assert abs(peak.time_s - events[0].peak_s) <= 1.0
    assert series.area_frac[peak.row] == events[0].peak_area_frac == 0.3


def test_the_peak_is_a_picture_of_its_own_event():
    # Both parts show the same at the cut, within reach of the second event's peak.
    whole = series_of([0.0] * 20 + [0.4] * 40 + [0.0] * 40)
    series = replace(whole, part_index=(whole.time_s >= 20.0).astype(int))
    first, second = events = detect_events(series, EventConfig())
    assert (first.end_s, second.onset_s, second.peak_s) == (20.0, 20.0, 20.0)
    peaks = [m for m in key_moments(events, series, 12) if m.kind is KeyFrameKind.PEAK]
    assert [m.time_s for m in peaks] == [first.peak_s, 20.0]


def test_a_lost_sample_is_never_kept():
    areas = [0.0] * 20 + [0.3] * 20 + [0.0] * 40
    areas[21:23] = [np.nan, np.nan]
    _, moments, series = kept(areas)
    assert all(series.is_valid[m.row] for m in moments)


def test_the_largest_events_are_kept_in_the_order_of_time():
    small, large = [0.1] * 10, [0.6] * 10
    events, moments, _ = kept([*[0.0] * 20, *small, *[0.0] * 30, *large, *[0.0] * 30], 1)
    assert len(events) == 2
    assert {m.event_index for m in moments} == {1}


@pytest.mark.parametrize("width_px", [64, 640])
def test_what_is_outlined_is_what_was_measured(bleeding_recording, tmp_path, monkeypatch, width_px):
    drawn = []
    monkeypatch.setattr(
        key_frames, "overlay", lambda rgb, mask: drawn.append(float(mask.mean())) or rgb
    )
    config = AnalysisConfig(
        segmentation=SegmentationConfig(model="hsv-red", batch_size=4),
        records=RecordsConfig(key_frame_width_px=width_px),
    )
    run_case(CaseRequest((bleeding_recording,), tmp_path, "C1", config), silent)
    kept_areas = [frame.area_frac for frame in read_case(next(tmp_path.iterdir())).key_frames]
    assert kept_areas[1] > 0.2
    assert drawn == pytest.approx(kept_areas, abs=1e-6)
