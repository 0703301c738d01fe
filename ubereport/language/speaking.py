"""Which language is spoken here and now, and the words by which texts are marked for translation.

The language is a context variable that one door sets, `speaking`, for as long as a page is
rendered or a command runs: hundreds of small functions put words into reports, and a parameter of
each of them would say nothing that the door does not. Threads and processes start in English; what
they render carries its language with the request.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import date, datetime
from functools import wraps
from typing import ParamSpec, TypeVar

from ubereport.language.recorded import localized_in, told_in
from ubereport.language.translator import Translator

P = ParamSpec("P")
R = TypeVar("R")
_ENGLISH = Translator()
_spoken: ContextVar[Translator] = ContextVar("spoken", default=_ENGLISH)


@contextmanager
def speaking(language: Translator) -> Iterator[Translator]:
    """Speak a language until the block ends; blocks may lie in one another."""
    token = _spoken.set(language)
    try:
        yield language
    finally:
        _spoken.reset(token)


@contextmanager
def naming(names: Iterable[str]) -> Iterator[None]:
    """Leave `names` as they are wherever a sentence of a record is told, until the block ends."""
    spoken_here = _spoken.get()
    with speaking(replace(spoken_here, names=spoken_here.names | frozenset(names))):
        yield


def in_english(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that makes a record write its sentences in English, whatever is spoken."""

    @wraps(function)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        with speaking(_ENGLISH):
            return function(*args, **kwargs)

    return recorded


def spoken() -> Translator:
    """Return the language that is spoken here; English outside of `speaking`."""
    return _spoken.get()


def _(message: str, /, **values: object) -> str:
    """Say a whole sentence; `values` fill its named placeholders.

    Examples
    --------
    >>> _("{n} of {total}", n=3, total=7)
    '3 of 7'
    """
    return _filled(_spoken.get().text(message), values)


def _n(singular: str, plural: str, n: int, /, **values: object) -> str:
    """Say a sentence that counts; ``{n}`` in it is the count, its digits in groups.

    Examples
    --------
    >>> _n("{n} event", "{n} events", 1), _n("{n} event", "{n} events", 3)
    ('1 event', '3 events')
    """
    translator = _spoken.get()
    return _filled(translator.plural(singular, plural, n), {"n": translator.grouped(n), **values})


def _p(context: str, message: str, /, **values: object) -> str:
    """Say a word whose translation depends on where it stands, such as the head of a column."""
    return _filled(_spoken.get().text(message, context), values)


def _filled(text: str, values: Mapping[str, object]) -> str:
    """Fill the places of a message; a sentence of a record is told in the same language."""
    if not values:
        return text
    return text.format(
        **{
            # A text with a space may be a sentence that a record holds; a single word is a name or
            # a number.
            name: told(value) if isinstance(value, str) and " " in value else value
            for name, value in values.items()
        }
    )


def paragraph(*sentences: str) -> str:
    """Set spoken sentences one after the other, as the language does; empty ones are left out."""
    return _spoken.get().paragraph(sentences)


def told(text: str) -> str:
    """Tell a sentence that a record holds in English; what no message made stays as it is."""
    return told_in(_spoken.get(), text)


def told_as_typed(text: str) -> str:
    """Tell an English sentence of an error; words and numbers that one types stay as they are."""
    return told_in(_spoken.get(), text, is_typed=True)


def day(iso: str) -> str:
    """Write a day of a record, such as ``2026-11-28``, as it is written here."""
    return _spoken.get().date(date.fromisoformat(iso))


def month(iso: str) -> str:
    """Write a month of a record, such as ``2026-11``, as it is written here."""
    return _spoken.get().month(date.fromisoformat(f"{iso}-01"))


def moment(iso: str) -> str:
    """Write a moment of a record, such as ``2026-11-28T12:30:00Z``, as it is written here."""
    return _spoken.get().moment(datetime.fromisoformat(iso))


def localized(text: str) -> str:
    """Write the points and percent signs of an English text of numbers as they are spoken here."""
    return localized_in(_spoken.get(), text)


def N_(message: str, /) -> str:  # noqa: N802 -- gettext's own name
    """Mark a message that is said later, by `_`: constants are made before a language is known."""
    return message


def text_width(text: str) -> int:
    """Return how many letters' room `text` takes; characters of East Asian width take two.

    >>> text_width("UBE"), text_width("止血")
    (3, 4)
    """
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)
