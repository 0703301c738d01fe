"""A case against the truth of its recording, counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ubereport.core.config import EventConfig
from ubereport.core.errors import AnnotationError
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.intervals import Interval
from ubereport.core.series import AreaSeries, LossReason
from ubereport.laboratory.evaluation.recordings import (
    RECORDING_KEYS,
    evaluate_recording,
    over_recordings,
)
from ubereport.laboratory.evaluation.truth import RecordingTruth, TrueEvent, TrueStretch, read_truth
from ubereport.laboratory.evaluation.writing import json_bytes, recording_summary, recording_table

GAP_S = EventConfig().max_gap_s


def series_of(area_frac, duration_s=0.5, reason=None, start_s=0.0):
    area = np.asarray(area_frac, dtype=float)
    n = len(area)
    reason = [LossReason.NONE] * n if reason is None else reason
    is_valid = np.array([r is LossReason.NONE for r in reason])
    area = np.where(is_valid, area, np.nan)
    return AreaSeries(
        time_s=start_s + np.arange(n) * duration_s,
        duration_s=np.full(n, duration_s),
        part_index=np.zeros(n, int),
        area_frac=area,
        area_frac_lenient=area,
        area_frac_strict=area,
        is_valid=is_valid,
        reason=tuple(reason),
    )


def event(onset_s, end_s, *, is_cleared=True, is_onset_observed=True):
    return HemostasisEvent(
        onset_s=onset_s,
        is_onset_observed=is_onset_observed,
        peak_s=onset_s,
        peak_area_frac=0.3,
        end_s=end_s,
        clear_s=end_s if is_cleared else None,
        censor_reason=CensorReason.NONE if is_cleared else CensorReason.VIEW_LOST,
        mean_area_frac=0.2,
        area_time_frac_s=1.0,
        is_rebleed=False,
        severity=Severity.MODERATE,
    )


def truth_of(area_frac, is_valid=None, events=(), stretches=(), rate_hz=10):
    area = np.asarray(area_frac, dtype=float)
    is_valid = np.ones(len(area), bool) if is_valid is None else is_valid
    return RecordingTruth(
        time_s=np.arange(len(area)) / rate_hz,
        area_frac=np.where(is_valid, area, np.nan),
        is_valid=is_valid,
        events=tuple(events),
        stretches=tuple(stretches),
    )


def test_area_is_compared_at_the_time_of_each_sample():
    time_s = np.arange(600) / 10
    truth = truth_of(time_s / 100)
    samples_s = np.arange(120) * 0.5
    found = evaluate_recording(series_of(samples_s / 100 + 0.02), (), truth, GAP_S)
    assert found.area_bias_frac == pytest.approx(0.02)
    assert found.area_mae_frac == pytest.approx(0.02)
    assert found.compared_s == pytest.approx(60.0)
    assert found.area_limits_frac == pytest.approx((0.02, 0.02))


def test_area_weighs_samples_by_their_time_and_leaves_out_what_is_lost_on_either_side():
    truth = truth_of(np.full(100, 0.1), is_valid=np.arange(100) < 60)
    area = np.array([0.2, 0.1, 0.4, 0.1])
    series = AreaSeries(
        time_s=[0.0, 3.0, 4.0, 8.0],
        duration_s=[3.0, 1.0, 1.0, 2.0],
        part_index=[0] * 4,
        area_frac=[0.2, 0.1, np.nan, 0.1],
        area_frac_lenient=[0.2, 0.1, np.nan, 0.1],
        area_frac_strict=[0.2, 0.1, np.nan, 0.1],
        is_valid=[True, True, False, True],
        reason=(LossReason.NONE, LossReason.NONE, LossReason.BLURRED, LossReason.NONE),
    )
    found = evaluate_recording(series, (), truth, GAP_S)
    # The third sample is lost in the case, the fourth in truth.
    assert found.area_mae_frac == pytest.approx((3 * abs(area[0] - 0.1) + 1 * 0) / 4)
    assert found.compared_s == pytest.approx(4.0)
    assert found.true_valid_s == pytest.approx(6.0)


def test_nothing_to_compare_is_none_not_zero():
    truth = truth_of(np.zeros(50), is_valid=np.zeros(50, bool))
    summary = recording_summary(evaluate_recording(series_of(np.zeros(10)), (), truth, GAP_S))
    assert summary["area_mae_frac"] is None
    assert summary["event_f1_50"] is None
    assert summary["onset_error_median_s"] is None
    assert summary["false_events_per_hour"] is None


TRUE = (TrueEvent(10, 20, 0.3), TrueEvent(40, 50, 0.3), TrueEvent(70, 80, 0.3))
# IoU with their true ones: 9 of 11, 4 of 12; the last is a false one.
FOUND = (event(11, 21), event(46, 52), event(100, 110))


def test_events_by_hand():
    truth = truth_of(np.zeros(3600), events=TRUE)
    found = evaluate_recording(series_of(np.zeros(720)), FOUND, truth, GAP_S)
    loose, middle, tight = found.events
    assert (loose.n_true, loose.n_found, loose.n_matched) == (3, 3, 2)
    assert loose.f1 == pytest.approx(4 / 6)
    assert middle.n_matched == 2
    assert tight.n_matched == 1
    assert tight.f1 == pytest.approx(2 / 6)
    assert (tight.precision, tight.recall) == pytest.approx((1 / 3, 1 / 3))
    assert [m.iou for m in found.matches] == pytest.approx([9 / 11, 4 / 12])
    # onset errors 1 and 6, clearing errors 1 and 2
    assert found.onset_error_median_s == pytest.approx(3.5)
    assert found.clear_error_median_s == pytest.approx(1.5)
    assert found.onset_bias_quartiles_s == pytest.approx((2.25, 3.5, 4.75))
    # one false event in six minutes of good view
    assert found.false_events_per_hour == pytest.approx(10.0)
    with pytest.raises(KeyError):
        found.event_score(0.9)


def test_errors_are_signed_in_the_quartiles_and_absolute_in_the_median():
    truth = truth_of(np.zeros(3600), events=TRUE[:2])
    found = evaluate_recording(
        series_of(np.zeros(720)), (event(8, 20), event(42, 50)), truth, GAP_S
    )
    assert found.onset_error_median_s == 2.0
    assert found.onset_bias_quartiles_s[1] == 0.0


def test_moments_that_nobody_saw_have_no_error():
    truth = truth_of(np.zeros(3600), events=(TrueEvent(10, None, 0.3), TrueEvent(40, 50, 0.2)))
    events = (event(10, 360, is_cleared=False), event(41, 50, is_onset_observed=False))
    found = evaluate_recording(series_of(np.zeros(720)), events, truth, GAP_S)
    assert [m.clear_error_s for m in found.matches] == [None, 0.0]
    assert [m.onset_error_s for m in found.matches] == [0.0, None]


def test_a_true_event_without_clearing_ends_where_the_view_was_last_good():
    is_valid = np.ones(1000, bool)
    is_valid[200:250] = False  # 5 s: a short loss, the event goes on
    is_valid[400:600] = False  # 20 s: the event ends here
    truth = truth_of(np.zeros(1000), is_valid=is_valid)
    found = truth.event_interval(TrueEvent(15.0, None, 0.3), GAP_S)
    assert (found.start_s, found.end_s) == pytest.approx((15.0, 40.0))
    late = truth.event_interval(TrueEvent(70.0, None, 0.3), GAP_S)
    assert (late.start_s, late.end_s) == pytest.approx((70.0, 100.0))
    cleared = truth.event_interval(TrueEvent(15.0, 18.0, 0.3), GAP_S)
    assert cleared == Interval(15.0, 18.0)


@pytest.mark.parametrize(
    ("true", "found", "f1"), [((), (), None), (TRUE, (), 0.0), ((), FOUND, 0.0)]
)
def test_f1_without_events_on_one_or_both_sides(true, found, f1):
    truth = truth_of(np.zeros(3600), events=true)
    assert (
        evaluate_recording(series_of(np.zeros(720)), found, truth, GAP_S).event_score(0.5).f1 == f1
    )


def stretch(start_s, end_s, reason):
    return TrueStretch(Interval(start_s, end_s), reason)


def test_lost_time_by_reason_in_seconds():
    none, black, blurred = LossReason.NONE, LossReason.BLACK, LossReason.BLURRED
    # Truth: black 10.0 to 13.2, blurred 20 to 24.
    truth = truth_of(
        np.zeros(400),
        stretches=(
            stretch(0, 10, none),
            stretch(10, 13.2, black),
            stretch(13.2, 20, none),
            stretch(20, 24, blurred),
        ),
    )
    reason = [none] * 80
    reason[20:27] = [black] * 7  # 10.0 to 13.5
    reason[40:44] = [black] * 4  # 20 to 22: lost, but for the wrong reason
    reason[44:46] = [blurred] * 2  # 22 to 23
    found = evaluate_recording(series_of(np.zeros(80), reason=reason), (), truth, GAP_S)
    scores = {s.reason: s for s in found.reasons}
    assert set(scores) == {black, blurred, None}
    assert scores[black].true_s == pytest.approx(3.2)
    assert scores[black].found_s == pytest.approx(5.5)
    assert scores[black].precision == pytest.approx(3.2 / 5.5)
    assert scores[black].recall == pytest.approx(1.0)
    assert scores[blurred].recall == pytest.approx(1 / 4)
    assert scores[blurred].precision == 1.0
    assert scores[None].precision == pytest.approx(6.2 / 6.5)
    assert scores[None].recall == pytest.approx(6.2 / 7.2)


def test_pauses_are_no_lost_time():
    reason = [LossReason.NONE] * 4 + [LossReason.PAUSE] * 4
    truth = truth_of(np.zeros(40))
    found = evaluate_recording(series_of(np.zeros(8), reason=reason), (), truth, GAP_S)
    assert [s.reason for s in found.reasons] == [None]
    assert found.reasons[0].recall is None


def test_over_recordings_is_a_mean_with_recordings_resampled():
    evaluations = [
        evaluate_recording(series_of(np.full(60, bias)), (), truth_of(np.zeros(300)), GAP_S)
        for bias in (0.01, 0.02, 0.03, 0.06)
    ]
    found = over_recordings(evaluations, n_resamples=500)
    assert set(found) == set(RECORDING_KEYS)
    assert found["area_mae_frac"].value == pytest.approx(0.03)
    assert 0.01 <= found["area_mae_frac"].low < 0.03 < found["area_mae_frac"].high <= 0.06
    assert found["event_f1_50"].value is None


def test_json_has_the_agreed_keys():
    truth = truth_of(np.zeros(3600), events=TRUE)
    found = evaluate_recording(series_of(np.zeros(720)), FOUND, truth, GAP_S)
    table = json.loads(json_bytes(recording_table(found)))
    for key in ("area_mae_frac", "event_f1_50", "onset_error_median_s", "clear_error_median_s"):
        assert key in table
    assert table["reasons"][-1]["reason"] == "any"


FILES = {
    "area.csv": "time_s,area_frac,is_valid,reason\n0.0,0.10,1,\n0.1,,0,black\n0.2,0.30,1,\n",
    "events.csv": "onset_s,clear_s,peak_area_frac\n0.1,,0.4\n0.0,0.05,0.2\n",
    "validity.csv": "start_s,end_s,reason\n0.1,0.2,black\n0.0,0.1,\n",
}


@pytest.fixture
def truth_folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_truth_is_read_from_three_files(truth_folder):
    truth = read_truth(truth_folder)
    assert truth.is_valid.tolist() == [True, False, True]
    assert np.isnan(truth.area_frac[1])
    assert [e.onset_s for e in truth.events] == [0.0, 0.1]
    assert truth.events[1].clear_s is None
    assert [s.reason for s in truth.stretches] == [LossReason.NONE, LossReason.BLACK]
    assert truth.edges_s == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert truth.valid_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("area.csv", None, "cannot be read"),
        ("events.csv", "onset_s,clear_s\n", "lacks peak_area_frac"),
        ("area.csv", "time_s,area_frac,is_valid\n0,0.1\n", "lacks cells"),
        ("area.csv", "time_s,area_frac,is_valid\nx,0.1,1\n1,0.1,1\n", "no number"),
        ("area.csv", "time_s,area_frac,is_valid\n0,nan,1\n1,0.1,1\n", "no number"),
        ("area.csv", "time_s,area_frac,is_valid\n0,7,1\n1,0.1,1\n", "no percent"),
        ("area.csv", "time_s,area_frac,is_valid\n0,0.1,maybe\n1,0.1,1\n", "allowed: 0 or 1"),
        ("area.csv", "time_s,area_frac,is_valid\n1,0.1,1\n0,0.1,1\n", "increasing"),
        ("area.csv", "time_s,area_frac,is_valid\n", "two rows"),
        ("events.csv", "onset_s,clear_s,peak_area_frac\n5,4,0.1\n", "before its onset"),
        ("validity.csv", "start_s,end_s,reason\n0,1,foggy\n", "allowed: black"),
        ("validity.csv", "start_s,end_s,reason\n2,1,black\n", "ends before it starts"),
    ],
)
def test_a_bad_truth_is_refused(truth_folder, name, text, message):
    if text is None:
        (truth_folder / name).unlink()
    else:
        (truth_folder / name).write_text(text)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_truth(truth_folder)
    assert str(truth_folder) not in str(caught.value)


@pytest.mark.parametrize(
    ("time_s", "area_frac", "is_valid"),
    [
        ([0.0, 1.0], [0.1], [True, True]),
        ([0.0, 1.0], [0.1, np.nan], [True, True]),
        ([0.0, 0.0], [0.1, 0.1], [True, True]),
    ],
)
def test_a_truth_that_contradicts_itself_is_refused(time_s, area_frac, is_valid):
    with pytest.raises(ValueError, match=r"true area|differ"):
        RecordingTruth(np.array(time_s), np.array(area_frac), np.array(is_valid), (), ())
