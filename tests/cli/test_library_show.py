"""`ubereport library show` says whose numbers it shows."""

import json

import pytest
from cli.test_evaluate_commands import run
from files.records.conftest import make_record  # noqa: F401 -- a fixture

from ubereport.files.records.store import write_case


@pytest.fixture
def reviewed_library(tmp_path, make_record):  # noqa: F811 -- the fixture
    """One case whose review stands: three lines, as its record says."""
    record = make_record(case_id="a")
    files = {path: b"picture" for f in record.key_frames for path in (f.raw_path, f.overlay_path)}
    write_case(record, tmp_path / "a", files)
    (tmp_path / "a" / "review.jsonl").write_bytes(b"{}\n" * record.review.n_lines)
    return tmp_path


def test_a_shown_case_says_whose_numbers_it_has(capsys, reviewed_library, make_record):  # noqa: F811 -- the fixture
    def shown(*options: str) -> dict:
        return json.loads(
            run(capsys, "library", "show", str(reviewed_library), "a", "--json", *options)[1]
        )

    record = make_record(case_id="a")
    reviewed, measured = shown(), shown("--measured")
    assert (reviewed["numbers"], reviewed["reviewer"]) == ("reviewed", "KT")
    assert reviewed["metrics"] == {m.key: m.value for m in record.review.metrics}
    assert (measured["numbers"], measured["reviewer"]) == ("measured", None)
    assert measured["metrics"] == {m.key: m.value for m in record.metrics}
    printed = run(capsys, "library", "show", str(reviewed_library), "a")[1]
    assert "Numbers reviewed by KT." in printed
    lines = printed.splitlines()
    assert all(line.startswith(("Case a ", "Numbers", "Metric  ")) for line in lines[:3])
    (events,) = [m.value for m in record.review.metrics if m.key == "event_count"]
    (row,) = [line for line in lines if line.startswith("Hemostasis events  ")]
    assert row.split()[2] == f"{events:.0f}"


def test_a_stroke_that_no_report_holds_leaves_the_measured_numbers(capsys, reviewed_library):
    with (reviewed_library / "a" / "review.jsonl").open("ab") as journal:
        journal.write(b"{}\n")
    printed = run(capsys, "library", "show", str(reviewed_library), "a")[1]
    assert "Numbers as measured.\n" in printed
