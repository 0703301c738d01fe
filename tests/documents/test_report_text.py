"""Numbers, times and foreign strings as text."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.documents.cohort.number_words import estimate_text
from ubereport.documents.page import text
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator
from ubereport.statistics.correlation import spearman
from ubereport.statistics.estimates import Estimate

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.0004, "< 0.1 %"),
        (0.0006, "0.1 %"),
        (0.18449, "18.4 %"),
        (0.9996, "> 99.9 %"),
        (1.5, "150.0 %"),
        (-0.031, "−3.1 %"),
        (-0.0001, "> −0.1 %"),
    ],
)
def test_percent(fraction, expected):
    assert text.percent(fraction).replace(NBSP, " ") == expected


@given(st.floats(0, 1))
def test_percent_is_zero_only_for_zero_and_whole_only_for_whole(fraction):
    printed = text.percent(fraction).replace(NBSP, " ")
    assert (printed == "0 %") == (fraction == 0)
    assert (printed == "100 %") == (100 * fraction == 100)
    number = float(re.sub(r"[<> %]", "", printed))
    assert abs(number - 100 * fraction) <= 0.1 + 1e-9


@pytest.mark.parametrize("fraction", [float("nan"), float("inf")])
def test_percent_refuses_what_has_no_value(fraction):
    with pytest.raises(ValueError, match="a missing value has a reason"):
        text.percent(fraction)


@given(st.floats(0.5, 1e6))
def test_clock_is_within_half_a_second(seconds):
    hours, minutes, whole = (int(part) for part in text.clock(seconds).split(":"))
    assert minutes < 60
    assert whole < 60
    assert abs(3600 * hours + 60 * minutes + whole - seconds) <= 0.5 + 1e-6


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_clock_refuses_what_is_no_time(seconds):
    with pytest.raises(ValueError, match="h:mm:ss"):
        text.clock(seconds)


def test_short_spans_never_read_as_none():
    assert text.clock(0.0) == "0:00:00"
    assert text.clock(0.2).replace(NBSP, " ") == "< 0:00:01"
    assert text.clock(0.5) == "0:00:01"


@given(st.text())
def test_printable_leaves_nothing_hidden_or_turned_around(foreign):
    printed = text.printable(foreign)
    categories = {unicodedata.category(char) for char in printed}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    printed.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_printable_leaves_visible_text_alone(visible):
    assert text.printable(visible) == visible


def test_printable_spells_lone_surrogates_and_overrides():
    assert text.printable("a\ud800b\u202ec\u0000") == "a[U+D800]b[U+202E]c[U+0000]"
    assert text.printable("two\nlines") == "two lines"


@given(st.text(min_size=1), st.integers(2, 40))
def test_shorten_keeps_the_limit(long, n):
    short = text.shorten(long, n)
    assert len(short) <= n
    assert short == long or short.endswith("…")


@pytest.mark.parametrize(
    ("n", "expected"),
    [(100, "One. Two is longer."), (19, "One. Two is longer."), (18, "One."), (3, "On…")],
)
def test_whole_sentences_are_kept(n, expected):
    assert text.first_sentences("One. Two is longer.", n) == expected


def test_band_of_nothing_is_empty():
    assert text.band(None, 0.2) == ""
    assert text.band(0.1, None) == ""
    assert text.band(0.0, 0.011).replace(NBSP, " ") == "0–1.1 %"


def test_missing_says_why():
    assert text.unavailable("no evaluable time") == "not available: no evaluable time"
    assert text.unavailable("") == "not available"


def test_sizes_counts_and_signs():
    assert text.file_size(1_500_000).replace(NBSP, " ") == "1.5 MB"
    assert text.file_size(3_000_000_000).replace(NBSP, " ") == "3.00 GB"
    assert text.number_word(223568).replace("\u2009", " ") == "223 568"
    assert text.decimal(-0.5, 2) == "−0.50"
    assert text.clock_range(0, 61) == "0:00:00–0:01:01"
    # What prints as one number is no range.
    assert text.clock_range(9.1, 9.4) == "0:00:09"
    assert text.band(0.1511, 0.1512).replace(NBSP, " ") == "15.1 %"
    assert text.duration(30, 299.0) == "0:00:30"
    assert text.duration(30, 300.0) == "0:00:30"
    assert text.duration(0, 300.0).replace(NBSP, " ") == "0.0 min"
    assert text.duration(90, 300.0).replace(NBSP, " ") == "1.5 min"


@pytest.mark.parametrize(("tag", "zero"), [("en", "0.00"), ("de", "0,00")])
def test_a_difference_that_rounds_to_zero_has_no_sign_in_any_language(tag, zero):
    with speaking(translator(find_language(tag))):
        told = estimate_text(Estimate(0.001, -0.001, 0.004, "m"), n_decimals=2, is_signed=True)
    assert re.findall(r"[+−]?\d[.,]\d+", told) == [zero] * 3


def test_a_missing_interval_is_said_once():
    perfect = spearman(np.arange(12.0), np.arange(12.0))
    assert estimate_text(perfect, n_decimals=2, is_signed=False) == (
        "1.00 (no interval: perfect order)"
    )
