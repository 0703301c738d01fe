"""Which language is spoken, and how it writes numbers, dates and lists."""

import datetime

import pytest

from ubereport.core.errors import UsageError
from ubereport.documents.page import text
from ubereport.documents.page.html import Paper, usual_paper
from ubereport.language.catalogs import placeholders
from ubereport.language.languages import (
    LANGUAGES,
    chosen_language,
    find_language,
    language_in_settings,
)
from ubereport.language.speaking import _, _n, day, localized, moment, month, speaking, spoken, told
from ubereport.language.translator import translator


def speak(tag: str):
    return speaking(translator(find_language(tag)))


@pytest.mark.parametrize(
    ("tag", "found"),
    [("de", "de"), ("DE", "de"), ("es-mx", "es-MX"), ("ja_JP.UTF-8", "ja-JP"), ("en", "en")],
)
def test_tags(tag, found):
    assert find_language(tag).tag == found


@pytest.mark.parametrize(
    ("tag", "near"), [("jp", "ja"), ("german", "de"), ("Deutch", "de"), ("español ", "es")]
)
def test_near_languages_are_named(tag, near):
    with pytest.raises(UsageError, match=f"Did you mean {near}\\?.*en \\(English\\)"):
        find_language(tag)


@pytest.mark.parametrize("tag", ["xx", "", "de/../../etc", "日本", "\u202ede", "d" * 500])
def test_unknown_languages_are_refused(tag):
    with pytest.raises(UsageError, match="There is no language") as refused:
        find_language(tag)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("asked", "environment", "tag"),
    [
        ("es", {"UBEREPORT_LANGUAGE": "de", "LANG": "ja_JP.UTF-8"}, "es"),
        (None, {"UBEREPORT_LANGUAGE": "de", "LANG": "ja_JP.UTF-8"}, "de"),
        (None, {"LANG": "ja_JP.UTF-8"}, "ja"),
        (None, {"LC_ALL": "de_AT", "LANG": "ja_JP.UTF-8"}, "de"),
        (None, {"LANG": "en_US.UTF-8"}, "en"),
        (None, {"LANG": "fr_FR.UTF-8"}, "en"),
        (None, {"LANG": "C"}, "en"),
        (None, {}, "en"),
    ],
)
def test_the_option_comes_before_the_environment(asked, environment, tag):
    assert chosen_language(asked, environment).tag == tag


@pytest.mark.parametrize(
    ("asked", "settings", "tag"), [(None, "de", "de"), ("es", "de", "es"), (None, None, "ja")]
)
def test_settings_come_after_the_option_and_before_the_environment(asked, settings, tag):
    environment = {"UBEREPORT_LANGUAGE": "ja", "LANG": "en_US.UTF-8"}
    assert chosen_language(asked, environment, settings).tag == tag


def test_an_unknown_language_of_the_settings_names_near_ones_and_where_it_stands():
    with pytest.raises(UsageError, match=r"'jp'\. Did you mean ja\?.*The settings file names it"):
        chosen_language(None, {"UBEREPORT_LANGUAGE": "de"}, "jp")


def test_a_settings_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "ubereport.toml").write_text("language = de")
    with pytest.raises(UsageError, match=r"ubereport\.toml cannot be read.*Mend it"):
        language_in_settings(tmp_path / "ubereport.toml")


def test_a_language_of_the_environment_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="'klingon'"):
        chosen_language(None, {"UBEREPORT_LANGUAGE": "klingon"})


@pytest.mark.parametrize(
    ("tag", "percent", "decimal", "count"),
    [
        ("en", "18.4\u00a0%", "−0.3", "223\u2009568"),
        ("de", "18,4\u00a0%", "−0,3", "223.568"),
        ("de-CH", "18.4%", "−0.3", "223'568"),
        ("es", "18,4\u00a0%", "−0,3", "223.568"),
        ("es-MX", "18.4%", "−0.3", "223,568"),
        ("ja", "18.4%", "−0.3", "223,568"),
    ],
)
def test_numbers_are_written_as_the_language_does(tag, percent, decimal, count):
    with speak(tag):
        assert text.percent(0.1844) == percent
        assert text.decimal(-0.26, 1) == decimal
        assert text.number_word(223568) == count


@pytest.mark.parametrize(
    ("tag", "date", "items"),
    [
        ("en", "2026-11-28", "a, b and c"),
        ("de", "28.11.2026", "a, b und c"),
        ("es", "28\u00a0nov\u00a02026", "a, b y c"),
        ("ja", "2026/11/28", "a、b、c"),
    ],
)
def test_dates_and_lists_are_written_as_the_language_does(tag, date, items):
    with speak(tag):
        assert spoken().date(datetime.date(2026, 11, 28)) == date
        assert spoken().enumeration(["a", "b", "c"]) == items


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("en", ("2026-11-28", "2026-11", "2026-11-28T12:30:00Z")),
        ("de", ("28.11.2026", "Nov.\u00a02026", "28.11.2026, 12:30:00 UTC")),
        ("es", ("28\u00a0nov\u00a02026", "nov\u00a02026", "28 nov 2026, 12:30:00 UTC")),
        ("ja", ("2026/11/28", "2026年11月", "2026/11/28 12:30:00 UTC")),
    ],
)
def test_days_months_and_moments_of_records_are_written_as_the_language_does(tag, written):
    with speak(tag):
        assert (day("2026-11-28"), month("2026-11"), moment("2026-11-28T12:30:00Z")) == written


@pytest.mark.parametrize(
    ("tag", "paper"),
    [("en", "A4"), ("en-US", "letter"), ("es", "A4"), ("es-MX", "letter"), ("de", "A4")],
)
def test_paper_follows_the_territory(tag, paper):
    with speak(tag):
        assert usual_paper() == Paper(paper)


def test_a_locale_without_data_gives_way_to_its_language_and_says_so():
    spoken_there = translator(find_language("de-ZZ"))
    assert "no rules for numbers and dates of de-ZZ" in spoken_there.problem
    with speaking(spoken_there):
        assert text.percent(0.1844) == "18,4\u00a0%"
        assert _("Event") == "Ereignis"


def test_english_is_spoken_outside_and_after_a_block():
    with speak("de"):
        with speak("ja"):
            assert _("Event") == "イベント"
        assert _("Event") == "Ereignis"
    assert _("Event") == "Event"


@pytest.mark.parametrize(
    ("tag", "one", "many"),
    [("en", "1 re-bleed", "2 re-bleeds"), ("ja", "再出血 1件", "再出血 2件"),
     ("de", "1 erneute Blutung", "2 erneute Blutungen"), ("es", "1 resangrado", "2 resangrados")],
)  # fmt: skip
def test_plurals(tag, one, many):
    with speak(tag):
        assert _n("{n} re-bleed", "{n} re-bleeds", 1) == one
        assert _n("{n} re-bleed", "{n} re-bleeds", 2) == many


def test_recorded_sentences_are_told_with_their_numbers():
    sentence = "Part 2 is cut: it declares 4320.0 s, 4230.5 s were found; the rest counts as lost."
    with speak("de"):
        assert told(sentence).startswith("Teil 2 ist abgeschnitten")
        assert "4230,5\u00a0s" in told(sentence)
        assert "gefunden" in told(sentence)


def test_a_place_of_a_recorded_sentence_is_told_too():
    sentence = (
        "Only 40 % of the recorded time could be evaluated (most of the rest: “out of body”); the"
        " numbers speak of that time only."
    )
    with speak("es"):
        assert "«fuera del cuerpo»" in told(sentence)
        assert "40\u00a0%" in told(sentence)


@pytest.mark.parametrize(
    "name", ["Bone wax", "ボーンワックス", "شمع العظم", "v1.2.3", "{number}", ""]
)
def test_what_nobody_recorded_stays_as_it_is(name):
    for language in LANGUAGES:
        with speak(language.code):
            assert told(name) == name


@pytest.mark.parametrize(
    ("recorded", "german"),
    [
        ("Mean arterial pressure", "Mittlerer arterieller Druck"),
        ("mean arterial pressure", "Mittlerer arterieller Druck"),
        (
            "Place in the surgeon’s series of cases",
            "Platz in der Fallreihe der operierenden Person",
        ),
        ("Age, years", "Alter, Jahre"),
        ("12 cases", "12 Fälle"),
        ("Exploratory: ", "Explorativ: "),
    ],
)
def test_recorded_words_in_other_places_are_told(recorded, german):
    with speak("de"):
        assert told(recorded) == german


def test_versions_are_no_numbers():
    with speak("de"):
        assert localized("18.4 %") == "18,4\u00a0%"
        assert told("0.1.0") == "0.1.0"


def test_what_is_translated_is_not_taken_for_english_again():
    """Documents tell all their texts: one that a short message fits would be told a second time.

    "no {metric}: {reason}" once took the Spanish "no disponible: …" for its own.
    """
    spanish = translator(find_language("es"))
    retold = []
    with speaking(spanish):
        for forms in spanish.catalog.messages.values():
            for form in forms:
                text = form.format(**dict.fromkeys(placeholders(form), "Xx"))
                retold += [(text, told(text))] if told(text) != text else []
    assert retold == []
