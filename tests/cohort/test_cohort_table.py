from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from files.records.conftest import close_folder

from ubereport.cohort.casefile import EVENT_COLUMNS, read_case_row
from ubereport.cohort.library import find_case
from ubereport.cohort.table import cohort_table, group_labels, read_cohort
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.records.store import write_case

MANIFEST = {"date": "2026-01-05", "surgeon": "S1", "technique": "bone wax", "age": 60}


def test_cases_and_events_are_tidy(write_case_folder, tmp_path):
    write_case_folder("b", {"impaired_share_20": 0.2, "area_mean_frac": None}, MANIFEST)
    write_case_folder("a", {"impaired_share_20": 0.1, "area_mean_frac": 0.05}, None)
    table = read_cohort(tmp_path / "library")
    assert table.cases["case_id"].tolist() == ["a", "b"]
    assert table.cases["impaired_share_20"].tolist() == [0.1, 0.2]
    assert table.column("technique") == [None, "bone wax"]
    assert math.isnan(table.cases["area_mean_frac"][1])
    assert table.reasons == {("b", "area_mean_frac"): "no data"}
    assert table.metric_keys == ("impaired_share_20", "area_mean_frac")
    assert set(table.covariates) == set(MANIFEST)
    assert tuple(table.events.columns) == EVENT_COLUMNS
    assert table.events["time_to_clear_s"].tolist() == [30.0] * 6
    assert table.cases["n_flags"].tolist() == [0, 0]  # only an information flag each


def test_half_written_and_damaged_cases_are_told_and_end_nothing(write_case_folder, tmp_path):
    write_case_folder("good", manifest=MANIFEST)
    (write_case_folder("half", manifest=MANIFEST) / "case.json").unlink()
    (write_case_folder("cut") / "case.json").write_text('{"case_id": "cu')
    (write_case_folder("list") / "case.json").write_text("[]")
    (write_case_folder("bad", manifest={"age": "old"})).touch()
    newer = write_case_folder("newer") / "case.json"
    newer.write_text(
        newer.read_text().replace('"schema_version": "1.0"', '"schema_version": "9.0"')
    )
    odd = write_case_folder("odd") / "case.json"
    odd.write_text(odd.read_text().replace('"schema_version": "1.0"', '"schema_version": "x"'))
    lacking = write_case_folder("lacking") / "case.json"
    content = json.loads(lacking.read_text())
    del content["provenance"]["model"]
    lacking.write_text(json.dumps(content))
    table = read_cohort(tmp_path / "library")
    assert table.cases["case_id"].tolist() == ["good"]
    reasons = {case.folder: case.reason for case in table.unread}
    assert "not finished" in reasons["half"]
    assert "cut off or damaged" in reasons["cut"]
    assert "holds no case" in reasons["list"]
    assert "age = 'old'" in reasons["bad"]
    assert "schema 9.0" in reasons["newer"]
    assert "schema_version 'x'" in reasons["odd"]
    assert "lacks or misuses 'model'" in reasons["lacking"]


def test_other_folders_and_links_are_passed_over(write_case_folder, tmp_path):
    real = write_case_folder("real")
    library = tmp_path / "library"
    (library / ".real.new-abc").mkdir()
    (library / ".real.new-abc" / "case.json").write_text("{}")
    (library / "reports").mkdir()
    (library / "note.txt").write_text("x")
    (library / "linked").symlink_to(real)
    table = read_cohort(library)
    assert table.n_cases == 1
    assert table.unread == ()


def test_no_library_no_cases_and_only_broken_cases(write_case_folder, tmp_path):
    with pytest.raises(UsageError, match="library is no folder"):
        read_cohort(tmp_path / "nowhere")
    (tmp_path / "library").mkdir()
    with pytest.raises(UsageError, match=r"holds no readable case\. Fill it"):
        read_cohort(tmp_path / "library")
    (write_case_folder("half") / "case.json").write_text("{")
    with pytest.raises(UsageError, match="1 folders could not be read"):
        read_cohort(tmp_path / "library")


def test_one_case_in_two_folders_counts_once(write_case_folder, tmp_path):
    first = write_case_folder("same")
    second = tmp_path / "library" / "copy"
    second.mkdir()
    (second / "case.json").write_bytes((first / "case.json").read_bytes())
    table = read_cohort(tmp_path / "library")
    assert table.n_cases == 1
    assert len(table.events) == 3
    assert [case.folder for case in table.unread] == ["same"]
    assert "same case id" in table.unread[0].reason


def test_models_and_settings_are_told_apart(write_case_folder, tmp_path):
    for index in range(3):
        write_case_folder(f"a{index}", manifest={"date": f"2026-01-0{index + 1}"})
    write_case_folder("b", manifest={"date": "2026-02-01"}, model_sha256="b" * 64)
    write_case_folder("c", config_toml="[events]\nonset_frac = 0.1\n")
    table = read_cohort(tmp_path / "library")
    assert [model.n_cases for model in table.models] == [3, 1, 1]
    assert [model.is_used for model in table.models] == [True, False, False]
    assert (table.models[0].first_date, table.models[0].last_date) == ("2026-01-01", "2026-01-03")
    assert table.n_set_aside == 2
    assert table.is_used().tolist() == [True, True, True, False, False]


def test_settings_that_do_not_change_numbers_do_not_tell_cases_apart(write_case_folder, tmp_path):
    write_case_folder("a", config_toml="[decode]\nn_threads = 2\n")
    write_case_folder("b", config_toml="[decode]\nn_threads = 4\n")
    assert read_cohort(tmp_path / "library").n_set_aside == 0


def test_one_model_with_and_without_a_rule_of_presence_is_told_apart(write_case_folder, tmp_path):
    write_case_folder("a")
    folder = write_case_folder("b")
    content = json.loads((folder / "case.json").read_text())
    content["provenance"]["model"]["presence"] = {"probability": 0.97, "view_frac": 0.002}
    (folder / "case.json").write_text(json.dumps(content))
    assert len(read_cohort(tmp_path / "library").models) == 2


def test_a_manifest_column_named_like_a_metric_is_renamed(write_case_folder, tmp_path):
    write_case_folder("a", {"impaired_share_20": 0.1}, {"impaired_share_20": "own", "folder": "x"})
    table = read_cohort(tmp_path / "library")
    assert table.column("manifest_impaired_share_20") == ["own"]
    assert table.column("manifest_folder") == ["x"]
    assert table.column("impaired_share_20") == [0.1]


def test_an_event_without_onset_seen_has_no_time_to_clear(write_case_folder):
    folder = write_case_folder("a")
    content = json.loads((folder / "case.json").read_text())
    content["events"][0]["is_onset_observed"] = False
    content["events"][1].update(clear_s=None, censor_reason="view_lost")
    (folder / "case.json").write_text(json.dumps(content))
    events = [
        dict(zip(EVENT_COLUMNS, event, strict=True)) for event in read_case_row(folder).events
    ]
    assert [event["time_to_clear_s"] for event in events] == [None, None, 30.0]
    assert [event["is_censored"] for event in events] == [False, True, False]
    assert events[1]["censor_reason"] == "view_lost"


def test_reading_one_broken_case_raises(tmp_path):
    with pytest.raises(CaseRecordError, match=r"There is no case\.json"):
        read_case_row(tmp_path)


def test_labels_of_groups():
    assert group_labels([1, 1.0, "a", False, None]) == ["1", "1", "a", "no", None]


def test_a_table_without_rows_is_refused():
    with pytest.raises(UsageError, match="no readable case"):
        cohort_table([])


def test_a_case_is_found_by_the_id_that_its_record_states(make_record, tmp_path):
    # Somebody exchanged the names of two folders and renamed a third.
    for case_id, name in (("C-000", "C-001"), ("C-001", "C-000"), ("C-002", "old")):
        write_case(replace(make_record(), case_id=case_id, key_frames=()), tmp_path / name)
    for case_id, name in (("C-000", "C-001"), ("C-001", "C-000"), ("C-002", "old"), ("old", "old")):
        folder, record = find_case(tmp_path, case_id)
        assert folder.name == name
        assert record.case_id in (case_id, "C-002")
    with pytest.raises(UsageError, match="no case of that id"):
        find_case(tmp_path, "C-003")


def test_a_folder_that_nobody_may_look_into_is_one_unread_case(write_case_folder, monkeypatch):
    library = write_case_folder("c1", manifest=MANIFEST).parent
    close_folder(monkeypatch, write_case_folder("c2"))
    (library / "notes").mkdir()
    table = read_cohort(library)
    assert list(table.cases["case_id"]) == ["c1"]
    ((folder, reason),) = [(case.folder, case.reason) for case in table.unread]
    assert folder == "c2"
    assert reason.startswith("The case folder cannot be read (Permission denied).")
