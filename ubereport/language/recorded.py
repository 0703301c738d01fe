"""English sentences of records and errors, told in the language of a report or a command.

A record, a table for machines and an error hold English, whoever reads them: their bytes never
change with a language. What is told of them is matched with the message it was made from:
``Part {number} is damaged: {n_lost} of {samples} samples …`` is known to the catalogs as a message
with named places, and what stands in the places goes into the translated sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from ubereport.language.catalogs import RECORDED
from ubereport.language.translator import Translator

_PLACE = re.compile(r"\{(\w+)\}")
_NUMBER = r"[<>≥≤~+−-]?[ \u00a0]?\d+(?:\.\d+)?"
_UNIT = r"(?:[ \u00a0]?(?:%|s|min|h|px|Hz|mm|MB|GB|minutes|seconds))?"
_QUANTITY = re.compile(rf"(?:p [<=] )?{_NUMBER}(?:[–/]{_NUMBER})?{_UNIT}")
_COUNT = r"[\d.,\u2009]+"
_SENTENCE = re.compile(r"(?<=[.?])\s")
# From the largest pieces to the smallest: cut at its commas first, a sentence that the catalog
# knows whole would be torn.
_SEPARATORS = ("\n", " → ", " ", "; ", ": ", ", ")
_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_PERCENT = re.compile(r"(?<=\d)[ \u00a0]?%")
_MAX_DEPTH = 6


def told_in(translator: Translator, text: str, *, is_typed: bool = False) -> str:
    """Tell a recorded English text in a language; what is unknown stays as it is.

    Where `is_typed`, single words and numbers stay, too: an error names columns, files, options
    and bounds as they are to be typed.
    """
    if translator.language.is_english or not text:
        return text
    return _Telling(translator, is_typed).told(text, 0)


@dataclass(frozen=True, slots=True)
class _Telling:
    translator: Translator
    is_typed: bool
    # Splitting at one mark and then at another meets the same pieces again and again.
    answers: dict[tuple[str, int], str] = field(default_factory=dict)

    def told(self, text: str, depth: int) -> str:
        answer = self.answers.get((text, depth))
        if answer is None:
            answer = self.answers[text, depth] = self._told(text, depth)
        return answer

    def _told(self, text: str, depth: int) -> str:
        # What people called something is no message, even where it is spelled like one.
        if text in self.translator.names:
            return text
        bare = text.strip()
        if bare != text and bare:
            return text.replace(bare, self.told(bare, depth), 1)
        # A single word in an error is an option, a key or a column, to be typed as it stands.
        if self.is_typed and depth and " " not in text:
            return text
        translation = self._exact(text)
        if translation:
            return translation
        if _QUANTITY.fullmatch(text):
            return text if self.is_typed else localized_in(self.translator, text)
        # Sentences hold sentences (a reason in a flag, a flag in a list); the bound keeps a text
        # that matches itself from going round for ever.
        return text if depth >= _MAX_DEPTH else self._by_parts(text, depth)

    def _exact(self, text: str) -> str:
        """Return the translation of a message without places, also of one that begins a line."""
        messages = self.translator.catalog.messages
        # Messages are written as they stand in the middle of a sentence or at its end; a record may
        # have begun a line with one.
        for written in (text, text[:1].swapcase() + text[1:], f"{text};", f". {text}"):
            translation = messages.get((RECORDED, written)) or messages.get(("", written))
            if translation is not None:
                clause = translation[0].removesuffix(";").removeprefix(". ").removeprefix("。")
                is_begun = text[:1].isupper() and written[:1] != text[:1]
                return clause[:1].upper() + clause[1:] if is_begun else clause
        return ""

    def _by_parts(self, text: str, depth: int) -> str:
        """Tell a text by its message, its sentences or its clauses, whichever is known first.

        A place that would hold the end of a sentence holds too much: sentences are told one by one.
        """
        loose = None
        for message in _candidates(self.translator, text):
            match = _pattern(message).fullmatch(text)
            if match is None:
                continue
            if not any(_SENTENCE.search(value) for value in match.groupdict().values()):
                return self._retold(message, match, depth)
            # Kept for when nothing else is known: the value of a place may be a whole sentence
            # after all.
            loose = loose or (message, match)
        translation = self._otherwise(text, depth + 1)
        if translation == text and loose is not None:
            return self._retold(*loose, depth)
        return translation

    def _retold(self, message: str, match: re.Match[str], depth: int) -> str:
        places = {name: self.told(value, depth + 1) for name, value in match.groupdict().items()}
        return self.translator.text(message, RECORDED).format(**places)

    def _otherwise(self, text: str, depth: int) -> str:
        """Tell a text that lists several, or begins a line with a capital; else leave it alone."""
        for separator in _SEPARATORS:
            n_splits = 1 if separator == ": " else -1  # what follows may hold a colon of its own
            pieces = _SENTENCE.split(text) if separator == " " else text.split(separator, n_splits)
            if len(pieces) > 1:
                told_pieces = [self.told(piece, depth) for piece in pieces]
                if told_pieces != pieces:
                    is_run_on = separator == " "
                    spoken = self.translator.paragraph(told_pieces) if is_run_on else ""
                    return spoken or separator.join(told_pieces)
        other_case = text[:1].swapcase() + text[1:]
        translation = self.told(other_case, depth) if other_case != text else other_case
        if translation != other_case:
            return translation[:1].upper() + translation[1:] if text[0].isupper() else translation
        return text


def localized_in(translator: Translator, text: str) -> str:
    """Write the points and percent signs of an English text of numbers as a language does."""
    if translator.language.is_english:
        return text
    text = _POINT.sub(translator.signs.point, text)
    return _PERCENT.sub(translator.signs.percent, text)


def _candidates(translator: Translator, text: str) -> Iterator[str]:
    """Yield messages with places that could have made `text`, those with most words first."""
    templates = translator.catalog.templates
    for template in templates.get(text[:1]) or templates.get("", ()):
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
        # A place that occurs twice has the same value in both.
        elif piece in named:
            pattern += f"(?P={piece})"
        else:
            pattern += f"(?P<{piece}>{_values(piece)})"
            named.add(piece)
    return re.compile(pattern, re.DOTALL)


def _values(place: str) -> str:
    """Return what may stand in a place: digits where it counts, a quantity, else anything."""
    # Narrow where the name of a place says what it holds: one that takes anything lets its message
    # match sentences that another message made.
    if place.startswith("quantity"):
        return _QUANTITY.pattern
    return _COUNT if place == "n" else ".+?"
