"""The languages that reports and commands speak, and which of them a person wants."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ubereport.core.errors import UsageError

VARIABLE = "UBEREPORT_LANGUAGE"
"""Environment variable that names the language of a machine."""
SETTINGS_NAME = "ubereport.toml"
"""Settings file of a folder: read for its language by every command that runs there."""

_LETTER_TERRITORIES = frozenset(
    ("BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE")
)
"""Where paper is US letter: CLDR supplemental data, measurementData/paperSize."""
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}))?(?:[.@].*)?")


@dataclass(frozen=True, slots=True)
class Language:
    """A language with an optional territory, such as ``es`` or ``es-MX``.

    The territory decides on signs in numbers and on paper; texts come from one catalog a language.
    """

    code: str
    name: str
    territory: str = ""

    @property
    def tag(self) -> str:
        """The BCP 47 tag, as HTML and PDF state it."""
        return f"{self.code}-{self.territory}" if self.territory else self.code

    @property
    def is_english(self) -> bool:
        """Whether messages are shown as they are written in the source."""
        return self.code == "en"

    @property
    def is_on_letter(self) -> bool:
        """Whether its territory prints on US letter."""
        return self.territory in _LETTER_TERRITORIES


ENGLISH = Language("en", "English")
LANGUAGES: tuple[Language, ...] = (
    ENGLISH,
    Language("ja", "日本語"),
    Language("de", "Deutsch"),
    Language("es", "español"),
)
"""A language more is one line here and one folder in ``catalogs``."""

_ALSO_CALLED = {
    "english": "en",
    "japanese": "ja",
    "jp": "ja",
    "german": "de",
    "spanish": "es",
    "castellano": "es",
}


def find_language(tag: str) -> Language:
    """Return the language that `tag` names: ``de``, ``es-MX``, ``es_MX.UTF-8``.

    Raises
    ------
    UsageError
        If there is none of that name; near ones are named.

    Examples
    --------
    >>> find_language("es-mx").tag
    'es-MX'
    """
    language = _found(tag)
    if language is None:
        known = ", ".join(f"{language.code} ({language.name})" for language in LANGUAGES)
        near = _near(tag)
        hint = f" Did you mean {near}?" if near else ""
        raise UsageError(f"There is no language {tag[:40]!r}.{hint} Give one of: {known}.")
    return language


def _found(tag: str) -> Language | None:
    match = _TAG.fullmatch(tag.strip())
    if match is None:
        return None
    code, territory = match[1].lower(), (match[2] or "").upper()
    for language in LANGUAGES:
        if language.code == code:
            return Language(code, language.name, territory)
    return None


def _near(tag: str) -> str:
    names = {language.code: language.code for language in LANGUAGES}
    names |= {language.name.lower(): language.code for language in LANGUAGES} | _ALSO_CALLED
    word = tag.strip().lower()
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return names[matches[0]] if matches else ""


def language_in_settings(path: Path) -> str | None:
    """Return the language that a settings file (TOML) names; None where it names none.

    Raises
    ------
    UsageError
        If the file cannot be read.
    """
    import tomllib

    try:
        named = tomllib.loads(path.read_text(encoding="utf-8")).get("language")
    except (OSError, ValueError) as error:
        reason = type(error).__name__
        raise UsageError(
            f"{SETTINGS_NAME} cannot be read ({reason}). Mend it or take it out of this folder."
        ) from None
    return None if named is None else str(named)


def _found_where(tag: str, words: str) -> Language:
    try:
        return find_language(tag)
    except UsageError as refused:
        raise UsageError(f"{refused} {words}") from None


def chosen_language(
    asked: str | None, environment: Mapping[str, str], settings: str | None = None
) -> Language:
    """Return the language of an option, else of the settings, the environment, else English.

    ``UBEREPORT_LANGUAGE`` comes before the locale. Of a locale only the language counts: whether
    a machine says ``en_US`` or ``en_GB`` must not move a report to other paper.

    Raises
    ------
    UsageError
        If the option, the settings or ``UBEREPORT_LANGUAGE`` name a language that is not there.
    """
    if asked:
        return find_language(asked)
    if settings:
        return _found_where(settings, "The settings file names it.")
    if environment.get(VARIABLE):
        return _found_where(environment[VARIABLE], f"{VARIABLE} names it.")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            # A machine in a language that we do not speak gets English and no error: its owner did
            # not ask for anything.
            language = _found(environment[name])
            return ENGLISH if language is None else Language(language.code, language.name)
    return ENGLISH
