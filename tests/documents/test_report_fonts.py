"""Text in any script: bundled fonts, the machine's, or one sentence where neither has it."""

import base64
import io
import re
from dataclasses import replace

import pytest
from fontTools.ttLib import TTFont

from ubereport.documents.case.rendering import render_html, render_pdf
from ubereport.documents.page import fonts, pdf
from ubereport.documents.page.plot import Figure, draw_svg, system_fonts
from ubereport.files.resources import templates_dir
from ubereport.language.catalogs import read_catalog
from ubereport.language.languages import find_language

KANA = [
    chr(code) for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB), *range(0xFF01, 0xFF5F))
]
SCRIPTS = {
    "Latin with combining marks": "e\u0301cart n\u0303",
    "Greek": "αιμόσταση",
    "Cyrillic": "гемостаз",
    "Arabic": "شمع العظم",
    "Hebrew": "שעוות עצם",
    "Thai": "ขี้ผึ้งกระดูก",
    "Devanagari": "अस्थि मोम",
    "Hangul": "본왁스",
    "Han": "骨蜡",
    "Japanese": "ボーンワックス",
    "emoji": "🩸",
}


def test_all_fonts_together_stay_small():
    n_bytes = sum(path.stat().st_size for path in (templates_dir() / "fonts").iterdir())
    assert n_bytes <= 6 * 10**6


def test_the_japanese_font_has_the_catalog_kana_and_common_kanji():
    catalog = read_catalog(find_language("ja"))
    needed = {char for texts in catalog.messages.values() for text in texts for char in text}
    # JIS X 0208 level 1: rows 16 to 47.
    level_1 = bytes(
        b for row in range(16, 47) for cell in range(1, 95) for b in (0xA0 + row, 0xA0 + cell)
    ).decode("euc_jp")
    has = fonts.bundled_characters("BizUdpGothic-Regular") | fonts.bundled_characters(
        "Inter-Regular"
    )
    assert {c for c in {*needed, *KANA, *level_1} if not c.isspace()} - has == set()
    assert fonts.bundled_characters("BizUdpGothic-Bold") == fonts.bundled_characters(
        "BizUdpGothic-Regular"
    )


def test_a_page_carries_only_the_glyphs_it_needs():
    css = fonts.japanese_faces(frozenset("止血"), "ttf")
    content = base64.b64decode(re.search(r"base64,([^\"]+)", css)[1])
    with TTFont(io.BytesIO(content)) as font:
        assert set(map(chr, font.getBestCmap())) == set("止血")
    assert fonts.japanese_faces(frozenset("止血"), "ttf") == css


def test_japanese_in_an_english_report_brings_its_font(usual_view):
    page = replace(usual_view.page, title="Case 骨蝋")
    assert "BIZ UDPGothic Ubereport" in render_html(replace(usual_view, page=page))
    assert "BIZ UDPGothic Ubereport" not in render_html(usual_view)


def test_a_drawing_measures_japanese_labels_with_their_font():
    def draw(figure: Figure) -> None:
        figure.text(0.1, 0.5, "止血イベント")

    svg = draw_svg("words", "title", (60.0, 30.0), draw)
    assert "止血イベント" in svg
    assert 'font-family="Inter Ubereport, BIZ UDPGothic Ubereport, sans-serif"' in svg


@pytest.fixture(scope="module")
def covered():
    """The characters that some font here can show."""
    found = set().union(*(fonts._characters_of(path) for path in system_fonts()))
    found |= fonts.bundled_characters("Inter-Regular")
    return found | fonts.bundled_characters("BizUdpGothic-Regular")


def assert_shown_or_told(text, covered, remark):
    missing = sorted({c for c in text if not c.isspace()} - covered)
    assert bool(remark) == bool(missing)
    if missing:
        assert f"U+{ord(missing[0]):04X}" in remark


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_shown_or_told(usual_view, covered, name, monkeypatch):
    monkeypatch.setattr(pdf, "print_with_weasyprint", lambda html: (html.encode(), "none"))
    printed = render_pdf(replace(usual_view, caveats=(SCRIPTS[name],)))
    assert SCRIPTS[name] in printed.pdf.decode()
    assert_shown_or_told(SCRIPTS[name], covered, printed.remark)


def test_all_scripts_are_printed_on_one_report(usual_view, covered):
    printed = render_pdf(replace(usual_view, caveats=tuple(SCRIPTS.values())))
    assert printed.pdf.startswith(b"%PDF")
    assert_shown_or_told("".join(SCRIPTS.values()), covered, printed.remark)


def test_without_fonts_the_missing_script_is_named():
    told = fonts.without_font("Thai: ขี้ผึ้ง", [])
    assert "(Thai)" in told
    assert "U+0E02" in told
    assert "Noto Sans" in told
    assert fonts.without_font("plain, 止血, αβγ", []) == ""


def test_a_font_file_that_is_none_is_passed_over(tmp_path):
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")
    assert "U+0E02" in fonts.without_font("ข", [path, tmp_path / "absent.ttf"])


def test_the_pdf_tells_what_it_cannot_show(usual_view, monkeypatch):
    monkeypatch.setattr(pdf, "system_fonts", lambda: iter(()))
    view = replace(usual_view, caveats=("ขี้ผึ้ง",))
    printed = render_pdf(view)
    assert "boxes" in printed.remark
    assert printed.run_facts["remark"] == printed.remark
