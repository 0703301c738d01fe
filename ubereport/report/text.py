"""How numbers, times and foreign strings are printed; percent exists only here."""

from __future__ import annotations

import math
import unicodedata

NOT_AVAILABLE = "not available"
_NBSP = "\u00a0"
_COARSE_S = 300.0
_MINUTE_S = 60.0
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Return `text` with every control, direction and invisible character spelled out.

    A right-to-left override in a case id would otherwise turn the words behind it around, and a
    lone surrogate cannot be written as UTF-8. Line breaks and tabs become spaces.

    >>> printable("UBE\u202e71")
    'UBE[U+202E]71'
    """
    hidden = {ord(c): _spelled(c) for c in set(text) if unicodedata.category(c) in _HIDDEN}
    return text.translate(hidden) if hidden else text


def _spelled(char: str) -> str:
    return " " if char in "\t\n\r" else f"[U+{ord(char):04X}]"


_LONGEST_WORD = 20


def shorten(text: str, n_characters: int) -> str:
    """Cut `text` to at most `n_characters`, the last of them an ellipsis where it was cut.

    It is cut between words unless the last word is a long one.

    Examples
    --------
    >>> shorten("The view was lost again", 18), shorten("incomprehensible", 9)
    ('The view was lost…', 'incompre…')
    """
    if len(text) <= n_characters:
        return text
    kept = text[: n_characters - 1]
    before, space, word = kept.rpartition(" ")
    is_inside_a_word = not text[n_characters - 1].isspace()
    if space and before and is_inside_a_word and len(word) <= _LONGEST_WORD:
        kept = before
    return kept.rstrip() + "…"


def first_sentences(text: str, n_characters: int) -> str:
    """Keep whole sentences within `n_characters`; cut inside the first where it is longer.

    Examples
    --------
    >>> first_sentences("Red tissue may count. Small blood is missed.", 30)
    'Red tissue may count.'
    """
    kept = text[: n_characters + 1]
    end = max(kept.rfind(". "), len(text) - 1 if len(text) <= n_characters else -1)
    return text[: end + 1] if end > 0 else shorten(text, n_characters)


def unavailable(reason: str) -> str:
    """Say that there is no value, and why."""
    return f"{NOT_AVAILABLE}: {printable(reason)}" if reason else NOT_AVAILABLE


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
    return _percent_number(fraction, n_decimals) + _NBSP + "%"


def _percent_number(fraction: float, n_decimals: int) -> str:
    if not math.isfinite(fraction):
        raise ValueError(f"{fraction} cannot be printed as percent; a missing value has a reason")
    step = 10.0**-n_decimals
    value = 100.0 * fraction
    if value in (0.0, 100.0):
        return f"{value:.0f}"
    if abs(value) < step / 2:
        sign = f"<{_NBSP}" if value > 0 else f">{_NBSP}−"
        return f"{sign}{step:.{n_decimals}f}"
    if 100.0 - step / 2 <= value < 100.0:
        return f">{_NBSP}{100.0 - step:.{n_decimals}f}"
    return _signed(f"{value:.{n_decimals}f}")


def _signed(number: str) -> str:
    return number.replace("-", "−")


def band(low: float | None, high: float | None) -> str:
    r"""Format a range of two fractions as percent; empty where there is no band.

    >>> band(0.151, 0.22)
    '15.1–22.0\xa0%'
    """
    if low is None or high is None:
        return ""
    return f"{_percent_number(low, 1)}–{_percent_number(high, 1)}{_NBSP}%"


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
    whole = math.floor(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def clock_range(low_s: float, high_s: float) -> str:
    """Format a range of times."""
    return f"{clock(low_s)}–{clock(high_s)}"


def minutes(seconds: float) -> str:
    r"""Format seconds as minutes with one decimal.

    >>> minutes(738)
    '12.3\xa0min'
    """
    return f"{seconds / 60:.1f}{_NBSP}min"


def duration(seconds: float, whole_s: float) -> str:
    r"""Format a part of `whole_s`: in minutes, or as ``h:mm:ss`` where those would be too coarse.

    >>> duration(738, 3600), duration(42, 100), duration(2, 360)
    ('12.3\xa0min', '0:00:42', '0:00:02')
    """
    is_coarse = whole_s < _COARSE_S or 0 < seconds < _MINUTE_S
    return clock(seconds) if is_coarse else minutes(seconds)


def decimal(value: float, n_decimals: int) -> str:
    """Format a number with a point and a true minus sign, whatever the locale; no zero has one.

    >>> decimal(-0.26, 1), decimal(-0.04, 1)
    ('−0.3', '0.0')
    """
    return _signed(f"{value:z.{n_decimals}f}")


def plural(n: int, singular: str, many: str | None = None) -> str:
    """Count things in words.

    >>> plural(1, "event"), plural(3, "event"), plural(2, "pass", "passes")
    ('1 event', '3 events', '2 passes')
    """
    return f"{n} {singular if n == 1 else many if many is not None else singular + 's'}"


def number_word(n: int) -> str:
    """Format a count with thin groups, so that 223568 reads as 223 568."""
    return f"{n:,}".replace(",", "\u2009")


def file_size(n_bytes: int) -> str:
    """Format a size in decimal megabytes or gigabytes."""
    if n_bytes >= 10**9:
        return f"{n_bytes / 10**9:.2f}{_NBSP}GB"
    return f"{n_bytes / 10**6:.1f}{_NBSP}MB"
