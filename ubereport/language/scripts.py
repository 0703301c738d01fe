"""What the scripts of a page say: their texts, found where they are written, in a language.

Scripts mark texts as Python does: ``_`` a sentence, ``_n`` one that counts, ``N_`` one said later.
A page carries what they come to in its language as one block of JSON, for `words.js` to look up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from ubereport.language.translator import Translator

_TEXT = r'("(?:[^"\\]|\\.)*")'
_MARKED = re.compile(rf"\b(?:N?_\(\s*{_TEXT}|_n\(\s*{_TEXT},\s*{_TEXT})")
"""Babel's own reader of scripts misses what is marked inside a template or another marked text."""


def marked_in_script(source: str) -> Iterator[str | tuple[str, str]]:
    """Yield the texts that a script marks, in double quotes; (singular, plural) of one that counts.

    >>> list(marked_in_script('tell(_("Stop")); _n("{n} event", "{n} events", n)'))
    ['Stop', ('{n} event', '{n} events')]
    """
    for text, singular, plural in _MARKED.findall(source):
        yield json.loads(text) if text else (json.loads(singular), json.loads(plural))


def script_words_json(translator: Translator, sources: Iterable[str]) -> str:
    """Serialize what scripts need to speak a language; for English only how numbers are written.

    ``messages`` has the forms of each English text (the singular of one that counts);
    ``plurals`` says which form counts what browsers call "one", "few", "other", ….
    """
    forms = translator.catalog.messages
    marked = {text for source in sources for text in marked_in_script(source)}
    # Only what this page's scripts say: a whole catalog would make every page longer.
    english = {text if isinstance(text, str) else text[0] for text in marked}
    words = {
        "point": translator.signs.point,
        "percent": translator.signs.percent,
        "plurals": translator.plural_places(),
        "messages": {text: forms["", text] for text in sorted(english) if ("", text) in forms},
    }
    return json.dumps(words, ensure_ascii=True, separators=(",", ":"))
