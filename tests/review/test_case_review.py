from __future__ import annotations

import csv
import json
from dataclasses import replace

import openpyxl
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ubereport.cli.main import app
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.events import HemostasisEvent
from ubereport.core.review import ReviewState
from ubereport.core.series import Threshold
from ubereport.files.records.fhir import diagnostic_report
from ubereport.files.records.listing import list_cases
from ubereport.files.records.schema import case_json
from ubereport.files.records.store import read_case, write_case
from ubereport.metrics.event_detection import detect_events
from ubereport.metrics.registry import compute_metrics
from ubereport.review.case_review import reviewed_record, standing_series
from ubereport.review.journal import JOURNAL_NAME, append_stroke
from ubereport.review.strokes import Action

FIRST, SECOND = (60.0, 90.0), (150.0, 180.0)


@pytest.fixture
def measured(two_events, make_record):
    events = detect_events(two_events, EventConfig())
    by_threshold = dict.fromkeys(Threshold, events)
    metrics = compute_metrics(two_events, by_threshold, EventConfig(), MetricConfig())
    return replace(
        make_record(), series=two_events, events=events, metrics=metrics, key_frames=(), review=None
    )


@pytest.fixture
def folder(measured, tmp_path):
    target = tmp_path / "library" / "case"
    write_case(measured, target)
    return target


def _say(folder, record, *strokes):
    for stroke in strokes:
        append_stroke(folder, record.case_id, lambda _, stroke=stroke: stroke)


def _reviewed(folder):
    return reviewed_record(read_case(folder), folder, EventConfig(), MetricConfig())


def test_a_case_that_nobody_reviewed_has_the_bytes_it_always_had(measured, folder):
    assert _reviewed(folder).review is None
    assert b'"review"' not in case_json(measured)


def test_the_record_holds_both_and_comes_back(measured, folder, stroke_of):
    _say(
        folder,
        measured,
        stroke_of(Action.CONFIRM, event=FIRST),
        stroke_of(Action.STRIKE, event=SECOND),
    )
    record = _reviewed(folder)
    write_case(record, folder)
    back = read_case(folder)
    assert back.review == record.review
    review = back.review
    assert (review.state, review.n_confirmed, review.n_struck) == (ReviewState.COMPLETE, 1, 1)
    assert back.metric("event_count").value == 2
    assert review.metric("event_count").value == 1
    assert all(isinstance(event, HemostasisEvent) for event in review.events)
    assert (folder / JOURNAL_NAME).is_file()  # the folder was written anew around it


def test_half_a_review_is_told_as_such(measured, folder, stroke_of):
    _say(folder, measured, stroke_of(Action.CONFIRM, event=FIRST))
    assert _reviewed(folder).review.state is ReviewState.PARTIAL


def test_two_who_differ_leave_the_case_disputed(measured, folder, stroke_of):
    for name, action in (("KT", Action.CONFIRM), ("MS", Action.STRIKE)):
        _say(
            folder,
            measured,
            stroke_of(Action.CONFIRM, event=FIRST, reviewer=name),
            stroke_of(action, event=SECOND, reviewer=name),
        )
    review = _reviewed(folder).review
    assert review.state is ReviewState.DISPUTED
    assert review.event_f1 == pytest.approx(2 / 3)


def test_a_tampered_journal_withholds_its_numbers_and_says_where(measured, folder, stroke_of):
    _say(folder, measured, *[stroke_of(Action.CONFIRM, event=FIRST)] * 2)
    path = folder / JOURNAL_NAME
    path.write_bytes(path.read_bytes().replace(b"60.0", b"61.0", 1))
    record = _reviewed(folder)
    assert record.review is None
    assert "Line 2 of the review" in record.flags[0].message
    assert json.loads(case_json(record))["metrics"] == json.loads(case_json(measured))["metrics"]


def test_a_cohort_takes_the_reviewed_numbers_of_a_case_that_was_seen_whole(
    measured, folder, stroke_of
):
    from ubereport.cohort.casefile import read_case_row
    from ubereport.cohort.caveats import review_caveat
    from ubereport.cohort.table import cohort_table

    _say(
        folder,
        measured,
        stroke_of(Action.CONFIRM, event=FIRST),
        stroke_of(Action.STRIKE, event=SECOND),
    )
    write_case(_reviewed(folder), folder)
    row = read_case_row(folder)
    assert row.is_reviewed
    assert (row.values["event_count"], len(row.events)) == (1, 1)
    before = read_case_row(folder, is_measured=True)
    assert not before.is_reviewed
    assert (before.values["event_count"], len(before.events)) == (2, 2)
    assert review_caveat(cohort_table([row]))[0].startswith("All cases were reviewed")
    assert review_caveat(cohort_table([before])) == ()


@pytest.fixture
def library(measured, folder, stroke_of):
    """One case that was seen whole: of two events one was confirmed and one struck."""
    _say(
        folder,
        measured,
        stroke_of(Action.CONFIRM, event=FIRST),
        stroke_of(Action.STRIKE, event=SECOND),
    )
    write_case(_reviewed(folder), folder)
    (folder / "report.pdf").write_bytes(b"%PDF-1.7")
    return folder.parent


@pytest.mark.parametrize(
    ("given", "word", "n_events"), [((), "reviewed", 1), (("--measured",), "measured", 2)]
)
def test_lists_and_exports_say_whose_numbers_they_hold(library, tmp_path, given, word, n_events):
    out = tmp_path / "out"
    forms = [f"--as={form}" for form in ("csv", "parquet", "xlsx", "fhir")]
    done = CliRunner().invoke(
        app, ["library", "export", str(library), "--out", str(out), *forms, *given]
    )
    assert done.exit_code == 0, done.output
    with (out / "cases.csv").open(encoding="utf-8-sig", newline="") as file:
        (case,) = csv.DictReader(file)
    assert (case["numbers"], float(case["event_count"])) == (word, n_events)
    table = pq.read_table(out / "cases.parquet").to_pylist()[0]
    assert (table["numbers"], table["event_count"]) == (word, n_events)
    head, row = openpyxl.load_workbook(out / "library.xlsx")["cases"].iter_rows(values_only=True)
    assert row[head.index("numbers")] == word
    assert row[head.index("event_count")] == n_events
    assert pq.read_table(out / "events.parquet").num_rows == n_events
    (path,) = (out / "fhir").iterdir()
    counts = [
        o for o in json.loads(path.read_text())["contained"]
        if o["code"]["coding"][0]["code"] == "event_count"
    ]  # fmt: skip
    assert counts[0]["valueQuantity"]["value"] == n_events
    assert ("reviewed by a person" in counts[0]["method"]["text"]) == (word == "reviewed")
    listed = CliRunner().invoke(app, ["library", "list", str(library), "--json", *given])
    (row,) = json.loads(listed.stdout)["cases"]
    assert (row["numbers"], row["event_count"]) == (word, n_events)


def test_a_case_that_is_reviewed_in_part_is_exported_as_measured(measured, folder, stroke_of):
    _say(folder, measured, stroke_of(Action.STRIKE, event=SECOND))
    write_case(_reviewed(folder), folder)
    (row,) = list_cases(folder.parent)
    assert (row.numbers, row.event_count) == ("measured", 2)


def test_reviewed_numbers_need_a_review(measured):
    with pytest.raises(ValueError, match="nobody reviewed"):
        diagnostic_report(measured, b"%PDF", is_reviewed=True)


def test_what_was_said_after_the_last_rendering_does_not_count_yet(measured, folder, stroke_of):
    from ubereport.cohort.casefile import read_case_row

    _say(folder, measured, *[stroke_of(Action.CONFIRM, event=e) for e in (FIRST, SECOND)])
    write_case(_reviewed(folder), folder)
    _say(folder, measured, stroke_of(Action.STRIKE, event=SECOND))
    assert not read_case_row(folder).is_reviewed
    write_case(_reviewed(folder), folder)
    assert read_case_row(folder).values["event_count"] == 1


def test_the_series_that_stands_is_the_reviewers(measured, folder, stroke_of):
    assert standing_series(folder).area_frac == pytest.approx(
        measured.series.area_frac, nan_ok=True
    )
    _say(
        folder,
        measured,
        stroke_of(Action.CONFIRM, event=SECOND),
        stroke_of(Action.STRIKE, event=FIRST),
        stroke_of(Action.NOT_BLOOD, stretch=(FIRST[0] - 5, FIRST[1] + 5)),
    )
    write_case(_reviewed(folder), folder)
    # What is measured from the first use of a technique on must not bring back what is no blood.
    series = standing_series(folder)
    review = read_case(folder).review
    shares = series.duration_s[series.area_frac >= 0.2].sum() / series.evaluable_s
    assert shares == pytest.approx(review.metric("impaired_share_20").value)
    assert shares == 0 < measured.metric("impaired_share_20").value
