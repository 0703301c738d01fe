"""Every kind of page in every language: labels in their drawings, signs in numbers, no English."""

import re
from dataclasses import dataclass

import pytest
from language.all_pages import all_pages
from language.drawn_labels import measured_labels
from language.gathering import MARK, pseudo_translator
from language.test_case_report import PLAIN, texts

from ubereport.language.languages import LANGUAGES, find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

CODES = [language.code for language in LANGUAGES]
MODEL_NAMES = re.compile(
    r"(IoU, )?hsv-red( 1)?|\(n = \d+\)|ubereport( [\d.]+)?|Dice|IoU|HSV thresholds"
)
POINT = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])")


@dataclass(frozen=True)
class RenderedPage:
    html: str
    cut: list[str]
    crossing: list[tuple[str, str]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    pages = all_pages(tmp_path_factory.mktemp("pages"))
    kept: dict[str, dict[str, RenderedPage]] = {}

    def render_all(code):
        if code not in kept:
            language = pseudo_translator() if code == "pseudo" else translator(find_language(code))
            kept[code] = {}
            for name, render in pages.kinds.items():
                with speaking(language), measured_labels() as (cut, crossing):
                    kept[code][name] = RenderedPage(render(), cut, crossing)
        return kept[code]

    return render_all


@pytest.mark.parametrize("code", [*CODES, "pseudo"])
def test_labels_stay_inside_the_drawing_and_off_each_other(code, rendered):
    for name, page in rendered(code).items():
        assert page.cut == [], f"{name}: runs out of the drawing"
        assert page.crossing == [], f"{name}: one label over another"


def test_no_text_of_an_evaluation_is_english(rendered):
    found = texts(rendered("pseudo")["evaluation"].html)
    left = {
        text
        for text in found
        if not (MARK in text or PLAIN.fullmatch(text) or MODEL_NAMES.fullmatch(text))
    }
    assert left == set(), "See “New or changed English texts” in docs/languages.md"


@pytest.mark.parametrize("name", ["comparison", "audit", "evaluation"])
def test_no_number_of_a_german_page_has_a_point(name, rendered):
    """Groups of three digits have one; so have versions, which are names."""
    left = []
    for text in texts(rendered("de")[name].html):
        left += [t for t in POINT.findall(text) if not re.fullmatch(r"\d{1,3}\.\d{3}", t)]
    assert set(left) <= {"1.0", "0.1"}, left


def test_no_space_follows_a_wide_full_stop(rendered):
    found = {
        match
        for page in rendered("ja").values()
        for text in texts(page.html)
        for match in re.findall(r".{0,8}[。？] .{0,8}", text)
    }
    assert found == set()
