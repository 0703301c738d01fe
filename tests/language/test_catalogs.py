"""Catalogs are complete, up to date, and fill the places that their English texts name."""

import pytest
from language.gathering import gathered_texts, languages_script

from ubereport.language.catalogs import catalog_path, read_catalog
from ubereport.language.languages import ENGLISH, LANGUAGES, find_language

OTHERS = [language.code for language in LANGUAGES if not language.is_english]


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated_and_none_is_stale(code):
    problems = languages_script.problems(code, gathered_texts())
    assert not problems, languages_script.complaint(code, problems)


def test_the_complaint_says_how_to_mend():
    words = languages_script.complaint("de", ["not translated: 'Event'"])
    assert "python docs/languages.py update" in words
    assert "ubereport/language/catalogs/de/LC_MESSAGES/ubereport.po" in words
    assert "not translated: 'Event'" in words


@pytest.fixture
def kept_catalogs(tmp_path, monkeypatch):
    """Let the script read a catalog of the test's own."""

    def put(text: str):
        path = tmp_path / "ubereport.po"
        path.write_text(
            'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n' + text
        )
        monkeypatch.setattr(languages_script, "catalog_path", lambda language: path)
        return path

    return put


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('msgid "Event {number}"\nmsgstr ""\n', "not translated"),
        ('msgid "Event {number}"\nmsgstr "Ereignis {nummer}"\n', "other placeholders"),
        ('msgid "Event {number}"\nmsgstr "Ereignis"\n', "other placeholders"),
        ('#, fuzzy\nmsgid "Event {number}"\nmsgstr "Ereignis {number}"\n', "fuzzy"),
        ('msgid "Gone"\nmsgstr "Weg"\n', "stale entry"),
        ('msgid "Gone"\nmsgstr "Weg"\n', "new text without an entry: 'Event {number}'"),
        (
            'msgid "{n} event"\nmsgid_plural "{n} events"\nmsgstr[0] "Ereignis"\nmsgstr[1] ""\n',
            "not translated: '{n} event'",
        ),
    ],
)
def test_what_is_wrong_with_a_catalog_is_found(kept_catalogs, entry, complaint):
    gathered = languages_script.Catalog()
    gathered.add("Event {number}")
    gathered.add(("{n} event", "{n} events"))
    kept_catalogs(entry)
    assert any(complaint in line for line in languages_script.problems("de", gathered))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2] + b'\nmsgid "x\n',
        lambda text: b"\xff\xfe\x00" + text,
        lambda text: b"",
    ],
    ids=["cut", "not UTF-8", "empty"],
)
def test_a_damaged_catalog_gives_english_and_says_so(tmp_path, damage):
    german = find_language("de")
    path = tmp_path / "ubereport.po"
    path.write_bytes(damage(catalog_path(german).read_bytes()))
    catalog = read_catalog(german, path)
    assert catalog.messages == {}
    assert "The catalog of Deutsch (de) cannot be read" in catalog.problem
    assert "English is spoken instead" in catalog.problem
    assert str(tmp_path) not in catalog.problem


def test_a_missing_catalog_gives_english_and_says_so(tmp_path):
    catalog = read_catalog(find_language("ja"), tmp_path / "none.po")
    assert catalog.messages == {}
    assert "No such file" in catalog.problem


def test_english_needs_no_catalog():
    assert read_catalog(ENGLISH).messages == {}
    assert read_catalog(ENGLISH).problem == ""


def test_an_entry_with_other_places_is_not_used(tmp_path):
    path = tmp_path / "ubereport.po"
    path.write_text(
        'msgid "Event {number}"\nmsgstr "Ereignis {nummer}"\n\nmsgid "Event"\nmsgstr "Ereignis"\n'
    )
    assert read_catalog(find_language("de"), path).messages == {("", "Event"): ("Ereignis",)}


@pytest.mark.parametrize("code", ["de", "es"])
def test_no_entry_is_in_another_language_s_script(code):
    catalog = read_catalog(find_language(code))
    texts = [text for forms in catalog.messages.values() for text in forms]
    assert [text for text in texts if any(ord(char) > 0x3000 for char in text)] == []
