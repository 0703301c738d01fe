"""How numbers, times and foreign strings are printed; percent exists only here."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from ubereport.language.speaking import _, _p, spoken, text_width

DIRECTION_MARKS = "\u200e\u200f"
"""What catalogs of languages written from right to left need; they turn no other words around."""
_NBSP = "\u00a0"
DASH = "–"
"""Where a number would stand and there is none."""
_COARSE_S = 300.0
_MINUTE_S = 60.0
# Unicode's control, format, unassigned, private and surrogate characters and its line separators:
# none of them has a sign of its own.
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def printable(text: str, kept: str = "") -> str:
    r"""Return `text` with every control, direction and invisible character spelled out.

    Those in `kept` stay as they are.
    A right-to-left override in a case id would otherwise turn the words behind it around, and a
    lone surrogate cannot be written as UTF-8. Line breaks and tabs become spaces.

    >>> printable("UBE\u202e71")
    'UBE[U+202E]71'
    """
    hidden = {ord(c): _spelled(c) for c in set(text) if unicodedata.category(c) in _HIDDEN}
    for char in kept:
        hidden.pop(ord(char), None)
    return text.translate(hidden) if hidden else text


def _spelled(char: str) -> str:
    return " " if char in "\t\n\r" else f"[U+{ord(char):04X}]"


_LONGEST_WORD = 20


def shorten(text: str, n_characters: int) -> str:
    """Cut `text` to the room of `n_characters`, the last of them an ellipsis where it was cut.

    It is cut between words unless the last word is a long one.

    Examples
    --------
    >>> shorten("The view was lost again", 18), shorten("incomprehensible", 9)
    ('The view was lost…', 'incompre…')
    """
    if (text.isascii() and len(text) <= n_characters) or text_width(text) <= n_characters:
        return text
    # A wide character takes two places, hence cut to measure and not by count.
    head = text[: n_characters - 1]
    while text_width(head) > n_characters - 1:
        head = head[:-1]
    before, space, word = head.rpartition(" ")
    is_inside_a_word = not text[len(head)].isspace()
    if space and before and is_inside_a_word and len(word) <= _LONGEST_WORD:
        head = before
    return head.rstrip() + "…"


def first_sentences(text: str, n_characters: int) -> str:
    """Keep whole sentences within `n_characters`; cut inside the first where it is longer.

    Examples
    --------
    >>> first_sentences("Red tissue may count. Small blood is missed.", 30)
    'Red tissue may count.'
    """
    head = text[: n_characters + 1]
    ends = (head.rfind(". "), head.rfind("。"))
    end = max(*ends, len(text) - 1 if len(text) <= n_characters else -1)
    return text[: end + 1] if end > 0 else shorten(text, n_characters)


def unavailable(reason: str) -> str:
    """Say that there is no value, and why."""
    if not reason:
        return _("not available")
    return _("not available: {reason}", reason=printable(reason))


def percent(fraction: float, n_decimals: int = 1) -> str:
    r"""Format a fraction as percent; a tiny one never reads as none, nor an almost whole as all.

    Raises
    ------
    ValueError
        If `fraction` is not finite.

    Examples
    --------
    >>> percent(0.1844), percent(0.0), percent(0.0001), percent(0.9999), percent(1.0)
    ('18.4\xa0%', '0\xa0%', '<\xa00.1\xa0%', '>\xa099.9\xa0%', '100\xa0%')
    """
    return _percent_number(fraction, n_decimals) + spoken().signs.percent


def _percent_number(fraction: float, n_decimals: int) -> str:
    if not math.isfinite(fraction):
        raise ValueError(f"{fraction} cannot be printed as percent; a missing value has a reason")
    step = 10.0**-n_decimals
    value = 100.0 * fraction
    if value in (0.0, 100.0):
        return f"{value:.0f}"
    if abs(value) < step / 2:
        sign = f"<{_NBSP}" if value > 0 else f">{_NBSP}−"
        return f"{sign}{decimal(step, n_decimals)}"
    if 100.0 - step / 2 <= value < 100.0:
        return f">{_NBSP}{decimal(100.0 - step, n_decimals)}"
    return _signed(f"{value:.{n_decimals}f}")


def _signed(number: str) -> str:
    return spoken().decimal(number.replace("-", "−"))


def band(low: float | None, high: float | None) -> str:
    r"""Format a range of two fractions as percent; empty where there is no band.

    >>> band(0.151, 0.22)
    '15.1–22.0\xa0%'
    """
    if low is None or high is None:
        return ""
    limits = span_of(_percent_number(low, 1), _percent_number(high, 1))
    return limits + spoken().signs.percent


def span_of(low: str, high: str) -> str:
    """Join the printed ends of a range; one that prints as one number is no range.

    >>> span_of("3", "7"), span_of("3", "3")
    ('3–7', '3')
    """
    return low if low == high else f"{low}–{high}"


def clock(seconds: float) -> str:
    r"""Format seconds as ``h:mm:ss``, rounded half up; a span below half a second is no zero.

    Raises
    ------
    ValueError
        If `seconds` is negative or not finite.

    Examples
    --------
    >>> clock(4350.4), clock(0.0), clock(0.2)
    ('1:12:30', '0:00:00', '<\xa00:00:01')
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{seconds} s cannot be printed as h:mm:ss; give 0 or more seconds")
    if 0 < seconds < 0.5:
        return f"<{_NBSP}0:00:01"
    # Python rounds a half to even: 0.5 s would print as 0 and 1.5 s as 2.
    whole = math.floor(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def span_text(low: str, high: str) -> str:
    """Say from where to where something reaches.

    >>> span_text("3", "7")
    '3 to 7'
    """
    return _("{low} to {high}", low=low, high=high)


def clock_range(low_s: float, high_s: float) -> str:
    """Format a range of times."""
    return span_of(clock(low_s), clock(high_s))


def minutes(seconds: float) -> str:
    r"""Format seconds as minutes with one decimal.

    >>> minutes(738)
    '12.3\xa0min'
    """
    return f"{decimal(seconds / 60, 1)}{_NBSP}min"


def duration(seconds: float, whole_s: float) -> str:
    r"""Format a part of `whole_s`: in minutes, or as ``h:mm:ss`` where those would be too coarse.

    >>> duration(738, 3600), duration(42, 100), duration(2, 360)
    ('12.3\xa0min', '0:00:42', '0:00:02')
    """
    is_coarse = whole_s < _COARSE_S or 0 < seconds < _MINUTE_S
    return clock(seconds) if is_coarse else minutes(seconds)


def decimal(value: float, n_decimals: int) -> str:
    """Format a number with a true minus sign and the spoken language's point; no zero has one.

    >>> decimal(-0.26, 1), decimal(-0.04, 1)
    ('−0.3', '0.0')
    """
    return _signed(f"{value:z.{n_decimals}f}")


def short_number(value: float) -> str:
    """Format a number without idle decimals.

    >>> short_number(3.0), short_number(2.5)
    ('3', '2.5')
    """
    return _signed(f"{value:g}")


def seconds(span_s: float) -> str:
    r"""Print a threshold in seconds without idle decimals.

    >>> seconds(3.0), seconds(1.5)
    ('3\xa0s', '1.5\xa0s')
    """
    return f"{short_number(span_s)}{_NBSP}s"


def pixels(width_px: int, height_px: int) -> str:
    """Print the size of a picture."""
    return f"{width_px}{_NBSP}×{_NBSP}{height_px}{_NBSP}px"


def short_percent(fraction: float) -> str:
    r"""Format a threshold as percent without idle decimals.

    >>> short_percent(0.025)
    '2.5\xa0%'
    """
    return short_number(100 * fraction) + spoken().signs.percent


def label_percent(fraction: float) -> str:
    """Format a whole percentage as the label of a drawing, where no line breaks.

    >>> label_percent(0.2)
    '20 %'
    """
    return (f"{100 * fraction:.0f}" + spoken().signs.percent).replace(_NBSP, " ")


def within(title: str) -> str:
    """Return a title as it stands inside a sentence: small letters, where a language does so.

    >>> within("Mean area")
    'mean area'
    """
    # German keeps the capitals of its nouns, Japanese has none; a Spanish title has one at its
    # start.
    code = spoken().language.code
    if code == "en":
        return title.lower()
    return title[:1].lower() + title[1:] if code == "es" else title


def sentence_of(clauses: Sequence[str]) -> str:
    """Put clauses into one sentence.

    >>> sentence_of(["One was seen", "two were not"])
    'One was seen; two were not.'
    """
    return _p("between clauses", "; ").join(clauses) + _p("end of a sentence", ".")


def number_word(n: int) -> str:
    """Format a count with its digits in groups: thin ones in English, so that 223568 is 223 568."""
    return spoken().grouped(n)


def file_size(n_bytes: int) -> str:
    """Format a size in decimal megabytes or gigabytes."""
    if n_bytes >= 10**9:
        return f"{decimal(n_bytes / 10**9, 2)}{_NBSP}GB"
    return f"{decimal(n_bytes / 10**6, 1)}{_NBSP}MB"
