"""An audit as a report: planted signals are named, cases lead to their reports, nothing leaks."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_library import MODEL_2, add_case, make_library
from tests_support import assert_names_its_model, printed_text

from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.audit_results import FunnelZone
from ubereport.cohort.table import read_cohort
from ubereport.core.config import AuditConfig
from ubereport.core.errors import OutputError, UsageError
from ubereport.documents.cohort.audit_document import audit_document
from ubereport.documents.cohort.reports import AuditRequest, report_links, run_audit
from ubereport.documents.page.chart_drawings import ControlFigure, CusumFigure, FunnelFigure
from ubereport.documents.page.drawing import Unit

CONFIG = AuditConfig(n_permutations=100)
SHARES = np.random.default_rng(8).normal(0.10, 0.008, 40).round(4).tolist()
OUTLIER = 25


def document_of(library: Path, config=CONFIG, **options):
    audit = audit_cohort(read_cohort(library), config)
    return audit, audit_document(audit, config, **options)


def section(document, start):
    return next(s for s in document.sections if s.heading.startswith(start))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """40 steady cases with one planted outlier, one case of another model, one half-written."""
    root = tmp_path_factory.mktemp("SECRET-hospital")
    library = root / "library"
    shares = list(SHARES)
    shares[OUTLIER] = 0.6
    make_library(library, {"wax": shares})
    add_case(library, 90, 0.2, {"date": "2026-05-01", "procedure": "ULBD"}, model_sha256=MODEL_2)
    (library / "half").mkdir()
    (library / "half" / "manifest.json").write_text("{}")
    request = AuditRequest(library, root / "out", CONFIG)
    return run_audit(request), request


def test_files_are_complete(published):
    (_, written), request = published
    names = {"audit.html", "audit.pdf", "audit.json", "charts.csv", "cases.csv"}
    assert {p.name for p in request.out.iterdir()} == names == set(written.files)
    assert written.pdf.read_bytes().startswith(b"%PDF")
    assert json.loads(written.json.read_text())["n_cases"] == 40
    with (request.out / "cases.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 41


def test_the_page_names_the_model_its_training_what_it_errs_and_its_limits(published):
    (_, written), _ = published
    text = printed_text(written.pdf)
    for page in (written.html.read_text(), text):
        assert_names_its_model(page)


def test_each_case_takes_one_line_on_paper(tmp_path):
    # A technique once took three lines in a column beside half-empty ones.
    name = "gelatin-thrombin matrix, pattie"
    make_library(tmp_path / "l", {name: SHARES[:14]})
    written = run_audit(AuditRequest(tmp_path / "l", tmp_path / "out", CONFIG))[1]
    text = printed_text(written.pdf)
    lines = [line for line in text.splitlines() if re.search(r"\bC-\d{3}\b", line)]
    assert sum(bool(re.search(rf"C-\d{{3}} +\d{{4}}-\d\d-\d\d .*{name}", x)) for x in lines) == 14


def test_planted_outlier_is_named_first(published):
    (audit, _), _ = published
    document = audit_document(audit, CONFIG)
    rows = section(document, "Signals").tables[0].rows
    assert any(row[1] == f"C-{OUTLIER:03d}" and "outside a limit" in row[5] for row in rows)
    assert "outside a limit" in document.lead[0]
    drawing = section(document, "Control charts, ULBD").figures[0].drawing
    assert isinstance(drawing, ControlFigure)
    assert drawing.points[OUTLIER].signal == "outside a limit"
    assert not drawing.is_trial


def test_every_case_leads_to_its_report_where_it_has_one(published):
    (_, written), request = published
    page = written.html.read_text()
    links = re.findall(r'<a href="([^"]+report\.html)">(C-\d+)</a>', page)
    # Even cases have a report: 20 of the 40, and case 90.
    assert len(links) == 21
    for href, case_id in links:
        target = (request.out / href).resolve()
        assert target.is_file()
        assert target.parent.name == f"case-{case_id[2:]}"


def test_mixed_models_are_flagged_and_set_aside(published):
    (audit, written), _ = published
    page = written.html.read_text()
    assert len(audit.models) == 2
    assert "The library mixes 2 ways of measuring" in page
    assert "set aside, never mixed" in page
    assert "the case was not finished" in page


def test_several_versions_of_the_program_are_told(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES[:6]})
    _, document = document_of(tmp_path / "l")
    assert not any("several versions" in caveat for caveat in document.caveats)
    record = tmp_path / "l" / "case-003" / "case.json"
    text = record.read_text().replace(
        '"ubereport_version": "0.1.0"', '"ubereport_version": "0.2.0"'
    )
    record.write_text(text)
    _, document = document_of(tmp_path / "l")
    assert "0.1.0 (5), 0.2.0 (1)" in document.caveats[0]


def test_a_signal_on_another_chart_stands_in_the_case_table(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES})
    record = tmp_path / "l" / "case-020" / "case.json"
    content = json.loads(record.read_text())
    for metric in content["metrics"]:
        if metric["key"] == "coverage_frac":
            metric["value"] = 0.05
    record.write_text(json.dumps(content))
    audit, document = document_of(tmp_path / "l")
    (case,) = [case for case in audit.cases if case.case_id == "C-020"]
    assert case.elsewhere == ("coverage_frac",)
    rows = document.sections[-1].tables[0].rows
    assert [row[-1] for row in rows if row[0] == "C-020"] == ["on coverage"]


def test_the_lead_and_the_curve_agree_on_who_turned(published):
    (audit, _), _ = published
    for curve in audit.learning_curves:
        told = "level changed" in curve.reading
        assert (curve.surgeon in audit_document(audit, CONFIG).lead[0]) == told
    sure = replace(audit.learning_curves[0], p_value=0.03, p_holm=0.09)
    doubtful = replace(audit, learning_curves=(sure,))
    assert sure.surgeon not in audit_document(doubtful, CONFIG).lead[0]


def test_nothing_of_the_machine_is_in_the_files(published):
    (_, written), request = published
    for name in written.files:
        assert b"SECRET" not in (request.out / name).read_bytes()


def test_funnel_and_learning_curves_use_pseudonyms_and_no_rank(published):
    (audit, _), _ = published
    document = audit_document(audit, CONFIG)
    funnels = section(document, "Funnel")
    drawing = funnels.figures[0].drawing
    assert isinstance(drawing, FunnelFigure)
    assert [p.name for p in drawing.points] == ["S1", "S2", "S3"]
    assert sum(p.x for p in drawing.points) == 40
    assert "in no order of merit" in funnels.paragraphs[0]
    curves = section(document, "Learning").figures
    assert [f.title for f in curves] == ["Surgeon S1", "Surgeon S2", "Surgeon S3"]
    for curve in curves:
        assert isinstance(curve.drawing, CusumFigure)
        assert curve.drawing.values[-1] == pytest.approx(0.0, abs=1e-9)


def test_outcomes_and_ratings_stand_with_their_intervals(published):
    (audit, _), _ = published
    document = audit_document(audit, CONFIG)
    # The drain was made to rise with the share, one to one.
    row = section(document, "Relation to outcomes").tables[0].rows[0]
    assert row[0] == "Drain volume"
    assert row[4].startswith("+1.00")
    ratings = section(document, "Surgeon-rated").tables[0]
    assert sum(int(cell) for cells in ratings.rows for cell in cells[1:]) == 40


def test_few_cases_make_trial_limits_and_nobody_is_drawn_under_ten(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES[:9]})
    _, document = document_of(tmp_path / "l")
    chart = section(document, "Control charts, ULBD").figures[0]
    assert chart.drawing.is_trial
    assert "Trial limits: fewer than 12 cases" in chart.caption
    assert section(document, "Learning").figures == ()
    assert section(document, "Funnel").figures == ()


def test_cases_without_dates_are_said_to_be_on_no_chart(tmp_path):
    for number, share in enumerate(SHARES[:5]):
        add_case(tmp_path / "l", number, share, {"surgeon": "S1"})
    _, document = document_of(tmp_path / "l")
    assert "no order to chart" in section(document, "Control charts").paragraphs[0]
    assert document.lead[0].startswith("Nothing could be charted")
    assert "Nothing stands out" not in document.lead[0]
    assert document.facts[0].value == "0"
    left_out = section(document, "Cases left out").tables[0].rows
    assert left_out[0][:2] == ("no date in the manifest: not on a chart", "5")


def test_coverage_of_months_is_the_median(tmp_path):
    for number, coverage in enumerate((0.5, 0.7, 0.9)):
        add_case(tmp_path / "l", number, 0.1, {"date": "2026-02-03"}, coverage=coverage)
    _, document = document_of(tmp_path / "l")
    figure = section(document, "Coverage").figures[0].drawing
    assert [(p.label, p.value) for p in figure.points] == [("2026-02", pytest.approx(0.7))]


def test_long_case_tables_are_cut_on_paper_only(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES * 3})
    _, screen = document_of(tmp_path / "l")
    _, paper = document_of(tmp_path / "l", is_paper=True)
    assert len(screen.sections[-1].tables[0].rows) == 120
    assert len(paper.sections[-1].tables[0].rows) < 120
    assert "All cases stand in audit.html" in paper.sections[-1].paragraphs[0]


def test_links_never_carry_folders_above_the_library(tmp_path):
    make_library(tmp_path / "a" / "library", {"wax": SHARES[:2]})
    folders = ["case-000", "case-001"]
    library = tmp_path / "a" / "library"
    beside = report_links(library, tmp_path / "a" / "out", folders)
    assert beside == ("../library/case-000/report.html", "")
    inside = report_links(library, library / "out" / "audit", folders)
    assert inside == ("../../case-000/report.html", "")
    assert report_links(library, tmp_path / "elsewhere", folders) is None


def test_bad_requests_are_one_sentence_and_write_nothing(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES[:5]})
    wrong = AuditConfig(metric="impaired_share20")
    with pytest.raises(UsageError, match=r"Did you mean impaired_share_20\?"):
        run_audit(AuditRequest(tmp_path / "l", tmp_path / "out", wrong))
    with pytest.raises(UsageError, match="no folder"):
        run_audit(AuditRequest(tmp_path / "none", tmp_path / "out", CONFIG))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no readable case"):
        run_audit(AuditRequest(tmp_path / "empty", tmp_path / "out", CONFIG))
    with pytest.raises(OutputError, match="library itself"):
        run_audit(AuditRequest(tmp_path / "l", tmp_path / "l", CONFIG))
    assert not (tmp_path / "out").exists()


def test_a_funnel_names_its_procedure_and_its_dates(published):
    (audit, _), _ = published
    figure = section(audit_document(audit, CONFIG), "Funnel").figures[0]
    funnel = audit.funnels[0]
    assert figure.title.startswith("ULBD, ")
    assert f"Cases of {funnel.first_date} to {funnel.last_date}." in figure.caption


def test_one_surgeon_beyond_two_funnels_is_one_surgeon(published):
    (audit, _), _ = published
    far = replace(audit.funnels[0].points[0], zone=FunnelZone.BEYOND_998)
    funnel = replace(audit.funnels[0], points=(far,))
    twice = replace(audit, funnels=(funnel, funnel))
    assert "1 surgeon beyond the 99.8 %" in audit_document(twice, CONFIG).lead[0]


def test_funnels_of_counts_are_not_in_percent(tmp_path):
    make_library(tmp_path / "l", {"wax": SHARES}, clear_s=(30.0,) * 7)
    config = replace(CONFIG, metric="event_count")
    audit, document = document_of(tmp_path / "l", config)
    assert audit.funnels[0].unit == "1"
    drawing = section(document, "Funnel").figures[0].drawing
    assert drawing.y.unit is Unit.NUMBER
    shares = document_of(tmp_path / "l")[1]
    assert section(shares, "Funnel").figures[0].drawing.y.unit is Unit.PERCENT


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("impaired_share_20", "A falling line: cases with a clearer view"),
        ("cleared_60s_share", "A falling line: cases with a worse view"),
        ("evaluable_s", "A falling line: cases below the own mean"),
    ],
)
def test_what_a_falling_line_means_depends_on_the_metric(published, key, said):
    (audit, _), _ = published
    curves = tuple(
        replace(curve, metric_key=key, held_equal=("technique",), n_drawn_in=2)
        for curve in audit.learning_curves
    )
    learning = section(audit_document(replace(audit, learning_curves=curves), CONFIG), "Learning")
    assert said in learning.paragraphs[0]
    assert "What hemostatic technique" in learning.paragraphs[0]
    assert "2 cases far from the own median were drawn in" in learning.figures[0].caption


def test_curves_of_raw_values_say_so(published):
    (audit, _), _ = published
    curves = tuple(replace(curve, held_equal=(), n_drawn_in=0) for curve in audit.learning_curves)
    learning = section(audit_document(replace(audit, learning_curves=curves), CONFIG), "Learning")
    assert "not adjusted for the difficulty" in learning.paragraphs[0]
    assert "drawn in" not in learning.figures[0].caption
