"""What a review can bring: a simulated recording against its truth, before and after."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from review.desk.conftest import RECORDING, measured_case  # noqa: F401 -- a fixture

from ubereport.core.intervals import Interval
from ubereport.laboratory.evaluation.recordings import evaluate_recording
from ubereport.laboratory.evaluation.truth import read_truth
from ubereport.review.desk.case_desk import CaseDesk, Saying
from ubereport.review.strokes import Action, MendedMask

KEPT = MendedMask("review/a.png", "0" * 64, "review/b.png", "0" * 64)


@pytest.mark.slow
def test_a_review_brings_events_and_area_to_the_truth(measured_case, tmp_path):  # noqa: F811
    """Red thresholds take five events for three; a person strikes, adds, and mends masks."""
    folder = tmp_path / measured_case.name
    shutil.copytree(measured_case, folder)
    truth = read_truth(RECORDING.parent / "truth")
    desk = CaseDesk(folder)
    record, max_gap_s = desk.record, desk.config.events.max_gap_s
    before = evaluate_recording(record.series, record.events, truth, max_gap_s)
    missed = [truth.event_interval(event, max_gap_s) for event in truth.events]
    for event in record.events:
        span = Interval(event.onset_s, event.end_s)
        alike = [true for true in missed if span.iou(true) >= 0.5]
        missed = [true for true in missed if true not in alike]
        action = Action.CONFIRM if alike else Action.STRIKE
        desk.say(Saying(action, "KT", (event.onset_s, event.end_s)))
    for true in missed:
        desk.say(Saying(Action.ADD, "KT", stretch=(true.start_s, true.end_s)))
    said = desk.reviewed(desk.journal(), "KT")
    decided = evaluate_recording(said.series, said.events, truth, max_gap_s)
    assert min(score.f1 for score in before.events) < 0.6
    assert [score.f1 for score in decided.events] == [1.0, 1.0, 1.0]
    assert decided.area_mae_frac < before.area_mae_frac
    for time_s, is_valid in zip(record.series.time_s, record.series.is_valid, strict=True):
        row = np.searchsorted(truth.time_s, time_s + 1e-6, side="right") - 1
        if is_valid and truth.is_valid[row]:
            area_frac = round(float(truth.area_frac[row]), 2)
            desk.say(Saying(Action.MASK, "KT", None, None, float(time_s), area_frac, KEPT))
    said = desk.reviewed(desk.journal(), "KT")
    mended = evaluate_recording(said.series, said.events, truth, max_gap_s)
    assert [score.f1 for score in mended.events] == [1.0, 1.0, 1.0]
    assert mended.area_mae_frac < 0.005
