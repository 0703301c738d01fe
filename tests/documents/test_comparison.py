"""A comparison as a report: planted numbers appear, caveats are printed, nothing leaks."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_library import MODEL_2, add_case, make_library
from tests_support import assert_names_its_model, printed_text

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.table import read_cohort
from ubereport.core.config import CompareConfig
from ubereport.core.errors import OutputError, UsageError
from ubereport.documents.cohort.comparison_document import comparison_document
from ubereport.documents.cohort.reports import CompareRequest, run_comparison
from ubereport.documents.page.curve_drawings import CurveFigure
from ubereport.documents.page.document import render_document_html
from ubereport.documents.page.row_drawings import GroupFigure
from ubereport.metrics.registry import metric_spec

CONFIG = CompareConfig(n_bootstrap=100, n_permutations=100)
LOW = [0.010, 0.021, 0.032, 0.043, 0.054, 0.065]
HIGH = [0.110, 0.121, 0.132, 0.143, 0.154, 0.165]


def document_of(library: Path, by="technique", config=CONFIG):
    comparison = compare_cohort(read_cohort(library), by, config)
    return comparison, comparison_document(comparison, config)


def figure(document, name):
    return next(f for s in document.sections for f in s.figures if f.figure_id == name)


def section(document, start):
    return next(s for s in document.sections if s.heading.startswith(start))


def words(document) -> str:
    parts = [*document.lead, *document.caveats]
    for s in document.sections:
        parts += [s.heading, *s.paragraphs, *s.notes]
        parts += [cell for t in s.tables for row in t.rows for cell in row]
        parts += [t.note for t in s.tables] + [f.caption for f in s.figures]
    return "\n".join(parts)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two fully separated groups of six, one half-written case; the report written once."""
    root = tmp_path_factory.mktemp("SECRET-department")
    library = root / "library"
    make_library(library, {"wax": LOW, "RF": HIGH})
    (library / "half").mkdir()
    (library / "half" / "events.csv").write_text("")
    request = CompareRequest(library, root / "out", "technique", CONFIG, reference="wax")
    return run_comparison(request), request


def test_files_are_complete_and_agree(published):
    (comparison, written), request = published
    assert {p.name for p in request.out.iterdir()} == {
        "comparison.html", "comparison.pdf", "comparison.json", "contrasts.csv", "points.csv",
    }  # fmt: skip
    assert set(written.files) == {p.name for p in request.out.iterdir()}
    assert written.pdf.read_bytes().startswith(b"%PDF")
    stored = json.loads(written.json.read_text())
    assert stored["primary"]["contrasts"][0]["shift"]["value"] == pytest.approx(0.1)
    with (request.out / "points.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["metric"] == "impaired_share_20"]
    assert sorted(float(r["value"]) for r in rows) == sorted(LOW + HIGH)
    assert comparison.n_cases == 12


def test_page_says_what_was_planted(published):
    (_, written), _ = published
    page = written.html.read_text()
    assert "cases with RF had the worse view than cases with wax" in page
    assert "the model’s own error included" in page
    assert "To undo the difference between RF and wax the model would have to" in page
    # Every HIGH is above every LOW by 0.1 in the middle: shift 10 points, Cliff's delta 1.
    assert "+10.0 (" in page
    assert "+1.00" in page
    for share in (np.median(LOW), np.median(HIGH)):
        assert f"{100 * share:.1f} %" in page.replace("\u00a0", " ")
    for caveat in ("not randomized", "Confounding by indication", "Immortal time", "not blood loss",
                   "not a medical device"):  # fmt: skip
        assert caveat in page
    assert "the case was not finished" in page


def test_nothing_of_the_machine_is_in_the_files(published):
    (_, written), request = published
    for name in written.files:
        content = (request.out / name).read_bytes()
        assert b"SECRET" not in content
        assert str(request.library.parent).encode() not in content
    links = re.findall(r"https?://[^\s\"'<]+", written.html.read_text())
    assert all(link.startswith("http://www.w3.org/") for link in links)


def test_same_library_gives_the_same_bytes_and_replaces_its_own_files(published):
    (_, written), request = published
    before = {name: (request.out / name).read_bytes() for name in written.files}
    run_comparison(request)
    assert {name: (request.out / name).read_bytes() for name in written.files} == before


def test_print_holds_all_sections(published):
    (_, written), _ = published
    text = printed_text(written.pdf)
    for heading in ("Primary metric", "Adjusted estimate", "Time to clear", "Balance of covariates",
                    "What this many cases could show", "How it was computed"):  # fmt: skip
        assert heading in text


def test_raw_points_and_medians_are_drawn(published):
    (comparison, _), _ = published
    drawing = figure(comparison_document(comparison, CONFIG), "primary").drawing
    assert isinstance(drawing, GroupFigure)
    drawn = {group.name: (sorted(group.values), group.center) for group in drawing.groups}
    assert drawn["wax"][0] == sorted(LOW)
    assert drawn["RF"][0] == sorted(HIGH)
    assert drawn["RF"][1] == pytest.approx(np.median(HIGH))


def test_secondary_metrics_have_their_points_medians_and_quartiles(published):
    (comparison, written), _ = published
    document = comparison_document(comparison, CONFIG)
    found = section(document, "Secondary metrics")
    assert len(comparison.secondary) >= 2
    pages = printed_text(written.pdf)
    tables = {table.caption: table for table in found.tables}
    for metric in comparison.secondary:
        (drawing,) = (
            f.drawing
            for f in found.figures
            if isinstance(f.drawing, GroupFigure) and f.title.startswith(f"{metric.title},")
        )
        assert f"{metric.title}, case by case" in written.html.read_text()
        assert metric.title in " ".join(pages.split())
        for group, drawn in zip(metric.groups, drawing.groups, strict=True):
            values = [point.value for point in group.points]
            assert list(drawn.values) == values
            assert drawn.center == pytest.approx(np.median(values))
            # Weibull's quartiles lie outside those of numpy, inside of the values.
            assert min(values) <= drawn.low <= drawn.center <= drawn.high <= max(values)
        rows = {row[0]: row for row in tables[metric.title].rows}
        assert set(rows) == {"wax", "RF"}
    # Mean area is a third of the share in this library: 1.25 % for wax, 4.58 % for RF.
    cells = {row[0]: row[3] for row in tables[metric_spec("area_mean_frac").title].rows}
    medians = {"wax": np.median(LOW) / 3, "RF": np.median(HIGH) / 3}
    assert cells == {name: f"{100 * median:.1f} %" for name, median in medians.items()}


def test_the_page_names_the_model_its_training_what_it_errs_and_its_limits(published):
    (_, written), _ = published
    text = printed_text(written.pdf)
    for page in (written.html.read_text(), text):
        assert_names_its_model(page)


def test_kaplan_meier_has_the_planted_shares_and_numbers_at_risk(tmp_path):
    # Each case: cleared after 30 s and after 90 s; so half are open from 30 s, none from 90 s.
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH})
    _, document = document_of(tmp_path / "l")
    drawing = figure(document, "clearing").drawing
    assert isinstance(drawing, CurveFigure)
    assert [mark.value for mark in drawing.marks] == [60.0, 180.0]
    for curve in drawing.curves:
        assert dict(zip(curve.x, curve.y, strict=True))[30.0] == pytest.approx(0.5)
        assert curve.y[-1] == 0.0
    at_60 = drawing.at_risk_x.index(60.0)
    assert [row.counts[0] for row in drawing.at_risk] == [12, 12]
    assert [row.counts[at_60] for row in drawing.at_risk] == [6, 6]
    table = section(document, "Time to clear").tables[0]
    assert all(row[5].startswith("50 %") and row[7].startswith("100 %") for row in table.rows)


def test_all_censored_gives_no_share_and_says_why(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH}, clear_s=(-200.0,))
    _, document = document_of(tmp_path / "l")
    tables = section(document, "Time to clear").tables
    for table in tables:
        assert sum(cell == "not available: ¹" for row in table.rows for cell in row) >= 3
        assert table.note.endswith("¹ no clearing was seen: all events are censored.")
        assert "censored" not in " ".join(cell for row in table.rows for cell in row)


def test_words_for_machines_and_odd_plurals_stay_out_of_sight(tmp_path):
    for number, share in enumerate(LOW + HIGH):
        technique = "wax" if share in LOW else "RF"
        add_case(tmp_path, number, share, {"surgeon": f"S{number % 3}", "technique": technique})
    _, document = document_of(tmp_path)
    text = words(document)
    assert "the manifest does not say when in each case its technique was used" in text
    assert "use_start" not in text
    assert "1 test." in text
    assert "1 tests" not in text
    assert document.facts[0].note == ""


def test_a_curve_goes_on_for_as_long_as_an_event_was_watched(tmp_path):
    make_library(tmp_path, {"wax": LOW, "RF": HIGH}, clear_s=(-40.0, -100.0))
    _, document = document_of(tmp_path)
    for curve in figure(document, "clearing").drawing.curves:
        assert curve.x == (0.0, 100.0)
        assert curve.y == (1.0, 1.0)
        assert set(curve.censored) == {40.0, 100.0}


def test_a_picture_of_estimates_that_are_missing_is_words(tmp_path):
    for number, share in enumerate(LOW + HIGH):
        surgeon, technique = ("S1", "wax") if share in LOW else ("S2", "RF")
        manifest = {"surgeon": surgeon, "technique": technique, "levels": 1, "use_start": "0"}
        add_case(tmp_path, number, share, manifest)
    _, document = document_of(tmp_path)
    leading = section(document, "What may be said")
    assert leading.figures == ()
    # "The same without ..." would speak of a picture that is not there.
    assert [table.caption for table in leading.tables] == ["Differences, chance alone"]
    assert any(
        "weighted: not available: fewer than 10 cases in one of the two." in text
        for text in leading.paragraphs
    )
    assert not any("…" in text for text in leading.paragraphs)


def test_values_apart_in_a_few_cases_are_not_called_alike(tmp_path):
    for number, share in enumerate(LOW[:4] + HIGH[:4]):
        technique = "wax" if share in LOW else "RF"
        manifest = {"surgeon": "S1", "technique": technique, "levels": 1 + (technique == "RF")}
        add_case(tmp_path, number, share, manifest)
    _, document = document_of(tmp_path)
    (table,) = (t for t in section(document, "Balance").tables if "Covariates" in t.caption)
    assert [row[-1] for row in table.rows if row[0] == "Levels operated"] == ["too few to tell"]


def test_two_cases_get_points_but_no_p_value(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH[:2]})
    comparison, document = document_of(tmp_path / "l")
    assert comparison.primary.contrasts[0].test.p_value is None
    table = section(document, "Primary metric").tables[1]
    assert table.rows[0][-2:] == ("not given", "not given")
    assert "No p-value for RF − wax" in table.note
    assert "fewer than two groups have 5 cases" in document.lead[0]
    assert "clearer view" not in " ".join(document.lead)
    assert len(figure(document, "primary").drawing.groups[1].values) == 2


def test_one_surgeon_is_no_obstacle(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH}, n_surgeons=1)
    comparison, document = document_of(tmp_path / "l")
    assert comparison.n_surgeons == 1
    assert "1 surgeon" in document.subtitle


def test_alike_groups_are_not_called_alike(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": [x + 0.001 for x in LOW]})
    _, document = document_of(tmp_path / "l")
    assert "no proof that they are alike" in document.lead[0]


def test_other_models_are_left_out_and_counted(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH})
    add_case(tmp_path / "l", 90, 0.9, {"technique": "RF", "date": "2026-05-01"},
             model_sha256=MODEL_2)  # fmt: skip
    comparison, document = document_of(tmp_path / "l")
    assert comparison.n_cases == 12
    tables = section(document, "Cases left out").tables
    assert ("measured with another model or other settings", "1", "C-090") in tables[0].rows
    assert "numbers of different models are never mixed" in words(document)


def test_hostile_names_stay_text(tmp_path):
    bad = "<script>alert(1)</script>"
    make_library(tmp_path / "l", {bad: LOW, "RF": HIGH})
    _, document = document_of(tmp_path / "l")
    page = render_document_html(document)
    assert bad not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"by": "tecnique"}, "Did you mean technique?"),
        ({"config": CompareConfig(primary="impaired_share20")}, "Did you mean impaired_share_20?"),
        ({"covariates": ("agee",)}, "Did you mean age?"),
        ({"reference": "waxx"}, "wax"),
        ({"library": Path("nowhere")}, "no folder"),
    ],
)
def test_bad_requests_are_one_sentence_and_write_nothing(tmp_path, change, said):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH})
    given = {"library": tmp_path / "l", "out": tmp_path / "out", "by": "technique",
             "config": CONFIG, **change}  # fmt: skip
    with pytest.raises(UsageError, match=re.escape(said)):
        run_comparison(CompareRequest(**given))
    assert not (tmp_path / "out").exists()


def test_a_library_is_never_written_over(tmp_path):
    make_library(tmp_path / "l", {"wax": LOW, "RF": HIGH})
    with pytest.raises(OutputError, match="library itself"):
        run_comparison(CompareRequest(tmp_path / "l", tmp_path / "l", "technique", CONFIG))
    assert (tmp_path / "l" / "case-000" / "case.json").is_file()


def test_nobody_is_called_zero_points_lower(tmp_path):
    for number in range(24):
        manifest = {"surgeon": f"S{number % 3}", "use_start": "0"}
        technique = {"technique": "RF" if number % 2 else "wax"}
        add_case(tmp_path, number, (0.02, 0.05)[number // 2 % 2], {**manifest, **technique})
    comparison, _ = document_of(tmp_path)
    text = " ".join(comparison.reading)
    assert "wax did not differ from RF" in text or "RF did not differ from wax" in text
    assert " 0 percentage points lower" not in text


@pytest.mark.parametrize(
    ("key", "unit"),
    [("event_rate_per_10min", "events per 10 minutes at risk"), ("event_count", "the count")],
)
def test_the_adjusted_table_has_its_unit_in_words(published, key, unit):
    (comparison, _), _ = published
    primary = replace(comparison.primary, metric_key=key)
    document = comparison_document(replace(comparison, primary=primary), CONFIG)
    table = section(document, "Adjusted estimate").tables[0]
    heads = [str(column) for column in table.columns]
    assert any(f"Difference, {unit} (95 % interval)" in head for head in heads)
