from __future__ import annotations

import base64
import shutil
import time

import cv2
import numpy as np
import pytest
from review.desk.conftest import RECORDING

from ubereport.core.errors import UsageError
from ubereport.files.records.store import read_case
from ubereport.review.desk.recordings import PartState, find_parts, recording_files
from ubereport.review.journal import read_journal


def _state(client, reviewer="KT"):
    return client.get("/api/cases/0/review", params={"reviewer": reviewer}).json()


def _say(client, **content):
    return client.post("/api/cases/0/strokes", json={"reviewer": "KT", **content})


def test_a_case_is_told_without_a_path(visit, case_folder):
    client = visit(case_folder, RECORDING)
    facts = client.get("/api/cases/0/facts")
    assert facts.json()["case_id"] == "C001"
    for text in (facts.text, client.get("/api/library").text, str(_state(client))):
        assert "recording.mp4" not in text
        assert str(case_folder.parent) not in text


def test_a_strike_is_kept_and_moves_the_numbers(visit, case_folder):
    client = visit(case_folder)
    before = _state(client)
    event = before["events"][0]
    after = _say(client, action="strike", event=[event["onset_s"], event["end_s"]])
    assert after.status_code == 200
    assert after.json()["n_open"] == before["n_open"] - 1
    metrics = {m["key"]: m for m in after.json()["metrics"]}
    assert metrics["event_count"]["reviewed"] == metrics["event_count"]["measured"] - 1
    assert len(read_journal(case_folder, "C001").strokes) == 1
    undone = _say(client, action="undo").json()
    assert undone["n_open"] == before["n_open"]


def test_a_mended_event_shows_the_peak_that_it_has_now(visit, case_folder):
    client = visit(case_folder)
    event = max(_state(client)["events"], key=lambda e: e["peak_s"] - e["onset_s"])
    assert event["peak_s"] > event["onset_s"] + 1
    clear_s = (event["onset_s"] + event["peak_s"]) / 2
    bounds = [event["onset_s"], event["end_s"]]
    after = _say(client, action="set_clear", event=bounds, time_s=clear_s).json()
    mended = next(e for e in after["events"] if e["verdict"] == "mended")
    assert event["onset_s"] <= mended["peak_s"] <= clear_s
    assert mended["peak_area_frac"] <= event["peak_area_frac"]


def test_the_picture_of_a_moment_is_the_one_that_stands_there(visit, case_folder):
    client = visit(case_folder, RECORDING)
    answer = client.get("/api/cases/0/picture", params={"time_s": 40.0, "exact": 1, "width": 480})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-exact"] == "1"
    assert 0 <= 40.0 - float(answer.headers["x-time-s"]) < 0.05
    near = client.get("/api/cases/0/picture", params={"time_s": 40.0, "exact": 0, "width": 480})
    assert float(near.headers["x-time-s"]) <= 40.0


def test_without_the_recording_key_frames_are_shown_and_said_to_be(visit, case_folder):
    client = visit(case_folder)
    frames = read_case(case_folder).key_frames
    answer = client.get("/api/cases/0/picture", params={"time_s": frames[0].time_s + 0.3})
    assert answer.status_code == 200
    assert answer.headers["x-exact"] == "0"
    assert float(answer.headers["x-time-s"]) == pytest.approx(frames[0].time_s)
    assert _state(client)["parts"][0]["state"] == "missing"
    refused = client.get("/api/cases/0/mask", params={"time_s": 10})
    assert refused.status_code == 400
    assert "--recording" in refused.json()["error"]


def test_a_mended_mask_is_kept_with_its_picture_and_changes_the_area(visit, case_folder):
    client = visit(case_folder, RECORDING)
    peak_s = _state(client)["events"][0]["peak_s"]
    told = client.get("/api/cases/0/mask", params={"time_s": peak_s}).json()
    field = cv2.imdecode(
        np.frombuffer(base64.b64decode(told["field_png"]), np.uint8), cv2.IMREAD_GRAYSCALE
    )
    drawn = np.zeros_like(field)
    drawn[: field.shape[0] // 2] = 255
    png = base64.b64encode(bytes(cv2.imencode(".png", drawn)[1])).decode()
    answer = _say(client, action="mask", time_s=told["time_s"], mask_png=png)
    assert answer.status_code == 200, answer.text
    stroke = read_journal(case_folder, "C001").strokes[0]
    assert stroke.area_frac == pytest.approx((drawn[field > 0] > 0).mean())
    kept = cv2.imread(str(case_folder / stroke.mask.mask_path), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(kept > 0, (drawn > 0) & (field > 0))
    assert (case_folder / stroke.mask.picture_path).is_file()


def test_a_picture_that_was_not_measured_takes_no_mask_and_no_area(visit, case_folder):
    client = visit(case_folder, RECORDING)
    series = read_case(case_folder).series
    lost_s = float(series.time_s[~series.is_valid][0])
    png = base64.b64encode(bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1])).decode()
    answer = _say(client, action="mask", time_s=lost_s, mask_png=png)
    assert answer.status_code == 409
    assert not (case_folder / "review").exists()
    answer = _say(client, action="area", time_s=lost_s, area_frac=0.2)
    assert answer.status_code == 409
    assert "would change no number" in answer.json()["error"]
    assert read_journal(case_folder, "C001").strokes == ()


def test_another_recording_is_not_shown(visit, case_folder, tmp_path):
    other = tmp_path / "other.mp4"
    content = bytearray(RECORDING.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    client = visit(case_folder, other)
    for _ in range(100):
        state = _state(client)["parts"][0]["state"]
        if state != "checking":
            break
        time.sleep(0.1)
    assert state == "other"
    answer = client.get("/api/cases/0/picture", params={"time_s": 40.0, "exact": 1})
    assert answer.headers["x-exact"] == "0"


def test_a_recording_is_found_in_a_folder_by_what_it_is(case_folder, tmp_path):
    shutil.copy(RECORDING, tmp_path / "Patient Name.MP4")
    (tmp_path / "longer.mp4").write_bytes(RECORDING.read_bytes() + b"x")
    parts = read_case(case_folder).parts
    found = find_parts(parts, recording_files([tmp_path]))
    assert found[0].path.name == "Patient Name.MP4"
    assert found[0].state is PartState.CHECKING
    with pytest.raises(UsageError, match="Recording 1 that was given is not there"):
        recording_files([tmp_path / "absent"])


def test_a_tampered_review_is_told_and_the_measured_numbers_stand(visit, case_folder):
    client = visit(case_folder)
    event = _state(client)["events"][0]
    for _ in range(2):
        _say(client, action="confirm", event=[event["onset_s"], event["end_s"]])
    path = case_folder / "review.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"KT"', b'"MS"', 1))
    answer = client.get("/api/cases/0/review", params={"reviewer": "KT"})
    assert answer.status_code == 409
    assert "Line 2 of the review" in answer.json()["error"]
    assert client.get("/api/cases/0/facts").status_code == 200


def test_what_cannot_be_is_answered_by_one_sentence(visit, case_folder):
    client = visit(case_folder)
    for content, status in (
        ({"action": "strike", "event": [1.0, 1.5]}, 409),
        ({"action": "confirm"}, 400),
        ({"action": "split", "event": [1.0, 2.0], "time_s": 1e9}, 400),
        ({"action": "bless"}, 400),
        ({"action": "not_blood", "stretch": [2.0, 1.0]}, 400),
        ({"action": "not_blood", "stretch": [True, 2.0]}, 400),
        ({"action": "not_blood", "stretch": [1.0]}, 400),
        ({"action": "area", "time_s": "12", "area_frac": 0.1}, 400),
        ({"action": "undo"}, 400),
        ({"action": "mask", "time_s": 40.0, "mask_png": "no"}, 400),
    ):
        answer = _say(client, **content)
        assert answer.status_code == status, content
        assert answer.json()["error"].endswith(".")
    assert not (case_folder / "review.jsonl").exists()


def test_a_library_lists_its_cases(visit, case_folder):
    shutil.copytree(case_folder, case_folder.parent / "second")
    rows = visit(case_folder.parent).get("/api/library").json()
    assert [row["number"] for row in rows] == [0, 1]
    assert rows[0]["case_id"] == "C001"


def test_a_folder_without_a_case_is_refused(shelf_of, tmp_path):
    with pytest.raises(UsageError, match="There is no case to review"):
        shelf_of(tmp_path)
