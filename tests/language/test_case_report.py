"""The case report in every language: no English left, one page 1, data for machines alike."""

import html as html_module
import io
import os
import re
from pathlib import Path

import pytest
from documents.test_report_golden import skeleton
from language.gathering import MARK, pseudo_translator
from pypdf import PdfReader

from ubereport.documents.case.rendering import render_html, render_pdf
from ubereport.language.languages import LANGUAGES, find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
OTHERS = [language.code for language in LANGUAGES if not language.is_english]
NAMES = {
    # Names, units and keys are the same in every language.
    "ubereport", "Part", "PyAV", "U-Net++", "Inter", "UBE", "sha256", "IoU", "Dice",
}  # fmt: skip
PLAIN = re.compile(
    r"[\d\s.,:;%–−<>≥≤×·()/+~-]*"
    r"(?:(?:min|s|px|h|Hz|MB|GB|n|%·min|%·min/h)[\d\s.,:;%–−<>≥≤×·()/+~-]*)*"
)


def page(view, language):
    with speaking(language):
        return render_html(view)


def texts(html: str) -> list[str]:
    """Return what a reader of the page reads: text, alternatives, names of drawings."""
    html = re.sub(r"<style>.*?</style>|<script.*?</script>", "", html, flags=re.DOTALL)
    html = re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)
    attributes = re.findall(r'(?:alt|aria-label)="([^"]*)"', html)
    between = re.split(r"<[^>]*>", html)
    return [html_module.unescape(t).strip() for t in (*between, *attributes) if t.strip()]


def is_name(text: str, record) -> bool:
    """Whether a text is a number, an id, a digest or a name of somebody's, in no language."""
    made = record.provenance
    names = {
        record.case_id, "ubereport", made.model.architecture, made.model.licence,
        made.ubereport_version, record.schema_version, f"{made.device}, {made.precision}",
        ", ".join(f"{name} {version}" for name, version in made.library_versions), "95 %",
    }  # fmt: skip
    if text in names or PLAIN.fullmatch(text) or re.fullmatch(r"[0-9a-f]{12,64}", text):
        return True
    codecs = {part.codec for part in record.parts} | {use.reader for use in made.readers}
    return any(text.endswith(f"{codec}") or f", {codec}, " in text for codec in codecs if codec)


def test_no_text_of_the_pseudo_language_is_english(view_in, own_record):
    language = pseudo_translator()
    found = texts(page(view_in(language), language))
    left = [t for t in found if MARK not in t and not is_name(t, own_record)]
    assert left == [], (
        "These texts are not marked for translation: wrap each where it is written, "
        f'_("…{{name}}…", name=…) of ubereport.language.speaking, and run '
        f"python docs/languages.py update. {left}"
    )


@pytest.mark.parametrize("code", OTHERS)
def test_page_one_is_as_kept(code, view_in):
    language = translator(find_language(code))
    whole = skeleton(page(view_in(language), language))
    found = whole[: whole.index('<section class="events"')]
    golden = GOLDEN / f"report_case.{code}.html"
    if os.environ.get("UBEREPORT_UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", ["en", *OTHERS])
def test_the_language_is_stated_and_page_one_is_one_page(code, view_in):
    """To browsers, to readers of the PDF; the events begin on page 2."""
    language = translator(find_language(code))
    view = view_in(language)
    assert f'<html lang="{code}">' in page(view, language)
    with speaking(language):
        pdf = PdfReader(io.BytesIO(render_pdf(view).pdf))
    assert pdf.trailer["/Root"]["/Lang"] == code
    _, events = pdf.outline[0], pdf.outline[1][0]
    assert events.title == language.text("Hemostasis events")
    assert pdf.get_destination_page_number(events) == 1


def test_data_for_machines_is_the_same_in_every_language(view_in):
    views = [view_in(translator(find_language(language.code))) for language in LANGUAGES]
    assert len({view.data_json for view in views}) == 1


def test_japanese_pages_bring_their_glyphs_and_no_italics(view_in):
    language = translator(find_language("ja"))
    html = page(view_in(language), language)
    assert html.count('font-family: "BIZ UDPGothic Ubereport"; font-weight') == 3
    assert "line-break: strict" in html
    assert "font-style: italic" not in html
    assert len(html) < 1_500_000


def test_pages_without_japanese_bring_no_japanese_font(view_in):
    language = translator(find_language("de"))
    assert "BIZ UDPGothic" not in page(view_in(language), language)
