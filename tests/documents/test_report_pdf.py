"""The PDF: offline, tagged, the same bytes, disclaimer and page number on every page."""

import io
import re
import socket

import pytest
from documents import sample_record
from pypdf import PdfReader
from weasyprint import HTML

from ubereport.core.disclaimer import DISCLAIMER
from ubereport.documents.case.rendering import render_pdf
from ubereport.documents.page import weasyprint
from ubereport.documents.page.weasyprint import data_only_fetcher
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

MM = 72 / 25.4


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a report opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def usual_reader(usual_pdf):
    return PdfReader(io.BytesIO(usual_pdf))


@pytest.fixture(scope="session")
def small_pdf(build_view):
    return render_pdf(build_view(sample_record.twenty_seconds())).pdf


@pytest.fixture(scope="session")
def usual_pages(usual_reader):
    return [page.extract_text().replace("\u00a0", " ") for page in usual_reader.pages]


def one_line(text):
    return re.sub(r"\s+", " ", text).replace("\u00a0", " ")


def test_every_page_has_disclaimer_and_number(usual_pages):
    assert 5 <= len(usual_pages) <= 12
    for number, text in enumerate(usual_pages, start=1):
        assert DISCLAIMER in one_line(text)
        assert f"Page {number} of {len(usual_pages)}" in one_line(text)
    assert "Case UBE-2026-017" in usual_pages[3]


def test_a_case_is_set_closer_where_its_last_sheet_would_be_nearly_empty(usual_view, monkeypatch):
    def sheets():
        return len(PdfReader(io.BytesIO(render_pdf(usual_view).pdf)).pages)

    n_set_as_needed = sheets()
    monkeypatch.setattr(weasyprint, "_HALF", 0.0)
    # The end of the configuration would have a sheet of its own.
    assert (n_set_as_needed, sheets()) == (7, 8)


def test_page_one_is_one_page(usual_reader, usual_pages, usual_view):
    front = one_line(usual_pages[0])
    assert usual_view.headline.value.replace("\u00a0", " ") in front
    assert "Read with care" in front
    assert usual_view.caveats[-1].split()[-1] in front
    assert "Hemostasis events" in usual_pages[1]
    width, height = (float(side) for side in usual_reader.pages[0].mediabox[2:])
    assert (width / MM, height / MM) == pytest.approx((210, 297), abs=0.2)


def test_page_one_holds_the_longest_flags_on_the_shorter_paper(build_view):
    view = build_view(sample_record.long_flags())
    with speaking(translator(find_language("en-US"))):
        reader = PdfReader(io.BytesIO(render_pdf(view).pdf))
    first, second = (one_line(page.extract_text()) for page in reader.pages[:2])
    assert "Read with care" in first
    assert "small areas weigh little" in first
    assert "Hemostasis events" in second
    width, height = (float(side) for side in reader.pages[0].mediabox[2:])
    assert (width / MM, height / MM) == pytest.approx((215.9, 279.4), abs=0.2)


def test_it_is_tagged_titled_and_in_english(usual_reader):
    root = usual_reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert "/StructTreeRoot" in root
    assert usual_reader.metadata.title == "Case UBE-2026-017 – Case report"


def test_it_names_no_time_no_author_and_runs_nothing(usual_reader, usual_pdf):
    information = usual_reader.metadata
    assert "/CreationDate" not in information
    assert "/ModDate" not in information
    assert "/Author" not in information
    root = usual_reader.trailer["/Root"]
    assert "/OpenAction" not in root
    assert "/AcroForm" not in root
    assert "/EmbeddedFiles" not in root.get("/Names", {})
    assert b"/JavaScript" not in usual_pdf
    assert b"/URI" not in usual_pdf


def test_only_the_bundled_font_is_used(usual_reader):
    names = set()
    for page in usual_reader.pages:
        for font in page["/Resources"]["/Font"].values():
            names.add(str(font.get_object()["/BaseFont"]))
    assert names
    assert all("Inter-Ubereport" in name for name in names)


def test_two_renderings_are_the_same_bytes_and_need_no_network(small_pdf, build_view, no_network):
    assert render_pdf(build_view(sample_record.twenty_seconds())).pdf == small_pdf


def test_headings_are_never_alone_at_the_foot_of_a_page(usual_pages):
    headings = ("Metrics", "Recording", "Provenance", "The model", "Quality flags", "Time to clear")
    for page in usual_pages:
        lines = [line.strip() for line in page.splitlines() if line.strip()]
        body = [line for line in lines if DISCLAIMER not in line and not line.startswith("Page ")]
        assert body[-1] not in headings


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/a.png",
        "ftp://example.org/a",
        "//example.org/a",
        "fonts/Inter-Regular.ttf",
        "weasyprint-custom:a",
        "",
    ],
)
def test_the_fetcher_answers_data_only(url, no_network):
    with pytest.raises(ValueError, match="only data: URLs"):
        data_only_fetcher().fetch(url)


def test_the_fetcher_answers_data(no_network):
    assert data_only_fetcher().fetch("data:text/plain,hello").read() == b"hello"


def test_markup_that_asks_for_files_and_networks_gets_nothing(no_network, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("SENTINEL", encoding="utf-8")
    asked = []

    class Watched(type(data_only_fetcher())):
        def fetch(self, url, headers=None):
            asked.append(url)
            return super().fetch(url, headers)

    markup = (
        "<style>@import url(http://169.254.169.254/a.css); body { background: "
        f"url({secret.as_uri()}) }}</style><img src='{secret.as_uri()}'>"
        f"<link rel=attachment href='{secret.as_uri()}'><object data='{secret.as_uri()}'></object>"
        "<img src='http://169.254.169.254/x.png'>"
    )
    content = HTML(
        string=markup, url_fetcher=Watched(allowed_protocols=("data",), allow_redirects=False)
    ).write_pdf()
    assert len(asked) >= 4
    assert b"SENTINEL" not in content
    assert "/EmbeddedFiles" not in PdfReader(io.BytesIO(content)).trailer["/Root"].get("/Names", {})
