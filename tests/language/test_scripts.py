"""Pages that scripts fill: what they say is marked, known to every catalog, and in the page."""

import json
import re

import pytest
from language.gathering import MARK, pseudo_translator
from language.test_case_report import PLAIN, texts

from ubereport.documents.page.html import render_app
from ubereport.files.resources import templates_dir
from ubereport.language.languages import LANGUAGES, find_language
from ubereport.language.scripts import marked_in_script, script_words_json
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

SCRIPTS = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted(templates_dir().rglob("*.js"))
    if path.name not in ("timeline_reader.js", "words.js")
}
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`')
WORDS = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|^[A-Z][a-z]+$")
NO_TEXT = re.compile(
    r"\d+px .*|(?:[a-z]+(?:\[[a-z-]+\])?(?:, )?)+|#\w+ button|Enter|Backspace|Escape|use strict"
)
"""A font, selectors, keys, a directive."""
APPS = {"review/index.html": {}, "review/report.html": {}, "proposal.html": {"proposal": "{}"}}


def rendered(template, language):
    with speaking(language):
        return render_app(template, list(SCRIPTS.values()), **APPS[template])


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_what_a_script_says_is_marked(name):
    source = re.sub(r"^\s*//.*$|\s// .*$", "", SCRIPTS[name], flags=re.MULTILINE)
    marked = {t for m in marked_in_script(source) for t in ([m] if isinstance(m, str) else m)}
    found = {json.loads(t) if t[0] == '"' else t[1:-1] for t in LITERAL.findall(source)}
    said = {re.sub(r"\$\{[^}]*\}", "", text) for text in found - marked}
    left = [text for text in said if WORDS.search(text) and not NO_TEXT.fullmatch(text)]
    assert left == [], f'Wrap each where it is written: _("…{{name}}…", {{ name }}). {left}'


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_marked_texts_are_in_double_quotes(name):
    """Others are not gathered."""
    assert re.findall(r"\bN?_n?\(\s*[`'].*", SCRIPTS[name]) == []


@pytest.mark.parametrize("tag", [language.code for language in LANGUAGES[1:]])
def test_the_page_brings_every_text_of_its_scripts_and_no_other(tag):
    marked = {
        m if isinstance(m, str) else m[0] for s in SCRIPTS.values() for m in marked_in_script(s)
    }
    words = json.loads(script_words_json(translator(find_language(tag)), SCRIPTS.values()))
    assert set(words["messages"]) == marked
    assert len(marked) > 60


def test_english_brings_no_messages_and_its_own_numbers():
    words = json.loads(script_words_json(translator(find_language("en")), SCRIPTS.values()))
    assert words == {
        "point": ".", "percent": "\u00a0%", "plurals": {"one": 0, "other": 1}, "messages": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "places"),
    [("ja", {"other": 0}), ("de", {"one": 0, "other": 1}), ("es", {"one": 0, "other": 1})],
)
def test_plural_forms_have_the_names_that_browsers_give_them(tag, places):
    assert translator(find_language(tag)).plural_places() == places


@pytest.mark.parametrize("template", sorted(APPS))
def test_no_text_of_the_pseudo_language_is_english(template):
    page = re.sub("</?kbd>", "", rendered(template, pseudo_translator()))
    left = [t for t in texts(page) if MARK not in t and not PLAIN.fullmatch(t) and len(t) > 1]
    assert left == [], f"Mark each in templates/{template}. {left}"


@pytest.mark.parametrize("template", sorted(APPS))
@pytest.mark.parametrize("tag", [language.code for language in LANGUAGES])
def test_the_language_is_stated(template, tag):
    assert f'<html lang="{tag}">' in rendered(template, translator(find_language(tag)))


def test_keys_are_set_as_keys_and_the_rest_is_escaped():
    page = rendered("review/index.html", translator(find_language("de")))
    assert "mit <kbd>Umschalt</kbd> eine Sekunde" in page
