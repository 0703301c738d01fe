"""Documents: every kind of figure, on the base of the case report, as safe as that."""

import io
import re
import socket
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from documents import sample_document
from pypdf import PdfReader

from ubereport.core.disclaimer import DISCLAIMER
from ubereport.documents.page import weasyprint
from ubereport.documents.page.blocks import Column, Pair, TableBlock
from ubereport.documents.page.chart_drawings import ControlFigure, ControlMark
from ubereport.documents.page.curve_drawings import Curve, CurveFigure, PointSet, ScatterFigure
from ubereport.documents.page.document import (
    Document,
    Figure,
    Section,
    build_document_view,
    render_document_html,
    render_document_pdf,
)
from ubereport.documents.page.drawing import Axis, Drawing, Unit
from ubereport.documents.page.row_drawings import (
    Bar,
    BarFigure,
    ForestFigure,
    ForestRow,
    Group,
    GroupFigure,
)

NBSP = "\u00a0"
HOSTILE = "<img src=x onerror=alert(1)></script>{{7*7}}\u202e</style>$x_1$"


def labels(svg):
    root = ET.fromstring(svg)
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="session")
def document_view():
    return build_document_view(sample_document.document())


@pytest.mark.parametrize("name", sample_document.KINDS)
def test_every_kind_is_drawn_the_same_twice_and_has_numbers(name):
    drawing = sample_document.KINDS[name]()
    svg = drawing.svg(name, "title")
    assert drawing.svg(name, "title") == svg
    assert labels(svg)
    table = drawing.table()
    assert 0 < len(table.rows) <= Drawing.max_rows


def test_curves_name_themselves_and_count_who_is_at_risk():
    words = labels(sample_document.curves().svg("a", "t"))
    assert {"RF coagulation", "Bone wax", "60 s", "180 s", "61"} <= set(words)
    assert "Events cleared (%)" in words
    assert {"0:00", "1:00", "2:00"} <= set(words)


def test_raw_points_are_always_drawn():
    few = GroupFigure((Group("A", (0.1,) * 7, 0.1, 0.1, 0.1),), Axis("Share", Unit.PERCENT))
    more = GroupFigure((Group("A", (0.1,) * 9, 0.1, 0.1, 0.1),), Axis("Share", Unit.PERCENT))
    n_marks = [figure.svg("a", "t").count("<use ") for figure in (few, more)]
    assert n_marks[1] - n_marks[0] == 2
    assert "A" in labels(few.svg("a", "t"))
    assert "(n = 7)" in labels(few.svg("a", "t"))


def test_signals_are_named_and_trial_limits_say_so():
    words = labels(sample_document.control().svg("a", "t"))
    assert {"outside", "trend", "center"} <= set(words)
    assert "upper limit (trial)" in words
    table = sample_document.control().table()
    assert [row[3] for row in table.rows].count("trend") == 3
    plain = replace(sample_document.control(), is_trial=False)
    assert "upper limit" in labels(plain.svg("a", "t"))


def test_points_without_limits_or_center_are_drawn():
    points = (ControlMark("1", 0.1), ControlMark("2", 0.2))
    words = labels(ControlFigure(points, None, Axis("y")).svg("a", "t"))
    assert "center" not in words
    assert ControlFigure(points, None, Axis("y")).table().rows[0][2] == "–"


def test_missing_estimates_and_bars_say_so_instead_of_zero():
    rows = (ForestRow("A", None, None, None, "not available: 3 cases"),)
    assert "not available: 3 cases" in labels(ForestFigure(rows, Axis("x")).svg("a", "t"))
    bars = BarFigure((Bar("A", None), Bar("B", 0.0)), Axis("x"))
    assert " not available" in labels(bars.svg("a", "t"))
    assert [row[1] for row in bars.table().rows] == ["–", "0.000"]


def test_empty_figures_do_not_fail():
    for drawing in (
        CurveFigure((), Axis("x"), Axis("y")),
        GroupFigure((Group("A", (), None),), Axis("x")),
        ForestFigure((), Axis("x")),
        ControlFigure((), None, Axis("y")),
        ScatterFigure((PointSet("A", (), ()),), Axis("x"), Axis("y")),
    ):
        assert drawing.svg("a", "t", 87.0).startswith("<svg")
        assert drawing.table().rows in ((), (("A", "0", "–", "–", "–"),))


def test_long_tables_are_thinned_and_say_so():
    curve = Curve("A", tuple(range(1000)), tuple(range(1000)))
    table = CurveFigure((curve,), Axis("x"), Axis("y")).table()
    assert len(table.rows) <= Drawing.max_rows
    assert table.note == "Every 17th of 1000 rows."


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, Unit.NUMBER, "–"),
        (float("nan"), Unit.PERCENT, "–"),
        (0.125, Unit.PERCENT, "12.5 %"),
        (74.0, Unit.SECONDS, "0:01:14"),
        (-74.0, Unit.SECONDS, "−0:01:14"),
        (1234.0, Unit.COUNT, "1 234"),
        (-0.1234, Unit.NUMBER, "−0.123"),
        (12.345, Unit.NUMBER, "12.35"),
        (123.45, Unit.NUMBER, "123.5"),
        (12345.6, Unit.NUMBER, "12346"),
    ],
)
def test_values_print_as_their_axis_says(value, unit, expected):
    assert unit.text(value).replace(NBSP, " ").replace("\u2009", " ") == expected


def test_figure_ids_are_unique():
    figure = Figure("same", "t", "c", sample_document.bars())
    with pytest.raises(ValueError, match="given twice: same"):
        build_document_view(Document("t", "s", (Section("h", figures=(figure, figure)),)))


def test_rows_have_a_cell_for_every_column():
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        TableBlock("caption", (Column("one"),), (("a", "b"),))


def test_the_page_is_as_closed_as_a_case_report(document_view):
    html = render_document_html(document_view)
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert DISCLAIMER in html
    for name in sample_document.KINDS:
        assert f'id="figure-{name}"' in html
    assert html.count("<details") == len(sample_document.KINDS)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert render_document_html(sample_document.document()) == html


def test_hostile_strings_stay_text():
    html = render_document_html(sample_document.document(HOSTILE))
    assert "<img src=x" not in html
    assert "onerror=alert(1)>" not in html
    assert "{{7*7}}" in html
    assert "\u202e" not in html
    assert html.count("</style>") == 1
    assert html.count("&lt;img src=x") > 30


def test_scripts_of_other_languages_are_kept():
    html = render_document_html(
        Document("止血技術の比較", "症例", (Section("結果", ("要約",)),), kicker="比較")
    )
    assert "止血技術の比較" in html


def test_the_pdf_needs_no_network_and_repeats_its_bytes(document_view, monkeypatch):
    first = render_document_pdf(document_view).pdf

    def refuse(*_args, **_kwargs):
        raise AssertionError("a report opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    assert render_document_pdf(document_view).pdf == first
    reader = PdfReader(io.BytesIO(first))
    title = " ".join(reader.metadata.title.split())
    assert title == "Hemostatic techniques compared – Technique comparison"
    for page in reader.pages:
        assert DISCLAIMER in re.sub(r"\s+", " ", page.extract_text())


def test_a_document_is_set_closer_where_its_last_sheet_would_be_nearly_empty(monkeypatch):
    def sheets(n_terms):
        terms = tuple(Pair(f"Term {n}", "what it says") for n in range(n_terms))
        printed = render_document_pdf(Document("Title", "", (Section("Terms", terms=terms),)))
        return len(PdfReader(io.BytesIO(printed.pdf)).pages)

    # A sheet takes 36 terms: a few more go onto the same, many more are a second sheet's.
    lengths = (39, 42, 70)
    set_as_needed = [sheets(n) for n in lengths]
    monkeypatch.setattr(weasyprint, "_HALF", 0.0)
    assert [sheets(n) for n in lengths] == [2, 2, 2]
    assert set_as_needed == [1, 1, 2]


def test_dates_under_a_chart_do_not_touch():
    days = [0, 40, 60, 96, 145, 194, 246, 294, 340, 391]
    first = np.datetime64("2025-03-19")
    points = tuple(ControlMark(str(first + day), 1.0 + day % 2, at=float(day)) for day in days)
    words = labels(ControlFigure(points, None, Axis("y")).svg("a", "t"))
    named = [np.datetime64(word) for word in words if re.fullmatch(r"202\d-\d\d-\d\d", word or "")]
    # A date takes a ninth of the axis, with the space that tells it from the next.
    assert len(named) >= 5
    assert np.diff(np.array(named)).astype(int).min() >= days[-1] / 8.6
