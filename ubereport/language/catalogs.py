"""The only file that reads catalogs: a ``.po`` file in, its messages out. The door to Babel's.

Catalogs are read as they are edited, without a compiled copy that could be stale: a thousand
messages take some hundredths of a second, and only where another language than English is spoken.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ubereport.language.languages import Language

FOLDER = Path(__file__).parent / "catalogs"
DOMAIN = "ubereport.po"
RECORDED = "recorded"
"""Context of sentences that records hold in English and reports tell in their own language."""
_FIELD = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A message with places, and the words before the first and behind the last of them."""

    message: str
    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Translations of one language.

    Parameters
    ----------
    messages
        By context ("" for none) and English text; one translation for each plural form.
    plural_form
        Which of them counts `n` things.
    templates
        Recorded messages with places that a text may be made from, by its first letter ("": any
        other); those with most words first.
    problem
        One sentence where the catalog could not be read; `messages` is then empty.
    """

    messages: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    plural_form: Callable[[int], int] = lambda n: int(n != 1)
    templates: Mapping[str, tuple[Template, ...]] = field(default_factory=dict)
    problem: str = ""


def catalog_path(language: Language) -> Path:
    """Return where the catalog of a language lies."""
    return FOLDER / language.code / "LC_MESSAGES" / DOMAIN


def read_catalog(language: Language, path: Path | None = None) -> Catalog:
    """Read the translations of a language; none for English, whose texts are the messages.

    A damaged catalog is no reason to lose a report: it gives none, and `Catalog.problem` says so.
    Fuzzy, empty and obsolete entries are left out, and so are those that name other placeholders
    than the English text.
    """
    if language.is_english:
        return Catalog()
    from babel.messages.pofile import PoFileError, read_po

    try:
        with (catalog_path(language) if path is None else path).open("rb") as file:
            entries = read_po(file, abort_invalid=True)
        plural_form = gettext.c2py(entries.plural_expr)
    except (OSError, PoFileError, ValueError, SyntaxError, LookupError) as error:
        return Catalog(problem=_problem(language, error))
    messages: dict[tuple[str, str], tuple[str, ...]] = {}
    for message in entries:
        if not message.id or message.fuzzy:
            continue
        ids, texts = forms(message.id), forms(message.string)
        # A translation with a place that the English text does not fill would end the report in a
        # KeyError; fewer places (a plural that spells its number) are fine.
        if all(texts) and all(placeholders(text) <= placeholders(ids[-1]) for text in texts):
            messages[message.context or "", ids[0]] = texts
    if not messages:
        return Catalog(problem=_problem(language, ValueError("it holds no translation")))
    return Catalog(messages, plural_form, templates(messages))


def templates(
    messages: Mapping[tuple[str, str], tuple[str, ...]],
) -> dict[str, tuple[Template, ...]]:
    """Return the recorded messages with places as `Catalog` keeps them."""
    entries = []
    for context, message in messages:
        pieces = _FIELD.split(message)
        if context == RECORDED and len(pieces) > 1:
            n_words = sum(len(piece) for piece in pieces[::2])
            # Most words first: a message that is little more than places would match nearly every
            # sentence.
            entries.append((-n_words, message, pieces[0], pieces[-1]))
    found = [Template(*words) for _, *words in sorted(entries, key=lambda entry: entry[0])]
    return {
        initial: tuple(template for template in found if template.head[:1] in {initial, ""})
        for initial in {template.head[:1] for template in found} | {""}
    }


def forms(text: str | Sequence[str | None] | None) -> tuple[str, ...]:
    """Return the plural forms of an entry; one where it counts nothing."""
    return (text or "",) if text is None or isinstance(text, str) else tuple(t or "" for t in text)


def placeholders(text: str) -> set[str]:
    """Return the names in braces of a message.

    >>> sorted(placeholders("{share} of {total}"))
    ['share', 'total']
    """
    return set(_FIELD.findall(text))


def _problem(language: Language, error: Exception) -> str:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
    return (
        f"The catalog of {language.name} ({language.code}) cannot be read: {reason}. English is "
        "spoken instead. Install ubereport again, or mend the .po file where you edited it."
    )
