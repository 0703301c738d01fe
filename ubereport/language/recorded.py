"""English sentences of records, told in the language of a report.

A record, a table for machines and an error hold English, whoever reads them: their bytes never
change with a language. What a report quotes of them is matched with the message it was made from:
``Part {number} is damaged: {n_lost} of {samples} samples …`` is known to the catalogs as a message
with named places, and what stands in the places goes into the translated sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from ubereport.language.catalogs import RECORDED
from ubereport.language.translator import Translator

_PLACE = re.compile(r"\{(\w+)\}")
_NUMBER = r"[<>≥≤~+−-]?[ \u00a0]?\d+(?:\.\d+)?"
_QUANTITY = re.compile(
    rf"(?:{_NUMBER})(?:(?:–| to | of |/)(?:{_NUMBER}))?"
    r"(?:[ \u00a0]?(?:%|s|min|h|px|Hz|mm|MB|GB|minutes|seconds))?"
)
_COUNT = r"[\d.,\u2009]+"
_SENTENCE = re.compile(r"(?<=\.) ")
_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_PERCENT = re.compile(r"(?<=\d)[ \u00a0]%")
_MAX_DEPTH = 5


def told_in(translator: Translator, text: str) -> str:
    """Tell a recorded English text in a language; what is unknown stays as it is."""
    if translator.language.is_english or not text:
        return text
    return _told(translator, text, 0)


def _told(translator: Translator, text: str, depth: int) -> str:
    bare = text.strip()
    if bare != text and bare:
        return text.replace(bare, _told(translator, bare, depth), 1)
    found = _exact(translator, text)
    if found:
        return found
    if _QUANTITY.fullmatch(text):
        return localized_in(translator, text)
    return text if depth >= _MAX_DEPTH else _told_by_parts(translator, text, depth)


def _exact(translator: Translator, text: str) -> str:
    """Return the translation of a message without places, also of one that begins a line."""
    messages = translator.catalog.messages
    for written in (text, text[:1].swapcase() + text[1:], f"{text};", f". {text}"):
        found = messages.get((RECORDED, written)) or messages.get(("", written))
        if found is not None:
            told = found[0].removesuffix(";").removeprefix(". ").removeprefix("。")
            is_begun = text[:1].isupper() and written[:1] != text[:1]
            return told[:1].upper() + told[1:] if is_begun else told
    return ""


def _told_by_parts(translator: Translator, text: str, depth: int) -> str:
    """Tell a text by its message, its sentences or its clauses, whichever is known first.

    A place that would hold the end of a sentence holds too much: sentences are told one by one.
    """
    loose = None
    for message in _candidates(translator, text):
        match = _pattern(message).fullmatch(text)
        if match is None:
            continue
        if not any(". " in value for value in match.groupdict().values()):
            return _retold(translator, message, match, depth)
        loose = loose or (message, match)
    told = _told_otherwise(translator, text, depth + 1)
    if told == text and loose is not None:
        return _retold(translator, *loose, depth)
    return told


def _retold(translator: Translator, message: str, match: re.Match[str], depth: int) -> str:
    places = {
        name: _told(translator, value, depth + 1) for name, value in match.groupdict().items()
    }
    return translator.text(message, RECORDED).format(**places)


def _told_otherwise(translator: Translator, text: str, depth: int) -> str:
    """Tell a text that begins a line with a capital, or lists several; else leave it alone."""
    for separator in (" ", "; ", ": ", ", "):
        pieces = _SENTENCE.split(text) if separator == " " else text.split(separator)
        if len(pieces) > 1:
            told_pieces = [_told(translator, piece, depth) for piece in pieces]
            if told_pieces != pieces:
                return separator.join(told_pieces)
    other_case = text[:1].swapcase() + text[1:]
    told = _told(translator, other_case, depth) if other_case != text else other_case
    if told != other_case:
        return told[:1].upper() + told[1:] if text[0].isupper() else told
    return text


def localized_in(translator: Translator, text: str) -> str:
    """Write the points and percent signs of an English text of numbers as a language does."""
    if translator.language.is_english:
        return text
    text = _POINT.sub(translator.signs.point, text)
    return _PERCENT.sub(translator.signs.percent, text)


def _candidates(translator: Translator, text: str) -> Iterator[str]:
    """Yield messages with places that could have made `text`, those with most words first."""
    for template in translator.catalog.templates:
        if text.startswith(template.head) and text.endswith(template.tail):
            yield template.message


@cache
def _pattern(message: str) -> re.Pattern[str]:
    pieces = _PLACE.split(message)
    named: set[str] = set()
    pattern = ""
    for at, piece in enumerate(pieces):
        if at % 2 == 0:
            pattern += re.escape(piece)
        elif piece in named:
            pattern += f"(?P={piece})"
        else:
            pattern += rf"(?P<{piece}>{_COUNT if piece == 'n' else '.+?'})"
            named.add(piece)
    return re.compile(pattern, re.DOTALL)
