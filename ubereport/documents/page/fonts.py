"""Which fonts the characters of a page need, and which no font on this machine has.

The only file that imports fontTools. Every page carries Inter; one with Japanese on it, in whatever
language it is, carries the glyphs that it needs of BIZ UDPGothic, too: whole fonts would make each
page five megabytes longer.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from ubereport.files.resources import templates_dir
from ubereport.language.speaking import _, spoken

LATIN_FAMILY = "Inter Ubereport"
JAPANESE_FAMILY = "BIZ UDPGothic Ubereport"
_JAPANESE = {"Regular": "400", "Bold": "600 700"}
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def font_file(name: str) -> Path:
    """Return the file of a bundled font."""
    return templates_dir() / "fonts" / f"{name}.ttf"


@cache
def bundled_characters(name: str) -> frozenset[str]:
    """Return the characters that a bundled font has a glyph for."""
    with TTFont(font_file(name), lazy=True) as font:
        return frozenset(map(chr, font.getBestCmap()))


def japanese_characters(text: str) -> frozenset[str]:
    """Return the characters of `text` that are BIZ UDPGothic's to show; most pages have none."""
    beyond = {char for char in set(text) if ord(char) > 0xFF}
    beyond -= bundled_characters("Inter-Regular")
    if not beyond:
        return frozenset()
    return frozenset(beyond) & bundled_characters("BizUdpGothic-Regular")


def japanese_faces(characters: frozenset[str], suffix: str) -> str:
    """Return CSS that brings the glyphs of `characters`, inlined; `suffix` is ttf or woff2."""
    if not characters:
        return ""
    return "".join(
        f'@font-face {{ font-family: "{JAPANESE_FAMILY}"; font-weight: {weight}; '
        f'src: url("data:font/{suffix};base64,{_cut(style, characters, suffix)}"); }}\n'
        for style, weights in _JAPANESE.items()
        for weight in weights.split()
    )


@cache
def _cut(style: str, characters: frozenset[str], suffix: str) -> str:
    """Return a bundled font with these glyphs only, as Base64; the same ones, the same bytes."""
    # Loaded where Japanese is printed: it takes a fifth of the time in which a review starts.
    from fontTools import subset

    options = subset.Options(notdef_outline=True, recalc_timestamp=False)
    with TTFont(font_file(f"BizUdpGothic-{style}"), recalcTimestamp=False) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text="".join(sorted(characters)))
        cutter.subset(font)
        font.flavor = "woff2" if suffix == "woff2" else None
        buffer = io.BytesIO()
        font.save(buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def without_font(text: str, installed: Iterable[Path]) -> str:
    """Return one sentence where characters of `text` would be boxes on paper, else an empty text.

    Parameters
    ----------
    text
        A page.
    installed
        Font files of this machine; read one by one until every character is found.
    """
    missing = {char for char in set(text) if unicodedata.category(char) not in _UNSEEN}
    # Our own fonts first: those of the machine are read one by one, and few pages need any.
    missing -= bundled_characters("Inter-Regular")
    if missing:
        missing -= bundled_characters("BizUdpGothic-Regular")
    for path in installed if missing else ():
        missing -= _characters_of(path)
        if not missing:
            break
    if not missing:
        return ""
    return _(
        "The PDF shows boxes for {characters} ({scripts}): no font on this machine has them. "
        "Install one, such as Noto Sans for that script, and render again; the HTML page shows "
        "them wherever a browser has such a font.",
        characters=" ".join(f"U+{ord(char):04X}" for char in sorted(missing)[:8]),
        scripts=spoken().enumeration(_scripts(missing)),
    )


def _characters_of(path: Path) -> set[str]:
    try:
        with path.open("rb") as file, TTFont(file, lazy=True, fontNumber=0) as font:
            return set(map(chr, font.getBestCmap() or ()))
    except (TTLibError, OSError, KeyError, AssertionError):
        return set()


def _scripts(characters: Iterable[str]) -> list[str]:
    """Name scripts by the first word of their characters' Unicode names, the commonest first."""
    words = Counter(unicodedata.name(char, "unnamed").split()[0] for char in sorted(characters))
    return [word.capitalize() for word, _n_characters in words.most_common(3)]
