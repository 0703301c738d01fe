"""The script that gathers texts into catalogs, as tests use it; and a language made of accents."""

import functools
import importlib
import re
import sys
from pathlib import Path

from ubereport.language.catalogs import Catalog, forms, templates
from ubereport.language.languages import Language
from ubereport.language.translator import NumberSigns, Translator

CHECKOUT = Path(__file__).resolve().parents[2]
PSEUDO = Language("xa", "Accents")
MARK = "\u200f"
"""Right-to-left mark: in every pseudo-translated text, in none that nobody translated."""
ACCENTED = str.maketrans("aeiounscyAEIOUNSCY", "áéíöüñşçýÁÉÍÖÜÑŞÇÝ")
PLACE = re.compile(r"(\{\w*\})")


def _loaded():
    sys.path.insert(0, str(CHECKOUT / "docs"))
    try:
        return importlib.import_module("languages")
    finally:
        sys.path.pop(0)


languages_script = _loaded()
errors_script = sys.modules["error_texts"]


def pseudo(text: str) -> str:
    """Return a text a third longer, accented, with a right-to-left mark on either side."""
    pieces = PLACE.split(text)
    words = "".join(p if at % 2 else p.translate(ACCENTED) for at, p in enumerate(pieces))
    n_more = len("".join(pieces[::2])) // 3
    return f"{MARK}{words}{'~' * n_more}{MARK}"


@functools.cache
def gathered_texts():
    """Return the catalog of every text of the program; to gather it takes seconds."""
    return languages_script.template()


@functools.cache
def pseudo_translator() -> Translator:
    """Return the pseudo-language: every gathered message, translated by `pseudo`."""
    messages = {
        (message.context or "", forms(message.id)[0]): tuple(map(pseudo, forms(message.id)))
        for message in gathered_texts()
        if message.id
    }
    catalog = Catalog(messages, templates=templates(messages))
    return Translator(PSEUDO, catalog, NumberSigns(point=",", percent="\u00a0%"))
