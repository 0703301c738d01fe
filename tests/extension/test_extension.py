"""Extensions: the example is installed and used; a broken one is named and costs no case."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from documents import sample_record

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.extensions import Extension
from ubereport.documents.case import extension as section_extension
from ubereport.documents.case.extension import Section, added_sections
from ubereport.metrics import extension as metric_extension
from ubereport.metrics.case_input import CaseInput, Measurement
from ubereport.metrics.extension import added_metrics, metric

ROOT = Path(__file__).resolve().parents[2]
KEY = "impaired_share_30"

BROKEN = """
import ubereport

@ubereport.metric(title="Divided", unit="1", definition="Nothing.")
def divided(case):
    return ubereport.Measurement(1 / 0, 1, 1.0)

@ubereport.metric(title="Not finite", unit="1", definition="Nothing.")
def not_finite(case):
    return ubereport.Measurement(float("inf"), 1, 1.0)

@ubereport.metric(title="Beyond", unit="1", definition="Nothing.", upper_bound=1.0)
def beyond(case):
    return ubereport.Measurement(1.5, 1, 1.0)

@ubereport.metric(title="Writes", unit="1", definition="Nothing.")
def writes(case):
    case.series.area_frac[:] = 0
    return ubereport.Measurement(0.0, 1, 1.0)

@ubereport.metric(title="Leaves", unit="1", definition="Nothing.")
def leaves(case):
    raise SystemExit("SECRET name of a patient")

@ubereport.metric(title="Taken", unit="1", definition="Nothing.")
def event_count(case):
    return ubereport.Measurement(0.0, 1, 1.0)

def no_metric(case):
    return 1.0

def broken_section(record):
    raise KeyError("SECRET path")

def no_section(record):
    return "<script>"

def hostile_section(record):
    return ubereport.Section("<script>alert(1)</script>", ["{{7*7}}"], ["<b>"], [["<img src=x>"]])
"""
POINTS = """[ubereport.metrics]
divided = broken:divided
not_finite = broken:not_finite
beyond = broken:beyond
writes = broken:writes
leaves = broken:leaves
event_count = broken:event_count
no_metric = broken:no_metric
absent = broken_absent:anything

[ubereport.report_sections]
broken_section = broken:broken_section
no_section = broken:no_section
hostile_section = broken:hostile_section
"""


def ran(program: str, *arguments: object, path: Path) -> str:
    """Run Python in a process of its own that finds what is installed at `path`."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = "import sys; from ubereport.cli.main import main; sys.argv[0] = 'ubereport'; main()"
ANALYZE = """
import sys
import ubereport
from ubereport.core.config import AnalysisConfig, SegmentationConfig
settings = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red"))
case = ubereport.analyze(
    sys.argv[1], sys.argv[2], case_id=sys.argv[3], config=settings, pdf="never"
)
print(case.folder)
"""
COMPARE = ("compare", "--by", "technique", "--pdf", "never", "--primary")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", target, ROOT / "examples" / "extension"],
        check=True,
    )  # fmt: skip
    return target


@pytest.fixture(scope="module")
def folder(installed, bleeding_recording, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("results")
    return Path(ran(ANALYZE, bleeding_recording, out, "C1", path=installed).strip())


def case_of(folder: Path) -> dict:
    return json.loads((folder / "case.json").read_text(encoding="utf-8"))


def library_of(folder: Path, library: Path) -> Path:
    """Make twelve cases of one, with shares that differ between two techniques."""
    for number in range(12):
        copy = library / f"case-{number}"
        shutil.copytree(folder, copy)
        case = case_of(folder) | {"case_id": f"C{number}"}
        for value in case["metrics"]:
            if value["key"] in (KEY, "impaired_share_20"):
                value["value"] = 0.02 * number + 0.3 * (number % 2)
        (copy / "case.json").write_text(json.dumps(case), encoding="utf-8")
        row = {"technique": "ab"[number % 2], "surgeon": "S1", "date": f"2026-03-{number + 1:02d}"}
        (copy / "manifest.json").write_text(json.dumps(row), encoding="utf-8")
    return library


@pytest.mark.slow
def test_the_example_adds_a_metric_and_a_section_to_a_case(folder):
    case = case_of(folder)
    (value,) = [m for m in case["metrics"] if m["key"] == KEY]
    # A quarter of the view bleeds from 6 to 14 of 24 s: nothing reaches 30 %.
    assert (value["value"], value["unit"], value["coverage_frac"]) == (0.0, "1", 1.0)
    assert value["band_low"] is not None
    (flag,) = [f for f in case["flags"] if f["key"] == "extension_used"]
    assert flag["message"].endswith(f"{KEY} (ube-example-extension 1.0).")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Share of time with ≥ 30 % of the view obscured" in page
    assert "Longest events" in page
    assert "Added by ube-example-extension 1.0; no part of ubereport." in page


@pytest.mark.slow
def test_its_metric_is_in_tables_and_comparisons(installed, folder, tmp_path):
    library = library_of(folder, tmp_path / "library")
    for kind in ("csv", "parquet"):
        ran(COMMAND, "library", "export", library, "--as", kind, "--out", tmp_path, path=installed)
    with (tmp_path / "cases.csv").open(encoding="utf-8") as table:
        assert all(0 <= float(row[KEY]) <= 1 for row in csv.DictReader(table))
    assert (tmp_path / "cases.parquet").is_file()
    out = tmp_path / "compared"
    ran(COMMAND, *COMPARE, "area_mean_frac", library, "--out", out, path=installed)
    compared = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert KEY in [m["metric_key"] for m in compared["secondary"]]
    # Without the package the numbers still stand in the library, and nothing breaks.
    ran(COMMAND, *COMPARE, KEY, library, "--out", tmp_path / "without", path=ROOT)
    ran(COMMAND, "library", "show", library, "case-1", path=ROOT)


@pytest.mark.slow
def test_a_case_made_with_an_extension_is_drawn_again_without_it(folder, tmp_path):
    ran(COMMAND, "report", folder, "--out", tmp_path, "--pdf", "never", path=ROOT)
    (drawn,) = tmp_path.glob("*/case.json")
    case = case_of(drawn.parent)
    assert KEY not in [m["key"] for m in case["metrics"]]
    assert "extension_used" not in [f["key"] for f in case["flags"]]


@pytest.mark.slow
def test_broken_extensions_are_named_and_cost_no_case(bleeding_recording, tmp_path):
    path = tmp_path / "installed"
    about = path / "broken_extension-2.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-extension\nVersion: 2.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    (path / "broken.py").write_text(BROKEN)
    out = ran(ANALYZE, bleeding_recording, tmp_path / "out", "C1", path=path)
    case = case_of(Path(out.strip()))
    told = [f["message"] for f in case["flags"] if f["key"] == "extension_left_out"]
    for name, why in {
        "divided": "failed on this case (ZeroDivisionError)",
        "not_finite": "failed on this case (ValueError)",
        "beyond": "failed on this case (ValueError)",
        "writes": "failed on this case (ValueError)",
        "leaves": "failed on this case (SystemExit)",
        "event_count": "another metric is called",
        "no_metric": "no metric made by",
        "absent": "cannot be loaded (ModuleNotFoundError)",
        "broken_section": "failed on this case (KeyError)",
        "no_section": "failed on this case (TypeError)",
    }.items():
        assert any(name in message and why in message for message in told), name
    assert len(told) == 10
    assert "SECRET" not in json.dumps(case)
    values = {m["key"]: m for m in case["metrics"]}
    assert values["divided"]["value"] is None
    assert "broken-extension 2.0 failed" in values["divided"]["reason"]
    assert values["event_count"]["value"] == 1
    page = (Path(out.strip()) / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{7*7}}" in page
    assert "<img src=x>" not in page


@metric(title="Looks", unit="1", definition="Looks.", lower_bound=None, has_band=False)
def look_count(case: CaseInput) -> Measurement:
    assert isinstance(case, CaseInput)
    return Measurement(float(len(case.series)), 1, None)


def test_a_metric_sees_what_our_metrics_see(usual_record):
    case = CaseInput(usual_record.series, (), EventConfig(), MetricConfig(), None)
    assert look_count.measure(case).value == len(usual_record.series)
    assert set(CaseInput.__dataclass_fields__) == {
        "series", "events", "event_config", "metric_config", "coverage_frac"
    }  # fmt: skip


@pytest.fixture(scope="module")
def usual_record():
    return sample_record.case_record()


@pytest.fixture
def extensions(monkeypatch):
    """Put stand-ins where installed extensions are found."""

    def install(module, *found: object) -> None:
        entries = tuple(Extension(f"e{n}", "a 1.0", each) for n, each in enumerate(found))
        monkeypatch.setattr(module, "installed_extensions", lambda _: entries)
        added_metrics.cache_clear()

    yield install
    monkeypatch.undo()
    added_metrics.cache_clear()


def test_two_extensions_of_one_name_give_the_first(extensions):
    extensions(metric_extension, look_count, look_count)
    added = added_metrics(frozenset())
    assert len(added.metrics) == 1
    assert "another metric is called" in added.problems[0][1]


def test_a_name_that_is_no_key_is_left_out(extensions):
    spec = replace(look_count.spec, key="Größe")
    extensions(metric_extension, replace(look_count, spec=spec))
    assert "small letters" in added_metrics(frozenset()).problems[0][1]


@pytest.mark.parametrize(
    "answer",
    [
        Measurement(float("nan"), 1, 1.0),
        Measurement(None, 1, 1.0),
        Measurement(1.0, -1, 1.0),
        Measurement(1.0, 1, 97.0),
        Measurement("1", 1, 1.0),  # type: ignore[arg-type]
        1.0,
        None,
    ],
)
def test_an_answer_that_cannot_be_stored_is_a_failure(extensions, usual_record, answer):
    extensions(metric_extension, replace(look_count, measure=lambda _: answer))
    (added,) = added_metrics(frozenset()).metrics
    case = CaseInput(usual_record.series, (), EventConfig(), MetricConfig(), 0.5)
    found = added.measure(case)
    assert found.value is None
    assert "a 1.0 failed on this case (" in found.reason


def test_sections_are_bounded_and_may_have_nothing_to_say(extensions, usual_record):
    too_long = lambda _: Section("t" * 121)  # noqa: E731
    ragged = lambda _: Section("t", (), ("a", "b"), (("1",),))  # noqa: E731
    extensions(section_extension, lambda _: None, too_long, ragged)
    views, flags = added_sections(usual_record)
    assert views == ()
    assert [f.message.split("case ")[1].split(".")[0] for f in flags] == [
        "(UsageError)", "(ValueError)"
    ]  # fmt: skip
