"""A plan is declared before the cases are measured, or a comparison says that it was not."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from files.records.conftest import close_folder

from ubereport.cohort.comparison_results import PlanStatus
from ubereport.cohort.plan import (
    PLAN_NAME,
    is_new_library,
    plan_use,
    read_plan,
    write_plan,
)
from ubereport.core.config import CompareConfig
from ubereport.core.errors import UsageError

CONFIG = CompareConfig(margin=0.05)
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def use_of(library, folders=("c1", "c2"), by="technique", config=CONFIG, reference="RF"):
    return plan_use(read_plan(library), by, config, reference, None, folders)


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "library"
    write_plan(folder, "technique", CONFIG, "RF", None, now=NOON)
    return folder


def test_a_plan_comes_back_with_its_seal_and_is_followed(library):
    plan, seal = read_plan(library)
    assert plan.sha256 == seal
    assert (plan.written_at, plan.measured, plan.margin) == ("2026-03-01T12:00:00Z", (), 0.05)
    used = use_of(library)
    assert (used.status, used.written_at) == (PlanStatus.FOLLOWED, "2026-03-01T12:00:00Z")


def test_no_plan_is_told(tmp_path):
    assert use_of(tmp_path).status is PlanStatus.NONE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"by": "surgeon"}, "groups: planned technique, used surgeon"),
        ({"config": CompareConfig("area_mean_frac", margin=0.05)}, "primary metric: planned"),
        ({"reference": None}, "reference: planned RF, used the default"),
        ({"config": CompareConfig()}, "margin: planned 0.05, used the default"),
    ],
)
def test_departures_are_named(library, change, told):
    used = use_of(library, **change)
    assert used.status is PlanStatus.DEPARTED
    assert told in used.detail


def test_a_plan_written_after_its_cases_were_measured_is_late(write_case_folder):
    folder = write_case_folder("c1", manifest={"technique": "RF"})
    write_plan(folder.parent, "technique", CONFIG, "RF", None)
    used = use_of(folder.parent)
    assert used.status is PlanStatus.LATE
    assert "1 of the 2 cases compared had been measured before" in used.detail
    # Cases that came later alone follow it.
    assert use_of(folder.parent, folders=("c2",)).status is PlanStatus.FOLLOWED


def test_a_plan_changed_after_the_fact_is_found(library):
    path = library / PLAN_NAME
    content = json.loads(path.read_text())
    content["primary"] = "area_mean_frac"
    path.write_text(json.dumps(content))
    used = use_of(library, config=CompareConfig("area_mean_frac", margin=0.05))
    assert used.status is PlanStatus.CHANGED
    assert "its seal does not fit" in used.detail


def test_a_plan_is_written_once_or_amended_openly(library):
    with pytest.raises(UsageError, match=r"plan of 2026-03-01T12:00:00Z\. A plan is written once"):
        write_plan(library, "surgeon", CONFIG, None, None)
    first = read_plan(library)[1]
    write_plan(library, "technique", CompareConfig(), None, None, is_amended=True)
    plan, _ = read_plan(library)
    assert plan.replaces == first
    used = use_of(library, config=CompareConfig(), reference=None)
    assert (used.status, used.detail) == (PlanStatus.FOLLOWED, "it replaced an earlier plan")


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(UsageError, match="impaired_share_2 is no metric"):
        write_plan(tmp_path, "technique", CompareConfig("impaired_share_2"), None, None)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}', '{"format": 1}'])
def test_what_is_no_plan_is_refused(tmp_path, content):
    (tmp_path / PLAN_NAME).write_text(content)
    with pytest.raises(UsageError, match=r"plan\.json of the library cannot be read"):
        read_plan(tmp_path)


def test_a_column_that_no_case_has_is_refused_once_there_are_cases(write_case_folder):
    library = write_case_folder("c1", manifest={"surgeon": "S1"}).parent
    write_case_folder("c2", manifest={"technique": "RF"})
    with pytest.raises(UsageError, match=r"tecnique is no column .* Did you mean technique\?"):
        write_plan(library, "tecnique", CONFIG, None, None)
    with pytest.raises(UsageError, match="agee is no column of the manifest here"):
        write_plan(library, "technique", CONFIG, None, ["agee"])
    assert not (library / PLAN_NAME).exists()
    # One case that has it is enough: a column may have come with a later manifest.
    write_plan(library, "technique", CONFIG, None, ["surgeon"])


def test_a_library_without_a_readable_case_does_not_say_which_columns_there_are(write_case_folder):
    folder = write_case_folder("c1")
    (folder / "case.json").write_text("{")
    assert write_plan(folder.parent, "technique", CONFIG, None, None).measured == ("c1",)


def test_a_plan_may_make_the_folder_of_its_library_but_not_of_a_file(tmp_path):
    assert is_new_library(tmp_path / "new")
    write_plan(tmp_path / "new", "technique", CONFIG, None, None)
    assert not is_new_library(tmp_path / "new")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="The library is no folder"):
        write_plan(tmp_path / "file", "technique", CONFIG, None, None)


def test_a_case_that_nobody_may_look_into_was_measured_before_the_plan(
    write_case_folder, monkeypatch
):
    library = write_case_folder("c1", manifest={"technique": "RF"}).parent
    folder = write_case_folder("c2", manifest={"technique": "RF"})
    with monkeypatch.context() as closed:
        close_folder(closed, folder)
        assert write_plan(library, "technique", CONFIG, "RF", None).measured == ("c1", "c2")
    assert use_of(library, folders=("c2",)).status is PlanStatus.LATE
