"""One language as it is spoken: messages, plurals, numbers, dates, lists."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ubereport.language.catalogs import Catalog, read_catalog
from ubereport.language.languages import ENGLISH, Language

_NBSP = "\u00a0"
_SPACE_BEHIND_A_WIDE_STOP = re.compile(r"(?<=[。？！]) ")
_COUNTED = 201
"""Every form that a language has for whole numbers below a million is met below this."""


@dataclass(frozen=True, slots=True)
class NumberSigns:
    """How numbers are written; English keeps the report's own style of thin groups."""

    point: str = "."
    percent: str = _NBSP + "%"


@dataclass(frozen=True, slots=True)
class Translator:
    """Texts and numbers of one language.

    `locale` is Babel's, None for English. `names` are texts that somebody gave to something, such
    as a technique called "Small": no message, whatever the catalog holds.
    """

    language: Language = ENGLISH
    catalog: Catalog = field(default_factory=Catalog)
    signs: NumberSigns = field(default_factory=NumberSigns)
    locale: Any = None
    problem: str = ""
    names: frozenset[str] = frozenset()

    def text(self, message: str, context: str = "") -> str:
        """Return a message in this language; the English one where there is no translation."""
        entry = self.catalog.messages.get((context, message))
        return message if entry is None else entry[0]

    def plural(self, singular: str, plural: str, n: int) -> str:
        """Return the form of a message that counts `n` things."""
        entry = self.catalog.messages.get(("", singular))
        if entry is None:
            return singular if n == 1 else plural
        # An entry with fewer forms than its language counts by gives its last one: that is a matter
        # of wording, and no reason to lose a report.
        return entry[min(self.catalog.plural_form(n), len(entry) - 1)]

    def plural_places(self) -> dict[str, int]:
        """Return the place of each plural form by the name that CLDR, and a browser, gives it."""
        if self.locale is None:
            return {"one": 0, "other": 1}
        # Babel knows the forms by name and a catalog by their place: counted through, numbers bring
        # the two together.
        named: dict[str, int] = {}
        for n in range(_COUNTED):
            named.setdefault(self.locale.plural_form(n), self.catalog.plural_form(n))
        return named

    def decimal(self, number: str) -> str:
        """Write a number that has a point with this language's sign."""
        return number.replace(".", self.signs.point)

    def grouped(self, n: int) -> str:
        """Write a count with its digits in groups."""
        if self.locale is None:
            return f"{n:,}".replace(",", "\u2009")
        from babel.numbers import format_decimal

        return str(format_decimal(n, locale=self.locale))

    def date(self, day: dt.date) -> str:
        """Write a day; English in ISO 8601, which is read alike everywhere."""
        if self.locale is None:
            return day.isoformat()
        from babel.dates import format_date

        return _unbroken(format_date(day, "medium", locale=self.locale))

    def month(self, day: dt.date) -> str:
        """Write the month of a day: "2026-11" in English, "Nov. 2026" in German."""
        if self.locale is None:
            return f"{day:%Y-%m}"
        from babel.dates import format_skeleton

        return _unbroken(format_skeleton("yMMM", day, locale=self.locale))

    def moment(self, at: dt.datetime) -> str:
        """Write a moment of universal time; English in ISO 8601."""
        if self.locale is None:
            return at.isoformat().replace("+00:00", "Z")
        from babel.dates import format_datetime

        return f"{format_datetime(at, 'medium', locale=self.locale)} UTC"

    def paragraph(self, sentences: Iterable[str]) -> str:
        """Set sentences one after the other, empty ones left out; no space follows a wide stop."""
        text = " ".join(sentence for sentence in sentences if sentence)
        return text if self.locale is None else _SPACE_BEHIND_A_WIDE_STOP.sub("", text)

    def enumeration(self, items: Sequence[str]) -> str:
        """Write a list: "a, b and c"."""
        if self.locale is None:
            return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
        from babel.lists import format_list

        return str(format_list(items, locale=self.locale))


def _unbroken(text: str) -> str:
    """Keep a date on one line of a narrow column."""
    return text.replace(" ", _NBSP)


def translator(language: Language, catalog: Catalog | None = None) -> Translator:
    """Return a language ready to be spoken; English where its catalog cannot be read, said so.

    A territory for which CLDR has no data gives way to the language's own, said so, too.
    """
    if language.is_english:
        return Translator(language)
    catalog = read_catalog(language) if catalog is None else catalog
    if catalog.problem:
        return Translator(ENGLISH, problem=catalog.problem)
    locale, problem = _locale(language)
    # CLDR has a pattern such as `#,##0 %`: what stands behind its last zero is the sign with its
    # space.
    pattern = locale.percent_formats[None].pattern
    signs = NumberSigns(
        # Reports print Latin digits whatever the language, hence the signs that go with them.
        point=locale.number_symbols["latn"]["decimal"],
        percent=pattern.partition("0")[2].replace("\u202f", _NBSP),
    )
    return Translator(language, catalog, signs, locale, problem)


def _locale(language: Language) -> tuple[Any, str]:
    from babel import Locale, UnknownLocaleError

    try:
        locale = Locale(language.code, territory=language.territory or None)
    except (UnknownLocaleError, ValueError):
        return Locale(language.code), (
            f"There are no rules for numbers and dates of {language.tag}; those of "
            f"{language.code} are used. Give --language {language.code} to be rid of this line."
        )
    return locale, ""
